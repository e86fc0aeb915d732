"""The clocks of this process, and how its own pauses are told from the silence of others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ..core.instant import NANOSECONDS, Instant
from ..system import steady_ns

TICK: Final = NANOSECONDS // 10
"""How often, at the least, somebody looks at the clock."""

TICKS_OF_A_LEASE: Final = 20
"""A lease is so many ticks at the least. A heartbeat on a new connection takes seven turns of the
loop, and each may be held up by nearly two ticks without being known for a pause: two thirds of a
lease, so that an agent that keeps the usual pace is heard in time nevertheless."""


class Clock:
    """Reads the time, and takes pauses of this process out of the lease time.

    The heartbeat monitor looks at the clock every ``tick``, and so does every request. If nobody
    has looked for longer than twice that, the process was away: stopped, suspended, or busy with
    one thing. Heartbeats could not be heard meanwhile, so that time does not count against
    anybody's lease. It is taken out in the moment somebody looks again, before anything is judged
    by it.
    """

    def __init__(
        self,
        *,
        tick: int = TICK,
        steady: Callable[[], int] = steady_ns,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        # Nanoseconds.
        self.tick = tick
        self._steady = steady
        self._wall = wall
        # When somebody looked last. None until somebody does.
        self._looked: int | None = None
        # Nanoseconds of all pauses.
        self.paused = 0

    def now(self) -> Instant:
        """Look at the clock."""
        steady = self._steady()
        if self._looked is not None and steady - self._looked > 2 * self.tick:
            self.paused += steady - self._looked
        self._looked = steady
        return Instant(self._wall(), steady, steady - self.paused)
