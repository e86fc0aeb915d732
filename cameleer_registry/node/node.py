"""The node: a registry with a clock, a journal and streams. What a host application holds.

Every method follows the same three steps: look at the clock, ask the registry, and have carried
out what it says has happened. Whatever is done about a fact is done in one place, in one order:
:mod:`~cameleer_registry.node.effects`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Final

import uuid_utils
from attrs import frozen

from .. import wire
from ..core import events, rules, views
from ..core.events import CloseReason, Event
from ..core.idempotency import Idempotency
from ..core.instant import NANOSECONDS, Instant, nanoseconds
from ..core.model import (
    Ack,
    Agent,
    AgentDelivery,
    AgentStatus,
    Command,
    CommandEvent,
    Delivery,
    DeliveryState,
    GroupSummary,
    ListedCommand,
    Order,
    Registration,
    Target,
)
from ..core.registry import Events, Limits, Registry
from ..core.scoping import Within
from ..core.selection import CommandSelection, LapsedAgents
from ..errors import (
    AgentIdInUse,
    AgentNotRegistered,
    CommandExpired,
    IdempotencyKeyReused,
    NotFound,
    RegistryError,
)
from ..logs import get_logger
from ..security.enrolment import Present, check_membership, check_registration
from ..security.facts import (
    KEPT,
    PASSING,
    AgentCredentialsRevoked,
    AllCredentialsRevoked,
    CredentialConflict,
    CredentialIssued,
    SessionClosed,
    TokenRevoked,
)
from ..security.jwt import Credential
from ..security.keyring import KeyRing
from ..security.principals import Principal, Role
from ..settings import Settings
from . import monitors
from .auth.authority import Authority
from .auth.changing import drop_outdated_keys
from .auth.signing import Signer
from .auth.standing import Standing
from .clock import TICK, TICKS_OF_A_LEASE, Clock
from .effects import Effects, Listener
from .feed.feed import Feed
from .feed.followers import EVERYTHING, Follower, Interest
from .fingerprints import fingerprint
from .journal.memory import MemoryJournal
from .journal.port import Journal, Keeper, Opened
from .resumption import Resumption
from .streams import frames
from .streams.agents import AgentStream, AgentStreams
from .streams.outgoing import BATCH
from .streams.push import Push
from .supervisor import Supervisor
from .telling.meters import Meters
from .telling.narrator import Narrator
from .waiters import Waiters

log = get_logger(__name__)

REVOCATIONS: Final = (
    TokenRevoked,
    AgentCredentialsRevoked,
    AllCredentialsRevoked,
    SessionClosed,
)
"""After these somebody's streams may have nothing to stand on."""
EVERY_COMMAND: Final = CommandSelection()
DEAD_AGENTS: Final = LapsedAgents()

LOOKED_AT: Final = 1000
"""Agents that are looked at in one turn of the loop when many are to be forgotten."""

REMOVING: Final = 20
"""As many as are looked at in the time that it takes to forget one."""

DRAIN_SECONDS: Final = 1.0
"""How long streams may take to end at shutdown before they are cut."""


@frozen
class Enrolled:
    """An agent that has registered."""

    resumed: bool
    credential: Credential | None
    """Its token; None if there are no keys to make one with."""


class Node:
    """A registry that runs. It is not thread-safe: call it on the event loop it was started on.

    Methods that change something are awaited: they return when what has happened is durable.
    Reading methods are plain, and may show what is not durable yet; :meth:`settled` waits for
    that. Times in what they return are judged at the moment of the call.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        journal: Journal | None = None,
        authority: Authority | None = None,
    ) -> None:
        stale_after = nanoseconds(settings.stale_after)
        self.settings = settings
        self.clock = clock or Clock(tick=min(TICK, stale_after // TICKS_OF_A_LEASE))
        self.journal = journal or MemoryJournal()
        self.registry = Registry(limits_of(settings))
        # Whose credentials are good, and what is given out.
        self.authority = authority or Authority()
        self.signer = Signer()
        if self.authority.ring is not None:
            self.signer.use(self.authority.ring)
        self.streams = AgentStreams(
            keepalive_interval=settings.keepalive_interval,
            max_backlog=settings.max_stream_backlog,
            stall_timeout=settings.stream_stall_timeout,
            on_lost=self.close_stream,
        )
        self._effects = Effects(self.journal)
        self.feed = Feed(
            settings, started=self.clock.now(), position=lambda: self._effects.position
        )
        # What has happened so far, in numbers.
        self.meters = Meters()
        self.narrator = Narrator()
        # True from the beginning of the shutdown on.
        self.shutting_down = False
        self._supervisor = Supervisor()
        self._waiters = Waiters()
        # Is told why, if the storage fails for good. Set by whoever runs the process.
        self.on_storage_failure: Callable[[str], None] = lambda _: None
        # What was found when the journal was opened; None where nothing is kept, and before that.
        self.opened: Opened | None = None
        # How it has gone on after an earlier process; None if there was none.
        self.resumption: Resumption | None = None
        self._keeper: Keeper | None = None
        self._push = Push(self.registry, self.clock, self.streams, self.carry_out)
        self.standing = Standing(
            self.authority, self.clock, lambda: chain(self.streams, self.feed.streams)
        )
        self._effects.do_at_once(
            {
                events.StreamClosed: self._end_stream,
                events.AgentRegistered: self._end_stream_of_another_group,
                **dict.fromkeys(REVOCATIONS, lambda _: self.standing.revoked()),
            }
        )
        self._effects.do(
            {
                events.CommandIssued: self._push.issued,
                events.CommandFinished: self._waiters.finished,
            }
        )
        for tellers in (self.meters.tellers, self.feed.tellers, self.narrator.tellers):
            for kind, tell in tellers.items():
                self._effects.tell(tell, (kind,))

    # From start to end

    def start(self) -> None:
        """Open the journal, and start the guarded tasks; raises CannotOpenDatabase."""
        self.shutting_down = False
        self.opened = self.journal.open(self.registry, self.clock, self.authority.credentials)
        began = self._begin_authority()
        self.journal.start(self._effects.proceed, self._storage_failed)
        if self.opened is not None:
            self._resume(self.opened)
        self.carry_out(began)
        self._keeper = self.journal.keeper(
            self.registry, self.feed, heartbeat_interval=self.settings.heartbeat_interval
        )
        if self._keeper is not None:
            self._supervisor.start("journal keeper", self._keeper.run)
        for name, run in (
            ("heartbeat monitor", monitors.heartbeat_monitor),
            ("command expiry", monitors.command_expiry),
            ("stream keeper", monitors.stream_keeper),
            ("event loop monitor", monitors.loop_monitor),
        ):
            self._supervisor.start(name, partial(run, self))
        if self.authority.is_on:
            self._supervisor.start("credential watch", self.standing.watch)
            self._supervisor.start("key keeper", partial(drop_outdated_keys, self))
        if self.settings.forget_dead_after is not None:
            forget_dead = partial(monitors.forget_dead, self)
            self._supervisor.start("forgetting of dead agents", forget_dead)
        self._supervisor.start("command fan-out", self._push.drain)
        self._supervisor.start("event feed", self.feed.tell)
        self._supervisor.start("log sums", self.narrator.sum_up)

    def _begin_authority(self) -> Events:
        """Decide whether credentials are needed; raises SettingsError, and lets the file go."""
        try:
            facts = self.authority.begin(durable=self.journal.keeps, now=self.clock.now())
        except BaseException:
            self.journal.abandon()
            raise
        if self.authority.ring is not None:
            self.signer.use(self.authority.ring)
            if (line := self.registry.newest_line()) is not None:
                self.signer.goes_on_after(line)
        return facts

    def _resume(self, opened: Opened) -> None:
        """Go on where an earlier process has ended."""
        interval = nanoseconds(self.settings.heartbeat_interval)
        least = min(self.registry.limits.stale_after, 2 * interval)
        self.registry.resume(now=opened.now, least=least)
        self.meters.learn(self.registry.open_commands())
        self._effects.position = self.journal.position  # of what is told again
        self.feed.restore(opened.past, self.registry)
        if opened.last_alive is not None:
            self.resumption = Resumption(
                self._effects,
                _expected(self.registry),
                agents=opened.agents,
                since=opened.last_alive,
                now=opened.now,
            )
        self.carry_out(self.registry.all_closed(now=opened.now))

    def _storage_failed(self, reason: str) -> None:
        """End all streams: nothing that is written to them could be kept any more."""
        self.on_storage_failure(reason)
        for stream in self.streams:
            self.streams.close(stream.stream_id, CloseReason.SHUTDOWN)
        self.feed.end()

    async def shut_down(self) -> None:
        """Take no more streams, end those that are open, and let nobody wait any longer.

        What has happened by now is made durable first, so that whoever waits for that is answered.
        Those who follow the feed are told of all that before they are ended, too.
        """
        if self.shutting_down:
            return
        self.shutting_down = True
        await self.journal.flush()
        self._waiters.wake_all()
        for count, stream in enumerate(self.streams, start=1):
            self.close_stream(stream, CloseReason.SHUTDOWN)
            if count % BATCH == 0:
                await asyncio.sleep(0)
        await self.journal.flush()
        self.feed.end()
        await asyncio.gather(
            self.streams.drained(DRAIN_SECONDS), self.feed.streams.drained(DRAIN_SECONDS)
        )

    async def stop(self) -> None:
        """End the guarded tasks, and then the journal."""
        await self._supervisor.stop()
        if self._keeper is not None:
            await self._keeper.finish()
        await self.journal.close()

    @property
    def ailments(self) -> list[str]:
        """Why this node should be given no work; empty while it takes work."""
        shutting_down = ["shutting down"] if self.shutting_down else []
        storage = [] if (trouble := self.journal.trouble) is None else [f"storage: {trouble}"]
        failing = [f"{name} keeps failing" for name in self._supervisor.failing]
        return shutting_down + storage + failing

    @property
    def task_restarts(self) -> Mapping[str, int]:
        """How often each guarded task has been started again."""
        return self._supervisor.restarts

    # What has happened

    def listen(self, listener: Listener, *kinds: type[Event]) -> Callable[[], None]:
        """Have a listener told of facts of these kinds, or of all; return what ends that.

        The kinds are the classes of :mod:`cameleer_registry.core.events`. A fact is told when it is
        durable and carried out, in order. The listener is called on the loop and must not block;
        what it raises is logged. ::

            forget = node.listen(print, AgentWentDead)
        """
        return self._effects.tell(listener, kinds or (*events.KINDS, *KEPT, *PASSING))

    def carry_out(self, facts: Events) -> None:
        """Have carried out and told what the registry says has happened."""
        self._effects.carry_out(facts)

    async def settled(self) -> None:
        """Wait until all that can be read at this moment is durable.

        While the storage is in trouble that may pass, it does not wait: reading goes on. Raises
        StorageUnavailable if the storage has failed for good.
        """
        journal = self.journal
        if journal.durable < journal.readable and journal.trouble is None:
            await self.kept()
        elif journal.failed:
            await journal.when(journal.readable)

    async def kept(self) -> None:
        """Wait until all that has been done is durable; raises StorageUnavailable."""
        journal = self.journal
        if journal.durable < journal.readable:
            await journal.when(journal.readable)

    async def catch_up(self) -> None:
        """Tell of all that time has brought about by now, giving way to others in between."""
        while facts := self._overdue():
            self.carry_out(facts)
            await asyncio.sleep(0)

    def _overdue(self) -> Events:
        now = self.clock.now()
        return self.registry.sweep_leases(now=now) + self.registry.sweep_commands(now=now)

    # Agents

    async def register(self, registration: Registration) -> tuple[Agent, bool]:
        """Enter an agent, or resume a known one; tell which it was (True: resumed).

        Raises AtCapacity, and TypeError where something in it is nothing that JSON can express.
        """
        wire.encode(registration)
        resumed = await self.register_from_wire(registration)
        return self.agent(registration.agent_id), resumed

    async def register_from_wire(self, registration: Registration) -> bool:
        """Do the same with a registration that has come as JSON; tell whether it was known."""
        self.journal.check()
        resumed = registration.agent_id in self.registry
        self.carry_out(self.registry.register(registration, now=self.clock.now()))
        if (journal := self.journal).durable < journal.readable:
            await journal.when(journal.readable)
        return resumed

    async def enrol(self, registration: Registration, principal: Principal) -> Enrolled:
        """Enter an agent for somebody, or resume it, and give it a token of its own.

        Nothing comes between the look at what is there and the registration. Raises what
        :func:`~cameleer_registry.security.enrolment.check_registration` does, TokenExpired if the
        token that was shown has registered as many new agents as it may, and AtCapacity.
        """
        self.journal.check()
        now, authority, agent_id = self.clock.now(), self.authority, registration.agent_id
        before, counts = self.registry.present(agent_id, now=now), False
        present = None if before is None else Present(before[0], before[1] is AgentStatus.LIVE)
        try:
            check_registration(principal, agent_id, registration.group, present)
        except AgentIdInUse:
            self._tell_conflict(agent_id, registration.group, principal, now, refused=True)
            raise
        own = principal.role is Role.AGENT
        # A certificate, and what a host vouches for, is no token whose uses could be counted.
        if principal.role is Role.ENROL and not principal.of_host:
            token_id, known = principal.token_id, present is not None
            counts = authority.credentials.would_use(token_id, agent_id, known=known)
        if present is not None and not own and self._is_another_process(registration):
            self._tell_conflict(agent_id, registration.group, principal, now, refused=False)
        facts = self.registry.register(registration, now=now, by=principal.issuer)
        if counts:
            facts += authority.credentials.use_token(
                principal.token_id, agent_id, known=False, now=now
            )
        self.carry_out(facts)
        given = authority.credential(agent_id, registration.group, now=now)
        await self.kept()
        if given is not None:
            self._given(agent_id, registration.group, given[1], principal, renewed=own)
        return Enrolled(present is not None, None if given is None else given[0])

    def renew(self, agent_id: str, principal: Principal) -> Credential:
        """Give an agent another token; raises AgentNotRegistered, and NotFound without keys.

        Its open stream stands on that from now on.
        """
        now = self.clock.now()
        before = self.registry.present(agent_id, now=now)
        if before is None:
            raise AgentNotRegistered(agent_id)
        check_membership(principal, agent_id, before[0])
        given = self.authority.credential(agent_id, before[0], now=now)
        if given is None:
            raise NotFound("this registry has no keys with which to make tokens")
        self._given(agent_id, before[0], given[1], principal, renewed=True)
        return given[0]

    def _given(
        self, agent_id: str, group: str, given: Principal, asked: Principal, *, renewed: bool
    ) -> None:
        if renewed and (stream := self.streams.of(agent_id)) is not None:
            before = stream.principal
            if before is not None and before.role is Role.AGENT:
                self.standing.opened(stream, given)
        issued = CredentialIssued(
            at=self.clock.now(),
            agent_id=agent_id,
            group=group,
            token_id=given.token_id,
            by=asked.issuer,
        )
        self.carry_out((issued,))

    def _is_another_process(self, registration: Registration) -> bool:
        """Tell whether an agent registers while another process holds the stream of its id.

        One that was started anew has lost its stream with its former process.
        """
        known = self.registry.agent(registration.agent_id, now=self.clock.now())
        return known.connected and known.instance_id != registration.instance_id

    def _tell_conflict(
        self, agent_id: str, group: str, asked: Principal, now: Instant, *, refused: bool
    ) -> None:
        conflict = CredentialConflict(
            at=now, agent_id=agent_id, group=group, refused=refused, by=asked.issuer
        )
        self.carry_out((conflict,))

    async def revoke_agent(self, agent_id: str, *, by: str | None = None) -> None:
        """Have every credential of an agent be void, and its stream end; it need not be known."""
        self.journal.check()
        now = self.clock.now()
        before = self.registry.present(agent_id, now=now)
        group = None if before is None else before[0]
        self.carry_out(
            self.authority.credentials.revoke_agent(agent_id, group=group, now=now, by=by)
        )
        await self.kept()

    async def publish(self, ring: KeyRing) -> None:
        """Sign with other keys from now on, and have everybody told."""
        self.journal.check()
        now = self.clock.now()
        facts = self.authority.credentials.publish(ring.keys.version, ring.line, now=now)
        self.authority.use(ring)
        self.signer.use(ring)
        self.standing.revoked()
        self.carry_out(facts)
        await self.kept()

    def heartbeat(self, agent_id: str) -> None:
        """Renew an agent's lease; raises AgentNotRegistered. It waits for nothing."""
        facts = self.registry.heartbeat(agent_id, now=self.clock.now())
        if len(facts) == 1:
            self._effects.tell_of(facts[0])
        else:
            self.carry_out(facts)

    async def remove(self, agent_id: str, *, by: str | None = None) -> None:
        """Forget an agent, end its stream and expire what is pending for it.

        Raises AgentNotRegistered.
        """
        self.journal.check()
        self.carry_out(self.registry.remove(agent_id, now=self.clock.now(), by=by))
        await self.kept()

    async def remove_lapsed(
        self, agents: LapsedAgents = DEAD_AGENTS, *, by: str | None = None
    ) -> int:
        """Forget all agents that are DEAD, or others that have lapsed, and return how many.

        Each is judged in the moment in which it is forgotten, and others get a turn in between.
        Ends early when the node shuts down.
        """
        await self.catch_up()  # what nobody was told of yet would be looked at all at once
        removed, effort, now = 0, 0, self.clock.now()
        for agent_id in self.registry.lapsed(agents, now=now):
            if effort >= LOOKED_AT:
                await asyncio.sleep(0)
                if self.shutting_down:
                    break
                effort, now = 0, self.clock.now()
            self.journal.check()
            facts = self.registry.remove_lapsed(agent_id, agents, now=now, by=by)
            self.carry_out(facts)
            removed += bool(facts)
            effort += REMOVING if facts else 1
        await self.settled()
        return removed

    def agent(self, agent_id: str) -> Agent:
        """Show one agent; raises AgentNotRegistered."""
        return self.registry.agent(agent_id, now=self.clock.now())

    def agents(
        self,
        *,
        statuses: Collection[AgentStatus] = (),
        groups: Collection[str] = (),
        after: str = "",
        limit: int = 1_000_000_000,
        within: Within | None = None,
    ) -> list[Agent]:
        """Show up to ``limit`` agents that follow the id ``after``, in order of their ids.

        Empty ``statuses`` or ``groups`` stand for all. ``within``, here as elsewhere, tells which
        groups exist for whoever asks; None stands for all.
        """
        return self.registry.agents(
            now=self.clock.now(),
            statuses=statuses,
            groups=groups,
            after=after,
            limit=limit,
            within=within,
        )

    def groups(self) -> list[GroupSummary]:
        """Show every group that has agents, in order of their names."""
        return list(self.iter_groups())

    def iter_groups(self, *, within: Within | None = None) -> Iterator[GroupSummary]:
        """Show the same, as it is when this is called, one by one."""
        return self.registry.groups(now=self.clock.now(), within=within)

    # Streams

    def open_stream(
        self,
        agent_id: str,
        transport: asyncio.Transport,
        *,
        chunked: bool,
        principal: Principal | None = None,
    ) -> AgentStream:
        """Make a connection its agent's stream; an older one is ended.

        The headers of the response must have been written; ``chunked`` tells whether they
        announce chunks. It ends with the credential of ``principal``. Raises AgentNotRegistered,
        and then leaves the connection alone.
        """
        self.check_target(Target.agent(agent_id))
        stream = self.streams.open(agent_id, transport, chunked=chunked)
        self.standing.opened(stream, principal)
        self.carry_out(
            self.registry.stream_opened(agent_id, stream.stream_id, now=self.clock.now())
        )
        if self.shutting_down or self.journal.failed:
            self.close_stream(stream, CloseReason.SHUTDOWN)
        return stream

    def close_stream(self, stream: AgentStream, reason: CloseReason) -> None:
        """End a stream; nothing happens where it is not its agent's any more."""
        self.carry_out(
            self.registry.stream_closed(
                stream.agent_id, stream.stream_id, reason, now=self.clock.now()
            )
        )

    def open_feed(
        self,
        transport: asyncio.Transport,
        *,
        chunked: bool,
        last_event_id: str | None = None,
        interest: Interest = EVERYTHING,
        principal: Principal | None = None,
    ) -> Follower:
        """Make a connection follow what happens, from behind the event that was seen last.

        The headers of the response must have been written; ``chunked`` tells whether they
        announce chunks. It ends with the credential of ``principal``. Raises TooManyFeeds, and then
        leaves the connection alone.
        """
        follower = self.feed.open(
            transport,
            chunked=chunked,
            last_event_id=last_event_id,
            interest=interest,
            now=self.clock.now(),
        )
        self.standing.opened(follower, principal)
        if self.shutting_down or self.journal.failed:
            follower.leave()
        return follower

    # Commands

    def check_target(self, target: Target, *, within: Within | None = None) -> None:
        """Raise AgentNotRegistered or GroupNotFound where there is no such target."""
        self.registry.check_target(target, within=within)

    def check_delivery(self, agent_id: str, command_id: str) -> None:
        """Raise AgentNotRegistered or CommandNotFound where there is no such delivery."""
        self.registry.check_delivery(agent_id, command_id)

    def knows_idempotency_key(self, key: str, *, by: Principal | None = None) -> bool:
        """Tell whether somebody has issued a command under a key, so far as is remembered."""
        return self.registry.knows_idempotency_key(_own(key, by))

    async def issue(
        self,
        order: Order,
        target: Target,
        *,
        idempotency_key: str | None = None,
        by: Principal | None = None,
    ) -> Command:
        """Issue a command and write it to its targets' open streams; then show it.

        Once issued it is written to all, also where the caller is cancelled meanwhile. Where it
        was asked for before under the same key, within an hour and so far as is remembered, it is
        not issued again but shown as it is by now, also where its targets, or it, are gone. Keys
        are each principal's own; ``by`` is who asks for it, or None if nobody is known.
        Raises AgentNotRegistered, GroupNotFound, TooManyPending, IdempotencyKeyReused where
        something else was asked for under that key, TypeError where the payload is nothing that
        JSON can express, and ValueError where the key is none.
        """
        idempotency = None
        if idempotency_key is not None:
            key = rules.idempotency_key(idempotency_key)
            idempotency = Idempotency(_own(key, by), fingerprint(order, target))
        now, command_id = self.clock.now(), str(uuid_utils.uuid7())
        # Encoded once and before anything has changed, for all streams.
        event = CommandEvent(
            command_id=command_id,
            type=order.type,
            payload=order.payload,
            created_at=views.time_of_day(now),
            expires_at=views.time_of_day(now.after(self.registry.limits.command_ttl)),
        )
        line = self.signer.command(event, target, now=now)
        frame = frames.event(event, line)
        self.journal.check()
        self._push.prepare(command_id, frame)
        try:
            record, facts = self.registry.issue(
                command_id,
                order,
                target,
                now=now,
                size=wire.footprint(frame.plain) + len(line or b""),
                payload_size=len(wire.encode(order.payload)),
                idempotency=idempotency,
                by=None if by is None else by.issuer,
                line=None if line is None else line.decode(),
            )
        except RegistryError as error:
            self._push.cancel(command_id)
            if isinstance(error, IdempotencyKeyReused) and idempotency_key is not None:
                raise IdempotencyKeyReused(idempotency_key) from None
            raise
        if record.command_id != command_id:
            self._push.cancel(command_id)
            log.info("command requested again", command_id=record.command_id)
            self.meters.commands_repeated[record.order.type] += 1
        self.carry_out(facts)
        await self.kept()
        await self._push.written(record.command_id)
        return views.command(record, self.clock.now())

    async def acknowledge(
        self, agent_id: str, command_id: str, ack: Ack, *, by: str | None = None
    ) -> Delivery:
        """Note an agent's answer and show the delivery; the first answer stands.

        Raises AgentNotRegistered, CommandNotFound, CommandExpired after the deadline, and
        TypeError where its data is nothing that JSON can express.
        """
        self.journal.check()
        now, size = self.clock.now(), wire.footprint_of(ack)
        delivery, facts = self.registry.acknowledge(
            agent_id, command_id, ack, now=now, size=size, by=by
        )
        self.carry_out(facts)
        if (journal := self.journal).durable < journal.readable:
            await journal.when(journal.readable)
        if delivery.state_at(now) is DeliveryState.EXPIRED:
            raise CommandExpired(command_id, agent_id=agent_id)
        return views.delivery(delivery, now)

    def command(self, command_id: str, *, within: Within | None = None) -> Command:
        """Show one command; raises CommandNotFound."""
        return self.registry.command(command_id, now=self.clock.now(), within=within)

    def commands(
        self,
        selection: CommandSelection = EVERY_COMMAND,
        *,
        before: str | None = None,
        limit: int = 1_000_000_000,
    ) -> list[ListedCommand]:
        """Show up to ``limit`` commands of a selection, newest first.

        With ``before`` only those that were issued before that command, which may be forgotten by
        now. Payloads of more than 4 KiB are left out.
        """
        number = None if before is None else self.registry.command_number(before)
        found, _ = self.registry.commands(
            selection, now=self.clock.now(), before=number, limit=limit
        )
        return found

    async def wait(
        self, command_id: str, timeout: float, *, within: Within | None = None
    ) -> Command:
        """Wait up to ``timeout`` seconds until nothing of a command is pending; then show it.

        Raises CommandNotFound. Returns early when the node shuts down.
        """
        record = self.registry.command_record(command_id, within=within)
        now = self.clock.now()
        if record.counts_at(now)[DeliveryState.PENDING] and not self.shutting_down:
            # The deadline finishes it, too, and a millisecond later that is certainly past.
            to_deadline = (record.expires.steady - now.steady) / NANOSECONDS + 0.001
            await self._waiters.wait(command_id, min(timeout, to_deadline))
        return self.registry.command_of(record, self.clock.now(), within=within)

    def deliveries(
        self, command_id: str, *, states: Collection[DeliveryState] = ()
    ) -> list[Delivery]:
        """Show a command's deliveries, in order of the agents' ids; raises CommandNotFound."""
        return list(self.iter_deliveries(command_id, states=states))

    def iter_deliveries(
        self,
        command_id: str,
        *,
        states: Collection[DeliveryState] = (),
        within: Within | None = None,
    ) -> Iterator[Delivery]:
        """Show the same, one by one; raises CommandNotFound, at once."""
        now = self.clock.now()
        return self.registry.deliveries(command_id, now=now, states=states, within=within)

    def agent_deliveries(
        self, agent_id: str, *, states: Collection[DeliveryState] = ()
    ) -> list[AgentDelivery]:
        """Show what was sent to an agent, newest first; raises AgentNotRegistered."""
        return list(self.iter_agent_deliveries(agent_id, states=states))

    def iter_agent_deliveries(
        self,
        agent_id: str,
        *,
        states: Collection[DeliveryState] = (),
        within: Within | None = None,
    ) -> Iterator[AgentDelivery]:
        """Show the same, one by one; raises AgentNotRegistered, at once."""
        now = self.clock.now()
        return self.registry.agent_deliveries(agent_id, now=now, states=states, within=within)

    def _end_stream(self, fact: events.StreamClosed) -> None:
        self.streams.close(fact.stream_id, fact.reason)

    def _end_stream_of_another_group(self, fact: events.AgentRegistered) -> None:
        """End the stream of whoever was the agent before it came to be in another group."""
        if fact.left is None or (stream := self.streams.of(fact.agent_id)) is None:
            return
        principal = stream.principal
        if principal is not None and not principal.scope.covers(fact.registration.group):
            stream.lose(CloseReason.CREDENTIAL_OVER)


def _own(key: str, by: Principal | None) -> str:
    """Return somebody's key as one that nobody else has; it is no key that anybody could send."""
    return key if by is None else f"{by.token_id}\n{key}"


def _expected(registry: Registry) -> Iterator[str]:
    """Return the agents of which the last that is known is that they were LIVE or STALE."""
    records = registry.records(0, len(registry))
    return (record.agent_id for record in records if record.status is not AgentStatus.DEAD)


def limits_of(settings: Settings) -> Limits:
    """Return the numbers that a registry of these settings lives by."""
    return Limits(
        stale_after=nanoseconds(settings.stale_after),
        dead_after=nanoseconds(settings.dead_after),
        command_ttl=nanoseconds(settings.command_ttl),
        max_agents=settings.max_agents,
        max_pending_per_agent=settings.max_pending_per_agent,
        command_history=settings.command_history,
        command_history_bytes=settings.command_history_bytes,
        idempotency_keys=settings.idempotency_keys,
    )
