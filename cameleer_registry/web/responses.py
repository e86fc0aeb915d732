"""Answering with JSON: one model, or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from aiohttp import hdrs, web

from .. import wire

SLICE: Final = 500
"""Items of a long list that are made and written before others get their turn."""


def json(
    value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with a model."""
    return web.Response(
        body=wire.encode(value), status=status, headers=headers, content_type="application/json"
    )


async def json_array(
    request: web.Request,
    slices: Iterator[Sequence[Any]],
    *,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Answer with a list, written slice by slice where it is long.

    So a list of any length takes no more memory than a slice, holds up nobody while it is made,
    and waits for a slow reader without anybody else noticing.
    """
    first = next(slices, ())
    second = next(slices, ())
    if not second:
        return json(list(first), headers=headers)
    response = web.StreamResponse(headers=headers)
    response.content_type = "application/json"
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    await response.write(b"[" + wire.encode(list(first))[1:-1])
    while second:
        await response.write(b"," + wire.encode(list(second))[1:-1])
        second = next(slices, ())
    await response.write(b"]")
    return response


def in_slices(
    ask: Callable[[str, int], Sequence[Any]], key: Callable[[Any], str], *, after: str
) -> Iterator[Sequence[Any]]:
    """Ask for one slice after the other: ``ask(after, limit)``."""
    while page := ask(after, SLICE):
        yield page
        if len(page) < SLICE:
            return
        after = key(page[-1])


def sliced(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut a list into slices."""
    return (items[start : start + SLICE] for start in range(0, len(items), SLICE))
