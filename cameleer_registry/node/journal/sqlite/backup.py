"""Copies of the file: made beside a running server, and put back while none runs.

A copy is made by SQLite from what is committed at one moment, without the free pages
(https://www.sqlite.org/lang_vacuum.html#vacuuminto). The file alone, copied as a file, would lack
what is in its write-ahead log. Every copy is looked through, and then loaded as a server would load
it, before it gets its name; so whatever has that name is whole.

None of this may run in a server's own process: to open the file a second time there, and close it,
would drop the locks of the first connection (see :mod:`~.file`).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from ....core.instant import NANOSECONDS
from ....core.registry import Limits, Registry
from ....errors import CannotOpenDatabase, reason_of
from ....security.store import Credentials
from ...clock import Clock
from ...feed.ring import SPREAD
from . import errors
from .file import STOP_IT, File, look_at, make_directory, sync_directory, take_lock
from .loading import load

BUSY_SECONDS: Final = 10.0
"""How long it waits for another process that has locked the file: a server that starts or ends."""

INSTRUCTIONS: Final = 100_000
"""After so many of SQLite's instructions Python has its turn, so that Ctrl-C is noticed."""

FACTS_SINCE: Final = 10**9
"""More facts than a registry can have told of since a copy of it was made: events of the feed get
higher ids than any that somebody may have seen."""

_BESIDE: Final = ("-journal", "-wal", "-shm", ".lock")
"""The ends of the names of what SQLite and we put beside a database."""

_INTERRUPTED: Final = 9  # SQLITE_INTERRUPT


class CopyFailed(Exception):
    """A copy could not be made. ``str()`` of it is one line that says why."""


@frozen(kw_only=True)
class Copy:
    """A copy that is in its place."""

    path: Path
    size: int
    """Bytes."""
    agents: int
    commands: int
    upto: datetime | None
    """The last moment of which it knows anything; None where nothing has ever happened."""
    aside: Path | None = None
    """Where the file is now in whose place it was put; None where there was none."""
    guarded: bool = False
    """Whether there has ever been a credential in it."""


def back_up(path: Path, destination: Path) -> Copy:
    """Copy a database, also while a server runs on it.

    In a directory it gets a name of its own, with the moment in it. Raises CannotOpenDatabase where
    the database is none of ours, and CopyFailed.
    """
    path = Path(os.path.realpath(path))
    if _is_missing(path):
        raise CannotOpenDatabase(f"there is no database at {path}; name another with --database")
    if destination.is_dir():
        destination /= f"{path.stem}-{moment()}{path.suffix}"
    destination = Path(os.path.abspath(destination))
    if destination.exists():
        raise CopyFailed(f"{destination} exists, and is not overwritten")
    with _partial(destination) as partial:
        _copy(path, partial)
        checked = _check(partial)
        size = _sync(partial)
        if destination.exists():
            raise CopyFailed(f"{destination} was created in the meantime, and is not overwritten")
        os.replace(partial, destination)
    sync_directory(destination.parent)
    return evolve(checked, path=destination, size=size)


def restore(path: Path, source: Path, *, prepare: Callable[[Path], None] = lambda _: None) -> Copy:
    """Put a copy of a database in its place, while no server runs; what was there is moved aside.

    ``prepare`` may change the copy before it is put there. Raises CannotOpenDatabase where the copy
    is none of ours or a server runs, and CopyFailed.
    """
    path, source = Path(os.path.realpath(path)), Path(os.path.realpath(source))
    if _is_missing(source):
        raise CannotOpenDatabase(f"there is no database at {source}")
    if path.exists() and os.path.samefile(path, source):
        raise CannotOpenDatabase(f"{source} is the database itself; name a backup of it")
    make_directory(path)
    lock = take_lock(path, STOP_IT)
    try:
        with _partial(path) as partial:
            _copy(source, partial)
            _begin_anew(partial)
            checked = _check(partial)
            prepare(partial)
            _check(partial)
            size = _sync(partial)
            give_to_its_owner(path, partial, lock)
            aside = _move_aside(path)
            os.replace(partial, path)
        sync_directory(path.parent)
    finally:
        os.close(lock)
    return evolve(checked, path=path, size=size, aside=aside)


def _is_missing(path: Path) -> bool:
    """Tell whether there is nothing; raises CannotOpenDatabase for what is none of ours."""
    try:
        if path.is_dir():
            raise CannotOpenDatabase(f"{path} is a directory; name the file in it")
        return look_at(path)
    except OSError as error:
        raise CannotOpenDatabase(f"cannot read {path}: {reason_of(error)}") from None


@contextmanager
def _partial(destination: Path) -> Iterator[Path]:
    """Have an empty file beside a name, which only its owner reads, and is removed if it is left.

    Its name is its own, so that two copies made at once do not get into each other.
    """
    partial = destination.with_name(f"{destination.name}.{os.getpid()}.partial")
    try:
        with suppress(FileNotFoundError):
            partial.unlink()  # of a process of that number, which was cut off
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise CopyFailed(f"cannot write {destination}: {reason_of(error)}") from None
    try:
        yield partial
    except OSError as error:
        raise CopyFailed(f"cannot write {destination}: {reason_of(error)}") from None
    finally:
        for left in (partial, *(Path(f"{partial}{end}") for end in _BESIDE)):
            left.unlink(missing_ok=True)


def _copy(path: Path, partial: Path) -> None:
    """Have SQLite write what is committed in one file into another, which is empty."""
    try:
        with closing(_reading(path)) as connection:
            [application] = connection.execute("PRAGMA application_id").fetchone()
            if not application:
                raise CannotOpenDatabase(f"{path} is empty")
            connection.execute("VACUUM INTO ?", (str(partial),))
    except sqlite3.Error as error:
        if errors.code_of(error) == _INTERRUPTED:
            raise KeyboardInterrupt from None
        reason = errors.reason(errors.explained(error, path.parent))
        raise CopyFailed(f"cannot copy {path}: {reason}") from None


def _reading(path: Path) -> sqlite3.Connection:
    """Open a file to read it. It is as it was, but that a write-ahead log may need its index."""
    # A database at rest has no write-ahead log; then it can be read on a medium of which nothing
    # can be written, too.
    at_rest = not path.with_name(path.name + "-wal").exists() and not os.access(
        path.parent, os.W_OK
    )
    address = f"{path.as_uri()}?mode=ro{'&immutable=1' if at_rest else ''}"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    # What Python's handlers of signals raise ends the statement.
    connection.set_progress_handler(lambda: 0, INSTRUCTIONS)
    return connection


def _begin_anew(partial: Path) -> None:
    """Have the feed go on with ids that it has never told, since what followed them is gone.

    Whoever followed it is told to look again, rather than believe to have seen everything.
    """
    try:
        _move_feed(partial)
    except sqlite3.Error as error:
        raise CopyFailed(f"the copy cannot be used: {errors.reason(error)}") from None


def _move_feed(partial: Path) -> None:
    with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        [first] = connection.execute("SELECT first_event FROM state").fetchone()
        [newest] = connection.execute(
            "SELECT max((SELECT coalesce(max(seq), 0) FROM log), "
            "(SELECT coalesce(max(seq), 0) FROM rows))"
        ).fetchone()
        first = max(time.time_ns() // 1000, first + SPREAD * (newest + FACTS_SINCE))
        connection.execute("UPDATE state SET first_event = ?", (first,))
        connection.execute("DELETE FROM feed")
        connection.execute("COMMIT")


def _check(partial: Path) -> Copy:
    """Look through a copy, and load it; return until when it knows, and how much it holds."""
    credentials = Credentials()
    try:
        with closing(_reading(partial)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA quick_check")]
            if found != ["ok"]:
                raise CopyFailed(f"the copy is damaged: {' '.join(str(found[0]).split())}")
            connection.set_progress_handler(None, 0)  # Python has its turn with every row
            stat = partial.stat()
            file = File(partial, connection, False, -1, (stat.st_dev, stat.st_ino))
            # How long leases are does not matter to what is there.
            limits = Limits(
                stale_after=NANOSECONDS, dead_after=NANOSECONDS, command_ttl=NANOSECONDS
            )
            loaded = load(file, Registry(limits), Clock(), credentials)
    except sqlite3.Error as error:
        if errors.code_of(error) == _INTERRUPTED:
            raise KeyboardInterrupt from None
        raise CopyFailed(f"the copy is damaged: {errors.reason(error)}") from None
    upto = None
    if loaded.last_alive is not None:
        upto = datetime.fromtimestamp(loaded.last_alive.wall / NANOSECONDS, UTC)
    return Copy(
        path=partial,
        size=0,
        agents=loaded.agents,
        commands=loaded.commands,
        upto=upto,
        guarded=credentials.ever,
    )


def _sync(partial: Path) -> int:
    """Have a file survive a loss of power; return its size."""
    descriptor = os.open(partial, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def give_to_its_owner(path: Path, *files: Path | int) -> None:
    """Have whoever runs the server own files that root has made for it."""
    if os.geteuid() == 0:
        owner = (path if path.exists() else path.parent).stat()
        for file in files:
            os.chown(file, owner.st_uid, owner.st_gid)


def _move_aside(path: Path) -> Path | None:
    """Give a database that is there another name, its write-ahead log with it.

    The log goes first: left behind, it would be read into whatever comes in the file's place. The
    file itself keeps its old name, too, until that is taken, so that it is never missing.
    """
    parts = [path.with_name(path.name + end) for end in ("-shm", "-wal", "")]
    if not any(part.exists() for part in parts):
        return None
    aside = path.with_name(f"{path.name}.before-{moment()}")
    for part in parts:
        to = aside.with_name(aside.name + part.name.removeprefix(path.name))
        if not part.exists():
            continue
        if part != path:
            part.rename(to)
            continue
        try:
            os.link(part, to)
        except OSError:  # a file system without a second name for a file
            part.rename(to)
    sync_directory(path.parent)
    return aside


def moment() -> str:
    """Return this moment as a part of a name that sorts by it."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
