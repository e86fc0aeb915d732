"""An agent: it declares itself to a registry, and carries out its commands."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

import aiohttp
from attrs import define, evolve, field

from .. import wire
from ..core import model
from ..core.model import CommandType, Registration
from ..errors import AgentNotRegistered, RegistryError, ServerUnreachable
from ..logs import get_logger
from .acks import Acks
from .believing import Believing
from .connection import Connection
from .credentials import Credentials, token_given
from .handling import Handler
from .holding import HeldStream
from .inbox import Inbox
from .membership import Membership
from .missed import Missed
from .proxies import Proxies
from .server_clock import ServerClock
from .sigterm import on_sigterm

log = get_logger(__name__)

H = TypeVar("H", bound=Handler)

LEAVING: Final = 2.0
"""Seconds that an agent takes to have itself forgotten, at most."""


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
        """Inform the server of the changes."""
        self.membership.declare(self.declared())


class Agent:
    """An agent of one registry: it is registered, LIVE and connected while it runs.

    ::

        agent = Agent("http://127.0.0.1:8081", agent_id="order-service-1", group="order-service")

        @agent.on("config-update")
        async def apply(command):
            return {"applied": command.payload["revision"]}

        await agent.run()

    What a handler returns is the data of its acknowledgement; an exception makes the
    acknowledgement a FAILURE with that message. A handler may also return an
    :class:`~cameleer_registry.Ack`. A handler that is a plain function runs in a thread of its own;
    an ``async`` one must not block.

    ``capabilities`` is an object of names and JSON values, or a list of names; by default, the
    types that have handlers. Each time its stream has opened the agent fetches its pending
    commands. So a command that came while there was no stream is carried out late instead of
    never, and one that an earlier process of the agent has not answered is carried out again; with
    ``catch_up=False`` neither happens. Up to ``max_concurrent`` commands are carried out side by
    side and begun in order; config-updates are always carried out one after the other. On SIGTERM,
    commands that have begun have ``grace`` seconds to finish. With ``leave`` the agent deletes
    itself from the server when it has ended: it is not STALE and DEAD later, and its pending
    commands expire at once.

    ``url`` may be several addresses of one registry: if one does not answer, the next one is used.
    ``session`` is an aiohttp session of your own, which is not changed or closed; it needs a
    connection for the stream. ``proxy`` is the address of an HTTP proxy, or "" for none; by default
    the environment decides (``https_proxy``, ``no_proxy`` and so on).

    ``token`` is an enrolment token; by default it is taken from ``CAMELEER_TOKEN``, or from the
    file that ``CAMELEER_TOKEN_FILE`` names. In exchange the agent gets a token of its own, which it
    renews. If the token, or ``CAMELEER_ROOT_KEY``, names the registry's root key, the agent carries
    out only commands that its registry has signed for it; otherwise it does so from the first keys
    on that it gets. It acknowledges any other command as a FAILURE that says why.

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
        # The stream that it holds; None before it runs.
        self._held: HeldStream | None = None
        # What it believes, from one run to the next; None before the first.
        self._believing: Believing | None = None
        # What it shows; None before it runs.
        self._credentials: Credentials | None = None

    @property
    def agent_id(self) -> str:
        """The persistent id under which it is known."""
        return self._registration.agent_id

    @property
    def registered(self) -> bool:
        """Whether the agent is registered, as far as it knows."""
        life = self._life
        return life is not None and life.membership.is_known

    @property
    def connected(self) -> bool:
        """Whether the stream is open."""
        return self._held is not None and self._held.connected

    def on(self, type: CommandType | str) -> Callable[[H], H]:
        """Use the decorated function to carry out the commands of a type.

        Raises ValueError if there is no such type, or it already has a handler.
        """
        command_type = CommandType(type)

        def decorate(handler: H) -> H:
            if command_type in self._handlers:
                raise ValueError(f"{command_type} already has a handler")
            self._handlers[command_type] = handler
            self._tell(_Life.declare)
            return handler

        return decorate

    def declare(self, **changes: Any) -> None:
        """Change what the agent declares, and inform the server if the agent is running.

        ``changes`` are any of ``group, name, version, route_ids, capabilities``; raises ValueError
        or TypeError if one is invalid.
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
        """Run the agent until it is cancelled, stopped, or ended by SIGTERM.

        SIGTERM is handled if the process has no handler of its own for it. The server may be down,
        and may come and go: the agent waits for it. Raises the RegistryError with which the server
        refuses the first registration, and RuntimeError if the agent is already running.
        """
        with self._lock:
            self._is_awaited = True  # from now on, stop() is for this run
        return self._live()

    def stop(self) -> None:
        """Let :meth:`run` finish the commands that have begun, and return.

        If the run has not begun yet, it ends as soon as it begins. After a run has ended, this has
        no effect until the next one is requested.
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
                raise RuntimeError(f"{self.agent_id} is already running")
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
        assert self._believing is not None
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
        held = self._held = HeldStream(self._connection, self.agent_id, membership, missed)
        duties = {
            asyncio.create_task(duty, name=f"{name} of {self.agent_id}")
            for name, duty in (
                ("registration", membership.keep_registered()),
                ("heartbeats", membership.send_heartbeats()),
                ("stream", held.keep_open()),
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
                    self._log.info("another process has taken over the id, so nothing is deleted")
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
