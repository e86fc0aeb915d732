"""Requests that are answered inline: as soon as their bytes are read.

aiohttp handles each request in a task, for which another task waits: three turns of the loop,
behind everything else that is due, and more time than a heartbeat takes. The frequent requests of
agents need none of that: the whole request is there, and its handler takes microseconds. Such
requests are answered when the transport passes on their bytes, by the same handlers and through the
same gate, and the answer is written in one piece. Every other request goes aiohttp's way: if a part
has yet to arrive, or something about it is unusual.

A handler may have to wait, until its change is durable or a command has been written to thousands.
Then its connection *holds* the answer: nothing that came after it is answered before it, and the
coroutine continues where it waits, without a task of its own.

This is done only in a standalone server; in another program's every request goes aiohttp's way.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from attrs import define, frozen
from multidict import CIMultiDictProxy

from ..core.rules import IDENTIFIER, RESERVED_AGENT_IDS
from ..node.journal.shared import Shared
from ..node.node import Node
from ..security.principals import Principal
from . import agents, commands, gate, sharing
from .access import Access
from .aiohttp_internals import connections_of
from .answers import Answer
from .app_keys import GATE, NODE
from .calls import CallHandler, local_address_of, peer_of, prefix_of
from .connections import PoliteConnection
from .metrics import METRICS, AnswerMeter
from .responding import access_of, handler_of

METHOD: Final = hdrs.METH_POST

INLINE: Final = (
    agents.heartbeat,
    commands.acknowledge,
    agents.register,
    commands.issue_to_agent,
)
"""Handlers that are given a call, wait for no other body than what is there, and answer with DONE
or NOTHING in the table of routes; all of them of POST."""


@define
class InlineCall:
    """A call whose request is there, whole."""

    node: Node
    address: Mapping[str, str]
    headers: CIMultiDictProxy[str]
    agents_path: str
    whole_body: bytes
    transport: asyncio.Transport
    principal: Principal | None = None

    query = ""  # an address with one is answered aiohttp's way
    method = METHOD
    authority = None
    is_http10 = False

    @property
    def local_address(self) -> str | None:
        """The address to which the client has connected; None for a unix socket."""
        return local_address_of(self.transport)

    @property
    def peer(self) -> str | None:
        """The address from which the connection has come; None for a unix socket."""
        return peer_of(self.transport)

    @property
    def prefix(self) -> str:
        """The prefix under which the application is mounted."""
        return prefix_of(self.agents_path)

    async def body(self) -> bytes:
        """Return the body."""
        return self.whole_body


@frozen
class InlineRoute:
    """An address whose handler may answer inline."""

    path: re.Pattern[str]
    handler: CallHandler
    access: Access
    meter: AnswerMeter


class InlineApp:
    """What connections have to know of an application to answer for it."""

    def __init__(self, app: web.Application) -> None:
        self.node = app[NODE]
        self.agents_path = app.router["agents"].canonical
        self._gate = app[GATE]
        # By the last segment of the address, in which they differ.
        self._routes: dict[str, InlineRoute] = {}
        for route in app.router.routes():
            handler, access = handler_of(route.handler), access_of(route.handler)
            if handler in INLINE and access is not None and route.resource is not None:
                assert isinstance(handler, CallHandler)
                path = route.resource.canonical
                self._routes[_last_segment(path)] = InlineRoute(
                    re.compile(re.sub(r"{(\w+)}", rf"(?P<\1>{IDENTIFIER.pattern})", path)),
                    handler,
                    access,
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
        return route, address

    async def answer(self, route: InlineRoute, call: InlineCall, path: str) -> Answer:
        """Answer a call, whatever comes of it."""
        try:
            answer = route.handler.answer
            if call.node.shared is None:
                self._gate.admit(call, route.access)
                return await answer(call)
            await sharing.admit(self._gate, call, route.access)
            answered = await sharing.handled(
                call.node, call.headers, route.access, lambda: answer(call)
            )
        except Exception as error:
            answered = await gate.refused(error, call.node, route.access, method=METHOD, path=path)
        return sharing.dated(call.node, answered)


class Held:
    """An answer that is waited for: a coroutine that is driven without a task.

    It waits for futures only, one after the other.
    """

    __slots__ = ("_coroutine", "_loop", "_on_answer")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Answer],
        on_answer: Callable[[Answer | None], None],
    ) -> None:
        self._loop = loop
        # None from its end on.
        self._coroutine: Coroutine[Any, Any, Answer] | None = coroutine
        self._on_answer = on_answer

    def wait_for(self, awaited: Any) -> None:
        """Go on when what the coroutine waits for is done: a future, or None for a turn."""
        if awaited is None:
            self._loop.call_soon(self._go_on, None)
        else:
            awaited._asyncio_future_blocking = False  # as a task says that it has understood
            if isinstance(awaited, Shared):
                awaited.call(self._go_on)
            else:
                awaited.add_done_callback(self._go_on)

    def cancel(self) -> None:
        """Wait no longer; what has been done stays done."""
        if self._coroutine is not None:
            coroutine, self._coroutine = self._coroutine, None
            coroutine.close()

    def _go_on(self, _done: object) -> None:
        if self._coroutine is None:
            return
        try:
            awaited = self._coroutine.send(None)
        except StopIteration as end:
            self._coroutine = None
            self._on_answer(end.value)
        except BaseException:  # what it waited for has been cancelled, and so has the answer
            self._coroutine = None
            self._on_answer(None)
            raise
        else:
            self.wait_for(awaited)


class InlineConnection(PoliteConnection):
    """A connection that answers inline what it can."""

    __slots__ = ("_app", "held")

    def __init__(self, app: InlineApp, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._app = app
        # The answer that is waited for; None while there is none.
        self.held: Held | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop waiting for an answer that nobody will read."""
        if self.held is not None:
            self.held.cancel()
            self.held = None
        super().connection_lost(exc)

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """End the connection, when the answer that is waited for has been written."""
        loop = self._loop
        until = None if timeout is None else loop.time() + timeout
        while self.held is not None and (until is None or loop.time() < until):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await super().shutdown(timeout)

    def _process_keepalive(self) -> None:
        # To aiohttp a connection that holds an answer looks idle.
        if self.held is not None:
            self.used(self._loop.time())
        super()._process_keepalive()

    def answer(self, message: Any, payload: StreamReader) -> bool:
        """Answer a request, or hold its answer, if that can be done inline; tell whether so."""
        arrived, app = self._loop.time(), self._app
        if not self._is_usual(message, payload) or (found := app.find(message.path)) is None:
            return False
        route, address = found
        if payload.total_bytes > app.node.settings.max_body:
            return False
        transport = self.transport
        assert transport is not None
        body = payload.read_nowait()
        call = InlineCall(app.node, address, message.headers, app.agents_path, body, transport)
        self.take_request()
        coroutine = app.answer(route, call, message.path)
        try:
            awaited = coroutine.send(None)
        except StopIteration as end:
            self._write(route.meter, arrived, end.value)
        else:
            on_answer = partial(self._write_held, route.meter, arrived)
            self.held = Held(self._loop, coroutine, on_answer)
            self.held.wait_for(awaited)
        return True

    def _write(self, meter: AnswerMeter, arrived: float, answer: Answer) -> None:
        transport, now = self.transport, self._loop.time()
        if transport is not None:
            transport.write(answer.in_one_piece())
            meter.count(answer.status, now - arrived)
            self.used(now)

    def _write_held(self, meter: AnswerMeter, arrived: float, answer: Answer | None) -> None:
        self.held = None
        if answer is None:
            if self.transport is not None:
                self.transport.abort()
            return
        self._write(meter, arrived, answer)
        if self.is_idle:
            self.answer_all()

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
            and not self.is_backed_up
        )


class InlineRunner(web.AppRunner):
    """The runner of a standalone server's application."""

    @property
    def server(self) -> Any:
        """Return the factory of connections that sites listen with."""
        server = super().server
        if server is None:
            return None
        return connections_of(server, partial(InlineConnection, InlineApp(self.app)))


def _last_segment(path: str) -> str:
    return path.rpartition("/")[2]
