"""Requests that are answered inline: in the moment in which their bytes are read.

aiohttp has each request handled by a task of its own while another waits for it: three turns of
the loop, behind whoever else has something to do, and more time than a heartbeat takes. What
agents ask for all day needs nobody to wait for: the whole request is there, its handler is through
in microseconds, and the answer fits into the socket. Such requests are answered where the
transport hands over their bytes, by the same handlers and behind the same checks, and the answer
is written in one piece. Every other request goes aiohttp's way: where a part is yet to come, where
something about it is unusual, or where somebody has to wait.

Only where the server is ours alone; in another program's every request goes aiohttp's way.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from attrs import define, frozen
from multidict import CIMultiDictProxy

from ..core.rules import IDENTIFIER, RESERVED_AGENT_IDS
from ..node.node import Node
from . import agents, commands, guard
from .app_keys import NODE
from .calls import CallHandler
from .connections import PoliteConnection
from .metrics import METRICS, AnswerMeter
from .responding import handler_of

T = TypeVar("T")

METHOD: Final = hdrs.METH_POST

INLINE: Final = (
    agents.heartbeat,
    commands.acknowledge,
    agents.register,
    commands.issue_to_agent,
)
"""Handlers that wait for nothing but a body, all of them of POST."""


@define
class InlineCall:
    """A call whose request is there, whole."""

    node: Node
    address: Mapping[str, str]
    headers: CIMultiDictProxy[str]
    agents_path: str
    whole_body: bytes

    async def body(self) -> bytes:
        """Return the body."""
        return self.whole_body


@frozen
class InlineRoute:
    """An address whose handler may answer inline."""

    path: re.Pattern[str]
    handler: CallHandler
    answers: AnswerMeter


class InlineApp:
    """What connections have to know of an application to answer for it."""

    def __init__(self, app: web.Application) -> None:
        self.node = app[NODE]
        self.agents_path = app.router["agents"].canonical
        # By the last segment of the address, in which they differ.
        self._routes: dict[str, InlineRoute] = {}
        for route in app.router.routes():
            handler = handler_of(route.handler)
            if handler in INLINE and route.resource is not None:
                assert isinstance(handler, CallHandler)
                path = route.resource.canonical
                self._routes[_last_segment(path)] = InlineRoute(
                    re.compile(re.sub(r"{(\w+)}", rf"(?P<\1>{IDENTIFIER.pattern})", path)),
                    handler,
                    app[METRICS].http.answers_to(METHOD, route.resource),
                )

    def find(self, path: str) -> tuple[InlineRoute, dict[str, str]] | None:
        """Return whose handler may answer inline, and what stands in the variable parts."""
        route = self._routes.get(_last_segment(path))
        if route is None or (found := route.path.fullmatch(path)) is None:
            return None
        address = found.groupdict()
        if address.get("agent_id") in RESERVED_AGENT_IDS:
            return None  # it is another address
        if route.handler is commands.issue_to_agent and self.node.is_writing_commands:
            return None  # it would have to wait for those
        return route, address


class InlineConnection(PoliteConnection):
    """A connection that answers inline what it can."""

    __slots__ = ("_app",)

    def __init__(self, app: InlineApp, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._app = app

    def data_received(self, data: bytes) -> None:
        """Take in bytes, and answer requests that are whole with them."""
        waiter = self._waiter
        if waiter is None or waiter.done():  # one is being answered, or about to be
            super().data_received(data)
            return
        self._waiter = None  # or aiohttp would wake whoever waits for a request
        try:
            super().data_received(data)
            while self._messages and self._answer(*self._messages[0]):
                self._messages.popleft()
                self._parser.message_consumed()  # type: ignore[union-attr]
        finally:
            self._waiter = waiter
        if self._messages and not waiter.done():
            waiter.set_result(None)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on reading, where that was stopped: a body says so whenever it has been read."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _answer(self, message: Any, payload: StreamReader) -> bool:
        """Answer a request, if that can be done inline; tell whether it was."""
        arrived, app = self._loop.time(), self._app
        if not self._is_usual(message, payload) or (found := app.find(message.path)) is None:
            return False
        route, address = found
        headers, settings = message.headers, app.node.settings
        if payload.total_bytes > settings.max_body:
            return False
        try:
            guard.check_version(headers, required=settings.require_protocol_version)
            guard.check_site(METHOD, headers, settings.public_url)
            body = payload.read_nowait()
            call = InlineCall(app.node, address, headers, app.agents_path, body)
            answer = _at_once(route.handler.answer(call))
        except Exception as error:
            answer = guard.refusal(error, METHOD, message.path)
        transport = self.transport
        assert transport is not None
        transport.write(answer.in_one_piece())
        now = self._loop.time()
        route.answers.count(answer.status, now - arrived)
        self._next_keepalive_close_time = now + self._keepalive_timeout
        return True

    def _is_usual(self, message: Any, payload: StreamReader) -> bool:
        """Tell whether nothing has to be known of a request but its address and its body."""
        if getattr(message, "method", None) != METHOD:  # bytes that are no request have none
            return False
        headers = message.headers
        return (
            message.version == HttpVersion11
            and not message.should_close
            and not message.upgrade
            and hdrs.EXPECT not in headers
            and hdrs.TRANSFER_ENCODING not in headers
            and hdrs.CONTENT_ENCODING not in headers
            and payload.is_eof()
            # The client takes its answers, and has not sent more than aiohttp takes in at once.
            and not self._paused
            and not self._buffer_paused
        )


class InlineRunner(web.AppRunner):
    """A runner of an application of ours, of which it is the only server."""

    @property
    def server(self) -> Any:
        """Return the factory of connections that sites listen with."""
        server = super().server
        if server is None:
            return None
        app = InlineApp(self.app)

        def connection() -> InlineConnection:
            return InlineConnection(app, server, loop=server._loop, **server._kwargs)

        return connection


def _last_segment(path: str) -> str:
    return path.rpartition("/")[2]


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("what is answered inline must not wait")
