"""The node: a registry with a clock, a journal and streams. What a host application holds.

Every method follows the same three steps: look at the clock, ask the registry, and have carried
out what it says has happened. Whatever is done about a fact is done in one place, in one order:
:mod:`~cameleer_registry.node.effects`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from .. import wire
from ..core import events, inputs, views
from ..core.events import CloseReason, Event
from ..core.instant import NANOSECONDS, nanoseconds
from ..core.ledger import DeliveryRecord
from ..core.model import (
    Ack,
    Agent,
    AgentDelivery,
    ClusterNode,
    Command,
    Delivery,
    DeliveryState,
    NodeStatus,
    Order,
    Registration,
    Target,
)
from ..core.registry import Events, Registry
from ..core.scoping import Within
from ..core.selection import LapsedAgents
from ..errors import (
    CommandExpired,
)
from ..logs import get_logger
from ..security.facts import KEPT, PASSING, AuthBegan, CredentialIssued, KeySetPublished
from ..security.principals import Principal
from ..settings import Settings
from ..version import __version__
from .auth.authority import Authority
from .auth.office import REVOCATIONS, Office
from .auth.replicated import Replicated
from .auth.signing import Signer
from .auth.standing import Standing
from .clock import TICK, TICKS_OF_A_LEASE, Clock
from .effects import Effects, Listener
from .feed.feed import Feed
from .feed.followers import EVERYTHING, Follower, Interest
from .feed.narrowing import Narrowings
from .issuing import Issuing
from .journal.memory import MemoryJournal
from .journal.port import Journal
from .life import Life
from .limits import limits_of
from .log.port import Log
from .reading import Reading
from .removing import DEAD_AGENTS, remove_lapsed
from .sharing.announcing import Announced
from .sharing.clock import SharedClock
from .sharing.shared import Shared
from .streams.agents import AgentStream, AgentStreams
from .streams.frames import Frame
from .streams.push import Push
from .telling.meters import Meters
from .telling.narrator import Narrator
from .waiters import Waiters

log = get_logger(__name__)

MEMORY: Final = "memory"


class Node(Reading):
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
        log: Log | None = None,
    ) -> None:
        """With ``log`` it is one of many nodes: see :mod:`~.sharing.shared`."""
        stale_after = nanoseconds(settings.stale_after)
        self.settings = settings
        if log is not None:
            clock = SharedClock()
        self.clock = clock or Clock(tick=min(TICK, stale_after // TICKS_OF_A_LEASE))
        # That of this process, if the other one is shared.
        self.own_clock = self.clock if log is None else Clock()
        self.journal = journal or MemoryJournal()
        self.registry = Registry(limits_of(settings))
        # Whose credentials are good, and what is given out.
        self.authority = authority or Authority()
        self.signer = Signer()
        if self.authority.ring is not None:
            self.signer.use(self.authority.ring)
        # Where credentials are given out, and taken away.
        self.office = Office(self)
        self.streams = AgentStreams(
            keepalive_interval=settings.keepalive_interval,
            max_backlog=settings.max_stream_backlog,
            stall_timeout=settings.stream_stall_timeout,
            on_lost=self.close_stream,
        )
        self._effects = Effects(self.journal)
        self._started = self.own_clock.now()
        self.feed = Feed(
            settings, started=self.clock.now(), position=lambda: self._effects.position
        )
        self.narrowings = Narrowings(self.registry, self.clock)
        # What has happened so far, in numbers.
        self.meters = Meters()
        self.narrator = Narrator()
        # Under which address it is reached; None if whoever runs it has not said.
        self.address = settings.public_url
        self._waiters = Waiters()
        self._push = Push(self.registry, self.clock, self.streams, self.carry_out)
        # How it starts and ends.
        self.life = Life(self, self._effects, self._push, self._waiters)
        # This node's part in a registry that many share; None if it is alone.
        self.shared: Shared | None = None
        if log is not None:
            self._share(log)
        self._issuing = Issuing(self, self._push)
        self.standing = Standing(
            self.authority, self.clock, lambda: chain(self.streams, self.feed.streams)
        )
        self._effects.do_at_once(
            {
                events.StreamClosed: self._end_stream,
                events.AgentRegistered: self._end_stream_of_another_group,
                **dict.fromkeys(REVOCATIONS, lambda _: self.standing.revoked()),
                KeySetPublished: self.office.published,
                AuthBegan: self.office.began,
            }
        )
        self._effects.do(
            {
                events.CommandIssued: self._push.issued,
                events.CommandFinished: self._waiters.finished,
                CredentialIssued: self.office.extend,
            }
        )
        for tellers in (self.meters.tellers, self.narrator.tellers):
            for kind, tell in tellers.items():
                self._effects.tell(tell if log is None else self._only_own(tell), (kind,))
        for kind, tell in self.feed.tellers.items():
            self._effects.tell(tell, (kind,))
        if log is not None:
            self._effects.tell(self._pass_over, (events.CommandIssued, events.CommandFinished))

    def _share(self, shared_log: Log) -> None:
        """Become one of many nodes: what changes the registry goes through the log."""
        database = self.settings.database
        self.shared = Shared(
            self,
            shared_log,
            Replicated(self.authority, self.signer, self.office.desk),
            name=self.settings.node_name or socket.gethostname(),
            database=None if database in (None, MEMORY) else Path(str(database)).expanduser(),
        )
        self._push.tell_others = self.shared.pushed
        self.feed.share(lambda: self.position)
        self.shared.part.on_lost = self.life.lost

    @property
    def position(self) -> int:
        """The position of the newest entry of the log; 0 if this node is alone."""
        return 0 if self.shared is None else self.shared.position

    def _only_own(self, tell: Listener) -> Listener:
        """Return a listener that is told of what has come in here: others tell of the rest."""

        def tell_own(fact: Event) -> None:
            if self._effects.own:
                tell(fact)

        return tell_own

    def _pass_over(self, fact: Event) -> None:
        if not self._effects.own:
            self.meters.pass_over(fact)

    def carry_out_shared(self, facts: Sequence[Event], *, own: bool, again: bool) -> None:
        """Have carried out what has come of an entry of the log.

        ``again`` says that this was done before, by a registry that this node has given up.
        """
        self._effects.own, self._push.rests = own, again
        try:
            self._effects.carry_out(facts)
        finally:
            self._effects.own, self._push.rests = True, False

    # From start to end

    async def join(self) -> None:
        """Take part in the registry that many nodes share, if this is one of them.

        Returns when this node knows all that the others do. Raises CannotJoin and
        CannotOpenDatabase.
        """
        await self.life.join()

    async def begin(self) -> None:
        """Join the others, if there are some, and start; raises what these do."""
        await self.join()
        self.start()

    def start(self) -> None:
        """Open the journal, and start the guarded tasks; raises CannotOpenDatabase."""
        self.life.start()

    async def shut_down(self) -> None:
        """Take no more streams, end those that are open, and let nobody wait any longer.

        What has happened by now is made durable first, so that whoever waits for that is answered.
        Those who follow the feed are told of all that before they are ended, too.
        """
        await self.life.shut_down()

    async def stop(self) -> None:
        """End the guarded tasks, and then the journal."""
        await self.life.stop()

    @property
    def has_started(self) -> bool:
        """True when it has started: one of many may wait long for the others before that."""
        return self.life.has_started

    @property
    def shutting_down(self) -> bool:
        """True from the beginning of the shutdown on."""
        return self.life.shutting_down

    @property
    def on_storage_failure(self) -> Callable[[str], None]:
        """Is told why, on the loop, if the storage fails for good; whoever runs it sets it."""
        return self.life.on_storage_failure

    @on_storage_failure.setter
    def on_storage_failure(self, tell: Callable[[str], None]) -> None:
        self.life.on_storage_failure = tell

    @property
    def ailments(self) -> list[str]:
        """Why this node should be given no work; empty while it takes work."""
        return self.life.ailments

    @property
    def task_restarts(self) -> Mapping[str, int]:
        """How often each guarded task has been started again."""
        return self.life.supervisor.restarts

    # What has happened

    def listen(self, listener: Listener, *kinds: type[Event]) -> Callable[[], None]:
        """Have a listener told of facts of these kinds, or of all; return what ends that.

        The kinds are the classes of :mod:`cameleer_registry.core.events`. A fact is told when it is
        durable and carried out, in order. The listener is called on the loop and must not block;
        what it raises is logged. One of many nodes that has to begin anew, since it was wrong, does
        not tell again what it has told. ::

            forget = node.listen(print, AgentWentDead)
        """
        kinds = kinds or (*events.KINDS, *KEPT, *PASSING)
        if self.shared is None:
            return self._effects.tell(listener, kinds)

        def tell_once(fact: Event) -> None:
            if not self._push.rests:
                listener(fact)

        return self._effects.tell(tell_once, kinds)

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
        if self.shared is not None:
            return ()  # the log tells
        now = self.clock.now()
        return self.registry.sweep_leases(now=now) + self.registry.sweep_commands(now=now)

    # Agents

    async def register(self, registration: Registration) -> tuple[Agent, bool]:
        """Enter an agent, or resume a known one; tell which it was (True: resumed).

        Raises AtCapacity, and TypeError if something in it is nothing that JSON can express.
        """
        wire.encode(registration)
        resumed = await self.register_from_wire(registration)
        return self.agent(registration.agent_id), resumed

    async def register_from_wire(self, registration: Registration) -> bool:
        """Do the same with a registration that has come as JSON; tell whether it was known."""
        if self.shared is not None:
            return await self._register_shared(self.shared, registration)
        self.journal.check()
        resumed = registration.agent_id in self.registry
        self.carry_out(self.registry.register(registration, now=self.clock.now()))
        if (journal := self.journal).durable < journal.readable:
            await journal.when(journal.readable)
        return resumed

    async def _register_shared(
        self, shared: Shared, registration: Registration, *, by: str | None = None
    ) -> bool:
        known: bool = await shared.submit(inputs.Register(registration=registration, by=by))
        return known

    def heartbeat(self, agent_id: str) -> asyncio.Future[Any] | None:
        """Renew an agent's lease; raises AgentNotRegistered.

        It waits for nothing; but if many nodes share the registry, and the agent is not LIVE, it
        returns what is done when it is, everywhere.
        """
        if self.shared is not None:
            changed = self.shared.heartbeat(agent_id)
            self.meters.heartbeats += 1
            return changed
        facts = self.registry.heartbeat(agent_id, now=self.clock.now())
        if len(facts) == 1:
            self._effects.tell_of(facts[0])
        else:
            self.carry_out(facts)
        return None

    async def remove(self, agent_id: str, *, by: str | None = None) -> None:
        """Forget an agent, end its stream and expire what is pending for it.

        Raises AgentNotRegistered.
        """
        if self.shared is not None:
            await self.shared.submit(inputs.Remove(agent_id=agent_id, by=by))
            return
        self.journal.check()
        self.carry_out(self.registry.remove(agent_id, now=self.clock.now(), by=by))
        await self.kept()

    async def revoke_agent(self, agent_id: str, *, by: str | None = None) -> None:
        """Have every credential of an agent be void, and its stream end; it need not be known."""
        await self.office.revoke_agent(agent_id, by=by)

    async def remove_lapsed(
        self, agents: LapsedAgents = DEAD_AGENTS, *, by: str | None = None
    ) -> int:
        """Forget all agents that are DEAD, or others that have lapsed, and return how many.

        Each is judged in the moment in which it is forgotten, and others get a turn in between.
        Ends early when the node shuts down.
        """
        return await remove_lapsed(self, agents, by=by)

    # Streams

    async def announce_stream(self, agent_id: str) -> Announced | None:
        """Make a stream that is about to open its agent's, if many nodes share the registry.

        An older one is ended, wherever it is. Returns what :meth:`open_stream` is given: None if
        this node is alone. Raises AgentNotRegistered, and NotInContact if the node has been cut off
        for too long.
        """
        return None if self.shared is None else await self.shared.announcing.announce(agent_id)

    def withdraw_stream(self, agent_id: str, announced: Announced | None) -> None:
        """Tell that a stream is not opened after all: its client is gone."""
        if self.shared is not None and announced is not None:
            self.shared.announcing.withdraw(agent_id, announced)

    def open_stream(
        self,
        agent_id: str,
        transport: asyncio.Transport,
        *,
        chunked: bool,
        announced: Announced | None = None,
        principal: Principal | None = None,
    ) -> AgentStream:
        """Make a connection its agent's stream; an older one is ended.

        The headers of the response must have been written; ``chunked`` tells whether they
        announce chunks. It ends with the credential of ``principal``. Raises AgentNotRegistered,
        and then leaves the connection alone.
        """
        self.check_target(Target.agent(agent_id))
        stream_id = None if announced is None else announced.stream_id
        stream = self.streams.open(agent_id, transport, chunked=chunked, stream_id=stream_id)
        self.standing.opened(stream, principal)
        if self.shared is not None and announced is not None:
            self.shared.announcing.opened(stream, announced)
            return stream
        self.carry_out(
            self.registry.stream_opened(agent_id, stream.stream_id, now=self.clock.now())
        )
        if self.shutting_down or self.journal.failed:
            self.close_stream(stream, CloseReason.SHUTDOWN)
        return stream

    def catch_up_stream(self, stream: AgentStream, missed: Sequence[AgentDelivery]) -> None:
        """Write to a stream what was not written to it, in order of issue."""
        self._push.catch_up(stream, missed)

    def close_stream(
        self, stream: AgentStream, reason: CloseReason, *, last: Frame | None = None
    ) -> None:
        """End a stream; nothing happens if it is not its agent's any more.

        ``last`` is what is written before its end, if many nodes share the registry.
        """
        if self.shared is not None:
            self.streams.close(stream.stream_id, reason, last=last)
            self.shared.announcing.tell_closed(stream.agent_id, stream.stream_id, reason)
            return
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

    async def issue(
        self,
        order: Order,
        target: Target,
        *,
        idempotency_key: str | None = None,
        by: Principal | None = None,
    ) -> Command:
        """Issue a command and write it to its targets' open streams; then show it.

        Once issued it is written to all, also if the caller is cancelled meanwhile. If it
        was asked for before under the same key, within an hour and so far as is remembered, it is
        not issued again but shown as it is by now, also if its targets, or it, are gone. Keys
        are each principal's own; ``by`` is who asks for it, or None if nobody is known.
        Raises AgentNotRegistered, GroupNotFound, TooManyPending, IdempotencyKeyReused if
        something else was asked for under that key, TypeError if the payload is nothing that
        JSON can express, and ValueError if the key is none.
        """
        return await self._issuing.issue(order, target, idempotency_key=idempotency_key, by=by)

    async def acknowledge(
        self, agent_id: str, command_id: str, ack: Ack, *, by: str | None = None
    ) -> Delivery:
        """Note an agent's answer and show the delivery; the first answer stands.

        Raises AgentNotRegistered, CommandNotFound, CommandExpired after the deadline, and
        TypeError if its data is nothing that JSON can express.
        """
        if self.shared is not None:
            wish = inputs.Acknowledge(
                agent_id=agent_id,
                command_id=command_id,
                ack=ack,
                size=wire.footprint_of(ack),
                by=by,
            )
            of_log: DeliveryRecord = await self.shared.submit(wish)
            now = self.clock.now()
            if of_log.state_at(now) is DeliveryState.EXPIRED:
                raise CommandExpired(command_id, agent_id=agent_id)
            return views.delivery(of_log, now)
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

    def nodes(self) -> list[ClusterNode]:
        """Show the nodes that share this registry, this one included; it alone if none do."""
        if self.shared is not None:
            return self.shared.shown.nodes()
        started = views.time_of_day(self._started)
        return [
            ClusterNode(
                name=self.settings.node_name or socket.gethostname(),
                version=__version__,
                address=self.address,
                status=NodeStatus.LIVE,
                own=True,
                position=0,
                streams=len(self.streams),
                joined_at=started,
                last_seen_at=views.time_of_day(self.clock.now()),
                ended_at=None,
            )
        ]

    def _end_stream(self, fact: events.StreamClosed) -> None:
        self.streams.close(fact.stream_id, fact.reason)

    def _end_stream_of_another_group(self, fact: events.AgentRegistered) -> None:
        if fact.left is not None:
            self.office.end_stream_of_another_group(fact.agent_id, fact.registration.group)
