"""What a snapshot of the log has in it, and a node's own database: everything at one position.

That is the replica as plain values, the events of the feed, and what moves along with the replica.
"""

from __future__ import annotations

from typing import Any

import orjson

from ...core.copies import Copy


def value(copy: Copy, feed: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    """Return all of it as one value."""
    return {"about": copy.about, "rows": copy.rows, "feed": feed, "beside": beside}


def pack(copy: Copy, feed: dict[str, Any], beside: dict[str, Any]) -> bytes:
    """Return all of it as bytes."""
    return orjson.dumps(value(copy, feed, beside))


def copy_in(copied: dict[str, Any]) -> Copy:
    """Return the replica in a value; raises KeyError if there is none."""
    return Copy(about=copied["about"], rows=[tuple(row) for row in copied["rows"]])
