"""Lists of any length, as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiohttp import hdrs, web

from .. import wire
from .answers import JSON, Answer
from .app_keys import NODE

PIECE: Final = 65_536
"""Bytes of a long list that are made and written before others get their turn."""


PAUSE: Final = object()
"""Stands among the items of a list if it took long to find the next ones, and other work should get
a turn.
"""


async def json_array(
    request: web.Request,
    items: Iterator[Any],
    *,
    headers: Mapping[str, str] | None = None,
) -> Answer | web.StreamResponse:
    """Answer with a list, written piece by piece if it is long.

    So a list of any length takes no more memory than a piece and its largest item, and blocks
    nothing. A reader that takes nothing for ``stream_stall_timeout`` is disconnected.
    """
    node = request.app[NODE]
    piece, complete = await _next_full_piece(items)
    if complete:
        return Answer(b"[%b]" % piece, content_type=JSON, headers=headers or {})
    await node.settled()
    response = web.StreamResponse(headers=headers)
    response.content_type = JSON
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    patience = node.settings.stream_stall_timeout
    piece = b"[" + piece
    try:
        while not complete:
            async with asyncio.timeout(patience):
                await response.write(piece)
            await asyncio.sleep(0)
            piece, complete = await _next_full_piece(items)
            piece = b"," + piece if piece else b""
            await node.settled()
        async with asyncio.timeout(patience):
            await response.write(piece + b"]")
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the reader does not keep up") from None
    return response


async def _next_full_piece(items: Iterator[Any]) -> tuple[bytes, bool]:
    """Encode items until they fill a piece, giving way at each pause; return whether the list is
    complete.
    """
    whole, complete = _next_piece(items)
    while not complete and len(whole) < PIECE:
        await asyncio.sleep(0)
        piece, complete = _next_piece(items)
        whole = b",".join(filter(None, (whole, piece)))
    return whole, complete


def _next_piece(items: Iterator[Any]) -> tuple[bytes, bool]:
    """Encode items until they fill a piece, or up to a pause; tell whether these were the last."""
    encoded: list[bytes] = []
    size = 0
    for item in items:
        if item is PAUSE:
            return b",".join(encoded), False
        encoded.append(wire.encode(item))
        size += len(encoded[-1])
        if size >= PIECE:
            return b",".join(encoded), False
    return b",".join(encoded), True
