"""Answers whose whole body is at hand, as it nearly always is.

A handler returns the answer, and not how it is written. There are two ways: as a response of
aiohttp's, which a host application and its middleware can change, or in one piece, if a request is
answered inline (:mod:`~cameleer_registry.web.inline`). They look the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.http import SERVER_SOFTWARE

from .. import wire
from ..instance import HEADER as INSTANCE_HEADER
from ..instance import instance
from .aiohttp_internals import rfc822_formatted_time
from .app_keys import NODE
from .metrics import METRICS

VERSION_HEADER: Final = "X-Cameleer-Protocol-Version"
TIME_HEADER: Final = "X-Cameleer-Time"
SUPPORTED_VERSIONS: Final = ("1",)

AS_OF: Final = "X-Cameleer-As-Of"
"""On every answer of a node that has not heard from the others for some seconds: as of when it
is."""

JSON: Final = "application/json"

COMMON: Final = {VERSION_HEADER: SUPPORTED_VERSIONS[-1], hdrs.CACHE_CONTROL: "no-store"}
"""What every response carries, beside the id of the process that answers; a page may say of itself
how long it may be kept."""

_NO_HEADERS: Final[Mapping[str, str]] = {}


class Answer:
    """A body of bytes, which may be empty, with a status."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        body: bytes = b"",
        *,
        status: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        self.body = body
        self.status = status
        # None where there is nothing to be said of what the body is.
        self.content_type = content_type
        # What this answer carries besides, in Latin-1.
        self.headers = headers

    def response(self) -> web.Response:
        """Return it as aiohttp's."""
        headers = dict(self.headers)
        if self.content_type is not None:
            headers[hdrs.CONTENT_TYPE] = self.content_type
        return web.Response(body=self.body, status=self.status, headers=headers)

    def in_one_piece(self) -> bytes:
        """Return the whole answer as HTTP/1.1, for a connection that stays open."""
        second, millisecond = divmod(time.time_ns() // 1_000_000, 1000)
        head = _head(self.status, self.content_type, len(self.body), second, instance())
        if not self.headers:
            return head + _ENDS[millisecond] + b"\r\n" + self.body
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return head + _ENDS[millisecond] + more.encode("latin-1") + b"\r\n" + self.body


def json(value: Any, *, status: int = 200) -> Answer:
    """Answer with a model."""
    return Answer(wire.encode(value), status=status, content_type=JSON)


def complete(response: web.StreamResponse) -> None:
    """Add what every response carries."""
    for name, value in COMMON.items():
        response.headers.setdefault(name, value)
    response.headers[INSTANCE_HEADER] = instance()
    response.headers[TIME_HEADER] = time_of_day(time.time_ns() // 1_000_000)


def time_of_day(milliseconds: int) -> str:
    """Return a time since 1970 in the API's form.

    Every answer carries its server's time, from which clients compute deadlines and ages: proxies
    replace ``Date`` by the time of their own clocks, and it has only whole seconds.
    """
    return f"{_to_the_second(milliseconds // 1000)}.{milliseconds % 1000:03}Z"


@lru_cache(maxsize=2)
def _to_the_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Complete a response that aiohttp is about to write, and count it."""
    complete(response)
    shared = request.app[NODE].shared
    if shared is not None and (moment := shared.shown.as_of) is not None:
        response.headers[AS_OF] = moment
    request.app[METRICS].http.count(request, response.status)


_ENDS: Final = [b"%03dZ\r\n" % millisecond for millisecond in range(1000)]
"""The end of the last header that every answer has: milliseconds."""


@lru_cache(maxsize=256)
def _head(status: int, content_type: str | None, length: int, second: int, by: str) -> bytes:
    """Return the head of an answer in this second, up to the milliseconds of its last header."""
    headers = {**COMMON, INSTANCE_HEADER: by}
    if status != HTTPStatus.NO_CONTENT:
        headers[hdrs.CONTENT_LENGTH] = str(length)
        if content_type is not None:
            headers[hdrs.CONTENT_TYPE] = content_type
    headers[hdrs.DATE] = rfc822_formatted_time()
    headers[hdrs.SERVER] = SERVER_SOFTWARE
    lines = (f"{name}: {value}\r\n" for name, value in headers.items())
    status_line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    return f"{status_line}{''.join(lines)}{TIME_HEADER}: {_to_the_second(second)}.".encode()
