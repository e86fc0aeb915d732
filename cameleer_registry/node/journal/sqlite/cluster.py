"""The row by which the database of a node of a cluster is told from that of a registry alone."""

from __future__ import annotations

import sqlite3
from typing import Final
from uuid import uuid4

import orjson

from ....security import kept
from ....security.store import Credentials

_KEYS: Final = (kept.CREDENTIAL, kept.KEYS)

_CREATE: Final = """
    CREATE TABLE IF NOT EXISTS cluster (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        lineage TEXT NOT NULL,
        copy BLOB NOT NULL
    )
"""


def read(connection: sqlite3.Connection) -> tuple[str, bytes] | None:
    """Return the log that a database belongs to, with a copy of what it held; None for none."""
    there = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'cluster'"
    ).fetchone()
    if there is None:
        return None
    row = connection.execute("SELECT lineage, copy FROM cluster").fetchone()
    return None if row is None else (row[0], bytes(row[1]))


def belongs(connection: sqlite3.Connection) -> bool:
    """Tell whether a database belongs to a cluster."""
    return read(connection) is not None


def write(connection: sqlite3.Connection, lineage: str, copy: bytes) -> None:
    """Note to which log a database belongs, within a transaction."""
    connection.execute(_CREATE)
    connection.execute(
        "INSERT OR REPLACE INTO cluster (id, lineage, copy) VALUES (1, ?, ?)", (lineage, copy)
    )


def key_set(connection: sqlite3.Connection) -> bytes | None:
    """Return the key set that the cluster has published, as a signed line; None if it has none."""
    credentials = Credentials()
    for (body,) in connection.execute("SELECT body FROM rows WHERE kind = ? AND key = ?", _KEYS):
        kept.load(credentials, orjson.loads(body))
    published = credentials.key_set
    return None if published is None else published.line.encode()


def leave(connection: sqlite3.Connection) -> None:
    """Make a registry of its own of a node's database, under another id.

    The key set of the cluster goes: it is that of another registry from now on.
    """
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DROP TABLE cluster")
    connection.execute("DELETE FROM rows WHERE kind = ? AND key = ?", _KEYS)
    connection.execute("UPDATE state SET registry = ?", (str(uuid4()),))
    connection.execute("COMMIT")
