"""All that this server knows of aiohttp beyond its documentation, in this one file.

Seen: aiohttp 3.14.4 and 3.14.5. An upgrade has this file to read, beside
``aiohttp/web_protocol.py``: names that are private there, and behaviour that nothing promises.

========================================  ==================================================
``RequestHandler._waiter``                what ``start()`` waits for while no request is there
``RequestHandler._messages``              requests that have been parsed, each with its payload
``_parser.message_consumed()``            has to be called for each that is taken (since 3.14.1)
``_paused``                               the client does not take what is written
``_buffer_paused``                        more requests wait than are taken in (since 3.14.4)
``_reading_paused``                       a body says so
``_next_keepalive_close_time``,           when an idle connection is closed
``_keepalive_timeout``,
``_process_keepalive()``
``Server._loop``, ``Server._kwargs``      what a server makes its connections with
``BaseRequest._message``, ``_version``    the version as it was sent, and as it is answered
``StreamResponse._payload_writer``        what has written the head
``writer.output_size``                    above 0 as soon as an answer has begun
``BaseSite._server``                      the listening sockets
``connection_lost(None)``                 with ``transport`` None: forgets a connection, and
                                          leaves it open
========================================  ==================================================

:func:`missing` looks for all of that. Where something is missing the server runs on aiohttp's
plain runner, and answers every request aiohttp's way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_parser import HttpRequestParser
from aiohttp.web_protocol import RequestHandler

__all__ = ["HttpVersion10", "HttpVersion11", "rfc822_formatted_time"]

_ATTRIBUTES: Final = (
    "_waiter",
    "_messages",
    "_parser",
    "_loop",
    "_paused",
    "_buffer_paused",
    "_reading_paused",
    "_next_keepalive_close_time",
    "_keepalive_timeout",
)
_METHODS: Final = ("data_received", "connection_lost", "_process_keepalive", "resume_reading")


def missing(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Return the names that connections rely on here and this aiohttp does not have."""
    slots = {name for kind in RequestHandler.__mro__ for name in getattr(kind, "__slots__", ())}
    server = web.Server(_nobody, loop=loop)
    return [
        *(f"RequestHandler.{name}" for name in _ATTRIBUTES if name not in slots),
        *(f"RequestHandler.{name}()" for name in _METHODS if not hasattr(RequestHandler, name)),
        *(f"Server.{name}" for name in ("_loop", "_kwargs") if not hasattr(server, name)),
        *(
            f"HttpRequestParser.{name}()"
            for name in ("message_consumed",)
            if not hasattr(HttpRequestParser, name)
        ),
    ]


async def _nobody(_request: web.BaseRequest) -> web.StreamResponse:
    raise web.HTTPNotFound


class Connection(RequestHandler):
    """A connection of aiohttp's whose requests may be taken before aiohttp does."""

    __slots__ = ()

    def answer(self, message: Any, payload: StreamReader) -> bool:
        """Answer the next request, or take it on to be answered; tell whether that is done.

        It has been taken then (:meth:`take_request`). Bytes that are no request have no method.
        """
        return False

    def data_received(self, data: bytes) -> None:
        """Take in bytes, and answer requests that are whole with them."""
        waiter = self._waiter
        if waiter is None or waiter.done():  # aiohttp answers one, or is about to
            super().data_received(data)
            return
        self._waiter = None  # or aiohttp would wake for a request
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        self.answer_all()

    def answer_all(self) -> None:
        """Answer one request after the other, and have aiohttp answer what is left."""
        messages = self._messages
        while messages and self.answer(*messages[0]):
            if self.holds:
                return
        if messages:
            self.wake()

    @property
    def is_idle(self) -> bool:
        """Whether aiohttp waits for a request: none is being answered, or about to be."""
        return self._waiter is not None and not self._waiter.done()

    holds = False
    """Whether an answer is waited for, behind which nothing is answered."""

    def take_request(self) -> None:
        """Take the next request from aiohttp, which will not see it."""
        self._messages.popleft()
        if self._parser is not None:  # as it is when the connection is lost
            self._parser.message_consumed()

    def wake(self) -> None:
        """Have aiohttp answer what is there."""
        waiter = self._waiter
        if self._messages and waiter is not None and not waiter.done():
            waiter.set_result(None)

    @property
    def is_backed_up(self) -> bool:
        """Whether the client does not take its answers, or has sent more than is taken in."""
        return self._paused or self._buffer_paused

    def used(self, now: float) -> None:
        """Count the time after which an idle connection is closed from ``now`` on."""
        self._next_keepalive_close_time = now + self._keepalive_timeout

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on reading, if that was stopped: a body says so whenever it has been read."""
        if self._reading_paused:
            super().resume_reading(resume_parser)


def connections_of(server: web.Server, make: Callable[..., Connection]) -> Callable[[], Connection]:
    """Return a factory of connections for a server; ``make`` is given what aiohttp's own is."""

    def connection() -> Connection:
        return make(server, loop=server._loop, **server._kwargs)

    return connection


def version_of(request: web.BaseRequest) -> HttpVersion:
    """Return the version that a request was sent in, before anybody has asked aiohttp for it."""
    version: HttpVersion = request._message.version
    return version


def answer_as_http11(request: web.BaseRequest) -> None:
    """Have a request answered in HTTP/1.1, whatever version it says."""
    request._version = HttpVersion11


def authority_of(request: web.BaseRequest) -> str | None:
    """Return host and port of a target in absolute form, or None where it is a path.

    RFC 9112, section 3.2.2: it counts, and not the header Host.
    """
    url = request._message.url
    return url.raw_authority if url.absolute else None


def head_writer(response: web.StreamResponse) -> AbstractStreamWriter | None:
    """Return what has written the head of a response."""
    return response._payload_writer


def not_begun(writer: AbstractStreamWriter) -> None:
    """Have what was written so far not count as the beginning of an answer."""
    writer.output_size = 0


def release(request: web.BaseRequest) -> None:
    """Have aiohttp forget the connection of a request, and leave it open.

    To aiohttp this looks like a client that is gone.
    """
    protocol = request.protocol
    protocol.transport = None  # or it would be closed
    protocol.connection_lost(None)
