"""What became of a command, delivery by delivery, and added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from attrs import frozen

from ..client import Operator
from ..core.model import Command, Delivery, DeliveryState, Outcome


class Fate(StrEnum):
    """What became of a delivery, in an operator's eyes: an agent that failed has not done it."""

    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    EXPIRED = "expired"
    PENDING = "pending"


def fate(delivery: Delivery) -> Fate:
    """Tell what became of a delivery."""
    if delivery.result is not None and delivery.result.status is Outcome.FAILURE:
        return Fate.FAILED
    return Fate(delivery.status.lower())


@frozen
class Tally:
    """How many deliveries of a command came to what."""

    acknowledged: int
    failed: int
    expired: int
    pending: int

    @classmethod
    def of(cls, deliveries: Iterable[Delivery]) -> Tally:
        """Count deliveries."""
        counts = Counter(map(fate, deliveries))
        return cls(*(counts[each] for each in Fate))

    @classmethod
    def told(cls, command: Command) -> Tally:
        """Return what a command tells of its deliveries."""
        counts = {state: command.counts.get(state, 0) for state in DeliveryState}
        return cls(
            command.outcomes.get(Outcome.SUCCESS, 0),
            command.outcomes.get(Outcome.FAILURE, 0),
            counts[DeliveryState.EXPIRED],
            counts[DeliveryState.PENDING],
        )

    def items(self) -> Iterator[tuple[Fate, int]]:
        """Return each fate with its number."""
        numbers = (self.acknowledged, self.failed, self.expired, self.pending)
        yield from zip(Fate, numbers, strict=True)

    @property
    def total(self) -> int:
        """Deliveries in all."""
        return self.acknowledged + self.failed + self.expired + self.pending


@frozen
class Report:
    """A command, and what became of each of its deliveries."""

    command: Command
    deliveries: Sequence[Delivery]

    @classmethod
    async def on(cls, operator: Operator, command: Command) -> Report:
        """Ask for the deliveries of a command."""
        return cls(command, await operator.deliveries(command.command_id))

    @property
    def tally(self) -> Tally:
        """The deliveries, added up."""
        return Tally.of(self.deliveries)

    @property
    def not_done(self) -> list[Delivery]:
        """The deliveries that did not succeed, or have not yet."""
        return [each for each in self.deliveries if fate(each) is not Fate.ACKNOWLEDGED]

    @property
    def all_done(self) -> bool:
        """Whether there were agents to target, none was left out, and each succeeded."""
        return bool(self.deliveries) and not self.not_done and not self.command.skipped
