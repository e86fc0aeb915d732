"""The default place of the database, and the journal that a setting means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from .node.journal.memory import MemoryJournal
from .node.journal.port import Journal

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


def journal_of(database: str | None) -> Journal:
    """Return the journal that the setting ``database`` means; None keeps nothing."""
    if database is None or database == MEMORY:
        return MemoryJournal()
    from .node.journal.sqlite.journal import SqliteJournal

    return SqliteJournal(Path(database).expanduser())
