"""``nodes``: which nodes share the registry."""

from __future__ import annotations

import click

from . import output, views
from .asking import ask, json_option, server_options
from .help import examples
from .server import Server


@click.command("nodes", epilog=examples("nodes", "nodes --json"))
@server_options
@json_option
def nodes_command(server: Server, as_json: bool) -> None:
    """List the nodes that share the registry, and those that have ended within a day."""
    nodes = ask(server, lambda operator: operator.nodes())
    if as_json:
        output.json(nodes)
    else:
        now = views.now()
        output.table(views.node_columns(), (views.node_row(node, now) for node in nodes))
