"""The table, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .figures import Figures, Row

RESULTS: Final = Path(__file__).parent / "results"

_HEADINGS: Final = ("measure", "measured", "compared with", "ratio", "of CPU time", "aim", "")


def as_table(rows: Sequence[Row]) -> str:
    """Write rows as a table in Markdown."""
    lines = [_HEADINGS, ("---",) * len(_HEADINGS), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def as_json(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """Write rows with every sample, and what the machine was."""
    return json.dumps({**about, "rows": list(map(_entry, rows))}, indent=1) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    compared = f"{row.yardstick}: {_shown(row.compared, row.unit)}" if row.compared else ""
    ratio, of_cpu = ("" if of is None else f"{of:.2f}" for of in (row.ratio, row.cpu_ratio))
    aim = "" if row.aim is None else f"{'≥' if row.aim.at_least else '≤'} {row.aim.bound:g}"
    verdict = {None: "", True: "met", False: "**missed**"}[row.met]
    return row.measure, _shown(row.product, row.unit), compared, ratio, of_cpu, aim, verdict


def _shown(figures: Figures, unit: str) -> str:
    low, high = figures.spread
    median = f"{_rounded(figures.median)} {unit}".strip()
    if len(figures.samples) == 1:
        return median
    return f"{median} ({_rounded(low)}–{_rounded(high)})"


def _rounded(value: float) -> str:
    """Write three digits that count, and all that stand before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _entry(row: Row) -> dict[str, Any]:
    return {
        "measure": row.measure,
        "unit": row.unit,
        "product": _figures(row.product),
        "yardstick": row.yardstick,
        "compared": row.compared and _figures(row.compared),
        "ratio": row.ratio,
        "cpu_ratio": row.cpu_ratio,
        "aim": row.aim and {"bound": row.aim.bound, "at_least": row.aim.at_least},
        "met": row.met,
    }


def _figures(figures: Figures) -> dict[str, Any]:
    low, high = figures.spread
    return {
        "median": figures.median,
        "quartiles": [low, high],
        "samples": [float(f"{sample:.6g}") for sample in figures.samples],
    }
