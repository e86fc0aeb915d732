"""The head of an event stream, and the address at which an agent opens its own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11
from aiohttp_sse import EventSourceResponse

from ..core.model import Target
from ..errors import AgentNotRegistered, StorageUnavailable
from .aiohttp_internals import head_writer, release
from .app_keys import NODE
from .calls import RequestCall

KERNEL_STALLS: Final = 2
"""Stall timeouts after which the kernel gives up on a peer that takes nothing. It is there for
those that are gone without a word: of one that does not read, the server says so first."""

LONGEST_USER_TIMEOUT: Final = 2_000_000
"""Seconds. TCP_USER_TIMEOUT is an int of milliseconds: 24.8 days."""

NOT_STORED: Final = "no-store, no-transform"


class EventStreamResponse(EventSourceResponse):
    """The head of a stream: everything up to the moment at which the node takes over.

    aiohttp-sse sets the headers, refuses other methods than GET, and has the kernel give up on a
    peer that confirms nothing. Its ping task is ended before it begins: one keeper serves all
    streams, with keepalives that no client takes for an event.
    """

    def __init__(self, *, send_timeout: float) -> None:
        super().__init__(send_timeout=min(send_timeout, LONGEST_USER_TIMEOUT))
        self.headers[hdrs.CACHE_CONTROL] = NOT_STORED
        # The connection ends with the stream, whichever side ends it (RFC 9112, section 9.6), and
        # in HTTP/1.0 nothing else could end it.
        self.headers[hdrs.CONNECTION] = "close"
        self.force_close()
        # True when the connection is a stream's, and no longer aiohttp's.
        self._released = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the headers; raises ConnectionResetError if the client has already gone."""
        if self.prepared:
            return head_writer(self)
        if request.transport is None:
            raise ConnectionResetError("the client is gone")
        writer = await super().prepare(request)
        self.stop_streaming()
        return writer

    def release_connection(self, request: web.Request) -> None:
        """Have aiohttp forget the connection, now that a stream has taken it over.

        It would keep a request, a response, a parser and two tasks for as long as the stream is
        open, which are 8 KiB.
        """
        self._released = True
        release(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """End the response, unless it no longer is aiohttp's to end."""
        if not self._released:
            await super().write_eof(data)

    def enable_compression(self, *_: object, **__: object) -> None:
        """Do nothing: what is compressed is buffered, and an event is wanted now.

        A host application that compresses all it answers should not have to know.
        """


async def begin(request: web.Request) -> tuple[EventStreamResponse, asyncio.Transport, bool]:
    """Write the head of a stream; return it, the connection to take over, and whether it is
    chunked.

    A failed storage is no reason to refuse a stream, because the client would not come back: it
    ends at once. Raises ConnectionResetError if the client has gone.
    """
    with contextlib.suppress(StorageUnavailable):
        await request.app[NODE].settled()  # that there is such a stream must not be taken back
    stall_timeout = request.app[NODE].settings.stream_stall_timeout
    response = EventStreamResponse(send_timeout=KERNEL_STALLS * stall_timeout)
    await response.prepare(request)
    if request.transport is None:
        raise ConnectionResetError("the client is gone")
    return response, request.transport, request.version >= HttpVersion11


async def head_only(request: web.Request) -> web.StreamResponse:
    """Answer HEAD as GET would be, with nothing behind the head, which opens nothing."""
    with contextlib.suppress(StorageUnavailable):
        await request.app[NODE].settled()
    response = web.StreamResponse()
    response.content_type = "text/event-stream"
    response.headers[hdrs.CACHE_CONTROL] = NOT_STORED
    response.headers["X-Accel-Buffering"] = "no"
    response.force_close()
    return response


async def stream_events(request: web.Request) -> web.StreamResponse:
    """``GET /agents/{id}/events``: open until a newer one comes, or either side goes."""
    node, agent_id = request.app[NODE], request.match_info["agent_id"]
    node.check_target(Target.agent(agent_id))
    if request.method == hdrs.METH_HEAD:
        return await head_only(request)
    announced = await node.announce_stream(agent_id)
    try:
        response, transport, chunked = await begin(request)
    except BaseException:
        node.withdraw_stream(agent_id, announced)
        raise
    with contextlib.suppress(AgentNotRegistered):  # deleted while the headers were written
        principal = RequestCall(request).principal
        node.open_stream(
            agent_id, transport, chunked=chunked, principal=principal, announced=announced
        )
        response.release_connection(request)
    return response
