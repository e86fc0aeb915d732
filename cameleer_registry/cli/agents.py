"""``agents``, ``agent``, ``groups``, ``forget``: who is there."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..client.operator import Operator
from ..core.model import Agent, AgentStatus, Resumed
from ..errors import AgentNotRegistered, RegistryError, ServerUnreachable
from . import exits, output, views, watch
from .asking import ask, json_option, server_options
from .help import examples
from .server import Server


@click.command(
    "agents",
    epilog=examples(
        "agents",
        "agents --status STALE --status DEAD --group orders",
        "agents --watch",
    ),
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([str(each) for each in AgentStatus], case_sensitive=False),
    help="Only agents of that status; may be given more than once.",
)
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="GROUP",
    help="Only agents of that group; may be given more than once.",
)
@click.option(
    "--watch",
    "watching",
    is_flag=True,
    help="Go on showing them until Ctrl-C; without a terminal, print a line for each change.",
)
@server_options
@json_option
def agents_command(
    statuses: tuple[str, ...],
    groups: tuple[str, ...],
    watching: bool,
    server: Server,
    as_json: bool,
) -> None:
    """List agents, in order of their ids."""
    if watching:
        watched = watch.Question(str(server), statuses, groups)
        ask(server, lambda operator: watch.watch(operator, watched, as_json=as_json))
        return
    told = output.on_terminal() and not as_json

    async def listed(operator: Operator) -> tuple[list[Agent], Resumed | None]:
        found = await operator.agents(statuses=statuses, groups=groups)
        return found, await _resumed(operator) if told else None

    agents, resumed = ask(server, listed)
    if as_json:
        output.json(agents)
        return
    now = views.now()
    if agents:
        output.table(views.agent_columns(), (views.agent_row(agent, now) for agent in agents))
    output.remark(views.agent_totals(agents) if agents else "No agents.")
    if resumed is not None and resumed.not_back:
        output.remark(views.missing(resumed, now))


async def _resumed(operator: Operator) -> Resumed | None:
    """Ask whether the server has gone on after another; None where it does not say."""
    try:
        return (await operator.server()).resumed
    except (RegistryError, ServerUnreachable):
        return None  # one of another version, or a proxy that shows the agents only


@click.command("agent", epilog=examples("agent order-service-1"))
@click.argument("agent_id", metavar="ID")
@server_options
@json_option
def agent_command(agent_id: str, server: Server, as_json: bool) -> None:
    """Show one agent: its status, routes and capabilities."""
    agent = ask(server, lambda operator: operator.agent(agent_id))
    if as_json:
        output.json(agent)
    else:
        output.facts(views.agent_facts(agent, views.now()))


@click.command("groups", epilog=examples("groups"))
@server_options
@json_option
def groups_command(server: Server, as_json: bool) -> None:
    """List groups, with the number of their agents by status."""
    groups = ask(server, lambda operator: operator.groups())
    if as_json:
        output.json(groups)
    elif groups:
        output.table(views.group_columns(), map(views.group_row, groups))
    else:
        output.remark("No groups.")


@click.command(
    "forget",
    epilog=examples(
        "forget order-service-1 order-service-2", "forget --dead", "forget --dead --group orders"
    ),
)
@click.argument("agent_ids", metavar="[ID ...]", nargs=-1)
@click.option("--dead", is_flag=True, help="All agents that are DEAD, and not some by their ids.")
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="GROUP",
    help="With --dead: only those of that group; may be given more than once.",
)
@server_options
@json_option
def forget_command(
    agent_ids: tuple[str, ...],
    dead: bool,
    groups: tuple[str, ...],
    server: Server,
    as_json: bool,
) -> None:
    """Have agents forgotten, or all that are DEAD; pending commands expire.

    An agent that runs registers again.
    """
    if bool(agent_ids) == dead:
        raise click.UsageError("say one of ID and --dead")
    if groups and not dead:
        raise click.UsageError("--group goes with --dead")
    if dead:
        removed = ask(
            server, lambda operator: operator.delete_all([AgentStatus.DEAD], groups=groups)
        )
        if as_json:
            output.json({"removed": removed})
        else:
            shown = views.counted(removed, "agent")
            output.facts([("forgotten", output.Cell(str(removed), shown))])
        return
    forgotten, missing = ask(server, lambda operator: _forget_each(operator, agent_ids))
    if as_json:
        of_each = [{"agentId": agent_id} for agent_id in forgotten]
        output.json(of_each if len(agent_ids) > 1 else of_each[0])
    else:
        output.facts([("forgotten", output.Cell(agent_id)) for agent_id in forgotten])
    if missing:
        exits.fail(f"not registered: {', '.join(missing)}", exits.REFUSED)


async def _forget_each(operator: Operator, agent_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Have agents forgotten one after the other; return those that were, and those unknown.

    Raises AgentNotRegistered if there is one only.
    """
    forgotten: list[str] = []
    missing: list[str] = []
    for agent_id in dict.fromkeys(agent_ids):
        try:
            await operator.delete(agent_id)
        except AgentNotRegistered:
            if len(agent_ids) == 1:
                raise
            missing.append(agent_id)
        else:
            forgotten.append(agent_id)
    return forgotten, missing
