"""A copy of a replica as plain values, from which another node begins.

It is made of the rows that a journal keeps, and of the orders that these do not have: whoever
begins with it is equal to who has made it, and stays so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
from attrs import field, frozen

from . import kept, members, plain
from .beside import Beside
from .encoding import Encoder
from .kept import Entity, RowMaker
from .loader import Loader
from .log_time import LogTime
from .model import AgentStatus
from .plain import Value
from .registry import Limits, Registry
from .replica import Replica
from .slices import SLICE, Slices, at_once
from .target_lists import TargetLists

FORMAT: Final = 1
"""The version of the format of copies."""

LOADED_FIRST: Final = (kept.TARGETS, kept.COMMAND, kept.DELIVERY)
"""Rows that refer to each other, in the order in which they are loaded."""


class UnknownCopy(ValueError):
    """A copy is of a form that this version does not know."""


@frozen(kw_only=True)
class Copy:
    """All that a replica has come to at one position of its log."""

    about: dict[str, Value]
    """What is not in rows."""
    rows: Sequence[tuple[str, str, str, Value]] = field(repr=False)
    """Table, key, part of the key and value of each."""

    @property
    def position(self) -> int:
        """The position of the newest entry that is in it."""
        return int(self.about["position"])


def copy_of(replica: Replica) -> Copy:
    """Return a copy of a replica as it is now."""
    return Copy(about=about(replica), rows=list(rows_of(replica.registry)))


def about(replica: Replica) -> dict[str, Value]:
    """Return what is in no row of a copy."""
    registry, time = replica.registry, replica.time
    ledger = registry._ledger
    return {
        "format": FORMAT,
        "position": replica.position,
        "checksum": replica.checksum,
        "now": plain.instant(time.now),
        "stamp": time.stamp,
        "limits": attrs.asdict(registry.limits),
        "members": members.value(replica.members),
        "issued": ledger.issued,
        "finished": list(ledger._finished),
        "open": list(ledger._open),
    }


def to_replica(copy: Copy, beside: Beside | None = None) -> Replica:
    """Return the replica that a copy was made of; raises UnknownCopy.

    ``beside`` is what stands beside it, and was made of the same copy.
    """
    return at_once(making(copy, beside))


def making(copy: Copy, beside: Beside | None = None) -> Slices[Replica]:
    """Do the same in slices."""
    about = copy.about
    if about.get("format") != FORMAT:
        raise UnknownCopy(f"a copy of the format {about.get('format')}; this one knows {FORMAT}")
    try:
        return (yield from _making(copy, beside))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UnknownCopy(f"the copy is not understood: {error!r}") from error


def _making(copy: Copy, beside: Beside | None) -> Slices[Replica]:
    about = copy.about
    limits = Limits(**about["limits"])
    registry = Registry(limits, in_order=True)
    loader = Loader(registry, TargetLists())
    by_table: dict[str, list[tuple[Entity, Value]]] = {table: [] for table in kept.TABLES}
    for start in range(0, len(copy.rows), SLICE):
        for table, key, part, value in copy.rows[start : start + SLICE]:
            by_table[table].append((Entity(table, key, part), value))
        yield
    rest = [table for table in kept.TABLES if table not in LOADED_FIRST]
    for table in (*LOADED_FIRST, *rest):
        rows = by_table.pop(table)
        for start in range(0, len(rows), SLICE):
            # For this slice only: others check what they make in between.
            with attrs.validators.disabled():
                for entity, value in rows[start : start + SLICE]:
                    loader.take(entity, 0, value)
            yield
    yield from loader.indexing(issued=about["issued"])
    loader.finish()
    ledger = registry._ledger
    ledger._finished = OrderedDict((each, ledger._finished[each]) for each in about["finished"])
    ledger._open = OrderedDict((each, ledger._open[each]) for each in about["open"])
    return Replica(
        registry,
        members.to_members(about["members"]),
        LogTime(plain.to_instant(about["now"]), about["stamp"]),
        position=about["position"],
        checksum=about["checksum"],
        beside=beside,
    )


def rows_of(registry: Registry) -> Iterator[tuple[str, str, str, Value]]:
    """Return all rows of a copy, one by one. Nothing may change until the last has been taken."""
    roster, ledger = registry._roster, registry._ledger
    maker = RowMaker(registry, Encoder(registry.targets_of))

    def row(table: str, key: str, part: str = "") -> tuple[str, str, str, Value]:
        return table, key, part, maker.row(Entity(table, key, part)).value

    for status in AgentStatus:
        for agent_id in roster._by_status[status]:
            yield row(kept.AGENT, agent_id)
    for name in roster._vacated:
        yield row(kept.GROUP, name)
    for agent_id in ledger._removed:
        yield row(kept.DELETED, agent_id)
    for record in ledger.commands.values():
        yield row(kept.COMMAND, record.command_id)
        for agent_id in record.records:
            yield row(kept.DELIVERY, record.command_id, agent_id)
    for key in ledger.keys:
        of_key = ledger.keys.record(key)
        if of_key is not None and of_key.command_id not in ledger.commands:
            yield row(kept.KEY, of_key.command_id, key)
    for of_list in maker.new_lists():
        yield kept.TARGETS, of_list.entity.key, "", of_list.value
