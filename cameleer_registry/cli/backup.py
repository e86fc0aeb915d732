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
from ..wire.times import timestamp
from . import copied_keys, exits, output, views
from .asking import json_option
from .copied_keys import Keys
from .help import examples
from .plain import plain

F = TypeVar("F", bound=Callable[..., Any])


def _database_options(command: F) -> F:
    """Give a command what says which database is meant, as ``serve`` has it."""
    for option in (
        click.option(
            "--config",
            type=click.Path(path_type=Path),
            envvar="CAMELEER_CONFIG",
            metavar="FILE",
            help="TOML file of settings that may name the server's database.  "
            "[env: CAMELEER_CONFIG]",
        ),
        click.option(
            "--database",
            metavar="PATH",
            help="The server's database.  "
            f"[env: {environment_variable_of('database')}; default: as for serve]",
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
    """Copy a server's database, even while the server runs.

    DEST is a file that does not exist yet, or a directory, in which the copy is named after the
    time. It gets its name when it is complete and has been checked. If keys.json is beside the
    database, it is copied to DEST.keys.json: keep that file as secret as the keys.
    """
    path, keys_file = _places(database, config)

    def work() -> tuple[Copy, Keys]:
        if not destination.is_dir():
            copied_keys.check_free(destination)
        copy = back_up(path, destination)
        return copy, copied_keys.back_up(path, keys_file, copy.path)

    copy, keys = _done(work)
    _show(copy, keys, path, "backup", as_json=as_json)


@click.command(
    "restore",
    epilog=examples(
        "restore /mnt/backups/registry-20261123T081530.123456Z.db",
        "restore --revoke-all today.db",
    ),
)
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.option(
    "--revoke-all",
    is_flag=True,
    help="Revoke every token, session and agent's credential of the backup.",
)
@_database_options
@json_option
def restore_command(
    source: Path, database: str | None, config: Path | None, revoke_all: bool, as_json: bool
) -> None:
    """Replace the database of a stopped server with a backup.

    The previous database is moved aside, to a name that is printed. Tokens that were revoked since
    the backup was made are valid again, unless --revoke-all revokes all: then "auth init" makes new
    ones.
    """
    path, keys_file = _places(database, config)

    def work() -> tuple[Copy, Keys]:
        prepare = copied_keys.revoke_all if revoke_all else (lambda _: None)
        copy = restore(path, source, prepare=prepare)
        return copy, copied_keys.restore(path, keys_file, source)

    copy, keys = _done(work)
    _show(copy, keys, source, "restored", as_json=as_json)
    if revoke_all:
        print(
            "cameleer-registry: every token is revoked; make new ones for agents and people with "
            f'"auth init --database {plain(str(path))}"',
            file=sys.stderr,
        )
    elif copy.guarded:
        print(
            "cameleer-registry: tokens, sessions and agents' credentials that were revoked since "
            "the backup was made are valid again; --revoke-all revokes all of them",
            file=sys.stderr,
        )


def _places(given: str | None, config: Path | None) -> tuple[Path, str | None]:
    """Return the database that ``serve`` would use, and its file of keys if a setting names one."""
    try:
        settings: Settings = load({} if given is None else {"database": given}, config)
    except SettingsError as error:
        exits.fail(str(error), exits.USED_WRONGLY)
    if settings.database == MEMORY:
        exits.fail("a server with --database memory has no file", exits.USED_WRONGLY)
    named = settings.database
    path = default_path() if named is None else Path(named).expanduser()
    return path.absolute(), settings.keys_file


def _done(work: Callable[[], tuple[Copy, Keys]]) -> tuple[Copy, Keys]:
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


def _show(copy: Copy, keys: Keys, source: Path, done: str, *, as_json: bool) -> None:
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
                "keys": None if keys.path is None else str(keys.path),
                "keysMovedAside": None if keys.aside is None else str(keys.aside),
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
    if keys.told:
        facts.append(("keys", output.Cell(keys.told)))
    if keys.aside is not None:
        facts.append(("keys aside", output.Cell(str(keys.aside))))
    output.facts(facts)
