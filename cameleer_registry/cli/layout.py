"""How wide the columns of a table are, where a terminal has no room for all of them.

Whom a line is about matters most, and has to be copied: so it is folded, and never cut. Before it
would take more than two or three lines, the columns that matter least are left out, and those are
cut in their middle that can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.table import Column as RichColumn
from rich.text import Text

GAP: Final = 2
"""Characters between two columns."""

NARROWEST: Final = 12
"""Characters in a line of a column that is folded: fewer could not be read any more."""


@dataclass
class Column(RichColumn):
    """A column of a table, and how it gives way."""

    rank: int = 0
    """Those of the lowest rank above 0 are left out first; those of 0 stay."""
    gives: int | None = None
    """Characters down to which values may be cut, in their middle; None where they are not."""
    folds: int | None = None
    """Characters down to which it is folded before another column is left out; None for none."""


def widths(columns: Sequence[Column], wanted: Sequence[int], available: int) -> list[int | None]:
    """Return the width of each column that would be ``wanted`` wide; None where it is left out."""
    found: list[int | None] = list(wanted)

    def missing() -> int:
        shown = [width for width in found if width is not None]
        return sum(shown) + GAP * (len(shown) - 1) - available

    def spare() -> int:
        least = (column.folds if column.gives is None else column.gives for column in columns)
        return sum(
            max(0, width - down_to)
            for width, down_to in zip(found, least, strict=True)
            if width is not None and down_to is not None
        )

    for rank in sorted({column.rank for column in columns} - {0}):
        if missing() <= spare():
            break
        for index, column in enumerate(columns):
            if column.rank == rank:
                found[index] = None
    for index, column in enumerate(columns):
        width = found[index]
        if column.gives is not None and width is not None:
            found[index] = max(min(width, column.gives), width - max(0, missing()))
    foldable = {
        index: width
        for index, (column, width) in enumerate(zip(columns, found, strict=True))
        if width is not None and not column.no_wrap and column.gives is None
    }
    for _ in range(missing()):
        widest = max(foldable, key=foldable.__getitem__, default=None)
        if widest is None or foldable[widest] <= NARROWEST:
            break
        foldable[widest] -= 1
        found[widest] = foldable[widest]
    return found


def cut(text: Text, width: int) -> Text:
    """Return a text no wider than that: the middle is missing, because names differ at the ends."""
    if text.cell_len <= width:
        return text
    if text.cell_len != len(text) or width < 3:  # characters that are two columns wide
        shorter = text.copy()
        shorter.truncate(width, overflow="ellipsis")
        return shorter
    head = width // 2
    return Text.assemble(text[:head], "…", text[len(text) - (width - head - 1) :])
