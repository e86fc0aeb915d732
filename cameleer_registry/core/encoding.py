"""Facts as plain values that JSON can express, and back: what a journal keeps of them.

A fact is a list: its name, the moment on three clocks in nanoseconds, and its fields in the order
in which they stand here. Names and their order are for ever, whatever the classes are called.
Within one version of the format fields are only added, at the end and with a default, so that what
an older server has kept can be read; a name that is not known is refused.

What names thousands of agents is kept small. The targets of a command to many stand with the first
such command and are referred to after that (:mod:`.target_lists`). Agents of whom a command tells
later are ranges among its targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import events, plain
from .events import CloseReason, Event, ExpiryReason
from .instant import Instant
from .model import AgentStatus, CommandStatus, Registration
from .plain import UnknownFact, Value
from .target_lists import MANY, TargetLists
from .targets import Targets

TargetsOf = Callable[[str], Targets | None]
"""Returns the targets of a command, by its id; None where it is not known."""


class Encoder:
    """Makes values of facts, in the order in which they came about."""

    def __init__(self, targets_of: TargetsOf, lists: TargetLists | None = None) -> None:
        self._targets_of = targets_of
        self.lists = lists or TargetLists()
        self._by_kind: Mapping[type[Event], Callable[[Any], list[Value]]] = {
            events.AgentRegistered: _registered,
            events.AgentRevived: _revived,
            events.AgentWentStale: _went_stale,
            events.AgentWentDead: _went_dead,
            events.AgentRemoved: _removed,
            events.StreamOpened: _stream_opened,
            events.StreamClosed: _stream_closed,
            events.StreamConflict: _stream_conflict,
            events.CommandIssued: self._issued,
            events.CommandPushed: self._pushed,
            events.DeliveryAcknowledged: _acknowledged,
            events.LateAckReceived: _late,
            events.DeliveriesExpired: self._expired,
            events.CommandFinished: _finished,
            events.CommandForgotten: _forgotten,
        }

    def extend(self, by_kind: Mapping[type[Event], Callable[[Any], list[Value]]]) -> None:
        """Make values of other kinds of facts, too."""
        self._by_kind = {**self._by_kind, **by_kind}

    def encode(self, fact: Event) -> list[Value]:
        """Return a fact as a value. Heartbeats are none of those that can be kept."""
        return self._by_kind[type(fact)](fact)

    def targets(self, targets: Targets, groups: frozenset[str]) -> Value:
        """Return targets and their groups as a value: whole, or by a number where they are many.

        The first time it is whole and has its number with it.
        """
        if len(targets) < MANY:
            return [list(targets), list(groups)]
        number = self.lists.number_of(targets, groups)
        if number is not None:
            return number
        return [list(targets), list(groups), self.lists.add(targets, groups)]

    def _agents(self, command_id: str, agent_ids: Sequence[str]) -> list[Value]:
        return plain.some(agent_ids, self._targets_of(command_id))

    def _issued(self, fact: events.CommandIssued) -> list[Value]:
        at = fact.at
        return [
            "command-issued",
            at.wall,
            at.steady,
            at.lease,
            fact.command_id,
            fact.number,
            plain.order(fact.order),
            plain.target(fact.target),
            plain.instant(fact.expires),
            self.targets(fact.agent_ids, fact.groups),
            fact.connected_count,
            fact.skipped,
            fact.size,
            plain.idempotency(fact.idempotency),
            fact.by,
            fact.payload_size,
            fact.line,
        ]

    def _pushed(self, fact: events.CommandPushed) -> list[Value]:
        agents = self._agents(fact.command_id, fact.agent_ids)
        return [*_head("command-pushed", fact), fact.command_id, agents]

    def _expired(self, fact: events.DeliveriesExpired) -> list[Value]:
        agents = self._agents(fact.command_id, fact.agent_ids)
        return [*_head("deliveries-expired", fact), fact.command_id, agents, fact.reason.value]


def _head(name: str, fact: Event) -> list[Value]:
    at = fact.at
    return [name, at.wall, at.steady, at.lease]


def _registered(fact: events.AgentRegistered) -> list[Value]:
    at = fact.at
    return [
        "agent-registered",
        at.wall,
        at.steady,
        at.lease,
        plain.registration(fact.registration),
        fact.resumed,
        fact.left,
        fact.by,
    ]


def _of_member(name: str, fact: events.MemberEvent) -> list[Value]:
    at = fact.at
    return [name, at.wall, at.steady, at.lease, fact.agent_id, fact.group]


def _revived(fact: events.AgentRevived) -> list[Value]:
    return [*_of_member("agent-revived", fact), fact.previous.value]


def _went_stale(fact: events.AgentWentStale) -> list[Value]:
    return [*_of_member("agent-went-stale", fact), plain.instant(fact.heard)]


def _went_dead(fact: events.AgentWentDead) -> list[Value]:
    return _of_member("agent-went-dead", fact)


def _removed(fact: events.AgentRemoved) -> list[Value]:
    return [*_of_member("agent-removed", fact), fact.commands, fact.by]


def _stream_opened(fact: events.StreamOpened) -> list[Value]:
    return [*_of_member("stream-opened", fact), fact.stream_id]


def _stream_closed(fact: events.StreamClosed) -> list[Value]:
    return [*_of_member("stream-closed", fact), fact.stream_id, fact.reason.value]


def _stream_conflict(fact: events.StreamConflict) -> list[Value]:
    return _of_member("stream-conflict", fact)


def _acknowledged(fact: events.DeliveryAcknowledged) -> list[Value]:
    at = fact.at
    return [
        "delivery-acknowledged",
        at.wall,
        at.steady,
        at.lease,
        fact.agent_id,
        fact.command_id,
        plain.ack(fact.result),
        fact.size,
        fact.by,
    ]


def _late(fact: events.LateAckReceived) -> list[Value]:
    return [*_head("late-ack-received", fact), fact.agent_id, fact.command_id]


def _finished(fact: events.CommandFinished) -> list[Value]:
    return [*_head("command-finished", fact), fact.command_id, fact.status.value]


def _forgotten(fact: events.CommandForgotten) -> list[Value]:
    return [*_head("command-forgotten", fact), fact.command_id]


class Decoder:
    """Makes facts of values, in the order in which they came about."""

    def __init__(
        self,
        targets_of: TargetsOf,
        lists: TargetLists | None = None,
        to_registration: Callable[[Sequence[Value]], Registration] = plain.to_registration,
    ) -> None:
        self._targets_of = targets_of
        self._to_registration = to_registration
        self.lists = lists or TargetLists()
        self._by_name: Mapping[str, Callable[[Instant, Sequence[Value]], Event]] = {
            "agent-registered": self._registered,
            "agent-revived": lambda at, of: events.AgentRevived(
                at=at, **_member(of), previous=AgentStatus(of[2])
            ),
            "agent-went-stale": lambda at, of: events.AgentWentStale(
                at=at, **_member(of), heard=plain.to_instant(of[2])
            ),
            "agent-went-dead": lambda at, of: events.AgentWentDead(at=at, **_member(of)),
            "agent-removed": lambda at, of: events.AgentRemoved(
                at=at, **_member(of), commands=of[2], by=of[3]
            ),
            "stream-opened": lambda at, of: events.StreamOpened(
                at=at, **_member(of), stream_id=of[2]
            ),
            "stream-closed": lambda at, of: events.StreamClosed(
                at=at, **_member(of), stream_id=of[2], reason=CloseReason(of[3])
            ),
            "stream-conflict": lambda at, of: events.StreamConflict(at=at, **_member(of)),
            "command-issued": self._issued,
            "command-pushed": lambda at, of: events.CommandPushed(
                at=at, command_id=of[0], agent_ids=self._agents(of[0], of[1])
            ),
            "delivery-acknowledged": lambda at, of: events.DeliveryAcknowledged(
                at=at,
                agent_id=of[0],
                command_id=of[1],
                result=plain.to_ack(of[2]),
                size=of[3],
                by=of[4],
            ),
            "late-ack-received": lambda at, of: events.LateAckReceived(
                at=at, agent_id=of[0], command_id=of[1]
            ),
            "deliveries-expired": lambda at, of: events.DeliveriesExpired(
                at=at,
                command_id=of[0],
                agent_ids=self._agents(of[0], of[1]),
                reason=ExpiryReason(of[2]),
            ),
            "command-finished": lambda at, of: events.CommandFinished(
                at=at, command_id=of[0], status=CommandStatus(of[1])
            ),
            "command-forgotten": lambda at, of: events.CommandForgotten(at=at, command_id=of[0]),
        }

    def extend(self, by_name: Mapping[str, Callable[[Instant, Sequence[Value]], Event]]) -> None:
        """Make facts of other names, too."""
        self._by_name = {**self._by_name, **by_name}

    def decode(self, value: Sequence[Value]) -> Event:
        """Return the fact that a value stands for; raises UnknownFact."""
        try:
            name, wall, steady, lease, *fields = value
            return self._by_name[name](Instant(wall, steady, lease), fields)
        except UnknownFact:
            raise
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UnknownFact(f"{str(value)[:80]} is not a fact that is known here") from error

    def targets(self, value: Value) -> tuple[Targets, frozenset[str]]:
        """Return the targets and their groups that a value stands for; raises UnknownFact."""
        if isinstance(value, int):
            return self.lists.find(value)
        targets, groups = Targets(value[0]), frozenset(value[1])
        if len(value) > 2:
            self.lists.add(targets, groups, value[2])
        return targets, groups

    def _agents(self, command_id: str, value: Sequence[Value]) -> tuple[str, ...]:
        return plain.to_some(value, self._targets_of(command_id))

    def _registered(self, at: Instant, of: Sequence[Value]) -> events.AgentRegistered:
        declared = self._to_registration(of[0])
        return events.AgentRegistered(
            at=at,
            agent_id=declared.agent_id,
            registration=declared,
            resumed=of[1],
            left=of[2],
            by=of[3],
        )

    def _issued(self, at: Instant, of: Sequence[Value]) -> events.CommandIssued:
        targets, groups = self.targets(of[5])
        return events.CommandIssued(
            at=at,
            command_id=of[0],
            number=of[1],
            order=plain.to_order(of[2]),
            target=plain.to_target(of[3]),
            expires=plain.to_instant(of[4]),
            agent_ids=targets,
            groups=groups,
            connected_count=of[6],
            skipped=tuple(of[7]),
            size=of[8],
            idempotency=plain.to_idempotency(of[9]),
            by=of[10],
            payload_size=of[11],
            line=of[12] if len(of) > 12 else None,
        )


def _member(of: Sequence[Value]) -> dict[str, str]:
    return {"agent_id": of[0], "group": of[1]}
