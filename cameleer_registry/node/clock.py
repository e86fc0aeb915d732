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
        # What has to be added to the steady time of the system: the clock of a registry goes on
        # over restarts, also of the host.
        self._offset = 0
        # Nanoseconds of all pauses.
        self.paused = 0

    def now(self) -> Instant:
        """Look at the clock."""
        steady = self._steady() + self._offset
        if self._looked is not None and steady - self._looked > 2 * self.tick:
            self.paused += steady - self._looked
        self._looked = steady
        return Instant(self._wall(), steady, steady - self.paused)

    @property
    def steady(self) -> int:
        """The steady time of the registry, for who judges nobody's lease by it."""
        return self._steady() + self._offset

    @property
    def system(self) -> int:
        """The steady time of the system, which begins anew when the host starts."""
        return self._steady()

    def resume(self, last: Instant, system: int | None) -> Instant:
        """Go on from the last moment of an earlier process; return this one.

        ``system`` is what :attr:`system` was at that moment, or None if the host has been started
        since, or nobody knows: then the time of day says how long ago it was. Steady time goes on
        through the time between, and lease time does not: nobody could be heard.
        """
        away = self._wall() - last.wall if system is None else self._steady() - system
        steady = last.steady + max(0, away)
        self._offset = steady - self._steady()
        self._looked = steady
        self.paused = steady - last.lease
        return self.now()
