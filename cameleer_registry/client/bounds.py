"""What an agent makes of the times that a server names.

A server, or a program that answers in its place, may name any time: 0, with which an agent would
ask without a pause, or years, for which it would be away. If a time is below the least or above the
most, the agent uses the least or the most instead.
"""

from __future__ import annotations

from typing import Final

LEAST: Final = 0.1
"""Seconds, of an interval: ten requests a second are no harm. A server that is set to less, for
tests, hears of its agents a little later than it asked for."""

MOST: Final = 86_400.0
"""Seconds, of an interval: a day."""

LONGEST_WAIT: Final = 60.0
"""Seconds for which an agent stays away because the server said so. Ours says 30 at most."""

SHORTEST_WAIT: Final = 1.0
"""Seconds: the unit of ``Retry-After``. A shorter one is none."""


def interval(milliseconds: int) -> float:
    """Return seconds, within the bounds of an interval."""
    return min(max(LEAST, milliseconds / 1000), MOST)
