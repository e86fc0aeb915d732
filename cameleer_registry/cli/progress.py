"""A command while it is under way: asking how far it has come, and showing it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import aclosing
from typing import Final

from attrs import define
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from ..client import Operator
from ..core.model import Command
from . import output, views
from .tally import Fate, Report, Tally

INTERVAL: Final = 0.2
"""Seconds between two looks."""

HIDE_BELOW: Final = 10
"""Columns in which a bar would tell nothing."""


async def follow(operator: Operator, command: Command, seconds: float, *, show: bool) -> Report:
    """Wait until nothing of a command is pending, at most so long; ``show`` how far it has come.

    It is shown on standard error, where that is a terminal. Raises like ``Operator.wait``.
    """
    console = output.console(stderr=True)
    if not (show and sys.stderr.isatty()):
        command = await operator.wait(command.command_id, seconds)
        return await Report.on(operator, command)
    shown = Progress(Tally.told(command))
    with Live(shown, console=console, auto_refresh=False, transient=True) as live:
        live.refresh()
        looks = operator.follow(command.command_id, seconds, every=INTERVAL)
        async with aclosing(looks):
            async for command in looks:
                shown.tally = Tally.told(command)
                live.refresh()
        return await Report.on(operator, command)


@define
class Progress:
    """A bar of what is acknowledged, failed, expired and pending, over the numbers."""

    tally: Tally

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        total = self.tally.total
        finished = f" {total - self.tally.pending:,}/{total:,}"
        width = options.max_width - len(finished)
        line = "-" if options.ascii_only else "━"
        if width >= HIDE_BELOW:
            bar = (Text(line * length, style=style) for style, length in self._segments(width))
            yield Text.assemble(*bar, finished, no_wrap=True)
        numbers = (
            (f"{number:,} {what}", views.STYLES[what] if number else "dim")
            for what, number in self.tally.items()
        )
        yield Text("  ").join(Text(text, style=style) for text, style in numbers)

    def _segments(self, width: int) -> Iterator[tuple[str, int]]:
        """Divide so many columns among them."""
        so_far = before = 0
        for what, number in self.tally.items():
            so_far += number
            until = round(width * so_far / max(1, self.tally.total))
            style = "dim" if what is Fate.PENDING else views.STYLES[what]
            yield style, until - before
            before = until
