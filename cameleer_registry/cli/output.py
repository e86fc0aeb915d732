"""Standard output: tables on a terminal, lines of tab-separated values elsewhere, or JSON.

Nothing that is printed is read as markup, and nothing gets to a terminal that it would obey.
"""

from __future__ import annotations

import codecs
import os
import select
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from attrs import frozen
from rich.cells import cell_len
from rich.console import Console
from rich.table import Column as RichColumn
from rich.table import Table
from rich.text import Text

from .. import wire
from .layout import GAP, Column, cut, widths
from .plain import plain, plain_json


@frozen
class Cell:
    """A value: exactly, for programs; and as it is shown to people, where that is different."""

    exact: str
    shown: str | None = None
    style: str = ""

    def text(self) -> Text:
        """Return what a terminal shows."""
        return Text(plain(self.exact if self.shown is None else self.shown), style=self.style)


def on_terminal() -> bool:
    """Tell whether people look at standard output as it is."""
    return sys.stdout.isatty()


def assert_read() -> None:
    """Raise BrokenPipeError where standard output is a pipe from which nobody will read again.

    Writing tells, too; but there may be nothing to write for hours.
    """
    poll = select.poll()
    poll.register(sys.stdout, 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise BrokenPipeError


@cache
def console(*, stderr: bool = False) -> Console:
    """Return the terminal at standard output, or at standard error."""
    # Not where they are 0, as in terminals that do not know: nothing at all would be shown.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("COLUMNS", "LINES") or value.strip("0")
    }
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, _environ=environment)


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table; or a line a row and nothing else."""
    if on_terminal():
        console().print(grid(columns, rows))
    else:
        lines(rows)


def grid(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Table:
    """Return a table without lines, as wide as it needs to be and no wider than the terminal."""
    texts = [[cell.text() for cell in row] for row in rows]
    wanted = [
        max(cell_len(str(column.header)), *(row[index].cell_len for row in texts))
        if texts
        else cell_len(str(column.header))
        for index, column in enumerate(columns)
    ]
    wanted = [
        min(want, column.max_width or want) for want, column in zip(wanted, columns, strict=True)
    ]
    found = widths(columns, wanted, console().width)
    made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column, width in zip(columns, found, strict=True):
        if width is not None:
            made.add_column(
                column.header,
                justify=column.justify,
                no_wrap=column.no_wrap,
                overflow="ellipsis" if column.no_wrap else "fold",
                width=width,
            )
    for row in texts:
        made.add_row(
            *(
                text if column.gives is None else cut(text, width)
                for text, column, width in zip(row, columns, found, strict=True)
                if width is not None
            )
        )
    return made


def lines(rows: Iterable[Sequence[Cell]]) -> None:
    """Print a line a row, its values between tabs; what there is none of is a hyphen."""
    for row in rows:
        print("\t".join(plain(cell.exact) or "-" for cell in row))


def facts(pairs: Iterable[tuple[str, Cell]]) -> None:
    """Print what is known of one thing, a line each: its name, and the value."""
    if on_terminal():
        made = Table.grid(
            RichColumn(style="bold"), RichColumn(overflow="fold"), padding=(0, 2, 0, 0)
        )
        for name, cell in pairs:
            made.add_row(name, cell.text())
        console().print(made)
    else:
        lines((Cell(name), cell) for name, cell in pairs)


def remark(text: str) -> None:
    """Print a sentence for people; programs do not get to see it."""
    if on_terminal():
        console().print(Text(plain(text), style="dim"))


def json(value: Any) -> None:
    """Print one document on a line, with the names of the wire."""
    in_ascii = codecs.lookup(sys.stdout.encoding).name != "utf-8"  # what others do not have
    print(plain_json(wire.encode(value).decode(), in_ascii=in_ascii))
