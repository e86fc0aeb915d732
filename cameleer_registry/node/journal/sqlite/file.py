"""The file: found, locked, looked at, opened, and made where there is none.

One process has it, by a lock of its own: two that write one SQLite file in WAL mode would not
notice each other. The database file is never opened a second time by this process, since closing
that would drop the locks of the first (sqlite.org/howtocorrupt.html, section 2.2). What can be told
without SQLite is told from the first bytes, so that a file that is none of ours is not touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
import struct
import time
from pathlib import Path
from typing import Final
from uuid import uuid4

from attrs import define

from ....errors import CannotOpenDatabase, reason_of
from ....logs import get_logger
from . import errors, filesystems, schema

log = get_logger(__name__)

MAGIC: Final = b"SQLite format 3\x00"
HEADER: Final = 108
"""Bytes of the file's head, and of that of its first page."""

TABLE_LEAF: Final = 13
"""What a page begins with that has rows of a table."""

BUSY_SECONDS: Final = 1.0
"""How long SQLite waits for another process that has locked the file."""

WAL_LIMIT: Final = 64 * 2**20
"""Bytes to which the write-ahead log is cut when it has been written back."""

_ADVICE: Final = "name another file with --database, or --database memory to store nothing"

_PRAGMAS: Final = (
    ("journal_mode", "wal", "wal"),
    ("synchronous", "full", 2),
    # SQLite's own checkpoints swallow a failed fsync of the main file.
    ("wal_autocheckpoint", "0", 0),
    ("journal_size_limit", str(WAL_LIMIT), WAL_LIMIT),
    ("temp_store", "memory", 2),
    ("mmap_size", "0", 0),
    ("fullfsync", "on", 1),
    ("checkpoint_fullfsync", "on", 1),
    ("foreign_keys", "off", 0),
)
"""What is set, and what has to be read back."""


OF_ITS_OWN: Final = "give this one a --database of its own"
"""The advice to a server if another process has the file, and"""
STOP_IT: Final = "stop it first"
"""that to a command which works on the file of a stopped server."""


class InUse(CannotOpenDatabase):
    """Another process has the file."""


@define(eq=False)
class File:
    """An open database file."""

    path: Path
    connection: sqlite3.Connection
    is_new: bool
    # What lives as long as the lock on it.
    lock: int
    # Identities of the file and of its write-ahead log, by which it is noticed if one is replaced.
    inode: tuple[int, int]
    # What kind of file system it is on.
    kind: str = ""
    wal_inode: tuple[int, int] = (0, 0)
    # That of the log's index; None if SQLite keeps it in memory, as on a network file system.
    shm_inode: tuple[int, int] | None = None

    def warn(self) -> None:
        """Say so in the log if this is a bad place for a database."""
        if self.kind in filesystems.REMOTE:
            log.warning(
                "the database is on a network file system, where no other process can read it",
                database=str(self.path),
                file_system=self.kind,
            )
        elif self.kind in filesystems.FLEETING:
            log.warning(
                "the database will be lost with this container or the next start of the host",
                database=str(self.path),
                file_system=self.kind,
            )

    def hold(self) -> None:
        """Lock the file again if somebody has removed the lock, taking it for a stale one.

        Raises InUse if another process has the file by then.
        """
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self.lock), os.stat(lock_of(self.path))):
                return
        try:
            lock = take_lock(self.path, "its lock was removed while this process had it")
        except InUse:
            raise
        except (CannotOpenDatabase, OSError):
            return  # the disk is full, say; the next time will do
        os.close(self.lock)
        self.lock = lock

    def close(self) -> None:
        """Close the file, and let others have it."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        os.close(self.lock)

    def abandon(self) -> None:
        """Let others have the file without closing the connection, which would write to it."""
        _abandoned.append(self.connection)
        os.close(self.lock)


_abandoned: list[sqlite3.Connection] = []
"""Connections to files in which something is wrong: to close one would write to it."""


def open_file(path: Path, *, in_use: str = OF_ITS_OWN) -> File:
    """Open a database file, and make it where there is none.

    A directory that is made for it is 0700, and the file 0600; what exists stays as it is. Raises
    CannotOpenDatabase with one line that says why.
    """
    # Two names of one file are one file: its lock and its write-ahead log stand beside it.
    path = Path(os.path.realpath(path))
    make_directory(path)
    locked_before = lock_of(path).exists()
    lock = take_lock(path, in_use)
    try:
        is_new = look_at(path)
        _refuse_other_names(path)
        kind = filesystems.kind_of(path.parent)
        # Also if it is there: SQLite is content with reading until something is to be written.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
    except OSError as error:
        os.close(lock)
        raise CannotOpenDatabase(f"cannot write {path}: {reason_of(error)}; {_ADVICE}") from None
    except sqlite3.Error as error:
        os.close(lock)
        raise CannotOpenDatabase(f"cannot open {path}: {errors.reason(error)}; {_ADVICE}") from None
    except BaseException:
        if not locked_before:  # beside a file that is none of ours, nothing of ours is left
            lock_of(path).unlink(missing_ok=True)
        os.close(lock)
        raise
    status = os.stat(path)
    file = File(path, connection, is_new, lock, (status.st_dev, status.st_ino), kind)
    try:
        if kind in filesystems.REMOTE:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _configure(connection)
        if is_new:
            _fill(connection)
            sync_directory(path.parent)
        else:
            _complete(connection, path)
            _check(connection)
            _upgrade(connection, path)
        wal = os.stat(f"{path}-wal")
        file.wal_inode = wal.st_dev, wal.st_ino
        with contextlib.suppress(FileNotFoundError):
            shm = os.stat(f"{path}-shm")
            file.shm_inode = shm.st_dev, shm.st_ino
    except sqlite3.Error as error:
        file.abandon()
        found = errors.explained(error, path.parent)
        if errors.is_passing(found):
            raise CannotOpenDatabase(
                f"cannot write {path}: {errors.reason(found)}; {_ADVICE}"
            ) from None
        raise errors.unreadable(path, error) from None
    except BaseException:
        file.abandon()
        raise
    return file


def make_directory(path: Path) -> None:
    """Make the directory that a file is to be in; raises CannotOpenDatabase."""
    try:
        missing = [each for each in path.parents if not each.exists()]
        for directory in reversed(missing):
            directory.mkdir(mode=0o700)
            sync_directory(directory.parent)  # a cut of the power takes the name back otherwise
        if path.is_dir():
            raise CannotOpenDatabase(f"{path} is a directory; {_ADVICE}")
    except OSError as error:
        raise CannotOpenDatabase(f"cannot write {path}: {reason_of(error)}; {_ADVICE}") from None


def lock_of(path: Path) -> Path:
    """Return the name of the file that is locked for a database file."""
    return path.with_name(path.name + ".lock")


def take_lock(path: Path, advice: str = OF_ITS_OWN) -> int:
    """Lock the file for this process, whose number stands in the lock for whoever comes next.

    Raises InUse, which ends in ``advice``, if another process has it, and CannotOpenDatabase.
    """
    name = lock_of(path)
    while True:
        try:
            lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CannotOpenDatabase(
                f"cannot write {path}: {reason_of(error)}; {_ADVICE}"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            os.close(lock)
            raise InUse(f"{path} is in use by process {holder or '(unknown)'}; {advice}") from None
        # Another process, which refused the file, may have removed the lock before we had it.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), os.stat(name)):
                break
        os.close(lock)
    with contextlib.suppress(OSError):  # on a full disk: the lock is what counts
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def look_at(path: Path) -> bool:
    """Tell whether there is no file yet; raises CannotOpenDatabase for one that is none of ours."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe would wait for its other end
            raise CannotOpenDatabase(f"{path} is not a regular file; {_ADVICE}")
        with path.open("rb") as file:
            header = file.read(HEADER)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return True
    wal = path.with_name(path.name + "-wal")
    if not header:
        if wal.exists() and wal.stat().st_size:
            raise CannotOpenDatabase(f"{path} is empty, but its write-ahead log is not")
        return True
    if not header.startswith(MAGIC) or len(header) < HEADER:
        raise CannotOpenDatabase(f"{path} is not an SQLite database; it is left unchanged")
    logged = wal.exists() and wal.stat().st_size > 0
    version, application = struct.unpack_from(">I4xI", header, 60)
    if application == 0 and version == 0 and _is_blank(header):
        return False  # it was being made when the process ended; see _complete()
    if application != schema.APPLICATION_ID:
        raise CannotOpenDatabase(f"{path} is a database of another program; it is left unchanged")
    if version > schema.FORMAT:
        raise CannotOpenDatabase(
            f"{path} was written by a newer version of cameleer-registry (format {version}; this "
            f"one knows {schema.FORMAT}); it is left unchanged"
        )
    page = struct.unpack_from(">H", header, 16)[0]
    page = 65536 if page == 1 else page
    if size % page and not logged:
        raise CannotOpenDatabase(f"{path} ends in the middle of a page; it is left unchanged")
    changes, pages = struct.unpack_from(">II", header, 24)
    [counted] = struct.unpack_from(">I", header, 92)
    # With a log, the file may have been cut off from it in the middle of a checkpoint.
    if changes == counted and size < pages * page and not logged:
        raise CannotOpenDatabase(
            f"{path} has been cut off: {size} of its {pages * page} bytes are there; it is left "
            "unchanged"
        )
    return False


def _refuse_other_names(path: Path) -> None:
    """Refuse a file that has a second name in the file system.

    The lock and the write-ahead log stand beside the first name, so a process that opens the file
    by the second sees neither (sqlite.org/howtocorrupt.html, section 2.3).
    """
    with contextlib.suppress(FileNotFoundError):
        if (names := os.stat(path).st_nlink) > 1:
            raise CannotOpenDatabase(
                f"{path} has {names} names (hard links), by which two processes could write to "
                f"it; remove the others, or make a copy with cp; it is left unchanged"
            )


def _is_blank(header: bytes) -> bool:
    """Tell from the first page of a database whether there is no table in it.

    The page is a leaf of a table then, without cells (sqlite.org/fileformat2.html, 1.6).
    """
    return header[100] == TABLE_LEAF and header[103:105] == b"\0\0"


def _configure(connection: sqlite3.Connection) -> None:
    for name, value, expected in _PRAGMAS:
        connection.execute(f"PRAGMA {name} = {value}")
        found = connection.execute(f"PRAGMA {name}").fetchone()
        if found is not None and found[0] != expected:
            raise CannotOpenDatabase(f"SQLite does not accept {name} = {value} here: {found[0]!r}")


def _fill(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema.FORMAT}")
    for statement in schema.CREATE:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO state (id, registry, first_event, alive) VALUES (1, ?, ?, '')",
        (str(uuid4()), time.time_ns() // 1000),
    )
    connection.execute("COMMIT")


def _complete(connection: sqlite3.Connection, path: Path) -> None:
    """Make what is missing of a file whose making came to no end; refuse one of something else."""
    [application] = connection.execute("PRAGMA application_id").fetchone()
    if application == schema.APPLICATION_ID:
        return
    [tables] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application or tables:
        raise CannotOpenDatabase(f"{path} is a database of another program; it is left unchanged")
    _fill(connection)
    sync_directory(path.parent)


def _check(connection: sqlite3.Connection) -> None:
    """Look at each page: what is found now is not found when something needs that page.

    It takes a millisecond a megabyte.
    """
    [[found]] = connection.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise sqlite3.DatabaseError(" ".join(found.split()))


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Bring an older file up to date, after a copy of it has been put beside it."""
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version == schema.FORMAT:
        return
    if version > schema.FORMAT:
        raise CannotOpenDatabase(
            f"{path} was written by a newer version of cameleer-registry (format {version}; this "
            f"one knows {schema.FORMAT}); it is left unchanged"
        )
    copy = path.with_name(f"{path.name}.v{version}.bak")
    if not copy.exists():
        _copy(connection, copy)
    connection.execute("BEGIN IMMEDIATE")
    for each in range(version, schema.FORMAT):
        for statement in schema.UPGRADES[each]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {schema.FORMAT}")
    connection.execute("COMMIT")
    log.info("the database is upgraded", database=str(path), before=version, copy=str(copy))


def _copy(connection: sqlite3.Connection, copy: Path) -> None:
    """Put a copy in place that is whole, whenever the process ends."""
    partial = copy.with_name(copy.name + ".partial")
    partial.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(partial),))
    partial.chmod(0o600)
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    partial.rename(copy)
    sync_directory(copy.parent)


def sync_directory(directory: Path) -> None:
    """Have the names in a directory survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
