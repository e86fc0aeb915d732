"""The default place of the database, and the journal that a setting means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from .errors import CannotJoin
from .node.auth.leaving import Leaving
from .node.journal.memory import MemoryJournal
from .node.journal.port import Journal
from .node.log.port import Log
from .settings import Settings

MEMORY: Final = "memory"
NAME: Final = "registry.db"
KEYS: Final = "keys.json"
"""Where the keys are that sign, beside the database."""


def default_path() -> Path:
    """Return where a server stores its data if no setting says where.

    ``$STATE_DIRECTORY`` is what systemd's ``StateDirectory=`` sets (systemd.exec(5)); it may name
    several directories, with colons between them.
    """
    if state := os.environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0]) / NAME
    import platformdirs  # only where it is needed: it is a hundredth of the start

    return Path(platformdirs.user_state_path("cameleer-registry", appauthor=False)) / NAME


def keys_beside(database: str | None) -> Path | None:
    """Return where the keys of a database are unless a setting names them; None without one."""
    if database is None or database == MEMORY:
        return None
    return Path(database).expanduser().absolute().with_name(KEYS)


def journal_of(settings: Settings) -> Journal:
    """Return the journal that the setting ``database`` means; None keeps nothing."""
    beside = keys_beside(settings.database)
    if settings.database is None or beside is None:
        return MemoryJournal()
    from .node.journal.sqlite.journal import SqliteJournal

    leaving = None
    if settings.leave_cluster:
        named = settings.keys_file
        leaving = Leaving(None if named is None else Path(named), beside)
    return SqliteJournal(Path(settings.database).expanduser(), leaving=leaving)


def log_of(settings: Settings) -> Log | None:
    """Return the log that many nodes share, or None where this one is alone.

    Raises CannotJoin where the extra for it is missing.
    """
    if not settings.cluster:
        return None
    try:
        from .node.log.jetstream.connection import Access
        from .node.log.jetstream.log import JetStreamLog
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "nats":
            raise
        raise CannotJoin(
            "cluster needs the extra of that name: pip install 'cameleer-registry[cluster]'"
        ) from None
    access = Access(
        servers=settings.cluster,
        credentials=settings.cluster_credentials,
        ca=settings.cluster_ca,
    )
    return JetStreamLog(access, settings.cluster_name)
