"""What a service holds in its hands to be an agent: it declares itself, and is told what to do."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Final, TypeVar

import aiohttp
from attrs import evolve

from .. import wire
from ..core.model import AgentDelivery, CommandEvent, CommandType, Registration, Welcome
from ..errors import AgentNotRegistered, RegistryError, ServerUnreachable
from ..logs import get_logger
from . import backoff
from .acks import Acks
from .connection import Connection
from .inbox import Handler, Inbox
from .membership import Membership
from .server_clock import ServerClock
from .sigterm import on_sigterm
from .stream import EventStream

log = get_logger(__name__)

H = TypeVar("H", bound=Handler)

RETRY: Final = 3.0
"""Seconds before a stream is opened again, where the server has not said how long."""

SILENT_KEEPALIVES: Final = 3
"""Keepalives that may be missing before a stream is taken for dead."""


LASTING: Final = 60.0
"""Seconds for which a stream must last for its end to be none to worry about. The server may have
ended one that did not for another process under the same id: it is opened ever more rarely."""


class Agent:
    """An agent of one server: it is registered, LIVE and connected while it runs.

    ::

        agent = Agent("http://127.0.0.1:8081", agent_id="order-service-1", group="order-service")

        @agent.on("config-update")
        async def apply(command):
            return {"applied": command.payload["revision"]}

        await agent.run()

    What a handler returns is the data of its acknowledgement, and what it raises makes it a
    FAILURE with that message; it may also return an :class:`~cameleer_registry.Ack`. A handler that
    is a plain function runs in a thread of its own; one that is ``async`` must not block.

    ``capabilities`` is an object of name to JSON value, or names; by default, the types that have
    handlers. ``catch_up`` fetches what is pending each time the stream has been opened: then a
    command that came while nobody listened is carried out late instead of never, and one that an
    earlier process of the agent has not answered is carried out again. Up to ``max_concurrent``
    commands are carried out side by side, begun in their order; with 1, one after the other. Upon
    SIGTERM, those that have begun have ``grace`` seconds to finish. ``session`` is an aiohttp
    session of your own, used as it is and left open; it needs a connection for the stream.

    Raises ValueError where one of these breaks its rule, and TypeError where a capability is
    nothing that JSON can express. ``clock`` is for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        agent_id: str,
        group: str,
        name: str | None = None,
        version: str | None = None,
        route_ids: Iterable[str] = (),
        capabilities: Mapping[str, Any] | Iterable[str] | None = None,
        instance_id: str | None = None,
        catch_up: bool = False,
        max_concurrent: int = 10,
        grace: float = 5.0,
        session: aiohttp.ClientSession | None = None,
        clock: ServerClock | None = None,
    ) -> None:
        if max_concurrent < 1:
            raise ValueError(f"max_concurrent: expected at least 1, got {max_concurrent}")
        self._connection = Connection(url, session=session)
        declared: dict[str, Any] = {
            "agent_id": agent_id,
            "group": group,
            "name": name,
            "version": version,
            "route_ids": _listed(route_ids),
            "capabilities": _capabilities(capabilities or ()),
            "instance_id": instance_id or str(uuid.uuid4()),
        }
        self._registration = _sendable(Registration(**declared))
        self._declares_handlers = capabilities is None
        self._catch_up = catch_up
        self._max_concurrent = max_concurrent
        self._grace = grace
        self._clock = clock or ServerClock()
        self._handlers: dict[CommandType, Handler] = {}
        self._log = log.bind(agent_id=agent_id)
        # These are None while the agent does not run.
        self._membership: Membership | None = None
        self._stopping: asyncio.Event | None = None
        # Seconds to wait before the stream is opened again, as the server said last.
        self._retry = RETRY
        self.connected = False
        """Whether the stream is open."""

    @property
    def agent_id(self) -> str:
        """The persistent id under which it is known."""
        return self._registration.agent_id

    @property
    def registered(self) -> bool:
        """Whether the server knows it, as far as the agent has been told."""
        return self._membership is not None and self._membership.is_known

    def on(self, type: CommandType | str) -> Callable[[H], H]:
        """Have the decorated function carry out the commands of a type.

        Raises ValueError where there is no such type, or it has a handler already.
        """
        command_type = CommandType(type)

        def decorate(handler: H) -> H:
            if command_type in self._handlers:
                raise ValueError(f"{command_type} has a handler already")
            self._handlers[command_type] = handler
            return handler

        return decorate

    def declare(self, **changes: Any) -> None:
        """Change what the agent declares of itself, and tell the server if it runs.

        ``changes`` are any of ``group, name, version, route_ids, capabilities``; raises ValueError
        or TypeError where one is not possible.
        """
        if unknown := changes.keys() - {"group", "name", "version", "route_ids", "capabilities"}:
            raise TypeError(f"an agent cannot change its {', '.join(sorted(unknown))}")
        if "capabilities" in changes:
            changes["capabilities"] = _capabilities(changes["capabilities"])
            self._declares_handlers = False
        if "route_ids" in changes:
            changes["route_ids"] = _listed(changes["route_ids"])
        self._registration = _sendable(evolve(self._registration, **changes))
        if self._membership is not None:
            self._membership.declare(self._declared())

    async def run(self) -> None:
        """Be that agent, until cancelled, stopped, or told to end by SIGTERM.

        SIGTERM is listened to where the process has no handler of its own for it. The server may be
        down, and may go and come: that is waited for. Raises the RegistryError with which the
        server refuses the first registration, and RuntimeError where it is running already.
        """
        if self._stopping is not None:
            raise RuntimeError(f"{self.agent_id} is running already")
        self._stopping = asyncio.Event()
        try:
            with on_sigterm(self.stop):
                async with self._connection:
                    await self._run(self._stopping)
        finally:
            self._stopping = self._membership = None

    def stop(self) -> None:
        """Have :meth:`run` finish what has begun, and return; nothing where it does not run."""
        if self._stopping is not None:
            self._stopping.set()

    async def _run(self, stopping: asyncio.Event) -> None:
        clock = self._clock
        membership = Membership(self._connection, self._declared(), clock)
        acks = Acks(self._connection, self.agent_id, membership, clock)
        inbox = Inbox(self._handlers, acks.send, clock, max_concurrent=self._max_concurrent)
        self._membership = membership
        duties = {
            asyncio.create_task(duty, name=f"{name} of {self.agent_id}")
            for name, duty in (
                ("registration", membership.keep_registered()),
                ("heartbeats", membership.send_heartbeats()),
                ("stream", self._hold_stream(membership, inbox)),
                ("end", stopping.wait()),
            )
        }
        grace = 0.0  # where this is cancelled, or fails
        try:
            ended, _ = await asyncio.wait(duties, return_when=asyncio.FIRST_COMPLETED)
            for duty in ended:
                duty.result()
            grace = self._grace
        finally:
            for duty in duties:
                duty.cancel()
            try:
                await asyncio.gather(*duties, return_exceptions=True)
            except asyncio.CancelledError:
                grace = 0.0
                raise
            finally:
                await inbox.close(grace)

    def _declared(self) -> Registration:
        if self._declares_handlers:
            return evolve(self._registration, capabilities=_capabilities([*self._handlers]))
        return self._registration

    # The stream

    async def _hold_stream(self, membership: Membership, inbox: Inbox) -> None:
        """Have a stream open, always; never returns."""
        while True:
            await backoff.persist(
                lambda: self._listen(membership, inbox),
                least=lambda: self._retry,
                most=lambda: membership.longest_delay,
                again=lambda error: isinstance(error, ServerUnreachable | RegistryError),
                told=self._say_that_it_failed,
            )
            await asyncio.sleep(backoff.spread(self._retry))

    async def _listen(self, membership: Membership, inbox: Inbox) -> None:
        """Open the stream, and take what comes until it ends.

        Raises ServerUnreachable or RegistryError where it could not be opened, broke in less time
        than is waited for it, or the server ended it soon.
        """
        welcome = await membership.registered()
        try:
            stream = await self._open(welcome)
        except AgentNotRegistered:
            membership.forgotten(welcome)
            stream = await self._open(await membership.registered())
        loop = asyncio.get_running_loop()
        opened = loop.time()
        self._log.info("stream opened")
        self.connected = True
        try:
            await self._take(stream, inbox)
        except ServerUnreachable as error:
            if loop.time() - opened < self._retry:
                raise
            self._log.warning("stream lost", reason=str(error))
        else:
            if loop.time() - opened < LASTING:
                raise ServerUnreachable("the server ended the stream soon after it was opened")
            self._log.info("stream ended by the server")
        finally:
            self.connected = False
            self._retry = stream.retry or self._retry
            stream.close()

    async def _open(self, welcome: Welcome) -> EventStream:
        silence = SILENT_KEEPALIVES * welcome.config.keepalive_interval_ms / 1000
        response = await self._connection.stream(welcome.sse_endpoint, silence=silence)
        return EventStream(response)

    async def _take(self, stream: EventStream, inbox: Inbox) -> None:
        if self._catch_up:
            pending = await self._connection.ask(
                list[AgentDelivery],
                "GET",
                "agents",
                self.agent_id,
                "commands",
                query=[("status", "PENDING")],
            )
            for delivery in reversed(pending):
                inbox.offer(delivery)
        async with aclosing(stream.events()) as events:
            async for event in events:
                try:
                    inbox.offer(wire.decode_answer(event.data, CommandEvent))
                except ValueError as error:
                    self._log.warning("event ignored", event_type=event.event, reason=str(error))

    def _say_that_it_failed(self, error: BaseException, delay: float) -> None:
        self._log.warning("no stream", reason=str(error), again_in=round(delay, 1))


def _sendable(registration: Registration) -> Registration:
    wire.encode_request(registration)  # raises TypeError here rather than in the middle of run()
    return registration


def _listed(route_ids: Iterable[str]) -> Any:
    # A string is left for its rule to refuse: it is iterable, too.
    return route_ids if isinstance(route_ids, str) else tuple(route_ids)


def _capabilities(value: Mapping[str, Any] | Iterable[str]) -> Any:
    if isinstance(value, Mapping):
        return {str(name): setting for name, setting in value.items()}
    # A string, again, is left for its rule to refuse.
    return value if isinstance(value, str) else {str(name): True for name in value}
