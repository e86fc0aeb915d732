"""Repeated requests: under which keys commands were issued, so that none is issued twice.

Who got no answer to a command cannot know whether it was issued, and asks again. Where it gives
both requests one key of its own, the second is answered with the command of the first. That is
the ``Idempotency-Key`` of draft-ietf-httpapi-idempotency-key-header.

A key is remembered with its command, and longer than that: of a command that has been forgotten,
what became of it is kept, without its deliveries and its payload, which whoever asks again has.
So a key is small, and stays so whatever was sent under it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from ..errors import IdempotencyKeyReused
from .instant import NANOSECONDS, Instant
from .model import Order
from .push_times import PushTimes
from .targets import Targets

if TYPE_CHECKING:
    from .ledger import CommandRecord

REMEMBERED: Final = 3600 * NANOSECONDS
"""How long a key is remembered: nobody tries again for longer, and a day, as payment services
have it, would be a day's keys in memory."""

SKIPPED_REMEMBERED: Final = 100_000
"""Agents that the commands of all keys may have left out, together: their ids are all of a
forgotten command that grows with the fleet."""


@frozen
class Idempotency:
    """By what a request can be told to be the same as one before."""

    key: str
    """Chosen by who asks."""
    fingerprint: bytes
    """Equal for equal orders to equal targets, and for no others."""


class IdempotencyKeys:
    """The keys of a registry, up to a number of them; the oldest is forgotten first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # The command issued under each key, in the order of issue.
        self._commands: OrderedDict[str, CommandRecord] = OrderedDict()
        # How many agents these left out.
        self.skipped = 0
        # Whether all are remembered, and in any order: while a registry is made of what was kept.
        self._holds_all = False
        # The command that was issued last, of those meanwhile; it may have no key.
        self._newest: CommandRecord | None = None

    def __contains__(self, key: object) -> bool:
        return key in self._commands

    def find(self, idempotency: Idempotency, now: Instant) -> CommandRecord | None:
        """Return the command that was issued under a key, or None where there is none.

        Raises IdempotencyKeyReused where something else was asked for then.
        """
        record = self._commands.get(idempotency.key)
        if record is None or _is_over(record, now):
            return None
        if record.idempotency != idempotency:
            raise IdempotencyKeyReused(idempotency.key)
        return record

    def record(self, key: str) -> CommandRecord | None:
        """Return the command that was issued under a key, however long ago, or None."""
        return self._commands.get(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def add(self, record: CommandRecord) -> None:
        """Remember the key of a command that has just been issued, where it has one.

        Those whose time is over are forgotten, and the oldest where there are too many.
        """
        if self._holds_all:
            self._hold(record)
            return
        self._drop_those_before(record)
        if record.idempotency is None:
            return
        before = self._commands.get(record.idempotency.key)
        if before is not None:  # it is told of once more, or an older command was not forgotten yet
            self.skipped -= len(before.skipped)
            if before.number != record.number:
                del self._commands[record.idempotency.key]
        self._commands[record.idempotency.key] = record
        self.skipped += len(record.skipped)
        while len(self._commands) > 1 and (
            len(self._commands) > self.limit or self.skipped > SKIPPED_REMEMBERED
        ):
            self._drop_oldest()

    def hold_all(self) -> None:
        """Forget nothing from now on: what is added comes in another order than it was issued."""
        self._holds_all = True

    def settle(self) -> None:
        """Put the keys in the order of issue, and forget what is too much."""
        records = sorted(self._commands.values(), key=lambda record: record.number)
        self._commands.clear()
        self.skipped, self._holds_all = 0, False
        for record in records:
            self.add(record)
        if self._newest is not None:
            self._drop_those_before(self._newest)
            self._newest = None

    def _hold(self, record: CommandRecord) -> None:
        if self._newest is None or record.number > self._newest.number:
            self._newest = record
        if record.idempotency is not None:
            before = self._commands.get(record.idempotency.key)
            if before is None or before.number <= record.number:
                self._commands[record.idempotency.key] = record

    def forgotten(self, record: CommandRecord) -> None:
        """Keep of a command that is being forgotten what an answer needs, where it has a key."""
        key = record.idempotency.key if record.idempotency else None
        if key is not None and self._commands.get(key) is record:
            self._commands[key] = evolve(
                record,
                order=Order(type=record.order.type),
                targets=Targets(),
                records={},
                push_times=PushTimes(),
                size=0,
                line=None,
            )

    def _drop_those_before(self, record: CommandRecord) -> None:
        """Forget those whose time was over when a command was issued."""
        while self._commands and _is_over(next(iter(self._commands.values())), record.created):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, record = self._commands.popitem(last=False)
        self.skipped -= len(record.skipped)


def _is_over(record: CommandRecord, now: Instant) -> bool:
    return now.steady - record.created.steady >= REMEMBERED
