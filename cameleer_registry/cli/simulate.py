"""``simulate``: a fleet in this process, and a summary of what it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import datetime
from typing import Any, Final

import attrs
import click
from attrs import define, field
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from ..client.fleet import Fleet
from ..errors import RegistryError
from ..logs import ROOT
from ..system import raise_file_limit
from . import output, views
from .asking import json_option, run, server_options
from .help import examples
from .plain import plain
from .server import Server
from .values import Number

MOST: Final = 5000
"""Agents in one process: more would keep it from being on time."""

INTERVAL: Final = 5.0
"""Seconds between two lines of the summary, where there is no terminal."""

REFRESH: Final = 0.25
"""Seconds between two looks, where there is one."""

SHARE: Final = Number(0, 1)


@click.command(
    "simulate",
    epilog=examples(
        "simulate --agents 1000 --groups 10",
        "simulate --agents 200 --failure-rate 0.05 --churn 0.5",
    ),
)
@click.option(
    "--agents",
    type=click.IntRange(1, MOST),
    required=True,
    metavar="N",
    help=f"Number of agents, up to {MOST:,}: sim-0001, sim-0002 and so on.",
)
@click.option(
    "--groups",
    type=click.IntRange(1, MOST),
    default=1,
    metavar="N",
    help="Number of groups: sim-group-1 and so on.  [default: 1]",
)
@click.option(
    "--ack-rate",
    type=SHARE,
    default=1.0,
    metavar="SHARE",
    help="Share of commands that are acknowledged; the others expire.  [default: 1.0]",
)
@click.option(
    "--ack-delay",
    type=Number(0, 3600),
    default=0.05,
    metavar="SECONDS",
    help="How long a command takes on average.  [default: 0.05]",
)
@click.option(
    "--failure-rate",
    type=SHARE,
    default=0.0,
    metavar="SHARE",
    help="Share of acknowledgements that are failures.  [default: 0.0]",
)
@click.option(
    "--churn",
    type=SHARE,
    default=0.0,
    metavar="SHARE",
    help="Share of the fleet that restarts each minute, under the same ids.  [default: 0.0]",
)
@server_options
@json_option
def simulate_command(server: Server, as_json: bool, **rates: Any) -> None:
    """Run a fleet of agents until Ctrl-C: they register, listen, acknowledge.

    They stay registered when it ends, like agents that were killed.
    """
    raise_file_limit()
    troubles = Troubles()
    logging.getLogger(ROOT).addHandler(troubles)
    logging.getLogger(ROOT).propagate = False
    fleet = Fleet(server.url, open_session=server.session, **rates)
    run(_simulate(Summary(server, fleet, troubles), as_json=as_json))


class Troubles(logging.Handler):
    """Keeps the last warning of an agent, with its time: a thousand may warn of the same."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        # None until there is one.
        self.last: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        reason = getattr(record, "reason", None)
        when = datetime.now().astimezone()
        what = record.getMessage() + (f": {reason}" if reason else "")
        self.last = f"{when:%H:%M:%S} {plain(what)}"


@define
class Summary:
    """What a fleet has done so far."""

    server: Server
    fleet: Fleet
    troubles: Troubles
    shown: Mapping[str, int] = field(factory=dict)
    """The figures when they were last looked at. They are drawn by a thread, which a terminal may
    hold up; the fleet is on the loop, and goes on."""

    def figures(self) -> dict[str, int]:
        """Return the numbers by their names."""
        fleet = self.fleet
        return {
            "agents": fleet.size,
            "registered": fleet.registered,
            "connected": fleet.connected,
            **attrs.asdict(fleet.figures),
        }

    def write(self) -> None:
        """Print a line of them."""
        print(*(f"{name}={number}" for name, number in self.shown.items()), flush=True)

    def drawn(self) -> RenderableType:
        """Return what a terminal shows."""
        size = self.fleet.size
        rows = Table.grid(Column(), Column(justify="right"), Column(), padding=(0, 2, 0, 0))
        for name, number in self.shown.items():
            if name == "agents":
                continue
            of_all = name in ("registered", "connected")
            bar = ProgressBar(total=size, completed=number, width=40) if of_all else ""
            rows.add_row(name, f"{number:,}", bar)
        head = Text(
            f"{views.counted(size, 'simulated agent')} of {plain(str(self.server))}", style="bold"
        )
        note = Text(self.troubles.last or "", "yellow", no_wrap=True, overflow="ellipsis")
        return Group(head, rows, note, Text("Ctrl-C ends them", style="dim"))


async def _simulate(summary: Summary, *, as_json: bool) -> None:
    """Run the fleet, and show what it does, until cancelled."""
    async with summary.server.operator() as operator:
        # For a server that is not there now, or a token that is none, nobody should wait. A token
        # for enrolment reads nothing else.
        await operator.auth()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(summary.fleet.run())
            tasks.create_task(_show(summary, as_json=as_json))
    except* (RegistryError, OSError) as errors:  # OSError: nobody reads the summary any more
        raise errors.exceptions[0] from None


async def _show(summary: Summary, *, as_json: bool) -> None:
    """Show the summary again and again until cancelled, and then once more."""
    drawing = Live(get_renderable=summary.drawn, console=output.console(), refresh_per_second=4)
    is_live = output.on_terminal() and not as_json
    with drawing if is_live else nullcontext():
        try:
            while True:
                summary.shown = summary.figures()
                if not is_live and not as_json:
                    summary.write()
                await asyncio.sleep(REFRESH if is_live else INTERVAL)
        finally:
            summary.shown = summary.figures()
            if as_json:
                output.json(summary.shown)
            elif not is_live:
                summary.write()
