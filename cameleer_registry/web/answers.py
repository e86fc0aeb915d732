"""Answers whose whole body is at hand, which nearly all are: each is written in one piece.

aiohttp makes the head of each response anew, header by header, asks everybody who wants to be
asked about it, and then writes it: a third of what a heartbeat costs. The heads of this API's
answers are alike but for a length and the time, so they are made once. Where somebody else has a
say, a host application or its middleware, an answer goes aiohttp's way, and looks the same.
"""

from __future__ import annotations

import time
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE, HttpVersion11

from .. import wire
from .metrics import METRICS

VERSION_HEADER: Final = "X-Cameleer-Protocol-Version"
SUPPORTED_VERSIONS: Final = ("1",)

JSON: Final = "application/json"

COMMON: Final = {VERSION_HEADER: SUPPORTED_VERSIONS[-1], hdrs.CACHE_CONTROL: "no-store"}
"""What every response carries; a page may say of itself how long it may be kept."""


class Answer(web.Response):
    """A body of bytes, which may be empty, with a status."""

    # Whether it has been written, in which case there is nothing left to do for aiohttp.
    _written = False

    def __init__(
        self, body: bytes = b"", *, status: int = 200, content_type: str | None = None
    ) -> None:
        super().__init__(body=body, status=status)
        self._type = content_type

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open; None where that is yet to be seen."""
        return True if self._written else super().keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write it, where nobody else has a say; otherwise only its head."""
        if self.prepared:
            return None
        if not isinstance(request, web.Request) or not self._is_ours_alone(request):
            if self._type is not None:
                self.headers.setdefault(hdrs.CONTENT_TYPE, self._type)
            return await super().prepare(request)
        request.app[METRICS].http.count(request, self.status)
        body: Any = self.body
        await request.writer.write(
            _head(self.status, self._type, len(body), int(time.time())) + body
        )
        self._written = True
        return None

    @property
    def prepared(self) -> bool:
        """Whether its head, at the least, has been written."""
        return self._written or super().prepared

    async def write_eof(self, data: bytes = b"") -> None:
        """Write what is left of it."""
        if not self._written:
            await super().write_eof(data)

    def _is_ours_alone(self, request: web.Request) -> bool:
        """Tell whether it is as this module made it, and asked for in the usual way."""
        return (
            not self.headers
            and super().keep_alive is None
            and request.keep_alive
            and request.version == HttpVersion11
            and request.method != hdrs.METH_HEAD
            and len(request.match_info.apps) == 1
            and len(request.app.middlewares) == len(request.app.on_response_prepare) == 1
        )


def json(value: Any, *, status: int = 200) -> Answer:
    """Answer with a model."""
    return Answer(wire.encode(value), status=status, content_type=JSON)


def complete(response: web.StreamResponse) -> None:
    """Add what every response carries."""
    for name, value in COMMON.items():
        response.headers.setdefault(name, value)


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Complete a response that aiohttp is about to write, and count it."""
    complete(response)
    request.app[METRICS].http.count(request, response.status)


@lru_cache(maxsize=256)
def _head(status: int, content_type: str | None, length: int, _second: int) -> bytes:
    """Return the head of an answer in this second."""
    headers = dict(COMMON)
    if status != HTTPStatus.NO_CONTENT:
        headers[hdrs.CONTENT_LENGTH] = str(length)
        if content_type is not None and length:
            headers[hdrs.CONTENT_TYPE] = content_type
    headers[hdrs.DATE] = rfc822_formatted_time()
    headers[hdrs.SERVER] = SERVER_SOFTWARE
    lines = (f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{''.join(lines)}\r\n".encode()
