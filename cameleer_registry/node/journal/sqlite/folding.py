"""Keeping the log short: rows of what things have come to, and what is not kept fact by fact."""

from __future__ import annotations

import asyncio
import sqlite3
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from ....core.kept import DELIVERY, FORGOTTEN_SILENTLY, TARGETS, Entity
from ....core.registry import Registry
from ....errors import StorageUnavailable
from ....security.kept import CREDENTIAL
from .writer import statement

if TYPE_CHECKING:
    from .journal import SqliteJournal

TICK: Final = 0.1
"""Seconds between two looks at what there is to do."""

ROUND: Final = 1.0
"""Seconds after which other things get a turn, such as to drop from the log what is in rows."""

ROWS: Final = 100
"""Rows made at a time: a millisecond of the disk's, and less of the loop's."""

BEHIND: Final = 10_000
"""Things that something has happened to, from which on rows are made also while facts are written.
Until then these come first; and of what happens to the same thing meanwhile there is one row."""

MOST_ROWS: Final = 6400
"""Rows made at a time where very much has gathered: then they keep up, whatever it takes. Each has
five parameters, of which SQLite takes 32,766."""

ROW_BYTES: Final = 100
"""Bytes that a row takes beside its body, about."""

ALIVE: Final = 5.0
"""Seconds without a commit after which the moment is noted: from there the clock goes on."""

CHUNK: Final = 1000
"""Agents whose last heartbeats are written together."""

END_SECONDS: Final = 2.0
"""How long the end of the process waits for a disk that refuses, or is slow."""

LOOKED_AT: Final = 200
"""Rows of each table that are looked at in a second, whether the registry has forgotten what they
are about: a millisecond, and all of them in a minute."""

TOLD_AGAIN: Final = 20_000
"""Facts that stay in the log for the feed, which tells them again after a restart."""

UPSERT: Final = """
    INSERT INTO rows (kind, key, part, seq, body) VALUES {}
    ON CONFLICT (kind, key, part) DO UPDATE SET seq = excluded.seq, body = excluded.body
"""
DELETE: Final = """
    DELETE FROM rows WHERE (kind, key, part) IN
    (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1))
    OR (kind = 'delivery' AND key IN
        (SELECT value ->> 1 FROM json_each(?1) WHERE value ->> 0 = 'command'))
"""
HEARD: Final = """
    INSERT INTO heard (chunk, ids, moments) VALUES (?, ?, ?)
    ON CONFLICT (chunk) DO UPDATE SET ids = excluded.ids, moments = excluded.moments
"""
FEED: Final = """
    INSERT OR REPLACE INTO feed (id, after, type, groups, at, data)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
    FROM json_each(?) WHERE true
"""


class FeedToKeep(Protocol):
    """What is asked of the feed, so that it goes on after a restart."""

    def take_unkept(self) -> tuple[list[list[Any]], int, int]:
        """Return events that are to be kept, the position up to which all are told, and the oldest
        id that is still in the ring.
        """


class Folding:
    """Makes rows of what things have come to, behind the log."""

    def __init__(
        self,
        journal: SqliteJournal,
        registry: Registry,
        feed: FeedToKeep,
        heartbeat_interval: float,
        written: Iterable[Entity] = (),
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._feed = feed
        self._heartbeat_interval = heartbeat_interval
        # Rows of what the registry forgets without a fact, by table.
        self._written: dict[str, set[Entity]] = {
            table: set() for table in (*FORGOTTEN_SILENTLY, CREDENTIAL)
        }
        for entity in written:
            self._written[entity.table].add(entity)
        # Those of them that have yet to be looked at in this round.
        self._to_look_at: dict[str, list[Entity]] = {table: [] for table in self._written}
        # The position up to which the feed was kept the last time.
        self._fed = -1
        # The position up to which all facts are in rows, as it was noted the last time.
        self._folded = -1
        # Lists of targets that no command refers to: up to which fact there may be one that does.
        self._unused: dict[int, int] = {}
        # The steady time at which each chunk of heartbeats was written.
        self._heard: dict[int, int] = {}
        self._next_chunk = 0
        self._chunks_due = 0.0
        # When that was reckoned, on the clock of the loop.
        self._looked = 0.0

    async def run(self) -> None:
        """Do all of that whenever there is something to do. Never ends."""
        journal, loop = self._journal, asyncio.get_running_loop()
        second = self._looked = loop.time()
        while True:
            await asyncio.sleep(TICK)
            if journal.condition.failure is not None:
                await asyncio.sleep(3600)
                continue
            try:
                if loop.time() >= second:
                    second = loop.time() + 1
                    journal.look()
                    await self.keep_feed()
                    await self._trim()
                    if journal.since_written() > ALIVE:
                        await self._note_alive()
                if journal.trouble is None:
                    await self._keep_heard()
                    await self._fold_aside()
            except StorageUnavailable:
                continue  # it has failed, and everybody knows by now

    async def finish(self) -> None:
        """Write what a clean end leaves behind: when agents were heard, and the feed."""
        journal = self._journal
        if journal.trouble is not None or journal.gave_up:
            return
        try:
            async with asyncio.timeout(END_SECONDS):
                await self.keep_feed()
                for chunk in range(self._chunks()):
                    await self._write_chunk(chunk, always=True)
        except (TimeoutError, StorageUnavailable):
            journal.give_up()

    # Rows

    async def fold(self) -> None:
        """Make rows of all that was touched."""
        while len(self._journal.touched) and self._journal.trouble is None:
            await self._fold_some()

    async def _fold_aside(self) -> None:
        """Make rows of what was touched by now, as long as no facts are written, or far behind.

        Not of what is touched meanwhile: a few rows take a commit as many do, and whoever waits
        for an answer would wait for that, too, one command after the other.
        """
        journal, loop = self._journal, asyncio.get_running_loop()
        left, until = len(journal.touched), loop.time() + ROUND
        while left > 0 and journal.trouble is None and loop.time() < until:
            if len(journal.touched) < BEHIND and not journal.idle:
                return
            left -= await self._fold_some()

    async def _fold_some(self) -> int:
        """Make rows of some things; return of how many."""
        journal = self._journal
        position = journal.position
        since = journal.touched.folded(position) + 1
        entities = journal.touched.take(rows_at_once(len(journal.touched)))
        try:
            await self._write_rows(entities, position)
        except BaseException:
            # Whatever has gone wrong: the facts are needed until there are rows of what they say.
            journal.touched.put_back(entities, since)
            raise
        return len(entities)

    async def _write_rows(self, entities: Sequence[Entity], position: int) -> None:
        """Write rows of things as they are now, after the fact at a position."""
        journal = self._journal
        assert journal.rows is not None
        rows = [journal.rows.row(entity) for entity in entities]
        there: list[Entity] = []
        gone: list[Entity] = []
        size, parameters = 0, list[str | int]()
        for row in (*journal.rows.new_lists(), *rows):
            if row.value is None:
                gone.append(row.entity)
                continue
            there.append(row.entity)
            body = orjson.dumps(row.value).decode()
            parameters += (*row.entity, position, body)
            size += ROW_BYTES + len(body)
        # Not before the facts that they tell of: one fact is about several things, and if there
        # were rows of some of these only, a crash would leave what never was.
        if journal.durable < position:
            await asyncio.shield(journal.when(position))
        if there:
            await journal.insist(statement(_upsert(len(there)), *parameters), size=2 * size)
        if gone:
            # A delivery's row goes with that of its command, and not before: a crash between them
            # would leave a command of which something is missing.
            keys = [_key_of(entity) for entity in gone if entity.table != DELIVERY]
            await journal.insist(statement(DELETE, _text(keys)))
        self._note_written(there, gone)

    def _note_written(self, there: Sequence[Entity], gone: Sequence[Entity]) -> None:
        for entity in there:
            if (written := self._written.get(entity.table)) is not None:
                written.add(entity)
        for entity in gone:
            if (written := self._written.get(entity.table)) is not None:
                written.discard(entity)

    def _touch_forgotten(self) -> None:
        """Have rows made anew of what the registry may have forgotten without a fact."""
        journal = self._journal
        assert journal.rows is not None
        for table, written in self._written.items():
            if not self._to_look_at[table]:
                self._to_look_at[table] = list(written)
            for _ in range(min(LOOKED_AT, len(self._to_look_at[table]))):
                entity = self._to_look_at[table].pop()
                if entity in written and journal.rows.row(entity).value is None:
                    journal.touched.add(entity, journal.position)

    async def _trim(self) -> None:
        """Drop the facts that are in rows, and that the feed does not need either."""
        journal = self._journal
        if journal.trouble is not None:
            return
        self._touch_forgotten()
        folded = min(journal.touched.folded(journal.position), journal.durable)
        if folded > self._folded:
            await journal.insist(statement("UPDATE state SET folded = ?", folded))
            self._folded = folded
        until = min(folded, journal.newest_but(TOLD_AGAIN))
        if until > 0:
            await journal.insist(statement("DELETE FROM log WHERE seq <= ?", until))
        # Not before: a crash between the two would leave facts that refer to what is not there.
        await self._drop_lists(until)

    async def _drop_lists(self, dropped: int) -> None:
        """Forget lists of targets that neither a command nor a fact in the log refers to.

        Facts are dropped from the log up to a position.
        """
        journal = self._journal
        assert journal.rows is not None
        in_use = journal.rows.lists_in_use()
        for number in journal.rows.lists():
            if number in in_use:
                self._unused.pop(number, None)
            else:
                self._unused.setdefault(number, journal.position)
        gone = [number for number, since in self._unused.items() if since <= dropped]
        if gone:
            journal.rows.forget_lists(gone)
            for number in gone:
                del self._unused[number]
            keys = _text(_key_of(Entity(TARGETS, str(number))) for number in gone)
            await journal.insist(statement(DELETE, keys))

    # What is not kept fact by fact

    async def _note_alive(self) -> None:
        await self._journal.insist(statement("UPDATE state SET alive = ?", self._journal.alive()))

    async def keep_feed(self) -> None:
        """Keep the events of the feed that cannot be made of facts again."""
        rows, fed, oldest = self._feed.take_unkept()
        journal = self._journal
        if not rows and fed <= self._fed:
            return
        self._fed = fed
        journal.hand_over()

        def job(connection: sqlite3.Connection) -> list[Any]:
            connection.execute("BEGIN IMMEDIATE")
            if rows:
                connection.execute(FEED, (_text(rows),))
            connection.execute("DELETE FROM feed WHERE id < ?", (oldest,))
            connection.execute("UPDATE state SET fed = ?", (fed,))
            connection.execute("COMMIT")
            return []

        await journal.insist(job, size=sum(len(row[5]) for row in rows))

    async def _keep_heard(self) -> None:
        """Write when agents were heard, one chunk after the other, all in a heartbeat interval."""
        chunks, now = self._chunks(), asyncio.get_running_loop().time()
        passed, self._looked = now - self._looked, now
        self._chunks_due = min(
            float(chunks), self._chunks_due + chunks * passed / self._heartbeat_interval
        )
        while self._chunks_due >= 1:
            self._chunks_due -= 1
            if self._next_chunk >= chunks:
                self._next_chunk = 0
                # There were more agents, and those who are left stand before.
                await self._journal.insist(statement("DELETE FROM heard WHERE chunk >= ?", chunks))
            await self._write_chunk(self._next_chunk)
            self._next_chunk += 1

    def _chunks(self) -> int:
        return -(-len(self._registry) // CHUNK)

    async def _write_chunk(self, chunk: int, *, always: bool = False) -> None:
        records = self._registry.records(chunk * CHUNK, CHUNK)
        since = self._heard.get(chunk, -1)
        if not always and all(record.heard.steady <= since for record in records):
            return
        self._heard[chunk] = max((record.heard.steady for record in records), default=0)
        ids = orjson.dumps([record.agent_id for record in records]).decode()
        moments = array("q", (record.heard.wall for record in records))
        moments.extend(record.heard.steady for record in records)
        moments.extend(record.heard.lease for record in records)
        raw, alive = moments.tobytes(), self._journal.alive()

        def job(connection: sqlite3.Connection) -> list[Any]:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(HEARD, (chunk, ids, raw))
            # The next process goes on from there, and nobody was heard after it.
            connection.execute("UPDATE state SET alive = ?", (alive,))
            connection.execute("COMMIT")
            return []

        await self._journal.insist(job, size=len(ids) + len(raw))


def _key_of(entity: Entity) -> list[str]:
    return [entity.table, entity.key, entity.part]


def rows_at_once(gathered: int) -> int:
    """Return how many rows are made at a time, when so much has gathered.

    Each time waits for a commit, and more may come meanwhile than a few rows are. So they double
    as often as that has doubled since it was far too much, and what gathers has an end.
    """
    rows = ROWS
    while rows < MOST_ROWS and gathered > BEHIND * rows // ROWS:
        rows *= 2
    return rows


@lru_cache(maxsize=2 * ROWS)
def _upsert(count: int) -> str:
    """Return the statement that writes so many rows.

    Rows that SQLite has to take out of JSON take twice as long.
    """
    return UPSERT.format(", ".join(["(?, ?, ?, ?, ?)"] * count))


def _text(values: Any) -> str:
    return orjson.dumps(list(values)).decode()
