"""``send``, ``commands`` and ``command``: have something done, and see what became of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

import attrs
import click
from attrs import frozen

from ..client import Operator
from ..core.model import (
    Command,
    CommandStatus,
    CommandType,
    Delivery,
    JsonObject,
    Target,
)
from ..errors import ServerUnreachable
from . import exits, output, progress, views
from .asking import ask, json_option, only, server_options
from .help import examples
from .server import Server
from .tally import Report
from .values import Duration, Key, Payload

LIMIT: Final = 50
"""Commands that are listed unless more are asked for: two screens."""


@click.command(
    "send",
    epilog=examples(
        "send config-update --group orders --payload '{\"depth\": 7}'",
        "send config-update --all --payload @update.json --wait 30",
        "send deep-trace --agent order-service-1",
    ),
)
@click.argument("type", type=click.Choice([str(each) for each in CommandType]), metavar="TYPE")
@click.option("--agent", "agent_id", metavar="ID", help="To that agent, whatever its status.")
@click.option("--group", metavar="GROUP", help="To the LIVE agents of that group.")
@click.option("--all", "to_all", is_flag=True, help="To all LIVE agents; asks for confirmation.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--payload",
    type=Payload(),
    metavar="JSON|@FILE|-",
    default="{}",
    help="A JSON object for the agents; @FILE reads it from a file, - from standard input.",
)
@click.option(
    "--wait",
    type=Duration(),
    metavar="DURATION",
    help="Wait at most this long for all agents to answer, and list those that did not succeed: "
    "seconds, or 90s, 5m.",
)
@click.option(
    "--idempotency-key",
    type=Key(),
    metavar="KEY",
    help="A key of your own: a command repeated with the same key within an hour is sent once.",
)
@server_options
@json_option
def send_command(
    type: str,
    agent_id: str | None,
    group: str | None,
    to_all: bool,
    yes: bool,
    payload: JsonObject,
    wait: float | None,
    idempotency_key: str | None,
    server: Server,
    as_json: bool,
) -> int:
    """Send a command: config-update, deep-trace or replay.

    The exit status is 1 if there was no agent to send it to and, with --wait, if an agent failed,
    let the command expire, or did not answer in time.
    """
    target = _target(agent_id, group, to_all)
    if to_all and not yes:
        _ask_first(server, type)

    async def sending(operator: Operator) -> Report | Command:
        command = await operator.send(type, target, payload, idempotency_key=idempotency_key)
        if not as_json:
            output.facts(views.issue_facts(command))
            sys.stdout.flush()  # whatever becomes of the wait
        if wait is None:
            return command
        try:
            # What is printed now may come to the same terminal through a pipe, across the bar.
            show = as_json or output.on_terminal()
            return await progress.follow(operator, command, wait, show=show)
        except ServerUnreachable as error:
            raise ServerUnreachable(f"{error}; command {command.command_id} was sent") from None

    sent = ask(server, sending)
    if isinstance(sent, Report):
        _report(sent, as_json=as_json)
        command, done = sent.command, sent.all_done
    else:
        if as_json:
            output.json(sent)
        else:
            _list_not_done([], sent)
        command, done = sent, not sent.skipped
    if command.status is CommandStatus.UNDELIVERABLE:
        exits.fail("there was no agent to send it to", exits.NOT_DONE)
    return 0 if done else exits.NOT_DONE


@click.command(
    "commands",
    epilog=examples(
        "commands",
        "commands --type config-update --status EXPIRED --limit 100",
        "commands --agent order-service-1",
    ),
)
@only("--status", "statuses", "commands of that status", CommandStatus)
@only("--type", "types", "commands of that type", CommandType)
@click.option(
    "--agent", "agent_id", metavar="ID", help="Only commands that were sent to this agent."
)
@only("--group", "groups", "commands to that group")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=LIMIT,
    metavar="N",
    help=f"Largest number of commands.  [default: {LIMIT}]",
)
@server_options
@json_option
def commands_command(
    statuses: tuple[str, ...],
    types: tuple[str, ...],
    agent_id: str | None,
    groups: tuple[str, ...],
    limit: int,
    server: Server,
    as_json: bool,
) -> None:
    """List the commands that the server remembers, newest first, with their results."""
    found = ask(
        server,
        lambda operator: operator.commands(
            statuses=statuses, types=types, agent_id=agent_id, groups=groups, limit=limit + 1
        ),
    )
    commands = found[:limit]
    if as_json:
        output.json(commands)
        return
    if not output.on_terminal():
        output.lines(map(views.command_line, commands))
    elif commands:
        now = views.now()
        output.table(views.command_columns(), (views.command_row(each, now) for each in commands))
    if len(found) > limit:
        output.remark(f"There are more: --limit {10 * limit} shows them.")
    elif not commands:
        output.remark("No commands.")


@click.command("command", epilog=examples("command 01a2090e-3fdd-751c-a875-3287a4af1059"))
@click.argument("command_id", metavar="ID")
@server_options
@json_option
def command_command(command_id: str, server: Server, as_json: bool) -> None:
    """Show a command, and the agents that have not carried it out."""

    async def asking(operator: Operator) -> Report:
        return await Report.on(operator, await operator.command(command_id))

    report = ask(server, asking)
    if not as_json:
        command = report.command
        output.facts([*views.issue_facts(command), *views.order_facts(command, views.now())])
    _report(report, as_json=as_json)


def _target(agent_id: str | None, group: str | None, to_all: bool) -> Target:
    match (agent_id, group, to_all):
        case (str(), None, False):
            return Target.agent(agent_id)
        case (None, str(), False):
            return Target.of_group(group)
        case (None, None, True):
            return Target.all()
        case _:
            raise click.UsageError("give one of --agent ID, --group GROUP and --all")


def _ask_first(server: Server, type: str) -> None:
    """Go on only where somebody says yes."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("--all needs --yes, because there is no terminal on which to ask")
    live = sum(group.live for group in ask(server, lambda operator: operator.groups()))
    print(
        f"Send {type} to all {views.counted(live, 'LIVE agent')} of {server}? [y/N] ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        exits.fail("nothing was sent", exits.NOT_DONE)


@frozen(kw_only=True)
class CommandWithDeliveries(Command):
    """What ``--json`` prints of a command: what the server says of it, in one document."""

    deliveries: Sequence[Delivery]


def _report(report: Report, *, as_json: bool) -> None:
    """Print what became of a command, and list the agents that have not done it."""
    if as_json:
        command = attrs.asdict(report.command, recurse=False)
        output.json(CommandWithDeliveries(**command, deliveries=report.deliveries))
        return
    if output.on_terminal():
        output.console().print(progress.Progress(report.tally))
    else:
        output.facts(views.tally_facts(report.tally))
    _list_not_done(report.not_done, report.command)


def _list_not_done(deliveries: Iterable[Delivery], command: Command) -> None:
    rows = [*map(views.delivery_row, deliveries), *map(views.skipped_row, command.skipped)]
    if not output.on_terminal():
        output.lines((output.Cell("delivery"), *row) for row in rows)
    elif rows:
        output.console().print()
        output.table(views.delivery_columns(), rows)
