"""A node's own database: a copy of everything at one position of the log.

It has the tables that the database of a registry alone has, so that one can become the other, and
one row more that says to which log it belongs. The copy is made at marks of the log and at a clean
end; from there the node goes on with what the log has since.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any, Final

import orjson
from attrs import define, frozen

from ...core.registry import Registry
from ...errors import CannotOpenDatabase
from ...security.store import Credentials
from ..auth import replicated
from ..clock import Clock
from ..journal.sqlite import cluster, errors
from ..journal.sqlite.file import File, open_file
from ..journal.sqlite.loading import Loaded, load
from . import snapshots

EMPTY: Final = ("DELETE FROM log", "DELETE FROM rows", "DELETE FROM heard", "DELETE FROM feed")

USED: Final = "SELECT EXISTS (SELECT 1 FROM rows) OR EXISTS (SELECT 1 FROM log)"

ROWS: Final = """
    INSERT INTO rows (kind, key, part, seq, body)
    SELECT value ->> 0, value ->> 1, value ->> 2, 0, value ->> 3 FROM json_each(?)
"""


@frozen
class Belongs:
    """To which log a database belongs, and what it holds of it."""

    lineage: str
    content: bytes
    """A copy, as it was written."""


@define(eq=False)
class OwnFile:
    """The database file of one node."""

    path: Path
    _file: File

    @classmethod
    def open(cls, path: Path) -> OwnFile:
        """Open the file, and make it if there is none; raises CannotOpenDatabase."""
        return cls(path, open_file(path))

    def belongs(self) -> Belongs | None:
        """Return to which log it belongs; None if it is that of a registry alone, or new."""
        try:
            found = cluster.read(self._file.connection)
        except sqlite3.Error as error:
            raise errors.unreadable(self.path, error) from None
        return None if found is None else Belongs(*found)

    @property
    def is_used(self) -> bool:
        """Whether there is anything in it, at first sight."""
        try:
            (used,) = self._file.connection.execute(USED).fetchone()
        except sqlite3.Error as error:
            raise errors.unreadable(self.path, error) from None
        return bool(used)

    def load_alone(self, registry: Registry, clock: Clock, credentials: Credentials) -> Loaded:
        """Make a registry and credentials, which are empty, of what a registry alone has left."""
        return load(self._file, registry, clock, credentials)

    async def write(self, lineage: str, copy: dict[str, Any]) -> None:
        """Put a copy in the place of what is there, all at once; raises sqlite3.Error."""
        await asyncio.to_thread(self._write, lineage, copy)

    def _write(self, lineage: str, copy: dict[str, Any]) -> None:
        content = snapshots.pack(copy)
        # A registry alone has the credentials in another form.
        more = replicated.rows(copy["beside"])
        rows = [[*row[:3], orjson.dumps(row[3]).decode()] for row in (*copy["rows"], *more)]
        feed = copy["feed"]
        connection = self._file.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for statement in EMPTY:
                connection.execute(statement)
            connection.execute(ROWS, (orjson.dumps(rows).decode(),))
            now = copy["about"]["now"]
            # No boot of a host: whoever goes on alone reckons by the time of day.
            alive = orjson.dumps([*now, 0, ""]).decode()
            connection.execute(
                "UPDATE state SET alive = ?, closed = 1, fed = 0, first_event = ?",
                (alive, feed["newest"] + 1),
            )
            cluster.write(connection, lineage, content)
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Let others have the file."""
        self._file.close()


def refuse(path: Path, why: str) -> CannotOpenDatabase:
    """Return the error that says why a database cannot be used here."""
    return CannotOpenDatabase(f"{path} {why}; it is left as it is")
