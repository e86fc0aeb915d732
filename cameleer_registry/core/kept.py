"""What agents and commands have come to, as plain values, and a registry made of these.

A journal of facts alone would grow for ever, and take long to be read. So beside it is kept what
each agent and each command has come to: one row each, made of its record as it is, and made anew
when something has happened to it. A registry is made of the rows first, and then told the facts
behind them.

A row may be newer than some of those facts, since rows are made one after the other while facts
go on coming. That does no harm: a row says up to which fact it is true, and what is derived from
many rows, such as counts, is derived when all of them are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from attrs import define, field

from . import encoding, events
from .commands import all_pending
from .encoding import Encoder, TargetLists, Value
from .events import AgentEvent, AgentRegistered, AgentRemoved, Event
from .idempotency import IdempotencyKeys
from .ledger import CommandRecord, DeliveryRecord
from .model import AgentStatus, DeliveryState, Outcome, Registration
from .push_times import PushTimes
from .registry import Registry
from .roster import AgentRecord
from .slices import Slices, at_once
from .targets import Targets
from .unchanging import unchanging

AGENT: Final = "agent"
COMMAND: Final = "command"
DELIVERY: Final = "delivery"
KEY: Final = "key"
GROUP: Final = "group"
DELETED: Final = "deleted"
TARGETS: Final = "targets"

TABLES: Final = (AGENT, COMMAND, DELIVERY, KEY, GROUP, DELETED, TARGETS)
"""What rows are about: an agent; a command; one command for one agent, where something happened to
that alone; a key whose command is forgotten; a group that nobody is in any more; an agent that
was deleted; a list of targets that commands share."""

FORGOTTEN_SILENTLY: Final = frozenset({KEY, GROUP, DELETED})
"""Tables of what the registry forgets without a fact, because there is too much of it."""


class Entity(NamedTuple):
    """What a row is about: its table, and its key there, which may have two parts."""

    table: str
    key: str
    """An id: of a delivery, and of a key, that of the command."""
    part: str = ""
    """Of a delivery, whose it is; of a key, the key."""


@unchanging
class Row:
    """What something has come to."""

    entity: Entity
    value: Value
    """None where it is gone."""


def _of_agent(fact: AgentEvent) -> Sequence[Entity]:
    return (Entity(AGENT, fact.agent_id),)


def _registered(fact: events.AgentRegistered) -> Sequence[Entity]:
    agent = Entity(AGENT, fact.agent_id)
    return (agent,) if fact.left is None else (agent, Entity(GROUP, fact.left))


def _removed(fact: AgentRemoved) -> Sequence[Entity]:
    agent_id = fact.agent_id
    return Entity(AGENT, agent_id), Entity(GROUP, fact.group), Entity(DELETED, agent_id)


def _of_command(fact: Any) -> Sequence[Entity]:
    return (Entity(COMMAND, fact.command_id),)


def _of_delivery(fact: Any) -> Sequence[Entity]:
    return (Entity(DELIVERY, fact.command_id, fact.agent_id),)


def _expired(fact: events.DeliveriesExpired) -> Sequence[Entity]:
    if fact.reason is events.ExpiryReason.DEADLINE:  # the same of all that are left
        return (Entity(COMMAND, fact.command_id),)
    return [Entity(DELIVERY, fact.command_id, agent_id) for agent_id in fact.agent_ids]


def _forgotten(fact: events.CommandForgotten) -> Sequence[Entity]:
    command = Entity(COMMAND, fact.command_id)
    return (command,) if fact.key is None else (command, Entity(KEY, fact.command_id, fact.key))


_TOUCHED: Final[Mapping[type[Event], Callable[[Any], Sequence[Entity]]]] = {
    events.AgentRegistered: _registered,
    events.AgentRevived: _of_agent,
    events.AgentWentStale: _of_agent,
    events.AgentWentDead: _of_agent,
    events.AgentRemoved: _removed,
    events.StreamOpened: _of_agent,
    events.StreamClosed: _of_agent,
    events.StreamConflict: _of_agent,
    events.CommandIssued: _of_command,
    events.CommandPushed: _of_command,
    events.DeliveryAcknowledged: _of_delivery,
    events.LateAckReceived: _of_delivery,
    events.DeliveriesExpired: _expired,
    events.CommandFinished: _of_command,
    events.CommandForgotten: _forgotten,
}
"""Heartbeats touch nothing that is kept in rows."""


class Touched:
    """What something has happened to since its row was made, oldest first."""

    def __init__(self) -> None:
        # With the first fact since then, which is in no row yet.
        self._since: dict[Entity, int] = {}
        # The newest of those facts, and whether they stand in order.
        self._newest = 0
        self._is_ordered = True
        # How many of them are parts of each command: its deliveries, and its key.
        self._parts: Counter[str] = Counter()
        # What says what a fact was about, by its kind.
        self._finders: Mapping[type[Event], Callable[[Any], Iterable[Entity]]] = _TOUCHED

    def __len__(self) -> int:
        return len(self._since)

    def note(self, fact: Event, seq: int) -> None:
        """Note what a fact, which is the ``seq``-th, was about."""
        find = self._finders.get(type(fact))
        if find is not None:
            for entity in find(fact):
                self.add(entity, seq)

    def extend(self, finders: Mapping[type[Event], Callable[[Any], Iterable[Entity]]]) -> None:
        """Note what facts of other kinds are about, too."""
        self._finders = {**self._finders, **finders}

    def add(self, entity: Entity, seq: int) -> None:
        """Note that something has happened to something, by the ``seq``-th fact."""
        if entity not in self._since:
            self._since[entity] = seq
            if seq < self._newest:
                self._is_ordered = False
            self._newest = seq
            if entity[2]:
                self._parts[entity[1]] += 1

    def take(self, most: int) -> list[Entity]:
        """Return up to so many of them, whose rows are made now.

        The row of a command is made when those of its parts have been. What had happened to a
        delivery could not be told from a command that has expired meanwhile, nor a key from one
        that is forgotten.
        """
        taken: list[Entity] = []
        for entity in self._since:
            if len(taken) == most:
                break
            if entity[0] != COMMAND or entity[1] not in self._parts:
                taken.append(entity)
        for entity in taken:
            del self._since[entity]
            if entity.part:
                self._parts[entity.key] -= 1
                if not self._parts[entity.key]:
                    del self._parts[entity.key]
        return taken

    def put_back(self, entities: Iterable[Entity], seq: int) -> None:
        """Have rows of these made after all: since the fact ``seq`` nothing of them was kept."""
        for entity in entities:
            if entity not in self._since and entity.part:
                self._parts[entity.key] += 1
            self._since[entity] = min(seq, self._since.get(entity, seq))
            self._is_ordered = False

    def folded(self, last: int) -> int:
        """Return up to which fact all are in rows; ``last`` is the newest that has been noted."""
        if not self._since:
            self._is_ordered = True
            return last
        # Thousands of them, and mostly one after the other.
        oldest = next(iter(self._since.values())) if self._is_ordered else min(self._since.values())
        return oldest - 1


class RowMaker:
    """Makes rows of the records of one registry, as they are."""

    def __init__(self, registry: Registry, encoder: Encoder) -> None:
        self._roster = registry._roster
        self._ledger = registry._ledger
        self._encoder = encoder
        self._makers: dict[str, Callable[[Entity], Value]] = {
            AGENT: self._agent,
            COMMAND: self._command,
            DELIVERY: self._delivery,
            KEY: self._key,
            GROUP: self._group,
            DELETED: self._deleted,
            TARGETS: self._list,
        }

    def extend(self, table: str, maker: Callable[[Entity], Value]) -> None:
        """Make rows of another table, too."""
        self._makers[table] = maker

    def row(self, entity: Entity) -> Row:
        """Return the row of something, as it is by now."""
        return Row(entity, self._makers[entity.table](entity))

    def new_lists(self) -> list[Row]:
        """Return rows of the lists of targets that have come with the last rows of commands."""
        numbers = self._encoder.lists.take_new()
        return [self.row(Entity(TARGETS, str(number))) for number in numbers]

    def lists(self) -> list[int]:
        """Return the numbers of all lists of targets."""
        return list(self._encoder.lists)

    def forget_lists(self, numbers: Iterable[int]) -> None:
        """Forget lists of targets that nothing refers to any more."""
        for number in numbers:
            self._encoder.lists.forget(number)

    def lists_in_use(self) -> set[int]:
        """Return the numbers of the lists of targets that commands refer to."""
        lists = self._encoder.lists
        numbers = {
            lists.number_of(command.targets, command.groups)
            for command in self._ledger.commands.values()
            if len(command.targets) >= encoding.MANY
        }
        return {number for number in numbers if number is not None}

    def _list(self, entity: Entity) -> Value:
        number = int(entity.key)
        if number not in self._encoder.lists:
            return None
        targets, groups = self._encoder.lists.find(number)
        return [list(targets), list(groups)]

    def _agent(self, entity: Entity) -> Value:
        record = self._roster.agents.get(entity.key)
        if record is None:
            return None
        return [
            encoding.registration(record.registration),
            encoding.instant(record.registered),
            encoding.instant(record.heard),
            record.status.value,
            encoding.instant(record.changed),
            record.takeovers,
            record.conflict_told,
            record.stream_id,
        ]

    def _command(self, entity: Entity) -> Value:
        record = self._ledger.commands.get(entity.key)
        if record is None:
            return None
        pushed = [
            [encoding.instant(at), encoding.some(agent_ids, record.targets)]
            for agent_ids, at in record.push_times.batches()
        ]
        own_size = record.size - sum(each.size for each in record.records.values())
        return [
            *self._head(record),
            self._targets(record),
            own_size,
            record.others.value,
            pushed,
            record.line,
        ]

    def _targets(self, record: CommandRecord) -> Value:
        if len(record.targets) < encoding.MANY:
            return [list(record.targets), list(record.groups)]
        lists = self._encoder.lists
        number = lists.number_of(record.targets, record.groups)
        return lists.add(record.targets, record.groups) if number is None else number

    def _head(self, record: CommandRecord) -> list[Value]:
        return [
            record.number,
            encoding.order(record.order),
            encoding.target(record.target),
            encoding.instant(record.created),
            encoding.instant(record.expires),
            record.connected_count,
            record.skipped,
            encoding.idempotency(record.idempotency),
            record.issued_by,
            encoding.optional_instant(record.finished),
            record.payload_size,
        ]

    def _delivery(self, entity: Entity) -> Value:
        command = self._ledger.commands.get(entity.key)
        record = None if command is None else command.records.get(entity.part)
        if record is None:
            return None
        return [
            record.state.value,
            encoding.optional_instant(record.acknowledged),
            encoding.optional_instant(record.late_ack),
            None if record.result is None else encoding.ack(record.result),
            record.size,
        ]

    def _key(self, entity: Entity) -> Value:
        record = self._ledger.keys.record(entity.part)
        if record is None or record.command_id != entity.key or entity.key in self._ledger.commands:
            return None
        counts = [record.counts[state] for state in DeliveryState]
        return [*self._head(record), counts, record.failed]

    def _group(self, entity: Entity) -> Value:
        return self._roster.vacated(entity.key)

    def _deleted(self, entity: Entity) -> Value:
        return self._ledger.removed_at(entity.key) or None


@define
class Loader:
    """Makes a registry of rows, and of the facts behind them.

    First all rows are given to it, those of targets before those of commands, and then
    :meth:`index` is called; then all facts that may not be in them, in order.
    """

    registry: Registry
    lists: TargetLists
    to_registration: Callable[[Sequence[Value]], Registration] = encoding.to_registration
    # Up to which fact the row of each agent, and of each command, is true.
    _agents: dict[str, int] = field(factory=dict)
    _commands: dict[str, int] = field(factory=dict)
    _agent_records: list[AgentRecord] = field(factory=list)
    _command_records: dict[str, CommandRecord] = field(factory=dict)
    _keys: list[CommandRecord] = field(factory=list)
    _groups: dict[str, int] = field(factory=dict)
    _deleted: dict[str, int] = field(factory=dict)
    # Groups of facts that were not told, in order.
    _seen_groups: dict[str, None] = field(factory=dict)
    # The number of the newest command of which there was a row, and whether older ones came later.
    _newest: int = 0
    _unordered: bool = False

    def take(self, entity: Entity, seq: int, value: Value) -> None:
        """Take a row, which is true up to the fact ``seq``.

        Lists of targets come first, then commands, then deliveries; other rows at any time.
        """
        self.taker(entity.table)(entity.key, entity.part, seq, value)

    def taker(self, table: str) -> Callable[[str, str, int, Value], None]:
        """Return what takes the rows of one table: their keys, the fact, and the value."""
        takers: Mapping[str, Callable[[str, str, int, Value], None]] = {
            AGENT: self._agent,
            COMMAND: self._command,
            DELIVERY: self._delivery,
            KEY: self._key,
            GROUP: self._group,
            DELETED: self._deletion,
            TARGETS: self._list,
        }
        return takers[table]

    def _list(self, key: str, _part: str, _seq: int, value: Value) -> None:
        self.lists.add(Targets(value[0]), frozenset(value[1]), int(key))

    def _group(self, key: str, _part: str, _seq: int, value: Value) -> None:
        self._groups[key] = value

    def _deletion(self, key: str, _part: str, _seq: int, value: Value) -> None:
        self._deleted[key] = value

    def _agent(self, key: str, _part: str, seq: int, value: Value) -> None:
        declared, registered, heard, status, changed, takeovers, conflict_told, stream_id = value
        self._agents[key] = seq
        self._agent_records.append(
            AgentRecord(
                agent_id=key,
                registration=self.to_registration(declared),
                registered=encoding.to_instant(registered),
                heard=encoding.to_instant(heard),
                status=_AGENT_STATUS[status],
                changed=encoding.to_instant(changed),
                stream_id=stream_id,
                takeovers=tuple(takeovers),
                conflict_told=conflict_told,
            )
        )

    def _command(self, key: str, _part: str, seq: int, value: Value) -> None:
        *head, targets, size, others, pushed, line = value
        record = self._record(key, head, *self._targets(targets))
        record.line = line
        record.size, record.others = size, _DELIVERY_STATE[others]
        record.counts = all_pending(0)
        record.counts[record.others] = len(record.targets)
        for at, found in pushed:
            record.push_times.add(encoding.to_some(found, record.targets), encoding.to_instant(at))
        self._commands[key] = seq
        self._command_records[key] = record

    def _delivery(self, command_id: str, agent_id: str, _seq: int, value: Value) -> None:
        # That of its command has been taken, or there is none.
        command = self._command_records.get(command_id)
        if command is None:
            return
        state, acknowledged, late_ack, result, size = value
        record = DeliveryRecord(
            command,
            agent_id,
            _DELIVERY_STATE[state],
            encoding.to_optional_instant(acknowledged),
            encoding.to_optional_instant(late_ack),
            None if result is None else encoding.to_ack(result),
            size,
        )
        command.records[agent_id] = record
        command.counts[command.others] -= 1
        command.counts[record.state] += 1
        command.size += size
        if record.result is not None:
            command.failed += record.result.status is Outcome.FAILURE

    def _key(self, command_id: str, _part: str, _seq: int, value: Value) -> None:
        *head, counts, failed = value
        record = self._record(command_id, head, Targets(), frozenset())
        record.counts = dict(zip(DeliveryState, counts, strict=True))
        record.failed = failed
        self._keys.append(record)

    def index(self, issued: int) -> None:
        """Make the registry of all rows; ``issued`` commands had been issued, or more."""
        at_once(self.indexing(issued))

    def indexing(self, issued: int) -> Slices[None]:
        """Do the same in slices."""
        roster, ledger = self.registry._roster, self.registry._ledger
        yield from roster.restoring(self._agent_records, self._groups)
        records = sorted(self._command_records.values(), key=lambda record: record.number)
        yield from ledger.restoring(records, self._deleted, issued)
        self._newest = ledger.issued
        ledger.keys.hold_all()
        restore_keys(ledger.keys, records, self._keys)
        self._agent_records, self._command_records = [], {}

    def fact(self, seq: int, fact: Event) -> None:
        """Take a fact, unless the row of what it is about tells of it."""
        command_id: str | None = getattr(fact, "command_id", None)
        if command_id is not None:
            if isinstance(fact, events.CommandIssued) and fact.number <= self._newest:
                self._unordered = True
            # Also of what happened to one delivery: its row was made before that of the command.
            if seq > self._commands.get(command_id, 0):
                self.registry.apply((fact,))
        elif isinstance(fact, AgentEvent):
            if seq > self._agents.get(fact.agent_id, 0):
                self.registry.apply((fact,))
                return
            # The agent's row may have been written, and that of the group that it left not yet.
            if isinstance(fact, AgentRegistered):
                self._seen_groups[fact.registration.group] = None
                if fact.left is not None:
                    self._seen_groups[fact.left] = None
            elif isinstance(fact, AgentRemoved):
                self._seen_groups[fact.group] = None
                # it is there again, but without its commands
                self.registry._ledger.apply_removed(fact)

    def finish(self) -> None:
        """Put all in order: a row may be of a newer command than the facts told after it."""
        if self._unordered:
            self.registry._ledger.sort()
        self.registry._ledger.settle()
        for name in self._seen_groups:
            self.registry._roster.remember_group(name)

    def _targets(self, value: Value) -> tuple[Targets, frozenset[str]]:
        if isinstance(value, int):
            return self.lists.find(value)
        return Targets(value[0]), frozenset(value[1])

    def _record(
        self, command_id: str, head: Sequence[Any], targets: Targets, groups: frozenset[str]
    ) -> CommandRecord:
        number, order, target, created, expires, connected, skipped, key, by, finished, size = head
        return CommandRecord(
            command_id=command_id,
            number=number,
            order=encoding.to_order(order),
            target=encoding.to_target(target),
            created=encoding.to_instant(created),
            expires=encoding.to_instant(expires),
            connected_count=connected,
            skipped=tuple(skipped),
            size=0,
            payload_size=size,
            idempotency=encoding.to_idempotency(key),
            counts={},
            targets=targets,
            groups=groups,
            issued_by=by,
            finished=encoding.to_optional_instant(finished),
            push_times=PushTimes(),
        )


_AGENT_STATUS: Final = {status.value: status for status in AgentStatus}
_DELIVERY_STATE: Final = {state.value: state for state in DeliveryState}


def restore_keys(
    keys: IdempotencyKeys, kept: Sequence[CommandRecord], forgotten: Sequence[CommandRecord]
) -> None:
    """Remember the keys of commands, whether these are kept or forgotten, in order of issue."""
    known = {record.command_id for record in kept}  # of which it may be told yet that they are
    gone = [record for record in forgotten if record.command_id not in known]
    for record in sorted((*kept, *gone), key=lambda record: record.number):
        keys.add(record)
