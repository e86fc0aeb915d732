"""What stands in the file: its format, its tables, and how an older one is brought up to date.

Everything that a registry knows is in three tables. ``log`` has the newest facts, one row for each
commit. ``rows`` has what each agent, command and so on has come to, and ``heard`` when each agent
was last heard. The views are for people: they show rows with columns that have names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

APPLICATION_ID: Final = 0x43414D4C
"""``CAML``, at byte 68 of the file (sqlite.org/fileformat2.html): it is one of ours."""

FORMAT: Final = 1
"""The version of the format, ``user_version`` of the file. Within one version fields are only added
at the end of what is kept; a change of another kind is a new version."""

CREATE: Final[Sequence[str]] = (
    # One row: which registry this is, the last moment of which anything is known, and up to which
    # fact the feed has told all, and all are in rows.
    """CREATE TABLE state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        registry TEXT NOT NULL,
        first_event INTEGER NOT NULL,
        alive TEXT NOT NULL,
        closed INTEGER NOT NULL DEFAULT 0,
        fed INTEGER NOT NULL DEFAULT 0,
        folded INTEGER NOT NULL DEFAULT 0
    )""",
    # One row for each commit. seq is the number of its last fact.
    "CREATE TABLE log (seq INTEGER PRIMARY KEY, alive TEXT NOT NULL, facts TEXT NOT NULL)",
    """CREATE TABLE rows (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        part TEXT NOT NULL,
        seq INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (kind, key, part)
    ) WITHOUT ROWID""",
    # A thousand agents in each: their ids, and three times as many moments (wall, steady, lease).
    "CREATE TABLE heard (chunk INTEGER PRIMARY KEY, ids TEXT NOT NULL, moments BLOB NOT NULL)",
    # Events of the feed about deliveries, which cannot be made of their facts again.
    """CREATE TABLE feed (
        id INTEGER PRIMARY KEY,
        after INTEGER NOT NULL,
        type TEXT NOT NULL,
        groups TEXT NOT NULL,
        at INTEGER NOT NULL,
        data TEXT NOT NULL
    )""",
    """CREATE VIEW agents AS SELECT
        key AS agent_id,
        json_extract(body, '$[0][1]') AS "group",
        json_extract(body, '$[0][2]') AS name,
        json_extract(body, '$[0][3]') AS version,
        json_extract(body, '$[3]') AS status,
        datetime(json_extract(body, '$[1][0]') / 1000000000, 'unixepoch') AS registered_at,
        datetime(json_extract(body, '$[4][0]') / 1000000000, 'unixepoch') AS status_changed_at
    FROM rows WHERE kind = 'agent'""",
    """CREATE VIEW commands AS SELECT
        key AS command_id,
        json_extract(body, '$[1][0]') AS type,
        json_extract(body, '$[1][1]') AS payload,
        json_extract(body, '$[2]') AS target,
        datetime(json_extract(body, '$[3][0]') / 1000000000, 'unixepoch') AS created_at,
        datetime(json_extract(body, '$[4][0]') / 1000000000, 'unixepoch') AS expires_at,
        json_extract(body, '$[8]') AS issued_by
    FROM rows WHERE kind = 'command'""",
    """CREATE VIEW deliveries AS SELECT
        key AS command_id,
        part AS agent_id,
        json_extract(body, '$[0]') AS status,
        datetime(json_extract(body, '$[1][0]') / 1000000000, 'unixepoch') AS acknowledged_at,
        json_extract(body, '$[3][0]') AS outcome,
        json_extract(body, '$[3][1]') AS message
    FROM rows WHERE kind = 'delivery'""",
)

UPGRADES: Final[Mapping[int, Sequence[str]]] = {}
"""By the version that a file has: the statements that make the next one of it."""
