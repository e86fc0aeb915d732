"""The time of a log: what all nodes judge by, from the stamps of its entries alone.

A node's own clock decides nothing, or two nodes would decide two things. Whoever keeps the log
stamps each entry when it is stored, and these stamps are the only clock that there is. It may jump
either way when another server takes over, and it stands still while nobody can write.
"""

from __future__ import annotations

from typing import Final

from attrs import define

from .instant import NANOSECONDS, Instant

LONGEST_STEP: Final = 2 * NANOSECONDS
"""By which one entry moves the clock of leases at the most. Every node writes one or two a second,
so a longer gap means that nobody could: an election, an outage, a jump of a clock. Nobody could be
heard meanwhile, and nobody is STALE for it."""


@define
class LogTime:
    """The three clocks of a registry, moved by stamps. All values are nanoseconds."""

    now: Instant
    # The stamp of the newest entry; None before the first.
    stamp: int | None = None

    def advance(self, stamp: int) -> Instant:
        """Move on to an entry with a stamp; return that moment.

        The steady clock goes on by as much as the stamps do, through outages, too, since a deadline
        is a promise; and it stands still where they go back.
        """
        passed = 0 if self.stamp is None else max(0, stamp - self.stamp)
        self.stamp = stamp
        self.now = Instant(
            stamp, self.now.steady + passed, self.now.lease + min(passed, LONGEST_STEP)
        )
        return self.now

    def since(self, elapsed: int) -> Instant:
        """Return the moment so long after the newest entry, for those who only read."""
        return Instant(
            self.now.wall + elapsed,
            self.now.steady + elapsed,
            self.now.lease + min(elapsed, LONGEST_STEP),
        )
