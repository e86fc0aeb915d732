"""How often a value lay within which bounds."""

from __future__ import annotations

from bisect import bisect_left


class Histogram:
    """How often a value lay within which bounds, and the sum of all. A bound belongs to it."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        # Not cumulative; the last one is of what lies beyond the last bound.
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
