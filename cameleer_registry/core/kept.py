"""What agents and commands have come to, as rows of plain values; :mod:`.loader` reads them.

A journal of facts alone would grow for ever, and take long to be read. So beside it is kept what
each agent and each command has come to: one row each, made of its record as it is, and made anew
when something has happened to it. A registry is made of the rows first, and then told the facts
behind them.

A row may be newer than some of those facts, since rows are made one after the other while facts
go on coming. That does no harm: a row says up to which fact it is true, and what is derived from
many rows, such as counts, is derived when all of them are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from . import plain, records
from .encoding import Encoder
from .ledger import CommandRecord
from .model import DeliveryState
from .plain import Value
from .registry import Registry
from .target_lists import MANY
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
            if len(command.targets) >= MANY
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
        return records.agent(record)

    def _command(self, entity: Entity) -> Value:
        record = self._ledger.commands.get(entity.key)
        if record is None:
            return None
        pushed = [
            [plain.instant(at), plain.some(agent_ids, record.targets)]
            for agent_ids, at in record.push_times.batches()
        ]
        own_size = record.size - sum(each.size for each in record.records.values())
        return [
            *records.head(record),
            self._targets(record),
            own_size,
            record.others.value,
            pushed,
            record.line,
        ]

    def _targets(self, record: CommandRecord) -> Value:
        if len(record.targets) < MANY:
            return [list(record.targets), list(record.groups)]
        lists = self._encoder.lists
        number = lists.number_of(record.targets, record.groups)
        return lists.add(record.targets, record.groups) if number is None else number

    def _delivery(self, entity: Entity) -> Value:
        command = self._ledger.commands.get(entity.key)
        record = None if command is None else command.records.get(entity.part)
        if record is None:
            return None
        return records.delivery(record)

    def _key(self, entity: Entity) -> Value:
        record = self._ledger.keys.record(entity.part)
        if record is None or record.command_id != entity.key or entity.key in self._ledger.commands:
            return None
        counts = [record.counts[state] for state in DeliveryState]
        return [*records.head(record), counts, record.failed]

    def _group(self, entity: Entity) -> Value:
        return self._roster.vacated(entity.key)

    def _deleted(self, entity: Entity) -> Value:
        return self._ledger.removed_at(entity.key) or None
