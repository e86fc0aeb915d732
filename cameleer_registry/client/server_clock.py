"""The server's time of day, as its answers tell it.

Deadlines of commands are moments on the server's clock, and an agent's own may be wrong by hours.
So it goes by the ``Date`` that every answer carries (RFC 9110, section 6.6.1). That is cut to the
second and was true a while ago: what is known from it is that the server's clock stands there or
further. A command is past its deadline when it is so by that, and not in doubt.

A server's clock may be set back, too. An answer comes within the time that a request may take, so
one that is older than that by what was known tells that nothing is known any more.
"""

from __future__ import annotations

import email.utils
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

from ..core.instant import NANOSECONDS
from ..system import steady_ns

OLDEST: Final = 30 * NANOSECONDS
"""Nanoseconds by which an answer may be late: twice as long as a request may take."""

REMEMBERED: Final = 10
"""Answers that are gone by: enough for one of them to have come at once and at the beginning of a
second, and few enough for a clock that was set back by seconds to be noticed."""


class ServerClock:
    """What time it is for the server, at least."""

    def __init__(self, *, steady: Callable[[], int] = steady_ns) -> None:
        self._steady = steady
        # Nanoseconds from steady time to the server's time of day, by each of the last answers.
        self._offsets: deque[int] = deque(maxlen=REMEMBERED)

    def heard(self, date: str | None) -> None:
        """Take note of the ``Date`` of an answer that has just come; None where it has none."""
        try:
            moment = email.utils.parsedate_to_datetime(date or "")
        except ValueError:
            return
        offset = round(moment.timestamp()) * NANOSECONDS - self._steady()
        if self._offsets and offset < max(self._offsets) - OLDEST:
            self._offsets.clear()
        self._offsets.append(offset)

    def seconds_until(self, moment: datetime) -> float:
        """Return how long it is until then, at most; 0 or less when it has certainly passed."""
        # Where no server says what time it is, our own clock has to do.
        now = self._steady() + max(self._offsets) if self._offsets else time.time_ns()
        return moment.timestamp() - now / NANOSECONDS
