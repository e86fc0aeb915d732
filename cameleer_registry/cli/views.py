"""From models to what is printed of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from ..core.model import (
    Agent,
    AgentStatus,
    AgentTarget,
    ClusterNode,
    Command,
    CommandStatus,
    Delivery,
    GroupSummary,
    GroupTarget,
    NodeStatus,
    Resumed,
    Target,
)
from ..wire.times import timestamp
from .layout import Column
from .output import Cell
from .plain import plain_json
from .tally import Fate, Tally, fate

STYLES: Final = {
    AgentStatus.LIVE: "green",
    AgentStatus.STALE: "yellow",
    AgentStatus.DEAD: "red",
    Fate.ACKNOWLEDGED: "green",
    Fate.FAILED: "red",
    Fate.EXPIRED: "yellow",
    Fate.PENDING: "cyan",
}

COMMAND_STYLES: Final = {
    CommandStatus.PENDING: "cyan",
    CommandStatus.ACKNOWLEDGED: "green",
    CommandStatus.EXPIRED: "yellow",
    CommandStatus.UNDELIVERABLE: "yellow",
}


def agent_columns() -> list[Column]:
    """Return the columns of a table of agents."""
    return [
        Column("AGENT", folds=40),
        Column("GROUP", gives=16),
        Column("STATUS", no_wrap=True),
        Column("CONNECTED", no_wrap=True, rank=3),
        Column("VERSION", no_wrap=True, max_width=16, rank=1),
        Column("HEARTBEAT", no_wrap=True, rank=2),
    ]


def agent_row(agent: Agent, now: datetime) -> Sequence[Cell]:
    """Return an agent's line in it."""
    return (
        Cell(agent.agent_id),
        Cell(agent.group),
        _status(agent.status),
        _yes_or_no(agent.connected),
        Cell(agent.version or ""),
        _moment(agent.last_heartbeat_at, now),
    )


def agent_facts(agent: Agent, now: datetime) -> Iterator[tuple[str, Cell]]:
    """Return all there is to say of an agent."""
    yield "agent", Cell(agent.agent_id)
    yield "name", Cell(agent.name)
    yield "group", Cell(agent.group)
    yield "version", Cell(agent.version or "")
    yield "instance", Cell(agent.instance_id or "")
    yield "status", _status(agent.status)
    yield "status changed", _moment(agent.status_changed_at, now)
    yield "connected", _yes_or_no(agent.connected)
    yield "last heartbeat", _moment(agent.last_heartbeat_at, now)
    yield "registered", _moment(agent.registered_at, now)
    for route in agent.route_ids:
        yield "route", Cell(route)
    for name, value in agent.capabilities.items():
        yield "capability", Cell(name if value is True else f"{name}: {_json(value)}")


def agent_totals(agents: Sequence[Agent]) -> str:
    """Return how many agents there are in a table, in words."""
    by_status = {status: sum(a.status is status for a in agents) for status in AgentStatus}
    connected = sum(agent.connected for agent in agents)
    statuses = ", ".join(f"{count:,} {status}" for status, count in by_status.items())
    return f"{counted(len(agents), 'agent')}: {statuses}; {connected:,} connected"


def group_columns() -> list[Column]:
    """Return the columns of a table of groups."""
    numbers = [Column(name, justify="right") for name in ("LIVE", "STALE", "DEAD", "CONNECTED")]
    return [Column("GROUP"), *numbers]


def group_row(group: GroupSummary) -> Sequence[Cell]:
    """Return a group's line in it."""
    by_status = {
        AgentStatus.LIVE: group.live,
        AgentStatus.STALE: group.stale,
        AgentStatus.DEAD: group.dead,
    }
    return (
        Cell(group.group),
        *(_number(n, STYLES[status] if n else "dim") for status, n in by_status.items()),
        _number(group.connected),
    )


NODE_STYLES: Final = {
    NodeStatus.LIVE: "green",
    NodeStatus.LEFT: "dim",
    NodeStatus.LOST: "red",
}


def node_columns() -> list[Column]:
    """Return the columns of a table of nodes."""
    return [
        Column("NODE", folds=40),
        Column("STATUS", no_wrap=True),
        Column("STREAMS", justify="right", no_wrap=True),
        Column("POSITION", justify="right", no_wrap=True, rank=3),
        Column("VERSION", no_wrap=True, rank=1),
        Column("SEEN", no_wrap=True, rank=2),
        Column("ADDRESS", folds=40, rank=4),
    ]


def node_row(node: ClusterNode, now: datetime) -> Sequence[Cell]:
    """Return a node's line in it."""
    return (
        Cell(node.name),
        Cell(node.status, style=NODE_STYLES[node.status]),
        _number(node.streams),
        _number(node.position),
        Cell(node.version),
        _moment(node.last_seen_at, now),
        Cell(node.address or ""),
    )


def command_columns() -> list[Column]:
    """Return the columns of a table of commands."""
    return [
        Column("COMMAND", no_wrap=True),
        Column("TYPE", no_wrap=True),
        Column("TARGET", no_wrap=True, gives=16, rank=3),
        Column("STATUS", no_wrap=True, rank=2),
        Column("RESULTS"),
        Column("CREATED", no_wrap=True, rank=1),
    ]


def command_row(command: Command, now: datetime) -> Sequence[Cell]:
    """Return a command's line in it."""
    numbers = Tally.told(command).items()
    results = ", ".join(f"{number:,} {what}" for what, number in numbers if number)
    return (
        Cell(command.command_id),
        Cell(command.type),
        Cell(target_named(command.target)),
        Cell(command.status, style=COMMAND_STYLES[command.status]),
        Cell(results or "no agents", style=_worst(command)),
        _moment(command.created_at, now),
    )


def command_line(command: Command) -> Sequence[Cell]:
    """Return what programs get to see of it: the numbers one by one."""
    return (
        Cell(command.command_id),
        Cell(command.type),
        Cell(target_named(command.target)),
        Cell(command.status),
        *(_number(number) for _, number in Tally.told(command).items()),
        Cell(timestamp(command.created_at)),
    )


def _worst(command: Command) -> str:
    """Return the colour of the worst that has come of a command."""
    counts = dict(Tally.told(command).items())
    order = (Fate.FAILED, Fate.EXPIRED, Fate.PENDING, Fate.ACKNOWLEDGED)
    return next((STYLES[what] for what in order if counts[what]), "yellow")


def order_facts(command: Command, now: datetime) -> Iterator[tuple[str, Cell]]:
    """Return what was ordered, when and of whom."""
    yield "type", Cell(command.type)
    yield "payload", Cell(_json(command.payload))
    yield "target", Cell(target_named(command.target))
    if command.issued_by is not None:
        yield "issued by", Cell(command.issued_by)
    yield "created", _moment(command.created_at, now)
    yield "expires", Cell(timestamp(command.expires_at))


def issue_facts(command: Command) -> Iterator[tuple[str, Cell]]:
    """Return what became of an order when it was issued."""
    yield "command", Cell(command.command_id)
    yield "targets", _number(command.target_count)
    yield "connected", _number(command.connected_count)


def tally_facts(tally: Tally) -> Iterator[tuple[str, Cell]]:
    """Return how many deliveries came to what."""
    for what, number in tally.items():
        yield what, _number(number)


def target_named(target: Target) -> str:
    """Name whom a command is meant for."""
    match target:
        case AgentTarget(agent_id):
            return f"agent {agent_id}"
        case GroupTarget(group):
            return f"group {group}"
        case _:
            return str(target.level)


def delivery_columns() -> list[Column]:
    """Return the columns of a table of deliveries."""
    return [
        Column("AGENT"),
        Column("DELIVERY", no_wrap=True),
        Column(
            "MESSAGE",
        ),
    ]


def delivery_row(delivery: Delivery) -> Sequence[Cell]:
    """Return a delivery's line in it: what became of the command there, and why."""
    became = fate(delivery)
    return Cell(delivery.agent_id), Cell(became, style=STYLES[became]), Cell(_why(delivery, became))


def skipped_row(agent_id: str) -> Sequence[Cell]:
    """Return the line of an agent that was left out."""
    why = "too many pending commands"
    return Cell(agent_id), Cell("skipped", style="magenta"), Cell(why)


def _why(delivery: Delivery, became: Fate) -> str:
    if became in (Fate.ACKNOWLEDGED, Fate.FAILED):
        return (delivery.result and delivery.result.message) or ""
    if delivery.late_ack_at is not None:
        return "answered too late"
    if delivery.delivered_at is None:
        return "the agent was not connected"
    return "no answer" if became is Fate.EXPIRED else "no answer yet"


def counted(number: int, noun: str) -> str:
    """Return ``1 agent``, ``2,000 agents``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _status(status: AgentStatus) -> Cell:
    return Cell(status, style=STYLES[status])


def _yes_or_no(value: bool) -> Cell:
    return Cell("yes") if value else Cell("no", style="dim")


def _number(number: int, style: str = "") -> Cell:
    return Cell(str(number), f"{number:,}", style)


def _moment(moment: datetime, now: datetime) -> Cell:
    return Cell(timestamp(moment), shown=age(now - moment))


def age(passed: timedelta) -> str:
    """Say how long ago something was, in its largest unit; clocks that differ make no future."""
    return f"{length(passed)} ago"


def length(time: timedelta) -> str:
    """Say how long a time was, in its largest unit."""
    seconds = int(time.total_seconds())
    for unit, of_unit in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * of_unit:
            return f"{seconds // of_unit} {unit}"
    return f"{max(0, seconds)} s"


def missing(resumed: Resumed, now: datetime) -> str:
    """Say who has not come back since the server has."""
    who = counted(resumed.not_back, "agent")
    have, were = ("has", "was") if resumed.not_back == 1 else ("have", "were")
    away = length(resumed.away_until - resumed.away_from)
    return (
        f"The server was away for {away}, until {age(now - resumed.away_until)}: "
        f"{who} that {were} LIVE or STALE before {have} not come back since."
    )


def _json(value: Any) -> str:
    return plain_json(orjson.dumps(value).decode())


def now() -> datetime:
    """Return the time against which ages are shown: the server's, once one has been asked."""
    return _clock()


def go_by(clock: Callable[[], datetime]) -> None:
    """Show ages by that clock from now on: what a server shows is of its own, not of ours."""
    global _clock
    _clock = clock


def _our_own() -> datetime:
    return datetime.now(UTC)


_clock: Callable[[], datetime] = _our_own
