"""Why a file cannot be used, and what has become of one that was."""

from __future__ import annotations

import errno
import sqlite3
import tempfile
from pathlib import Path
from typing import Final

from ....errors import CannotOpenDatabase

# https://www.sqlite.org/rescode.html, primary codes: the low byte of extended ones.
_FULL: Final = 13
_BUSY: Final = 5
_LOCKED: Final = 6

PASSING: Final = frozenset({_FULL, _BUSY, _LOCKED})
"""What may be over when it is tried again: a full disk, and a lock of another process."""


_NOT_WRITTEN: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_SHMOPEN,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_SHMMAP,
    }
)
"""Errors that may be due to a lack of room. SQLite calls only ENOSPC of a write a full disk, not
that a user's quota is used up, nor that there is no room for the index of the write-ahead log."""

_ROOM: Final = 256 * 1024
"""Bytes that are written to find that out: more than SQLite writes at once."""

_REASONS: Final = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}


def code_of(error: BaseException) -> int:
    """Return SQLite's primary result code, or 0 where there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def explained(error: Exception, directory: Path) -> Exception:
    """Return why an error has happened to a file in a directory: no room, if that is it."""
    if getattr(error, "sqlite_errorcode", 0) not in _NOT_WRITTEN:
        return error
    try:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            left = _ROOM
            while left:
                left -= file.write(bytes(left))
    except OSError as found:
        if found.errno in _REASONS:
            return found
    return error


def is_passing(error: BaseException) -> bool:
    """Tell whether what has failed may succeed when it is tried again."""
    if isinstance(error, OSError):
        return error.errno in _REASONS
    return code_of(error) in PASSING


def reason(error: BaseException) -> str:
    """Say in a few words why something has failed."""
    if isinstance(error, OSError) and error.errno in _REASONS:
        return _REASONS[error.errno]
    if code_of(error) == _FULL:
        return _REASONS[errno.ENOSPC]
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
