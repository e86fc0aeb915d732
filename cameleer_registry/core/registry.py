"""The registry: the one mutable object of the core.

Each of its methods decides which facts a call causes, applies them, and returns them. None
awaits, so each is atomic on an event loop and needs no lock. What can be asked without changing
anything stands in :mod:`~.queries`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice, takewhile
from typing import Any, Final

from attrs import evolve, field, frozen
from attrs.validators import ge, gt

from ..errors import AtCapacity, TooManyPending
from . import events
from .commands import status_of
from .events import CloseReason, Event, ExpiryReason
from .idempotency import Idempotency
from .instant import NANOSECONDS, Instant
from .ledger import CommandRecord, DeliveryRecord, Ledger
from .lifecycle import Lease
from .model import (
    Ack,
    AgentStatus,
    AgentTarget,
    DeliveryState,
    Order,
    Registration,
    Target,
)
from .queries import Queries
from .roster import CONFLICT_TAKEOVERS, AgentRecord, Roster
from .selection import LapsedAgents

CONFLICT_WINDOW: Final = 60 * NANOSECONDS
"""CONFLICT_TAKEOVERS within this time are a conflict; at most one conflict is reported in that
time.
"""

SWEEP_LIMIT: Final = 200
"""Agents, or deliveries, that one sweep looks at by default, and commands that are forgotten at
once, so that it never holds a loop long."""

Events = tuple[Event, ...]


@frozen(kw_only=True)
class Limits:
    """The numbers a registry lives by. Durations are nanoseconds."""

    stale_after: int = field(validator=gt(0))
    dead_after: int = field(validator=gt(0))
    command_ttl: int = field(validator=gt(0))
    max_agents: int = field(default=0, validator=ge(0))
    """0 stands for no limit."""
    max_pending_per_agent: int = field(default=100, validator=ge(1))
    command_history: int = field(default=100_000, validator=ge(0))
    command_history_bytes: int = field(default=2**28, validator=ge(0))
    idempotency_keys: int = field(default=10_000, validator=ge(1))


class Registry(Queries):
    """Agents and commands, and everything that can happen to them."""

    def __init__(self, limits: Limits, *, in_order: bool = False) -> None:
        """With ``in_order`` the targets of commands stand in order of their ids.

        Copies of one registry then have them in one order, however each has come about.
        """
        roster = Roster(Lease(limits.stale_after, limits.dead_after), in_order=in_order)
        ledger = Ledger(
            limits.command_history,
            limits.command_history_bytes,
            limits.max_pending_per_agent,
            limits.idempotency_keys,
        )
        super().__init__(roster, ledger)
        self.limits = limits
        self._appliers: Mapping[type[Event], tuple[Callable[[Any], None], ...]] = {
            events.AgentRegistered: (roster.apply_registered,),
            events.HeartbeatReceived: (roster.apply_heartbeat,),
            events.AgentRevived: (roster.apply_revived,),
            events.AgentWentStale: (roster.apply_stale,),
            events.AgentWentDead: (roster.apply_dead,),
            events.AgentRemoved: (roster.apply_removed, ledger.apply_removed),
            events.StreamOpened: (roster.apply_stream_opened,),
            events.StreamClosed: (roster.apply_stream_closed,),
            events.StreamConflict: (roster.apply_conflict,),
            events.CommandIssued: (ledger.apply_issued,),
            events.CommandPushed: (ledger.apply_pushed,),
            events.DeliveryAcknowledged: (ledger.apply_acknowledged,),
            events.LateAckReceived: (ledger.apply_late_ack,),
            events.DeliveriesExpired: (ledger.apply_expired,),
            events.CommandFinished: (ledger.apply_finished,),
            events.CommandForgotten: (ledger.apply_forgotten,),
        }

    def become(self, other: Registry) -> None:
        """Be what another registry is, which is not used any more after that."""
        self.__dict__.update(other.__dict__)

    def apply(self, facts: Iterable[Event]) -> None:
        """Take in facts that another registry returned, to become equal to it.

        The limits of this one may be others: they take effect with what happens next. A fact may
        come twice in a row.
        """
        for fact in facts:
            for applier in self._appliers[type(fact)]:
                applier(fact)

    # Going on after another process

    def heard_at(self, agent_id: str, heard: Instant) -> None:
        """Take note of when an agent was heard, if nothing later is known of it."""
        record = self._roster.agents.get(agent_id)
        if record is not None and heard.steady > record.heard.steady:
            record.heard = heard

    def resume(self, *, now: Instant, least: int) -> None:
        """Continue the leases after a time in which no heartbeat could be received.

        An agent that was LIVE is not STALE, and one that was STALE is not DEAD, until ``least``
        nanoseconds from now. One that was DEAD stays DEAD.
        """
        self._roster.resume(now, least)

    def renew(self, agent_ids: Iterable[str], *, now: Instant) -> None:
        """Give agents that are not DEAD one whole lease more, though nobody has heard them.

        Whoever is known to have had nobody to talk to is not judged by the silence.
        """
        for agent_id in agent_ids:
            record = self._roster.agents.get(agent_id)
            if record is not None and self._roster.status_of(record, now) is AgentStatus.LIVE:
                heard = record.heard
                self._roster.heard(record, Instant(heard.wall, heard.steady, now.lease))

    def closed_by(
        self, is_lost: Callable[[int], bool], reason: CloseReason, *, now: Instant
    ) -> Events:
        """Tell that those streams have ended whose ids are said to be lost."""
        records = [each for each in self.connected() if is_lost(each.stream_id or 0)]
        return self._commit(*(_closed(record, reason, now) for record in records))

    def all_closed(self, *, now: Instant) -> Events:
        """Record that no agent holds a stream any more, because the process that held them has
        ended.
        """
        facts = [_closed(record, CloseReason.SHUTDOWN, now) for record in self.connected()]
        return self._commit(*facts)

    # Agents

    def register(
        self, registration: Registration, *, now: Instant, by: str | None = None
    ) -> Events:
        """Register an agent, or resume a known one under its identity.

        A new ``instance_id`` is that of a new process, which has not opened its stream yet. A
        stream that is open then belongs to the previous process, whose host may have failed: it is
        closed, so that no command is written to a dead process.
        """
        agent_id = registration.agent_id
        record = self._roster.agents.get(agent_id)
        limit = self.limits.max_agents
        if record is None and limit and len(self._roster.agents) >= limit:
            raise AtCapacity(agent_id, limit)
        if record is None:
            return self._commit(
                events.AgentRegistered(
                    at=now, agent_id=agent_id, registration=registration, resumed=False, by=by
                )
            )
        before = record.registration.group
        registered = events.AgentRegistered(
            at=now,
            agent_id=agent_id,
            registration=registration,
            resumed=True,
            left=None if before == registration.group else before,
            by=by,
        )
        lapsed = self._lapsed_transitions(record, now)
        revival = self._revival(record, registration.group, now)
        if record.stream_id is None or not _is_another(record.registration, registration):
            return self._commit(*lapsed, registered, *revival)
        closed = _closed(record, CloseReason.REPLACED, now)
        conflict = self._conflict(record, registration.group, now)
        return self._commit(*lapsed, closed, registered, *revival, *conflict)

    def heartbeat(self, agent_id: str, *, now: Instant) -> Events:
        """Renew an agent's lease; raises AgentNotRegistered."""
        record = self._roster.find(agent_id)
        heard = events.HeartbeatReceived(at=now, agent_id=agent_id)
        if record.status is AgentStatus.LIVE is self._roster.status_of(record, now):
            self._roster.apply_heartbeat(heard)  # what nearly all come to, the short way
            return (heard,)
        revival = self._revival(record, record.registration.group, now)
        return self._commit(*self._lapsed_transitions(record, now), heard, *revival)

    def hear(self, agent_ids: Iterable[str], *, now: Instant) -> Events:
        """Renew the leases of many agents, and pass over those that are not registered.

        There are facts of those only whose status changes by it.
        """
        facts: list[Event] = []
        known, stale = self._roster.agents.get, now.lease - self.limits.stale_after
        heard = self._roster.heard
        for agent_id in agent_ids:
            record = known(agent_id)
            if record is None:
                continue
            if record.status is AgentStatus.LIVE and record.heard.lease > stale:
                heard(record, now)
            else:
                facts += self.heartbeat(agent_id, now=now)
        return tuple(facts)

    def remove(self, agent_id: str, *, now: Instant, by: str | None = None) -> Events:
        """Forget an agent. Its stream closes and what is pending for it expires.

        Raises AgentNotRegistered.
        """
        record = self._roster.find(agent_id)
        told = self.sweep_commands(now=now, limit=None)
        facts: list[Event] = []
        if record.stream_id is not None:
            facts.append(_closed(record, CloseReason.AGENT_REMOVED, now))
        for delivery in self._ledger.inbox(agent_id):
            if delivery.state is DeliveryState.PENDING:
                reason = ExpiryReason.AGENT_REMOVED
                facts += _expiry(delivery.command, (agent_id,), reason, now)
        facts.append(
            events.AgentRemoved(at=now, commands=self._ledger.issued, by=by, **_member(record))
        )
        return told + self._commit(*facts)

    def remove_lapsed(
        self, agent_id: str, agents: LapsedAgents, *, now: Instant, by: str | None = None
    ) -> Events:
        """Forget an agent if it is among these at this moment; else there are no facts."""
        record = self._roster.agents.get(agent_id)
        if record is None or not agents.include(record, self._roster, now):
            return ()
        return self.remove(agent_id, now=now, by=by)

    def sweep_leases(self, *, now: Instant, limit: int = SWEEP_LIMIT) -> Events:
        """Tell of agents that crossed a boundary by ``now``: up to ``limit`` of them."""
        due = list(islice(self._roster.overdue(now), limit))
        return self._commit(
            *chain.from_iterable(self._lapsed_transitions(record, now) for record in due)
        )

    # Streams

    def stream_opened(self, agent_id: str, stream_id: int, *, now: Instant) -> Events:
        """Make a connection its agent's stream. The newest wins; an older one closes.

        ``stream_id`` is the caller's and never used twice. Raises AgentNotRegistered.
        """
        record = self._roster.find(agent_id)
        opened = events.StreamOpened(at=now, stream_id=stream_id, **_member(record))
        if record.stream_id is None:
            return self._commit(opened)
        closed = _closed(record, CloseReason.REPLACED, now)
        return self._commit(closed, opened, *self._conflict(record, record.registration.group, now))

    def stream_closed(
        self, agent_id: str, stream_id: int, reason: CloseReason, *, now: Instant
    ) -> Events:
        """Record the end of a stream; nothing happens if it is not its agent's stream any more."""
        record = self._roster.agents.get(agent_id)
        if record is None or record.stream_id != stream_id:
            return ()
        return self._commit(_closed(record, reason, now))

    # Commands

    def issue(
        self,
        command_id: str,
        order: Order,
        target: Target,
        *,
        now: Instant,
        size: int = 0,
        payload_size: int = 0,
        idempotency: Idempotency | None = None,
        by: str | None = None,
        line: str | None = None,
    ) -> tuple[CommandRecord, Events]:
        """Issue a command to the agents that ``target`` means at this moment.

        ``size`` is what the payload counts against ``command_history_bytes``, and
        ``payload_size`` is the number of its bytes as JSON. Returns a handle on the command, too,
        which outlives its being forgotten. If the same was asked for before under the same key, it
        is a handle on that command, whatever has become of it or of its targets, and there are no
        facts.
        Raises AgentNotRegistered, GroupNotFound, TooManyPending where the target is one agent
        that has too many commands pending (of a group or all, such agents are skipped), and
        IdempotencyKeyReused where something else was asked for under that key.
        """
        if idempotency is not None:
            before = self._ledger.keys.find(idempotency, now)
            if before is not None:
                # With a command that has been forgotten its payload has, which was this one.
                kept = before.command_id in self._ledger.commands
                return before if kept else evolve(before, order=order), ()
        audience = self._roster.meant_by(target, now)
        skipped = sorted(self._ledger.full(audience.agent_ids, now))
        if skipped and isinstance(target, AgentTarget):
            raise TooManyPending(skipped[0], self.limits.max_pending_per_agent)
        if skipped:
            audience = self._roster.without(audience, frozenset(skipped))
        issued = events.CommandIssued(
            at=now,
            command_id=command_id,
            order=order,
            target=target,
            expires=now.after(self.limits.command_ttl),
            agent_ids=audience.agent_ids,
            groups=audience.groups,
            connected_count=audience.connected_count,
            skipped=tuple(skipped),
            number=self._ledger.issued + 1,
            size=size,
            payload_size=payload_size,
            idempotency=idempotency,
            by=by,
            line=line,
        )
        # Nothing can be refused any more. What has expired is told first, to be in order.
        told = self.sweep_commands(now=now, limit=None)
        facts = self._commit(issued)
        command = self._ledger.find(command_id)
        if not audience.agent_ids:
            facts += self._commit(*_finish_if(command, settled=0, acknowledged=0, at=now))
        return command, told + facts

    def pushed(self, command_id: str, agent_ids: Sequence[str], *, now: Instant) -> Events:
        """Note that a command's event was written to the streams of these agents."""
        return self._commit(
            events.CommandPushed(at=now, command_id=command_id, agent_ids=tuple(agent_ids))
        )

    def acknowledge(
        self,
        agent_id: str,
        command_id: str,
        ack: Ack,
        *,
        now: Instant,
        size: int = 0,
        by: str | None = None,
    ) -> tuple[DeliveryRecord, Events]:
        """Record an agent's answer to a command.

        ``size`` is what the answer counts against ``command_history_bytes``. Returns a handle on
        the delivery, too, which outlives its being forgotten. There are no facts where the answer
        was given before: the first result stands. A late answer is noted (LateAckReceived), and
        refusing it is left to the caller.
        Raises AgentNotRegistered and CommandNotFound.
        """
        self._roster.find(agent_id)
        command = self._ledger.find_target(command_id, agent_id)
        delivery = command.delivery(agent_id)
        match delivery.state_at(now):
            case DeliveryState.PENDING:
                acknowledged = events.DeliveryAcknowledged(
                    at=now, agent_id=agent_id, command_id=command_id, result=ack, size=size, by=by
                )
                end = _finish_if(command, settled=1, acknowledged=1, at=now)
                facts = self._commit(acknowledged, *end)
                return command.delivery(agent_id), facts
            case DeliveryState.EXPIRED:
                told = self.sweep_commands(now=now, limit=None)
                late = events.LateAckReceived(at=now, agent_id=agent_id, command_id=command_id)
                facts = told + self._commit(late)
                return command.delivery(agent_id), facts
            case DeliveryState.ACKNOWLEDGED:
                return delivery, ()

    def sweep_commands(self, *, now: Instant, limit: int | None = SWEEP_LIMIT) -> Events:
        """Tell of commands whose deadline passed by ``now``: all, or some ``limit`` deliveries.

        If there are none, but more finished commands than are to be kept, some are forgotten.
        """
        first = self._ledger.next_due()
        if first is None or first > now.steady:
            return self._forget(now) if self._ledger.is_over else ()
        looked_at = 0

        def within_limit(command: CommandRecord) -> bool:
            nonlocal looked_at
            more = limit is None or looked_at < limit
            looked_at += len(command.targets)
            return more

        due = list(takewhile(within_limit, self._ledger.overdue(now)))
        return self._commit(*chain.from_iterable(map(_deadline, due)))

    # Deciding

    def _commit(self, *facts: Event) -> Events:
        """Apply facts, and what follows from them for the history; return all of them."""
        self.apply(facts)
        if not facts or not self._ledger.is_over:
            return facts
        return facts + self._forget(facts[-1].at)

    def _forget(self, at: Instant) -> Events:
        """Forget finished commands that are over the limits of the history.

        Not many at a time: to make room for a command to 100,000 may take as many others.
        """
        forgotten = tuple(
            events.CommandForgotten(
                at=at,
                command_id=record.command_id,
                key=record.idempotency.key if record.idempotency else None,
            )
            for record in self._ledger.excess(SWEEP_LIMIT)
        )
        self.apply(forgotten)
        return forgotten

    def _conflict(self, record: AgentRecord, group: str, now: Instant) -> list[Event]:
        """Return the conflict that a takeover at this moment is, if it is to be reported."""
        since = now.steady - CONFLICT_WINDOW
        takeovers = 1 + sum(moment > since for moment in record.takeovers)
        told = record.conflict_told
        if takeovers < CONFLICT_TAKEOVERS or (told is not None and told > since):
            return []
        return [events.StreamConflict(at=now, agent_id=record.agent_id, group=group)]

    def _lapsed_transitions(self, record: AgentRecord, now: Instant) -> list[Event]:
        """Return the transitions of an agent up to now that have not been reported."""
        facts: list[Event] = []
        if (status := self._roster.status_of(record, now)) is record.status:
            return facts
        lease, heard = self._roster.lease, record.heard.lease
        if record.status is AgentStatus.LIVE:
            at = now.when_lease_was(lease.stale_at(heard))
            facts.append(events.AgentWentStale(at=at, heard=record.heard, **_member(record)))
        if status is AgentStatus.DEAD:
            at = now.when_lease_was(lease.dead_at(heard))
            facts.append(events.AgentWentDead(at=at, **_member(record)))
        return facts

    def _revival(self, record: AgentRecord, group: str, now: Instant) -> list[Event]:
        """Return the fact that an agent is LIVE again, if it was not; in its group from now on."""
        previous = self._roster.status_of(record, now)
        if previous is AgentStatus.LIVE:
            return []
        revived = events.AgentRevived(
            at=now, agent_id=record.agent_id, group=group, previous=previous
        )
        return [revived]


def _is_another(before: Registration, now: Registration) -> bool:
    """Tell whether a registration says that it is of another process than the one before."""
    return None not in (before.instance_id, now.instance_id) and (
        before.instance_id != now.instance_id
    )


def _closed(record: AgentRecord, reason: CloseReason, now: Instant) -> events.StreamClosed:
    assert record.stream_id is not None
    return events.StreamClosed(at=now, stream_id=record.stream_id, reason=reason, **_member(record))


def _member(record: AgentRecord) -> dict[str, Any]:
    """Return by whom, and in which group, a fact came about."""
    return {"agent_id": record.agent_id, "group": record.registration.group}


def _deadline(command: CommandRecord) -> list[Event]:
    """Return what follows from a command's deadline having passed."""
    return _expiry(command, command.open_targets(), ExpiryReason.DEADLINE, command.expires)


def _expiry(
    command: CommandRecord, agent_ids: tuple[str, ...], reason: ExpiryReason, at: Instant
) -> list[Event]:
    return [
        events.DeliveriesExpired(
            at=at, command_id=command.command_id, agent_ids=agent_ids, reason=reason
        ),
        *_finish_if(command, settled=len(agent_ids), acknowledged=0, at=at),
    ]


def _finish_if(
    command: CommandRecord, *, settled: int, acknowledged: int, at: Instant
) -> list[Event]:
    """Return the fact that a command has finished, if these were its last open deliveries."""
    if command.pending > settled:
        return []
    expired = command.counts[DeliveryState.EXPIRED] + settled - acknowledged
    status = status_of(
        pending=0,
        acknowledged=command.counts[DeliveryState.ACKNOWLEDGED] + acknowledged,
        expired=expired,
    )
    return [events.CommandFinished(at=at, command_id=command.command_id, status=status)]
