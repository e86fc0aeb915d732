"""The journal in a file: what a node has answered outlives the process.

Facts gather in a batch, which is one row of the log and one commit: while one is under way the
next gathers, so the disk sets the pace and many requests share one fsync. Who waits for a batch
shares one future. Beside that :mod:`~.folding` makes rows of what things have come to, so that the
log stays short.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from ....core.encoding import Encoder
from ....core.events import Event
from ....core.instant import NANOSECONDS
from ....core.kept import TARGETS, Entity, RowMaker
from ....core.registry import Registry
from ....core.touched import Touched
from ....errors import CannotOpenDatabase, StorageUnavailable
from ....logs import get_logger
from ....security.encoding import ENCODERS
from ....security.kept import CREDENTIAL, maker
from ....security.store import Credentials
from ...auth.leaving import Leaving
from ...clock import Clock
from ...feed.feed import Feed
from ...telling.histogram import Histogram
from ..kinds import AWAITED, NEVER_KEPT, READ
from ..port import Figures
from . import cluster, errors
from .batches import Batch
from .condition import Condition
from .file import OF_ITS_OWN, File, open_file
from .folding import Folding
from .loading import Loaded, alive, load
from .writer import Done, Job, Replaced, WriteBack, Writer, statement

log = get_logger(__name__)

RIDE_ALONG: Final = 1.0
"""Seconds after which facts are written that nobody waits for."""

RETRY: Final = 1.0
"""Seconds after which a commit is tried again, if what has failed may pass."""

PATIENCE: Final = 4.0
"""Seconds that somebody is kept waiting for a commit while the disk refuses it: then 503."""

FLUSH_SECONDS: Final = 2.0
"""How long the end of the process waits for a disk that refuses."""

COMMIT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
FACTS_A_COMMIT: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)

INSERT: Final = "INSERT INTO log (seq, alive, facts) VALUES (?, ?, ?)"
BEGIN: Final = "INSERT OR IGNORE INTO log (seq, alive, facts) VALUES (?, ?, '[]')"


class SqliteJournal:
    """Facts in one file of SQLite."""

    keeps = True

    def __init__(
        self, path: Path, *, leaving: Leaving | None = None, in_use: str = OF_ITS_OWN
    ) -> None:
        """``in_use`` is the advice if another process has the file."""
        self.path = path
        self._in_use = in_use
        # What makes keys for it if it is to leave its cluster; None if it is not.
        self._leaving = leaving
        self.durable = self.awaited = self.readable = 0
        # The number of the newest fact.
        self.position = 0
        self.condition = Condition(path)
        self.commit_seconds = Histogram(COMMIT_SECONDS)
        self.facts_a_commit = Histogram(FACTS_A_COMMIT)
        # Set by open().
        self.touched = Touched()
        self._file: File | None = None
        self._clock: Clock | None = None
        self._encoder: Encoder | None = None
        self.rows: RowMaker | None = None
        self._written_rows: Sequence[Entity] = ()
        # The position at which this process began, and where the facts before it are in the log:
        # positions are left out after a crash.
        self._began = 0
        self._runs: Sequence[tuple[int, int]] = ()
        # Whether this process begins behind positions that are left out.
        self._has_leapt = False
        # Set by start().
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_progress: Callable[[], None] = lambda: None
        self._on_failure: Callable[[str], None] = lambda _: None
        # The batch that gathers, and the one that is being written, if there is one.
        self._gathering = Batch(0, 0)
        self._flying: Batch | None = None
        # When the gathering batch is handed over; None if nothing asks for that yet.
        self._timer: asyncio.Handle | None = None
        # Whether that is when this turn of the loop is over.
        self._is_soon = False
        # Ends the patience of those who wait while the disk refuses.
        self._impatience: asyncio.TimerHandle | None = None
        # Whether the end of the process waits for the disk no longer.
        self.gave_up = False
        # When the moment was written last, on the registry's steady clock.
        self.written = 0

    # From start to end

    @property
    def is_new(self) -> bool:
        """Whether there is no file yet."""
        try:
            self.path.stat()
        except FileNotFoundError:
            return True
        except OSError:  # opening it will say what is wrong
            pass
        return False

    def open(
        self, registry: Registry, clock: Clock, credentials: Credentials | None = None
    ) -> Loaded:
        """Open the file, and make the registry of what is in it; raises CannotOpenDatabase.

        If it is to leave its cluster, raises SettingsError, too, if there can be no keys for it.
        """
        self._file, self._clock = open_file(self.path, in_use=self._in_use), clock
        try:
            self._check_cluster(self._file)
            loaded = load(self._file, registry, clock, credentials or Credentials())
        except BaseException:
            self._file.abandon()
            self._file = None
            raise
        self._encoder = Encoder(registry.targets_of, loaded.lists)
        self._encoder.extend(ENCODERS)
        self.rows = RowMaker(registry, self._encoder)
        self.rows.extend(CREDENTIAL, maker(credentials or Credentials()))
        self.touched = loaded.touched
        self._written_rows = loaded.written
        self._began, self._runs = loaded.position, loaded.runs
        self._has_leapt = loaded.position > loaded.last_position
        self.position = self.durable = self.awaited = self.readable = loaded.position
        self._gathering = Batch(self.position, self.position)
        return loaded

    def _check_cluster(self, file: File) -> None:
        """Refuse the database of a node of a cluster, unless it is to leave that."""
        try:
            if not cluster.belongs(file.connection):
                if self._leaving is not None:
                    log.warning(
                        "leave_cluster changes nothing: the database belongs to no cluster",
                        database=str(self.path),
                    )
                return
            if self._leaving is not None:
                # First, so that it is never without a cluster and with the keys of one.
                self._leaving.make_keys(cluster.key_set(file.connection))
                cluster.leave(file.connection)
                log.warning("the database has left its cluster", database=str(self.path))
                return
        except sqlite3.Error as error:
            raise errors.unreadable(self.path, error) from None
        raise CannotOpenDatabase(
            f"{self.path} is that of a node of a cluster: start this server with --cluster, or "
            "with --leave-cluster to make a registry of its own of it"
        )

    def keeper(self, registry: Registry, feed: Feed, *, heartbeat_interval: float) -> Folding:
        """Return who makes rows of what things have come to, and keeps the feed."""
        return Folding(self, registry, feed, heartbeat_interval, self._written_rows)

    def start(self, on_progress: Callable[[], None], on_failure: Callable[[str], None]) -> None:
        """Begin to write. ``on_failure`` is told why, if nothing can be kept any more."""
        assert self._file is not None, "it is opened first"
        self._loop = asyncio.get_running_loop()
        self._on_progress, self._on_failure = on_progress, on_failure
        self._file.warn()  # behind the line that says what was found
        self._writer = Writer(self._file, self._loop, self._checkpointed, self._must_be_there)
        self.condition.look(self._writer.wal_bytes())
        self._note_begun()

    def _must_be_there(self) -> int:
        """Return the newest fact that this process has written; 0 if it has written none."""
        return self.durable if self.durable > self._began else 0

    def abandon(self) -> None:
        """Let others have the file, before anything was written."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    async def close(self) -> None:
        """Write all that is left, and let others have the file."""
        if self._file is None:
            return
        if self._writer is not None:
            await self.flush()
            if self._timer is not None:
                self._timer.cancel()
            if self._impatience is not None:
                self._impatience.cancel()
            if self.condition.failure is None and not self.gave_up:
                await self._close_file()
        file, self._file = self._file, None
        good = self.condition.failure is None and not self.gave_up
        leave = file.close if good else file.abandon
        if self._writer is None:
            leave()
            return
        # Where the disk hangs, others have the file when it has come along, or this process ends.
        self._writer.stop(leave, FLUSH_SECONDS if good else 0)
        self._writer = None

    async def _close_file(self) -> None:
        clean = int(self.durable >= self.awaited and self._flying is None)
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                for job in (
                    statement("UPDATE state SET alive = ?, closed = ?", self.alive(), clean),
                    WriteBack("TRUNCATE"),
                ):
                    result = await self.carry_out(job)
                    if result.error is not None:
                        log.error(
                            "the clean stop was not recorded", reason=errors.reason(result.error)
                        )
        except TimeoutError:
            self.give_up()

    def alive(self) -> str:
        """Return the text of this moment, from which a clock can go on."""
        assert self._clock is not None
        now = self._clock.now()
        self.written = now.steady
        return alive(self._clock, now)

    def newest_but(self, count: int) -> int:
        """Return the position before the ``count`` newest facts; below 0 where there are fewer."""
        for before, last in (*self._runs, (self._began, self.position))[::-1]:
            if last - before >= count:
                return last - count
            count -= last - before
        return -1

    @property
    def trouble(self) -> str | None:
        """Why no change should be made; None while all is well."""
        return self.condition.trouble

    @property
    def failed(self) -> bool:
        """Whether it has failed for good."""
        return self.condition.failure is not None

    @property
    def waiting(self) -> int:
        """How many bytes of facts are not durable yet."""
        return self._gathering.size + (self._flying.size if self._flying else 0)

    def check(self) -> None:
        """Raise StorageUnavailable or StorageSlow if no change should be made."""
        if self._writer is None:
            raise StorageUnavailable("storage: the database is not open")
        self.condition.check(self.waiting)

    # Facts

    def append(self, facts: Sequence[Event]) -> int:
        """Keep facts; return the position that has to be durable before they are carried out."""
        assert self._encoder is not None, "nothing happens before it is opened"
        urgent, encoder, batch = False, self._encoder, self._gathering
        note = self.touched.note
        for fact in facts:
            kind = type(fact)
            if kind in NEVER_KEPT:
                continue
            self.position = position = batch.add(orjson.dumps(encoder.encode(fact)))
            note(fact, position)
            if kind in AWAITED:
                self.awaited = self.readable = position
                urgent = True
            elif kind in READ:
                self.readable = position
        if encoder.lists.has_new:
            for number in encoder.lists.take_new():
                self.touched.add(Entity(TARGETS, str(number)), self.position)
        if batch.facts and self._loop is not None:
            if urgent:
                self._soon()
            elif self._timer is None:
                self._timer = self._loop.call_later(RIDE_ALONG, self._hand_over)
        return self.awaited

    def when(self, position: int) -> asyncio.Future[None]:
        """Return what is done when all facts up to a position are durable."""
        if self.condition.failure is not None:
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(StorageUnavailable(f"storage: {self.condition.failure}"))
            return failed
        if self._flying is not None and position <= self._flying.end:
            return self._flying.durable()
        self._soon()
        return self._gathering.durable()

    async def flush(self) -> None:
        """Wait until all facts are durable, or cannot become durable at present."""
        if self._writer is None or self.gave_up or self.durable >= self.position:
            return
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await asyncio.shield(self.when(self.position))
        except (TimeoutError, StorageUnavailable):
            self.give_up()

    def give_up(self) -> None:
        """Wait for the disk no longer: the process is to end."""
        if not self.gave_up:
            self.gave_up = True
            log.error("not all could be written", reason=self.trouble or "the disk is too slow")

    def _soon(self) -> None:
        """Hand over what gathers when this turn of the loop is over."""
        if self._is_soon or self._flying is not None or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_soon(self._hand_over)
        self._is_soon = True

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._is_soon = None, False
        if self._flying is not None or self._writer is None or not self._gathering.facts:
            return
        batch, self._gathering = self._gathering, Batch(self.position, self.position)
        self._flying = batch
        self._write(batch)

    def _write(self, batch: Batch) -> None:
        if self._writer is None:
            return  # it was to be tried again, and there is no time left
        self._submit(
            INSERT,
            batch.end,
            self.alive(),
            batch.text(),
            done=self._written,
            size=batch.size,
        )

    def _written(self, result: Done) -> None:
        batch = self._flying
        assert batch is not None
        if result.error is not None:
            self._not_written(batch, result.error)
            return
        self.commit_seconds.observe(result.seconds)
        self.facts_a_commit.observe(len(batch.facts))
        self.condition.note("commit", None)
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
        self.durable, self._flying = batch.end, None
        if self._gathering.facts and (self.durable < self.awaited or self._gathering.is_awaited):
            self._hand_over()  # the disk goes on while this one's answers are written
        elif self._gathering.facts and self._timer is None:
            assert self._loop is not None
            self._timer = self._loop.call_later(RIDE_ALONG, self._hand_over)
        self._on_progress()
        batch.settle()

    def _not_written(self, batch: Batch, error: BaseException) -> None:
        assert self._loop is not None
        if not errors.is_passing(error):
            self.fail(error)
            return
        self.condition.note("commit", errors.reason(error))
        if self._impatience is None:
            self._impatience = self._loop.call_later(PATIENCE, self._lose_patience)
        self._loop.call_later(RETRY, self._write, batch)

    def _lose_patience(self) -> None:
        self._impatience = None
        error = self.condition.error() or StorageUnavailable("storage: the disk refuses")
        for batch in (self._flying, self._gathering):
            if batch is not None:
                batch.fail(error)

    def fail(self, error: BaseException) -> None:
        """Give up: what is in the file cannot be known any more."""
        if self.condition.failure is not None:
            return
        reason = str(error) if isinstance(error, Replaced) else errors.reason(error)
        self.condition.fail(reason)
        self._on_failure(f"{self.path}: {reason}")
        self._lose_patience()

    # Other jobs

    async def carry_out(self, job: Job, *, size: int = 0) -> Done:
        """Have a job carried out behind all facts that have been handed over."""
        assert self._writer is not None
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

        def done(result: Done) -> None:
            if not future.done():
                future.set_result(result)

        self._writer.submit(job, done, size=size)
        return await future

    async def insist(self, job: Job, *, size: int = 0) -> None:
        """Do the same, again and again for as long as what fails may pass.

        Raises StorageUnavailable when it has failed for good.
        """
        while True:
            result = await self.carry_out(job, size=size)
            if result.error is None:
                self.condition.note("rows", None)
                return
            if not errors.is_passing(result.error):
                self.fail(result.error)
                raise StorageUnavailable(f"storage: {self.condition.failure}")
            self.condition.note("rows", errors.reason(result.error))
            await asyncio.sleep(RETRY)

    def look(self) -> None:
        """Look how much room there is."""
        if self._writer is not None:
            self.condition.look(self._writer.wal_bytes())

    def hand_over(self) -> None:
        """Have what gathers written before whatever is asked for next, if the writer is free."""
        self._hand_over()

    @property
    def idle(self) -> bool:
        """Whether no facts are being written, or about to be."""
        return self._flying is None and not self._gathering.facts

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of the file and of its write-ahead log."""
        try:
            main = self.path.stat().st_size
        except OSError:
            main = 0
        return main, 0 if self._writer is None else self._writer.wal_bytes()

    def figures(self) -> Figures:
        """Return how it does, in numbers."""
        main, wal = self.sizes
        return Figures(
            commit_seconds=self.commit_seconds,
            facts_a_commit=self.facts_a_commit,
            sizes={"database": main, "write-ahead-log": wal},
            waiting=self.waiting,
            refused=self.condition.refused,
            in_trouble=self.trouble is not None,
        )

    def since_written(self) -> float:
        """Return how many seconds ago something was written last."""
        assert self._clock is not None
        return (self._clock.now().steady - self.written) / NANOSECONDS

    def _submit(
        self, sql: str, *parameters: Any, done: Callable[[Done], None], size: int = 0
    ) -> None:
        assert self._writer is not None
        self._writer.submit(statement(sql, *parameters), done, size=size)

    def _checkpointed(self, result: Done) -> None:
        if result.error is None:
            self.condition.note("checkpoint", None)
        elif errors.is_passing(result.error):
            self.condition.note("checkpoint", errors.reason(result.error))
        else:
            self.fail(result.error)

    def _note_begun(self) -> None:
        """Note that this is no clean end any more; again and again on a full disk.

        After a crash also from which position on: if this process ends before it has written
        anything, it may have told of facts all the same, and the next one has to begin behind them.
        """
        if self._writer is None:
            return
        self._submit("UPDATE state SET closed = 0", done=self._begun)
        if self._has_leapt:
            self._submit(BEGIN, self._began, self.alive(), done=self._begun)

    def _begun(self, result: Done) -> None:
        if result.error is None:
            return
        if errors.is_passing(result.error):
            assert self._loop is not None
            self._loop.call_later(RETRY, self._note_begun)
        else:
            self.fail(result.error)
