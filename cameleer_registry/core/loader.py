"""A registry made of rows, and of the facts behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attrs import define, field

from . import events, plain, records
from .commands import all_pending
from .events import AgentEvent, AgentRegistered, AgentRemoved, Event
from .idempotency import IdempotencyKeys
from .kept import AGENT, COMMAND, DELETED, DELIVERY, GROUP, KEY, TARGETS, Entity
from .ledger import CommandRecord
from .model import DeliveryState, Outcome, Registration
from .plain import Value
from .registry import Registry
from .roster import AgentRecord
from .slices import Slices, at_once
from .target_lists import TargetLists
from .targets import Targets


@define
class Loader:
    """Makes a registry of rows, and of the facts behind them.

    First all rows are given to it, those of targets before those of commands, and then
    :meth:`index` is called; then all facts that may not be in them, in order.
    """

    registry: Registry
    lists: TargetLists
    to_registration: Callable[[Sequence[Value]], Registration] = plain.to_registration
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
        self._agents[key] = seq
        self._agent_records.append(records.to_agent(key, value, self.to_registration))

    def _command(self, key: str, _part: str, seq: int, value: Value) -> None:
        *head, targets, size, others, pushed, line = value
        record = records.to_command(key, head, *self._targets(targets))
        record.line = line
        record.size, record.others = size, records.DELIVERY_STATE[others]
        record.counts = all_pending(0)
        record.counts[record.others] = len(record.targets)
        for at, found in pushed:
            record.push_times.add(plain.to_some(found, record.targets), plain.to_instant(at))
        self._commands[key] = seq
        self._command_records[key] = record

    def _delivery(self, command_id: str, agent_id: str, _seq: int, value: Value) -> None:
        # That of its command has been taken, or there is none.
        command = self._command_records.get(command_id)
        if command is None:
            return
        record = records.to_delivery(command, agent_id, value)
        command.records[agent_id] = record
        command.counts[command.others] -= 1
        command.counts[record.state] += 1
        command.size += record.size
        if record.result is not None:
            command.failed += record.result.status is Outcome.FAILURE

    def _key(self, command_id: str, _part: str, _seq: int, value: Value) -> None:
        *head, counts, failed = value
        record = records.to_command(command_id, head, Targets(), frozenset())
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
        commands = sorted(self._command_records.values(), key=lambda record: record.number)
        yield from ledger.restoring(commands, self._deleted, issued)
        self._newest = ledger.issued
        ledger.keys.hold_all()
        restore_keys(ledger.keys, commands, self._keys)
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


def restore_keys(
    keys: IdempotencyKeys, kept: Sequence[CommandRecord], forgotten: Sequence[CommandRecord]
) -> None:
    """Remember the keys of commands, whether these are kept or forgotten, in order of issue."""
    known = {record.command_id for record in kept}  # of which it may be told yet that they are
    gone = [record for record in forgotten if record.command_id not in known]
    for record in sorted((*kept, *gone), key=lambda record: record.number):
        keys.add(record)
