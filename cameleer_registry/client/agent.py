"""What a service holds in its hands to be an agent: it declares itself, and is told what to do."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import aclosing, suppress
from typing import Any, Final, TypeVar

import aiohttp
from attrs import define, evolve, field

from .. import wire
from ..core import model
from ..core.model import CommandEvent, CommandType, Registration, Welcome
from ..errors import (
    AgentNotRegistered,
    GroupNotAllowed,
    RegistryError,
    ServerUnreachable,
    Unauthenticated,
)
from ..logs import get_logger
from . import backoff
from .acks import Acks
from .believing import Believing
from .connection import Connection
from .credentials import Credentials, token_given
from .handling import Handler
from .inbox import Inbox
from .membership import Membership
from .missed import Missed
from .pacing import LASTING, Pacing
from .proxies import Proxies
from .server_clock import ServerClock
from .sigterm import on_sigterm
from .stream import EventStream
from .trust import Distrusted

log = get_logger(__name__)

H = TypeVar("H", bound=Handler)

RETRY: Final = 3.0
"""Seconds before a stream is opened again, where the server has not said how long."""

SILENT_KEEPALIVES: Final = 3
"""Keepalives that may be missing before a stream is taken for dead."""

LEAVING: Final = 2.0
"""Seconds that an agent takes to have itself forgotten, at most."""


class _EndedSoon(ServerUnreachable):
    """The server has ended a stream soon after it was opened."""


@define
class _Life:
    """One run of an agent, on the loop that it runs on."""

    loop: asyncio.AbstractEventLoop
    membership: Membership
    declared: Callable[[], Registration]
    stopping: asyncio.Event = field(factory=asyncio.Event)

    def stop(self) -> None:
        """Have it end."""
        self.stopping.set()

    def declare(self) -> None:
        """Have the server told of what has changed."""
        self.membership.declare(self.declared())


class Agent:
    """An agent of one registry: it is registered, LIVE and connected while it runs.

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
    handlers. The agent fetches what is pending each time its stream has opened: so a command that
    came while nobody listened is carried out late instead of never, and one that an earlier
    process of the agent has not answered is carried out again; not so with ``catch_up=False``. Up
    to ``max_concurrent`` commands are carried out side by side, begun in their order,
    config-updates always one after the other; with 1, all of them. Upon SIGTERM, those that have
    begun have ``grace`` seconds to finish. With ``leave`` the agent has the server forget it when
    it has ended: it is not STALE and DEAD later, and what is pending for it expires at once.

    ``url`` may be several addresses of one registry: the next one is used when one does not
    answer. ``session`` is an aiohttp session of your own, used as it is and left open; it needs a
    connection for the stream. ``proxy`` is the address of an HTTP proxy, or "" for none; by
    default it is as the environment says (``https_proxy``, ``no_proxy`` and so on).

    ``token`` is an enrolment token; by default, what ``CAMELEER_TOKEN`` holds, or the file that
    ``CAMELEER_TOKEN_FILE`` names. The agent renews the token of its own that it is given for it.
    Where the token, or ``CAMELEER_ROOT_KEY``, names the registry's root key, and else from the
    first keys on that it is shown, it takes no command that its registry has not signed for it: it
    acknowledges such a one as a FAILURE that says why.

    :meth:`declare`, :meth:`stop` and :meth:`on` may be called from any thread.

    Raises ValueError if one of these breaks its rule, and TypeError if a capability is nothing
    that JSON can express. ``clock`` is for tests.
    """

    def __init__(
        self,
        url: str | Iterable[str],
        *,
        agent_id: str,
        group: str,
        name: str | None = None,
        version: str | None = None,
        route_ids: Iterable[str] = (),
        capabilities: Mapping[str, Any] | Iterable[str] | None = None,
        instance_id: str | None = None,
        catch_up: bool = True,
        max_concurrent: int = 10,
        grace: float = 5.0,
        leave: bool = False,
        session: aiohttp.ClientSession | None = None,
        proxy: str | Proxies | None = None,
        token: str | None = None,
        clock: ServerClock | None = None,
    ) -> None:
        if max_concurrent < 1:
            raise ValueError(f"max_concurrent: expected at least 1, got {max_concurrent}")
        self._connection = Connection(url, session=session, proxy=proxy, anywhere=True, clock=clock)
        self._token = token
        token_given(token)  # raises ValueError here rather than in the middle of run()
        declared: dict[str, Any] = {
            "agent_id": agent_id,
            "group": group,
            "name": name,
            "version": version,
            "route_ids": _listed(route_ids),
            "capabilities": _capabilities(capabilities or ()),
            "instance_id": instance_id,
        }
        self._registration = _sendable(Registration(**declared))
        self._declares_handlers = capabilities is None
        self._catch_up = catch_up
        self._max_concurrent = max_concurrent
        self._grace = grace
        self._leave = leave
        self._handlers: dict[CommandType, Handler] = {}
        self._log = log.bind(agent_id=agent_id)
        # Guards what follows, and what is declared, against other threads and against signals,
        # which come in the middle of anything.
        self._lock = threading.RLock()
        # The nonce of a process, with the process that it was drawn in.
        self._nonce = ("", 0)
        # None while the agent does not run.
        self._life: _Life | None = None
        # Whether a run has been asked for that has not begun, and whether it shall end at once.
        self._is_awaited = True
        self._stop_at_once = False
        # Seconds to wait before the stream is opened again, as the server said last.
        self._retry = RETRY
        # What it believes, from one run to the next; None before the first.
        self._believing: Believing | None = None
        # What it shows; None before it runs.
        self._credentials: Credentials | None = None
        self.connected = False
        """Whether the stream is open."""

    @property
    def agent_id(self) -> str:
        """The persistent id under which it is known."""
        return self._registration.agent_id

    @property
    def registered(self) -> bool:
        """Whether the server knows it, as far as the agent has been told."""
        life = self._life
        return life is not None and life.membership.is_known

    def on(self, type: CommandType | str) -> Callable[[H], H]:
        """Have the decorated function carry out the commands of a type.

        Raises ValueError where there is no such type, or it has a handler already.
        """
        command_type = CommandType(type)

        def decorate(handler: H) -> H:
            if command_type in self._handlers:
                raise ValueError(f"{command_type} has a handler already")
            self._handlers[command_type] = handler
            self._tell(_Life.declare)
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
        with self._lock:
            self._registration = _sendable(evolve(self._registration, **changes))
        self._tell(_Life.declare)

    def run(self) -> Coroutine[Any, Any, None]:
        """Be that agent, until cancelled, stopped, or told to end by SIGTERM.

        SIGTERM is listened to if the process has no handler of its own for it. The server may be
        down, and may go and come: that is waited for. Raises the RegistryError with which the
        server refuses the first registration, and RuntimeError if it is running already.
        """
        with self._lock:
            self._is_awaited = True  # from now on, stop() is for this run
        return self._live()

    def stop(self) -> None:
        """Have :meth:`run` finish what has begun, and return.

        A run that has not begun yet ends as soon as it begins. After one has ended there is
        nothing to stop until the next is asked for.
        """
        with self._lock:
            if self._life is None and self._is_awaited:
                self._stop_at_once = True
        self._tell(_Life.stop)

    def _tell(self, what: Callable[[_Life], None]) -> None:
        """Call that on the loop on which the agent runs, from wherever this is called.

        Also from a signal's handler, which interrupts the loop while it waits: it is woken up.
        """
        with self._lock:
            if self._life is not None:
                with suppress(RuntimeError):  # the loop is closed already
                    self._life.loop.call_soon_threadsafe(what, self._life)

    async def _live(self) -> None:
        with self._lock:
            if self._life is not None:
                raise RuntimeError(f"{self.agent_id} is running already")
            declared, credentials = self._declared(), Credentials(self._token)
            self._connection.authorization = credentials.header
            self._believing = self._believing or Believing.of(
                self._connection, self.agent_id, declared.group, token_given(self._token)
            )
            self._believing.trust.group = declared.group
            membership = Membership(self._connection, declared, credentials, self._believing)
            self._credentials = credentials
            life = self._life = _Life(asyncio.get_running_loop(), membership, self._declared)
            if self._stop_at_once:
                life.stop()
            self._is_awaited = self._stop_at_once = False
        try:
            with on_sigterm(self.stop):
                async with self._connection:
                    await self._run(life)
        finally:
            with self._lock:
                self._life = None

    async def _run(self, life: _Life) -> None:
        if life.stopping.is_set():
            return
        membership, clock = life.membership, self._connection.clock
        acks = Acks(self._connection, self.agent_id, membership)
        inbox = Inbox(self._handlers, acks.send, clock, max_concurrent=self._max_concurrent)
        missed = Missed(
            self._connection,
            self.agent_id,
            membership,
            inbox,
            catch_up=self._catch_up,
            believing=self._believing,
            send_ack=acks.send,
        )
        assert self._credentials is not None
        duties = {
            asyncio.create_task(duty, name=f"{name} of {self.agent_id}")
            for name, duty in (
                ("registration", membership.keep_registered()),
                ("heartbeats", membership.send_heartbeats()),
                ("stream", self._hold_stream(membership, missed, acks)),
                ("token", self._credentials.keep_renewed(self._connection, self.agent_id)),
                ("catching up", missed.keep_fetching()),
                ("end", life.stopping.wait()),
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
                if self._leave and membership.is_known:
                    await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        """Have the server forget the agent, unless another process has its id by now."""
        try:
            async with asyncio.timeout(LEAVING):
                shown = await self._connection.ask(model.Agent, "GET", "agents", self.agent_id)
                if shown.instance_id != self._instance_id():
                    self._log.info("another process has taken over the id: it is left alone")
                    return
                await self._connection.tell("DELETE", "agents", self.agent_id)
            self._log.info("left")
        except AgentNotRegistered:
            pass  # it is forgotten already
        except (ServerUnreachable, RegistryError, TimeoutError) as error:
            reason = str(error) or "no answer in time"
            self._log.warning("could not leave", reason=reason)

    def _declared(self) -> Registration:
        with self._lock:
            changes: dict[str, Any] = {"instance_id": self._instance_id()}
            declared = evolve(self._registration, **changes)
            if self._declares_handlers:
                return evolve(declared, capabilities=_capabilities([*self._handlers]))
            return declared

    def _instance_id(self) -> str:
        """Return what was given, or this process's own: it may have forked since it was drawn."""
        if given := self._registration.instance_id:
            return given
        if self._nonce[1] != os.getpid():
            self._nonce = (str(uuid.uuid4()), os.getpid())
        return self._nonce[0]

    # The stream

    async def _hold_stream(self, membership: Membership, missed: Missed, acks: Acks) -> None:
        """Have a stream open, always; never returns."""
        ended_soon, pacing = False, Pacing()

        def most() -> float:
            # Of two processes under one id, one is connected nearly always.
            return backoff.LONGEST if ended_soon else membership.longest_delay

        def told(error: BaseException, delay: float) -> None:
            nonlocal ended_soon
            ended_soon = isinstance(error, _EndedSoon)
            self._say_that_it_failed(error, delay)

        while True:
            pause = await backoff.persist(
                lambda: self._listen(membership, missed, pacing, acks),
                least=lambda: self._retry,
                most=most,
                again=lambda error: isinstance(error, ServerUnreachable | RegistryError),
                told=told,
            )
            await asyncio.sleep(pause)

    async def _listen(
        self, membership: Membership, missed: Missed, pacing: Pacing, acks: Acks
    ) -> float:
        """Open the stream, and take what comes until it ends; return how long to wait then.

        Raises ServerUnreachable or RegistryError if it could not be opened, or did not last.
        """
        welcome = await membership.registered()
        try:
            stream = await self._open(welcome, membership)
        except AgentNotRegistered:
            membership.forgotten(welcome)
            stream = await self._open(await membership.registered(), membership)
        except (Unauthenticated, GroupNotAllowed):
            membership.refused(welcome)
            stream = await self._open(await membership.registered(), membership)
        loop = asyncio.get_running_loop()
        opened = loop.time()
        self._log.info("stream opened")
        self.connected = True
        missed.stream_opened()
        broke: ServerUnreachable | None = None
        try:
            await self._take(stream, missed, acks)
        except ServerUnreachable as error:
            broke = error
        finally:
            self.connected = False
            self._retry = stream.retry or self._retry
            stream.close()
        lasted = loop.time() - opened
        if lasted < LASTING:
            raise broke or _EndedSoon("the server ended the stream soon after it was opened")
        if broke is None:
            self._log.info("stream ended by the server")
        else:
            self._log.warning("stream lost", reason=str(broke))
        return pacing.after(lasted, cleanly=broke is None, retry=self._retry)

    async def _open(self, welcome: Welcome, membership: Membership) -> EventStream:
        silence = SILENT_KEEPALIVES * welcome.config.keepalive_interval_ms / 1000
        response = await self._connection.stream(
            welcome.sse_endpoint,
            "agents",
            self.agent_id,
            "events",
            home=membership.home,
            silence=silence,
        )
        return EventStream(response)

    async def _take(self, stream: EventStream, missed: Missed, acks: Acks) -> None:
        assert self._believing is not None
        async with aclosing(stream.events()) as events:
            async for event in events:
                try:
                    sent = wire.decode_answer(event.data, CommandEvent)
                    command = await self._believing.command(event.data, sent)
                    if command is not None:
                        missed.offer(command)
                except Distrusted as refusal:
                    self._believing.refuse(refusal, acks.send)
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
