"""What a snapshot of the log has in it, and a node's own database: everything at one position.

That is the replica as plain values, the events of the feed, and what moves along with the replica.
As bytes it is lines of JSON: everything but the rows in the first, and some rows in each of the
others. So it can be read piece by piece, and nobody has to wait for the whole.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from ...core.copies import Copy
from ...core.slices import Slices

UNREADABLE: Final = (LookupError, ValueError, TypeError, AttributeError)
"""What reading a snapshot raises if it is not of the form that it should be."""

ROWS_A_LINE: Final = 500
"""About 100 kB, which are read within a millisecond."""


def value(copy: Copy, feed: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    """Return all of it as one value."""
    return {"about": copy.about, "rows": copy.rows, "feed": feed, "beside": beside}


def pack(copied: dict[str, Any]) -> bytes:
    """Return a value as bytes."""
    rows = copied["rows"]
    head = {name: part for name, part in copied.items() if name != "rows"}
    lines = [orjson.dumps(head)]
    for start in range(0, len(rows), ROWS_A_LINE):
        lines.append(orjson.dumps(rows[start : start + ROWS_A_LINE]))
    return b"\n".join(lines)


def unpack(content: bytes) -> Slices[dict[str, Any]]:
    """Return the value that was packed; raises one of ``UNREADABLE`` if it is none."""
    copied: dict[str, Any] = orjson.loads(_line(content, 0))
    rows: list[tuple[Any, ...]] = []
    start = _end(content, 0) + 1
    while start < len(content):
        rows += map(tuple, orjson.loads(_line(content, start)))
        start = _end(content, start) + 1
        yield
    copied["rows"] = rows
    return copied


def position(content: bytes) -> int:
    """Return the position of what was packed; raises likewise."""
    return int(orjson.loads(_line(content, 0))["about"]["position"])


def copy_in(copied: dict[str, Any]) -> Copy:
    """Return the replica in a value; raises likewise."""
    return Copy(about=copied["about"], rows=copied["rows"])


def _end(content: bytes, start: int) -> int:
    """Return where the line ends that begins there."""
    end = content.find(b"\n", start)
    return len(content) if end < 0 else end


def _line(content: bytes, start: int) -> memoryview:
    return memoryview(content)[start : _end(content, start)]
