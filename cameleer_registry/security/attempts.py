"""How often somebody may try to sign in.

Nobody can guess a token. But each attempt costs a look-up and a line in the log, and somebody who
tries thousands of tokens has a list that leaked elsewhere. Attempts that succeed do not count. Each
source (an address or a network) has BURST failures, and regains one every INTERVAL: the generic
cell rate algorithm, which keeps one number for each source.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from ..core.instant import NANOSECONDS, Instant
from ..errors import TooManyAttempts

BURST: Final = 10
"""Failures that a source may have in a row, by default."""

INTERVAL: Final = 6 * NANOSECONDS
"""Nanoseconds after which it may have one more."""

SOURCES: Final = 10_000
"""Sources that are remembered; the one that failed longest ago goes first."""


class Attempts:
    """The recent failures, by the address from which they came."""

    def __init__(
        self, *, burst: int = BURST, interval: int = INTERVAL, sources: int = SOURCES
    ) -> None:
        self._burst, self._interval, self._limit = burst, interval, sources
        # When a source will have all of its failures back, in steady time; the last one that
        # failed comes last.
        self._recovered: OrderedDict[str, int] = OrderedDict()

    def check(self, source: str, now: Instant) -> None:
        """Let an attempt pass; raises TooManyAttempts with the seconds to wait."""
        recovered = self._recovered.get(source, now.steady)
        early = recovered - now.steady - (self._burst - 1) * self._interval
        if early > 0:
            raise TooManyAttempts(max(1.0, early / NANOSECONDS))

    def failed(self, source: str, now: Instant) -> None:
        """Count an attempt that has failed."""
        recovered = max(self._recovered.pop(source, now.steady), now.steady)
        self._recovered[source] = recovered + self._interval
        if len(self._recovered) > self._limit:
            self._recovered.popitem(last=False)
