"""Why a file cannot be used, and what has become of one that was."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from ....errors import CannotOpenDatabase

# https://www.sqlite.org/rescode.html, primary codes: the low byte of extended ones.
_FULL: Final = 13
_BUSY: Final = 5
_LOCKED: Final = 6

PASSING: Final = frozenset({_FULL, _BUSY, _LOCKED})
"""What may be over when it is tried again: a full disk, and a lock of another process."""


def code_of(error: BaseException) -> int:
    """Return SQLite's primary result code, or 0 where there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_passing(error: BaseException) -> bool:
    """Tell whether what has failed may succeed when it is tried again."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return code_of(error) in PASSING


def reason(error: BaseException) -> str:
    """Say in a few words why something has failed."""
    if code_of(error) == _FULL:
        return "the disk is full"
    if code_of(error) in (_BUSY, _LOCKED):
        return "another process has locked the database"
    name = getattr(error, "sqlite_errorname", None)
    text = " ".join(str(error).split())
    return f"{text} ({name})" if name else text


def unreadable(path: object, error: sqlite3.Error) -> CannotOpenDatabase:
    """Return the error that says that a file cannot be read."""
    return CannotOpenDatabase(
        f"{path} cannot be read: {reason(error)}; it is left as it is. "
        "Restore a backup, or name another file with --database"
    )
