"""The thread that writes: one job after the other, each a commit of its own.

A job is one SQL statement, wherever that is possible. To run beside a busy event loop, a thread
has to wait for the interpreter's lock each time it comes back from SQLite: 64 rows take 12 to 32
ms row by row, and a millisecond in one statement.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from attrs import frozen

from . import errors
from .file import File, InUse

CHECKPOINT_AFTER: Final = 1000
"""Pages in the write-ahead log after which they are written back, as SQLite has it by itself."""

IDLE_SECONDS: Final = 1.0
"""After so long without a job the write-ahead log is written back, too."""

LOOKING_SHARE: Final = 20
"""So many times as long as it takes to look through the file passes before it is done again."""

_STOP: Final = object()

# sqlite.org/fileformat2.html, section 4.1: the last bit says in which order its checksums are read.
_WAL_MAGIC: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


class Replaced(Exception):
    """The file, or its write-ahead log, is not the one that was opened."""


@frozen
class Done:
    """What came of a job."""

    error: BaseException | None
    rows: list[Any]
    seconds: float
    """How long it took, from its beginning in the thread."""


Job = Callable[[sqlite3.Connection], list[Any]]


def statement(sql: str, *parameters: Any) -> Job:
    """Return the job of carrying out one statement."""
    return lambda connection: connection.execute(sql, parameters).fetchall()


@frozen
class WriteBack:
    """The job of writing the write-ahead log back into the file."""

    mode: str

    def __call__(self, connection: sqlite3.Connection) -> list[Any]:
        """Do it; what comes of it is SQLite's own row."""
        return connection.execute(f"PRAGMA wal_checkpoint({self.mode})").fetchall()


class Writer:
    """Carries out jobs in a thread of its own, and tells the loop what came of each."""

    def __init__(
        self,
        file: File,
        loop: asyncio.AbstractEventLoop,
        on_checkpoint: Callable[[Done], None],
        newest: Callable[[], int] = lambda: 0,
    ) -> None:
        """``newest`` returns the number of a fact that must be in the log."""
        self._file = file
        self._loop = loop
        # Is told on the loop what came of writing the write-ahead log back.
        self._on_checkpoint = on_checkpoint
        self._newest = newest
        # Size and time of the file's last change, as this process has left them; None if it has
        # changed the file since.
        self._left: tuple[int, int] | None = None
        # Before when, by the time of this process, the file is not looked through again.
        self._look_after = 0.0
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._wal, self._shm = f"{file.path}-wal", f"{file.path}-shm"
        with suppress(OSError):
            stat = os.stat(file.path)
            self._left = stat.st_size, stat.st_mtime_ns
        self._thread = threading.Thread(target=self._run, name="journal writer", daemon=True)
        # About how many pages of the write-ahead log have not been written back.
        self._pages = 1
        self._thread.start()

    def submit(self, job: Job, done: Callable[[Done], None], *, size: int = 0) -> None:
        """Have a job carried out after all others; ``done`` is called on the loop.

        ``size`` is about how many bytes it writes.
        """
        self._jobs.put((job, done, size))

    def stop(self, last: Callable[[], None], seconds: float) -> None:
        """End the thread when all jobs, and then the last, have been carried out.

        Waits for that, but no longer than so many seconds.
        """
        self._jobs.put((_STOP, last, 0))
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            try:
                item = self._jobs.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                if self._is_ours() and self._pages:
                    self._write_back()
                continue
            job, done, size = item
            if job is _STOP:
                done()
                return
            self._tell(done, self._carry_out(job))
            self._pages += 2 + size // 4096
            # While somebody waits for an answer, it may grow to four times that.
            patience = 1 if self._jobs.empty() else 4
            if self._pages >= patience * CHECKPOINT_AFTER and self._is_ours():
                self._write_back()

    def _carry_out(self, job: Job) -> Done:
        began = time.perf_counter()
        try:
            rows = job(self._file.connection)
            if isinstance(job, WriteBack):
                self._left = None
            self._check_identity()
        except Exception as error:
            if self._file.connection.in_transaction:
                self._roll_back()
            error = errors.explained(error, self._file.path.parent)
            return Done(error, [], time.perf_counter() - began)
        return Done(None, rows, time.perf_counter() - began)

    def _roll_back(self) -> None:
        try:
            self._file.connection.execute("ROLLBACK")
        except sqlite3.Error:
            return

    def _tell(self, done: Callable[[Done], None], result: Done) -> None:
        try:
            self._loop.call_soon_threadsafe(done, result)
        except RuntimeError:  # the loop is closed: nobody is there to be told
            return

    def _check_identity(self) -> None:
        """Raise Replaced if somebody has put another file in the place of this one.

        That is asked after each job: what was written to a file that has no name is lost.
        """
        try:
            stat = os.stat(self._file.path)
        except OSError as error:
            raise Replaced(f"{self._file.path} is gone: {error.strerror}") from None
        if (stat.st_dev, stat.st_ino) != self._file.inode:
            raise Replaced(f"{self._file.path} was replaced by another file")
        _check_is(self._wal, self._file.wal_inode)
        self._check_changes(stat.st_size, stat.st_mtime_ns)

    def _check_changes(self, size: int, changed: int) -> None:
        """Look through the file if somebody else wrote to it; raise Replaced if that did harm.

        Another process may have written the log back, as programs do that copy databases. But it
        may also have copied something over the file, which SQLite would not notice before it needs
        a page that it has not read yet.
        """
        left, now = self._left, time.monotonic()
        if left is not None and left != (size, changed) and now >= self._look_after:
            self._look_through()
            passed = time.monotonic()
            self._look_after = passed + LOOKING_SHARE * (passed - now)
        elif left is not None:
            return
        self._left = size, changed

    def _look_through(self) -> None:
        connection, path = self._file.connection, self._file.path
        connection.execute("PRAGMA shrink_memory")  # what is cached is not what is in the file
        try:
            [[found]] = connection.execute("PRAGMA quick_check(1)").fetchall()
            [newest] = connection.execute("SELECT coalesce(max(seq), 0) FROM log").fetchone()
        except sqlite3.DatabaseError as error:
            if errors.is_passing(error):
                return
            raise Replaced(f"{path} was overwritten: {errors.reason(error)}") from None
        if found != "ok":
            raise Replaced(f"{path} was overwritten: {' '.join(found.split())}")
        if newest < self._newest():
            raise Replaced(f"{path} was overwritten by an older copy")

    def _is_ours(self) -> bool:
        """Look whether nobody else has or has overwritten the file; tell the loop if so.

        That is asked when nothing is to be done, and before the write-ahead log is written back:
        SQLite would write back whatever is in it.
        """
        try:
            self._check_identity()
            self._file.hold()
            self._check_index()
            self._check_log()
        except (Replaced, InUse, OSError) as error:
            self._tell(self._on_checkpoint, Done(error, [], 0.0))
            return False
        return True

    def _check_index(self) -> None:
        """Raise Replaced if the index of the write-ahead log was removed or replaced.

        The locks of readers are in it. Another process would make a new one, and what it still
        reads, such as a backup, would be overwritten when this process writes the log back.
        """
        if self._file.shm_inode is not None:
            _check_is(self._shm, self._file.shm_inode)

    def _check_log(self) -> None:
        """Raise Replaced if what the write-ahead log begins with has been overwritten.

        A log that was cut off while it was in use begins with zeros as soon as SQLite has written
        on behind them. An empty one may have been emptied by another process's checkpoint.
        """
        with open(self._wal, "rb") as wal:
            magic = wal.read(4)
        if magic and magic not in _WAL_MAGIC:
            raise Replaced(f"{self._wal} was overwritten")

    def _write_back(self) -> None:
        """Write the write-ahead log back into the file.

        SQLite would do so by itself, and would not say when that fails.
        """
        result = self._carry_out(WriteBack("PASSIVE"))
        # Pages that a reader still needs are written back the next time.
        complete = result.error is None and _is_complete(result.rows)
        self._pages = 0 if complete else CHECKPOINT_AFTER // 2
        self._tell(self._on_checkpoint, result)

    def wal_bytes(self) -> int:
        """Return the size of the write-ahead log."""
        try:
            return os.stat(self._wal).st_size
        except OSError:
            return 0


def _check_is(path: str, inode: tuple[int, int]) -> None:
    """Raise Replaced if a file that belongs to the database was removed, or is another one."""
    try:
        found = os.stat(path)
    except OSError:
        raise Replaced(f"{path} was removed") from None
    if (found.st_dev, found.st_ino) != inode:
        raise Replaced(f"{path} was replaced by another file")


def _is_complete(rows: list[Any]) -> bool:
    """Tell from a checkpoint's result whether everything has been written back."""
    return bool(rows) and rows[0][0] == 0 and rows[0][1] == rows[0][2]
