"""The clock of a node that shares its registry: the log's time, and what has passed since."""

from __future__ import annotations

from collections.abc import Callable

from ...core.instant import Instant
from ...core.log_time import LogTime
from ...system import steady_ns
from ..clock import Clock


class SharedClock(Clock):
    """Tells those who read what time it is. It decides nothing: only stamps of the log do.

    Between two entries it goes on by this process's own clock, so that what is read is judged at
    the moment of reading.
    """

    def __init__(self, steady: Callable[[], int] = steady_ns) -> None:
        super().__init__(tick=2**62, steady=steady)
        self._own = steady
        # None until the node follows the log.
        self._time: LogTime | None = None
        # When the newest entry was applied, by this process's own clock.
        self._applied = 0

    def follow(self, time: LogTime) -> None:
        """Go by the time of a log from now on."""
        self._time = time
        self._applied = self._own()

    def applied(self) -> None:
        """Note that an entry has been applied, and that its time is now."""
        self._applied = self._own()

    @property
    def steady(self) -> int:
        """The steady time of the log."""
        return self.now().steady

    def now(self) -> Instant:
        """Look at the clock."""
        if self._time is None:
            return super().now()
        return self._time.since(max(0, self._own() - self._applied))
