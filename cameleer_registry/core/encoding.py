"""Facts as plain values that JSON can express, and back: what a journal keeps of them.

A fact is a list: its name, the moment on three clocks in nanoseconds, and its fields in the order
in which they stand here. Names and their order are for ever, whatever the classes are called.
Within one version of the format fields are only added, at the end and with a default, so that what
an older server has kept can be read; a name that is not known is refused.

What names thousands of agents is kept small. The targets of a command to many stand with the first
such command and are referred to after that (:class:`TargetLists`). Agents of whom a command tells
later are ranges among its targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from attrs import define, field

from . import events
from .events import CloseReason, Event, ExpiryReason
from .idempotency import Idempotency
from .instant import Instant
from .model import (
    Ack,
    AgentStatus,
    CommandStatus,
    CommandType,
    Order,
    Outcome,
    Registration,
    Target,
    TargetLevel,
)
from .targets import Targets

Value = Any
"""What JSON can express, made of lists, strings, numbers and the JSON of clients."""

MANY: Final = 100
"""Targets from which on a list of them is kept once."""


class UnknownFact(ValueError):
    """A kept fact is of a kind, or of a form, that this version does not know."""


class Declared(Protocol):
    """Makes one object of what many agents declare alike."""

    def registration(self, values: Sequence[Value]) -> Registration:
        """Return the registration that some values stand for."""


# Parts of facts


def instant(value: Instant) -> list[int]:
    """Return a moment as a list."""
    return [value.wall, value.steady, value.lease]


def optional_instant(value: Instant | None) -> list[int] | None:
    """Return a moment as a list, or None where there is none."""
    return None if value is None else [value.wall, value.steady, value.lease]


def to_instant(value: Sequence[int]) -> Instant:
    """Return the moment that a list stands for."""
    return Instant(value[0], value[1], value[2])


def to_optional_instant(value: Sequence[int] | None) -> Instant | None:
    """Return the moment that a list stands for, or None."""
    return None if value is None else Instant(value[0], value[1], value[2])


def registration(value: Registration) -> list[Value]:
    """Return what an agent declares as a list."""
    return [
        value.agent_id,
        value.group,
        value.name,
        value.version,
        value.route_ids,
        value.capabilities,
        value.instance_id,
    ]


def to_registration(value: Sequence[Value]) -> Registration:
    """Return the registration that a list stands for."""
    agent_id, group, name, version, route_ids, capabilities, instance_id = value
    return Registration(
        agent_id=agent_id,
        group=group,
        name=name,
        version=version,
        route_ids=tuple(route_ids),
        capabilities=capabilities,
        instance_id=instance_id,
    )


def target(value: Target) -> list[str]:
    """Return a target as a list: its level, and whom it names."""
    named = getattr(value, "agent_id", None) or getattr(value, "group", None)
    return [value.level.value] if named is None else [value.level.value, named]


def to_target(value: Sequence[str]) -> Target:
    """Return the target that a list stands for."""
    match value[0]:
        case TargetLevel.AGENT:
            return Target.agent(value[1])
        case TargetLevel.GROUP:
            return Target.of_group(value[1])
        case TargetLevel.ALL:
            return Target.all()
        case level:
            raise UnknownFact(f"a target of the level {level!r}")


def order(value: Order) -> list[Value]:
    """Return an order as a list."""
    return [value.type.value, value.payload]


def to_order(value: Sequence[Value]) -> Order:
    """Return the order that a list stands for."""
    return Order(type=CommandType(value[0]), payload=value[1])


def ack(value: Ack) -> list[Value]:
    """Return an agent's answer as a list."""
    if value.message is None and value.data is None:
        return [value.status.value]
    return [value.status.value, value.message, value.data]


def to_ack(value: Sequence[Value]) -> Ack:
    """Return the answer that a list stands for."""
    if len(value) == 1:
        return SUCCESS if value[0] == Outcome.SUCCESS else Ack(status=Outcome(value[0]))
    return Ack(status=Outcome(value[0]), message=value[1], data=value[2])


SUCCESS: Final = Ack()


def idempotency(value: Idempotency | None) -> list[str] | None:
    """Return a key with its fingerprint as a list, or None where there is none."""
    return None if value is None else [value.key, value.fingerprint.hex()]


def to_idempotency(value: Sequence[str] | None) -> Idempotency | None:
    """Return the key that a list stands for, or None."""
    return None if value is None else Idempotency(value[0], bytes.fromhex(value[1]))


def some(agent_ids: Sequence[str], targets: Targets | None) -> list[Value]:
    """Return some of a command's targets as a list: where each run of them begins and ends.

    One alone stands there by its id, as do those of a command that is not known any more.
    """
    if targets is None or len(agent_ids) == 1:
        return list(agent_ids)
    if agent_ids == targets:
        return [0, len(targets)]
    places, found = targets.places, list[int]()
    end = -1
    if not all(map(places.__contains__, agent_ids)):
        return list(agent_ids)
    for place in sorted(map(places.__getitem__, agent_ids)):
        if place != end:
            found += [place, place]
        end = place + 1
        found[-1] = end
    return found


def to_some(found: Sequence[Value], targets: Targets | None) -> tuple[str, ...]:
    """Return the targets that a list stands for; none where their command is not known."""
    if not found or not isinstance(found[0], int):
        return tuple(found)
    if targets is None:
        return ()
    if list(found) == [0, len(targets)]:
        return targets
    starts_and_ends = zip(found[::2], found[1::2], strict=True)
    return tuple(agent_id for start, end in starts_and_ends for agent_id in targets[start:end])


@define
class TargetLists:
    """Lists of many targets that commands share, each kept once, under a number."""

    # By the identity of the list, which is held on to: the number under which it is kept, with
    # the groups that its agents were in.
    _numbers: dict[int, tuple[int, Targets, frozenset[str]]] = field(factory=dict)
    _lists: dict[int, tuple[Targets, frozenset[str]]] = field(factory=dict)
    _next: int = 1
    # Those that have come since somebody asked.
    _new: list[int] = field(factory=list)

    def number_of(self, targets: Targets, groups: frozenset[str]) -> int | None:
        """Return the number under which a list is kept, or None where it is not."""
        known = self._numbers.get(id(targets))
        return known[0] if known is not None and known[2] == groups else None

    def add(self, targets: Targets, groups: frozenset[str], number: int | None = None) -> int:
        """Keep a list, under a number of its own; return that."""
        number = self._next if number is None else number
        self._next = max(self._next, number + 1)
        self._numbers[id(targets)] = number, targets, groups
        self._lists[number] = targets, groups
        self._new.append(number)
        return number

    @property
    def has_new(self) -> bool:
        """Whether lists have come since :meth:`take_new`."""
        return bool(self._new)

    def take_new(self) -> list[int]:
        """Return the numbers of lists that have come since the last time."""
        new, self._new = self._new, []
        return new

    def find(self, number: int) -> tuple[Targets, frozenset[str]]:
        """Return the list that is kept under a number; raises UnknownFact."""
        try:
            return self._lists[number]
        except KeyError:
            raise UnknownFact(f"a list of targets {number}, which is not there") from None

    def forget(self, number: int) -> None:
        """Forget a list that nothing refers to any more."""
        targets, _ = self._lists.pop(number)
        if self._numbers.get(id(targets), (0,))[0] == number:
            del self._numbers[id(targets)]

    def __contains__(self, number: object) -> bool:
        return number in self._lists

    def __iter__(self) -> Iterator[int]:
        return iter(self._lists)


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
        return some(agent_ids, self._targets_of(command_id))

    def _issued(self, fact: events.CommandIssued) -> list[Value]:
        at = fact.at
        return [
            "command-issued",
            at.wall,
            at.steady,
            at.lease,
            fact.command_id,
            fact.number,
            order(fact.order),
            target(fact.target),
            instant(fact.expires),
            self.targets(fact.agent_ids, fact.groups),
            fact.connected_count,
            fact.skipped,
            fact.size,
            idempotency(fact.idempotency),
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
        registration(fact.registration),
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
    return [*_of_member("agent-went-stale", fact), instant(fact.heard)]


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
        ack(fact.result),
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
        to_registration: Callable[[Sequence[Value]], Registration] = to_registration,
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
                at=at, **_member(of), heard=to_instant(of[2])
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
                at=at, agent_id=of[0], command_id=of[1], result=to_ack(of[2]), size=of[3], by=of[4]
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
            raise UnknownFact(f"{str(value)[:80]} is no fact that is known here") from error

    def targets(self, value: Value) -> tuple[Targets, frozenset[str]]:
        """Return the targets and their groups that a value stands for; raises UnknownFact."""
        if isinstance(value, int):
            return self.lists.find(value)
        targets, groups = Targets(value[0]), frozenset(value[1])
        if len(value) > 2:
            self.lists.add(targets, groups, value[2])
        return targets, groups

    def _agents(self, command_id: str, value: Sequence[Value]) -> tuple[str, ...]:
        return to_some(value, self._targets_of(command_id))

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
            order=to_order(of[2]),
            target=to_target(of[3]),
            expires=to_instant(of[4]),
            agent_ids=targets,
            groups=groups,
            connected_count=of[6],
            skipped=tuple(of[7]),
            size=of[8],
            idempotency=to_idempotency(of[9]),
            by=of[10],
            payload_size=of[11],
            line=of[12] if len(of) > 12 else None,
        )


def _member(of: Sequence[Value]) -> dict[str, str]:
    return {"agent_id": of[0], "group": of[1]}
