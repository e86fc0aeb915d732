"""``agents --watch``: the list, asked for again and again, and shown as it changes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Final, Protocol, Self

import attrs
from attrs import define, field, frozen
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from ..client import Operator, backoff
from ..core.model import Agent, AgentStatus
from ..errors import RegistryError, ServerUnreachable
from . import output, views
from .output import Cell
from .plain import plain

INTERVAL: Final = 2.0
"""Seconds between two looks."""

SHARE: Final = 0.2
"""Of the time that is spent on reading, at most: large fleets are looked at less often."""

LEAST: Final = 20
"""Characters of an id that are shown in any case."""

_WORST_FIRST: Final = {AgentStatus.DEAD: 0, AgentStatus.STALE: 1, AgentStatus.LIVE: 2}


@frozen
class Question:
    """What is asked again and again, and of whom."""

    server: str
    """As people may see it."""
    statuses: Sequence[str]
    groups: Sequence[str]

    async def asked(self, operator: Operator) -> list[Agent]:
        """Return the answer."""
        return await operator.agents(statuses=self.statuses, groups=self.groups)

    def __str__(self) -> str:
        return "  ".join((self.server, *self.statuses, *self.groups))


class View(Protocol):
    """Where the list is shown."""

    def show(self, agents: Sequence[Agent]) -> None:
        """Take the list as it is now; the server has answered."""

    def lost(self, reason: str) -> None:
        """Take note that it has not."""


async def watch(operator: Operator, question: Question, *, as_json: bool) -> None:
    """Show the agents until cancelled.

    A server that has answered once may go and come back. Raises RegistryError if it refuses for
    good, and ServerUnreachable if it does not answer at first.
    """
    agents = await question.asked(operator)
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        view: View = Lines(question.server, as_json)
        if output.on_terminal() and not output.console().is_dumb_terminal and not as_json:
            view = stack.enter_context(Screen(question))
        view.show(agents)
        took = 0.0
        while True:
            await asyncio.sleep(max(INTERVAL, took / SHARE))
            asked_at = loop.time()
            try:
                view.show(await question.asked(operator))
            except (ServerUnreachable, RegistryError) as error:
                if not backoff.is_passing(error):
                    raise
                view.lost(str(error))
            took = loop.time() - asked_at


@define
class Lines:
    """A line for each agent that has appeared, changed in more than its heartbeat, or gone."""

    server: str
    as_json: bool
    shown: dict[str, Agent] = field(factory=dict)
    """By id, as they were when they were last printed."""
    reachable: bool = True

    def show(self, agents: Sequence[Agent]) -> None:
        """Print what has changed since; raises BrokenPipeError where nobody reads it any more."""
        output.assert_read()
        if not self.reachable:
            self._note(f"{self.server} answers again")
        self.reachable = True
        now = {agent.agent_id: agent for agent in agents}
        for agent_id in self.shown.keys() - now.keys():
            self._print("gone", self.shown.pop(agent_id))
        for agent_id, agent in now.items():
            before = self.shown.get(agent_id)
            if before is None or _but_for_heartbeat(before) != _but_for_heartbeat(agent):
                self._print("appeared" if before is None else "changed", agent)
                self.shown[agent_id] = agent
        sys.stdout.flush()

    def lost(self, reason: str) -> None:
        """Say so, once."""
        if self.reachable:
            self._note(f"{reason}; trying again")
        self.reachable = False

    def _print(self, change: str, agent: Agent) -> None:
        if self.as_json:
            output.json({"change": change, "agent": agent})
        else:
            output.lines([(Cell(change), *views.agent_row(agent, views.now()))])

    def _note(self, text: str) -> None:
        print(f"cameleer-registry: {plain(text)}", file=sys.stderr, flush=True)


def _but_for_heartbeat(agent: Agent) -> Agent:
    return attrs.evolve(agent, last_heartbeat_at=agent.registered_at)


@define
class Screen:
    """A whole terminal that shows as many agents as it has room for, the worst first."""

    question: Question
    agents: Sequence[Agent] = ()
    totals: str = ""
    away_since: datetime | None = None
    """When the server was lost; None while it answers."""
    note: Text = field(factory=Text)
    """Of the server that is away, or was."""
    live: Live = field(init=False)

    def __enter__(self) -> Self:
        self.live = Live(
            get_renderable=self._drawn,
            console=output.console(),
            screen=True,
            refresh_per_second=2,
        )
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def show(self, agents: Sequence[Agent]) -> None:
        """Show these from now on."""
        self.agents = sorted(
            agents, key=lambda agent: (_WORST_FIRST[agent.status], agent.connected)
        )
        self.totals = views.agent_totals(agents)
        if self.away_since is not None:
            self.note = Text(
                f"the server was away from {self.away_since:%H:%M:%S} to {_local_time():%H:%M:%S}",
                style="yellow",
            )
            self.away_since = None

    def lost(self, reason: str) -> None:
        """Say so above the list, which then is as it was."""
        self.away_since = self.away_since or _local_time()
        self.note = Text(
            f"lost since {self.away_since:%H:%M:%S}, trying again: {plain(reason)}",
            style="bold red",
        )

    def _drawn(self) -> RenderableType:
        head = [
            Text(plain(str(self.question)), style="bold", no_wrap=True, overflow="ellipsis"),
            Text(self.totals, no_wrap=True, overflow="ellipsis"),
            Text.assemble(self.note, no_wrap=True, overflow="ellipsis"),
        ]
        room = max(1, output.console().height - len(head) - 2)  # the table's own head, and a rest
        now = views.now()
        columns = views.agent_columns()
        for column in columns:  # a line each, so that they do not jump
            column.no_wrap = True
            if not column.rank:
                column.gives = column.gives or LEAST
        table = output.grid(columns, (views.agent_row(agent, now) for agent in self.agents[:room]))
        more = len(self.agents) - room
        rest = [Text(f"… and {more:,} more", style="dim")] if more > 0 else []
        return Group(*head, table, *rest)


def _local_time() -> datetime:
    return datetime.now().astimezone()
