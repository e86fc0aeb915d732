"""``backup`` and ``restore``: copies of what a server keeps."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..database import MEMORY, default_path
from ..errors import CannotOpenDatabase, SettingsError
from ..node.journal.sqlite.backup import Copy, CopyFailed, back_up, restore
from ..settings import Settings, environment_variable_of
from ..sources import load
from ..wire import timestamp
from . import exits, output, views
from .asking import json_option
from .help import examples

F = TypeVar("F", bound=Callable[..., Any])


def _database_options(command: F) -> F:
    """Give a command what says which database is meant, as ``serve`` has it."""
    for option in (
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            envvar="CAMELEER_CONFIG",
            metavar="FILE",
            help="TOML file of settings in which the server's database may stand.  "
            "[env: CAMELEER_CONFIG]",
        ),
        click.option(
            "--database",
            metavar="PATH",
            help="The server's database.  "
            f"[env: {environment_variable_of('database')}; default: as of serve, see there]",
        ),
    ):
        command = option(command)
    return command


@click.command(
    "backup",
    epilog=examples(
        "backup /mnt/backups",
        "backup --database /var/lib/registry.db today.db",
    ),
)
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@_database_options
@json_option
def backup_command(
    destination: Path, database: str | None, config: Path | None, as_json: bool
) -> None:
    """Copy a server's database, also while it runs.

    DEST is a file that does not exist yet, or a directory, in which the copy is named after the
    moment. It appears there when it is whole and has been checked.
    """
    path = _database(database, config)
    _show(_done(lambda: back_up(path, destination)), path, "backup", as_json=as_json)


@click.command(
    "restore", epilog=examples("restore /mnt/backups/registry-20261123T081530.123456Z.db")
)
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@_database_options
@json_option
def restore_command(source: Path, database: str | None, config: Path | None, as_json: bool) -> None:
    """Put a backup in the place of a server's database, while no server runs on it.

    What was there is moved aside, and named.
    """
    path = _database(database, config)
    _show(_done(lambda: restore(path, source)), source, "restored", as_json=as_json)


def _database(given: str | None, config: Path | None) -> Path:
    """Return the file that ``serve`` would use."""
    try:
        settings: Settings = load({} if given is None else {"database": given}, config)
    except SettingsError as error:
        exits.fail(str(error), exits.USED_WRONGLY)
    if settings.database == MEMORY:
        exits.fail("a server with --database memory keeps nothing", exits.USED_WRONGLY)
    return default_path() if settings.database is None else Path(settings.database).expanduser()


def _done(work: Callable[[], Copy]) -> Copy:
    """Do that, and end with one line where it cannot be done; a signal leaves nothing half done."""
    terminated = False

    def terminate(*_: object) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    try:
        return work()
    except CannotOpenDatabase as error:
        exits.fail(str(error), exits.USED_WRONGLY)
    except CopyFailed as error:
        exits.fail(str(error), exits.NOT_DONE)
    except KeyboardInterrupt:
        if terminated:
            sys.exit(exits.TERMINATED)
        raise


def _show(copy: Copy, source: Path, done: str, *, as_json: bool) -> None:
    """Print what there is now, and how much it holds."""
    if as_json:
        output.json(
            {
                "database": str(copy.path),
                "from": str(source),
                "bytes": copy.size,
                "agents": copy.agents,
                "commands": copy.commands,
                "upTo": copy.upto,
                "movedAside": None if copy.aside is None else str(copy.aside),
            }
        )
        return
    known = views.counted(copy.agents, "agent") + " and " + views.counted(copy.commands, "command")
    facts = [
        (done, output.Cell(str(copy.path))),
        ("size", output.Cell(str(copy.size), f"{copy.size / 2**20:,.1f} MiB")),
        ("holds", output.Cell(f"{copy.agents} {copy.commands}", known)),
        ("up to", output.Cell("" if copy.upto is None else timestamp(copy.upto))),
    ]
    if copy.aside is not None:
        facts.append(("moved aside", output.Cell(str(copy.aside))))
    output.facts(facts)
