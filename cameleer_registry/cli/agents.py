"""``agents``, ``agent``, ``groups``, ``forget``: who is there."""

from __future__ import annotations

import click

from ..core.model import AgentStatus
from . import output, views, watch
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
        question = watch.Question(str(server), statuses, groups)
        ask(server, lambda operator: watch.watch(operator, question, as_json=as_json))
        return
    agents = ask(server, lambda operator: operator.agents(statuses=statuses, groups=groups))
    if as_json:
        output.json(agents)
        return
    if agents:
        now = views.now()
        output.table(views.agent_columns(), (views.agent_row(agent, now) for agent in agents))
    output.remark(views.agent_totals(agents) if agents else "No agents.")


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
    epilog=examples("forget order-service-1", "forget --dead", "forget --dead --group orders"),
)
@click.argument("agent_id", metavar="[ID]", required=False)
@click.option("--dead", is_flag=True, help="All agents that are DEAD, instead of one.")
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
    agent_id: str | None, dead: bool, groups: tuple[str, ...], server: Server, as_json: bool
) -> None:
    """Have an agent forgotten, or all that are DEAD; pending commands expire.

    An agent that runs registers again.
    """
    if (agent_id is not None) == dead:
        raise click.UsageError("say one of ID and --dead")
    if groups and not dead:
        raise click.UsageError("--group goes with --dead")
    if agent_id is None:
        removed = ask(
            server, lambda operator: operator.delete_all([AgentStatus.DEAD], groups=groups)
        )
        if as_json:
            output.json({"removed": removed})
        else:
            shown = views.counted(removed, "agent")
            output.facts([("forgotten", output.Cell(str(removed), shown))])
        return
    one = agent_id
    ask(server, lambda operator: operator.delete(one))
    if as_json:
        output.json({"agentId": agent_id})
    else:
        output.facts([("forgotten", output.Cell(agent_id))])
