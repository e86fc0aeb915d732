"""A moment as the registry sees it, on the three clocks that matter to it."""

from __future__ import annotations

from typing import Final

from .unchanging import unchanging

NANOSECONDS: Final = 1_000_000_000
"""Nanoseconds in a second. Whole nanoseconds make every deadline exact: 89.999 s is not 90 s."""


@unchanging
class Instant:
    """One moment, read once and passed on. All values are nanoseconds.

    ``wall`` is the time of day since 1970 in UTC. It is for display and never compared, because it
    may jump either way.

    ``steady`` only moves forward, in step with real time, also while the host is suspended. Command
    deadlines use it.

    ``lease`` is ``steady`` without the pauses of this process. Leases of agents use it, so that no
    agent becomes STALE because the server itself was paused.
    """

    wall: int
    steady: int
    lease: int

    def when_lease_was(self, lease: int) -> Instant:
        """Return the earlier (or later) moment at which the lease clock showed ``lease``."""
        shift = lease - self.lease
        return Instant(self.wall + shift, self.steady + shift, lease)

    def after(self, nanoseconds: int) -> Instant:
        """Return the moment that comes ``nanoseconds`` later on all three clocks."""
        return Instant(self.wall + nanoseconds, self.steady + nanoseconds, self.lease + nanoseconds)


def nanoseconds(seconds: float) -> int:
    """Turn seconds into whole nanoseconds, to the nearest."""
    return round(seconds * NANOSECONDS)
