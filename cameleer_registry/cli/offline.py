"""Credentials of a server that is stopped, in its database and its file of keys."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import define

from ..core.instant import Instant
from ..core.registry import Registry
from ..database import KEYS, MEMORY, default_path
from ..errors import SettingsError
from ..node.clock import Clock
from ..node.journal.sqlite.file import STOP_IT
from ..node.journal.sqlite.journal import SqliteJournal
from ..node.limits import limits_of
from ..security import keyfile
from ..security.keyring import KeyRing
from ..security.store import Credentials, Facts
from ..settings import Settings


@define
class Stopped:
    """What a stopped server knows of credentials."""

    credentials: Credentials
    keys_path: Path
    clock: Clock
    _journal: SqliteJournal

    @property
    def now(self) -> Instant:
        """The present moment, on the clock of the registry."""
        return self.clock.now()

    def ring(self) -> KeyRing | None:
        """Return the keys; None if there are none. Raises SettingsError."""
        return keyfile.load(self.keys_path).ring if self.keys_path.exists() else None

    def keep(self, facts: Facts) -> None:
        """Keep what has happened."""
        if facts:
            self._journal.append(facts)


def places(database: str | None, keys_file: str | None) -> tuple[Path, Path]:
    """Return where database and keys are: as said, as the environment says, or as usual.

    Raises SettingsError for a server that keeps nothing.
    """
    named = database or os.environ.get("CAMELEER_DATABASE") or ""
    if named == MEMORY:
        raise SettingsError(
            "a server without a database cannot store tokens: put a long random text into a file, "
            "and name the file in CAMELEER_ADMIN_TOKEN_FILE"
        )
    path = (Path(named).expanduser() if named else default_path()).absolute()
    keys = keys_file or os.environ.get("CAMELEER_KEYS_FILE")
    return path, Path(keys).absolute() if keys else path.with_name(KEYS)


@asynccontextmanager
async def stopped(
    database: str | None, keys_file: str | None = None, *, makes: bool = True
) -> AsyncIterator[Stopped]:
    """Open the database of a stopped server; if there is none it is made, if that makes sense.

    Raises CannotOpenDatabase, also while a server runs on it, and SettingsError.
    """
    path, keys_path = places(database, keys_file)
    if not makes and not path.exists():
        raise SettingsError(f"there is no database {path}")
    clock, credentials, journal = Clock(), Credentials(), SqliteJournal(path, in_use=STOP_IT)
    failures: list[str] = []
    journal.open(Registry(limits_of(Settings())), clock, credentials)
    journal.start(lambda: None, failures.append)
    try:
        yield Stopped(credentials, keys_path, clock, journal)
        await journal.flush()
        # Whoever is told that something was done relies on it: a token that was revoked, for one.
        if not failures and journal.durable < journal.position:
            failures.append(f"cannot write {path}: {journal.trouble or 'the disk is too slow'}")
    finally:
        await journal.close()
    if failures:
        raise SettingsError(failures[0])
