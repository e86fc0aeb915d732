"""``agents``, ``agent``, ``groups``, ``forget``: who is there."""

from __future__ import annotations

import click

from ..core.model import AgentStatus
from . import output, views, watch
from .asking import ask, json_option, url_option
from .help import examples


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
@url_option
@json_option
def agents_command(
    statuses: tuple[str, ...],
    groups: tuple[str, ...],
    watching: bool,
    url: str,
    as_json: bool,
) -> None:
    """List agents, in order of their ids."""
    if watching:
        question = watch.Question(url, statuses, groups)
        ask(url, lambda operator: watch.watch(operator, question, as_json=as_json))
        return
    agents = ask(url, lambda operator: operator.agents(statuses=statuses, groups=groups))
    if as_json:
        output.json(agents)
        return
    if agents:
        now = views.now()
        output.table(views.agent_columns(), (views.agent_row(agent, now) for agent in agents))
    output.remark(views.agent_totals(agents) if agents else "No agents.")


@click.command("agent", epilog=examples("agent order-service-1"))
@click.argument("agent_id", metavar="ID")
@url_option
@json_option
def agent_command(agent_id: str, url: str, as_json: bool) -> None:
    """Show one agent: its status, routes and capabilities."""
    agent = ask(url, lambda operator: operator.agent(agent_id))
    if as_json:
        output.json(agent)
    else:
        output.facts(views.agent_facts(agent, views.now()))


@click.command("groups", epilog=examples("groups"))
@url_option
@json_option
def groups_command(url: str, as_json: bool) -> None:
    """List groups, with the number of their agents by status."""
    groups = ask(url, lambda operator: operator.groups())
    if as_json:
        output.json(groups)
    elif groups:
        output.table(views.group_columns(), map(views.group_row, groups))
    else:
        output.remark("No groups.")


@click.command("forget", epilog=examples("forget order-service-1"))
@click.argument("agent_id", metavar="ID")
@url_option
@json_option
def forget_command(agent_id: str, url: str, as_json: bool) -> None:
    """Have an agent forgotten; its pending commands expire. One that runs registers again."""
    ask(url, lambda operator: operator.delete(agent_id))
    if as_json:
        output.json({"agentId": agent_id})
    else:
        output.facts([("forgotten", output.Cell(agent_id))])
