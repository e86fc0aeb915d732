"""Numbers as they are reported: medians, their spread, and the ratio of two of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median, quantiles

from attrs import field, frozen


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(values)


@frozen
class Figures:
    """What one side of a measure came to, once for each of its turns."""

    samples: tuple[float, ...] = field(converter=_floats)

    @property
    def median(self) -> float:
        """The middle one; half of the turns did better."""
        return median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The lower and the upper quartile: half of the turns were between them."""
        if len(self.samples) == 1:
            return self.samples[0], self.samples[0]
        low, _, high = quantiles(self.samples, n=4, method="inclusive")
        return low, high


@frozen
class Aim:
    """What a figure should be: of the ratio to the yardstick, or where there is none of itself."""

    bound: float
    at_least: bool = False

    def met_by(self, value: float) -> bool:
        """Tell whether a figure is what it should be."""
        return value >= self.bound if self.at_least else value <= self.bound


@frozen(kw_only=True)
class Row:
    """One line of the table: the product, and what it was compared with."""

    measure: str
    unit: str
    product: Figures
    yardstick: str | None = None
    """What it was compared with; None where only the figure itself counts."""
    compared: Figures | None = None
    aim: Aim | None = None
    """None where it is told for information."""
    cpu_ratio: float | None = None
    """The ratio of the CPU seconds that the servers used for the same; None where not known."""

    @property
    def ratio(self) -> float | None:
        """The product's median by that of the yardstick; None where there is no such number."""
        if self.compared is None or not self.compared.median:
            return None
        return self.product.median / self.compared.median

    @property
    def met(self) -> bool | None:
        """Whether the aim was met; None where there is none."""
        if self.aim is None:
            return None
        return self.aim.met_by(self.product.median if self.ratio is None else self.ratio)


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that so many of 100 do not exceed."""
    ordered: Sequence[float] = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]
