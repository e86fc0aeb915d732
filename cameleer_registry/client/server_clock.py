"""The server's time of day, according to its answers.

Deadlines of commands and ages of agents are times of the server's clock, and our own may be wrong
by hours. So this uses ``X-Cameleer-Time``, which every answer carries and no proxy replaces. An
answer was true a while ago: it shows that the server's clock stands there or further. A command
counts as expired if it is expired by that time, and not in cases of doubt.

If an older server does not send it, ``Date`` is used (RFC 9110, section 6.6.1). It has only whole
seconds, and may be that of a proxy with a clock of its own.

A server's clock may also be set back. An answer arrives within the time that a request may take, so
an answer that is older than that, compared with what was known, shows that nothing is known any
more.
"""

from __future__ import annotations

import email.utils
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from ..core.instant import NANOSECONDS
from ..system import steady_ns

HEADER: Final = "X-Cameleer-Time"

OLDEST: Final = 30 * NANOSECONDS
"""Nanoseconds by which an answer may be late: twice as long as a request may take."""

REMEMBERED: Final = 10
"""Answers that are gone by: enough for one of them to have come at once (and, of a ``Date``, at the
beginning of a second), and few enough for a clock that was set back by seconds to be noticed."""


class ServerClock:
    """What time it is for the server, at least."""

    def __init__(self, *, steady: Callable[[], int] = steady_ns) -> None:
        self._steady = steady
        # Nanoseconds from steady time to the server's time of day, by each of the last answers.
        self._offsets: deque[int] = deque(maxlen=REMEMBERED)
        # Whether the server itself has said them: then no Date counts any more.
        self._said_by_server = False

    def heard(self, headers: Mapping[str, str]) -> None:
        """Take note of the head of an answer of the server's that has just come."""
        said = _own(headers.get(HEADER))
        if said is not None and not self._said_by_server:
            self._offsets.clear()
            self._said_by_server = True
        moment = said if self._said_by_server else _date(headers.get("Date"))
        if moment is None:
            return
        offset = moment - self._steady()
        if self._offsets and offset < max(self._offsets) - OLDEST:
            self._offsets.clear()
        self._offsets.append(offset)

    def now(self) -> datetime:
        """Return the server's time of day; our own if it is not known."""
        return datetime.fromtimestamp(self._now() / NANOSECONDS, UTC)

    def seconds_until(self, moment: datetime) -> float:
        """Return how long it is until then, at most; 0 or less when it has certainly passed."""
        return moment.timestamp() - self._now() / NANOSECONDS

    def _now(self) -> int:
        return self._steady() + max(self._offsets) if self._offsets else time.time_ns()


def _own(text: str | None) -> int | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return round(moment.timestamp() * 1000) * (NANOSECONDS // 1000)


def _date(text: str | None) -> int | None:
    try:
        return round(email.utils.parsedate_to_datetime(text or "").timestamp()) * NANOSECONDS
    except (ValueError, OverflowError):  # the latter of a year or an offset of many digits
        return None
