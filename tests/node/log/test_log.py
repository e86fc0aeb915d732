"""What every log promises, whichever keeps it: one suite over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from cameleer_registry.node.log.jetstream.connection import Access
from cameleer_registry.node.log.jetstream.log import JetStreamLog
from cameleer_registry.node.log.local import LocalEngine, LocalLog
from cameleer_registry.node.log.port import Log, Snapshot, TooLargeForLog

from ...nats import nats_servers
from ...support import eventually

Open = Callable[[], Awaitable[Log]]


@define(eq=False)
class Reader:
    """Notes what comes out of a log."""

    entries: list[tuple[int, int, bytes]] = field(factory=list)
    lost: list[str] = field(factory=list)

    def take(self, position: int, stamp: int, content: bytes) -> None:
        self.entries.append((position, stamp, content))

    @property
    def contents(self) -> list[bytes]:
        return [content for _, _, content in self.entries]

    async def reads(self, count: int) -> None:
        await eventually(lambda: len(self.entries) >= count)


def reading(log: Log, after: int = 0) -> Reader:
    """Return what reads a log from behind a position on."""
    reader = Reader()
    log.follow(after, reader.take, reader.lost.append)
    return reader


@asynccontextmanager
async def local(_directory: Path) -> AsyncIterator[Open]:
    """Logs in this process."""
    engine = LocalEngine()

    async def open_log() -> Log:
        log = LocalLog(engine)
        await log.open()
        return log

    yield open_log


def jetstream(count: int) -> Any:
    """Logs in JetStream, on so many real servers."""

    @asynccontextmanager
    async def logs(directory: Path) -> AsyncIterator[Open]:
        async with nats_servers(directory, count) as servers, AsyncExitStack() as stack:

            async def open_log() -> Log:
                log = JetStreamLog(Access(servers=servers.urls), "test")
                await log.open()
                stack.push_async_callback(log.close)
                return log

            yield open_log

    return logs


HOMES = {"local": local, "one server": jetstream(1), "three servers": jetstream(3)}


@pytest.fixture(params=HOMES)
async def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a log, the same one each time."""
    async with HOMES[request.param](tmp_path) as opener:
        yield opener


async def test_it_is_known_how_much_is_still_to_come(open_log: Open) -> None:
    """Whoever reads five entries that are there is told of four, three, two, one and none."""
    one, other = await open_log(), await open_log()
    for number in range(5):
        await one.append(b"x", f"x.{number}")
    behind: list[int] = []
    other.follow(0, lambda *_: behind.append(other.behind), pytest.fail)
    await eventually(lambda: len(behind) == 5)
    assert [4, 3, 2, 1, 0] == behind
    assert 0 == other.behind


async def test_all_read_the_same_in_one_order(open_log: Open) -> None:
    """Positions from 1 on, and one stamp for all, whoever has appended it and when one came."""
    one, other = await open_log(), await open_log()
    assert one.lineage
    assert one.lineage == other.lineage
    early = reading(one)
    await asyncio.gather(
        *(one.append(b"a%d" % number, f"a.{number}") for number in range(20)),
        *(other.append(b"b%d" % number, f"b.{number}") for number in range(20)),
    )
    late = reading(other)
    await early.reads(40)
    await late.reads(40)
    assert early.entries == late.entries
    assert list(range(1, 41)) == [position for position, _, _ in early.entries]
    assert 40 == len(set(early.contents))
    stamps = [stamp for _, stamp, _ in early.entries]
    assert stamps == sorted(stamps)


async def test_one_id_is_stored_once(open_log: Open) -> None:
    """Who did not get an answer asks again."""
    log = await open_log()
    reader = reading(log)
    for _ in range(3):
        await log.append(b"x", "boot.1")
    await log.append(b"y", "boot.2")
    await reader.reads(2)
    assert [b"x", b"y"] == reader.contents


async def test_one_reads_on_from_a_position(open_log: Open) -> None:
    """That is what restarting comes to."""
    log = await open_log()
    for number in range(5):
        await log.append(b"%d" % number, f"boot.{number}")
    reader = reading(log, after=3)
    await reader.reads(2)
    assert [b"3", b"4"] == reader.contents
    assert (1, 5) == await log.bounds()


async def test_an_entry_that_is_too_large_is_refused_at_once(open_log: Open) -> None:
    """It is no failed append: nobody would know what became of it."""
    log = await open_log()
    with pytest.raises(TooLargeForLog):
        await log.append(bytes(log.max_entry + 1), "boot.1")
    await log.append(bytes(log.max_entry), "boot.2")
    assert (1, 1) == await log.bounds()


async def test_one_founds_a_log_and_all_others_do_not(open_log: Open) -> None:
    """Whoever comes first, and nobody after that."""
    one, other = await open_log(), await open_log()
    assert await one.load() is None
    assert 0 == await one.kept()
    found = await asyncio.gather(one.found(b"one"), other.found(b"other"))
    assert [False, True] == sorted(found)
    snapshot = await other.load()
    assert Snapshot(0, b"one" if found[0] else b"other") == snapshot


async def test_the_two_newest_snapshots_are_kept(open_log: Open) -> None:
    """Also those that do not fit into one message."""
    log = await open_log()
    await log.found(b"founded")
    for position in (10, 20, 30):
        content = bytes(range(256)) * 4096 + b"%d" % position
        await log.save(Snapshot(position, content))
        assert Snapshot(position, content) == await log.load()
    assert 20 == await log.kept()


async def test_a_trimmed_log_begins_later(open_log: Open) -> None:
    """And goes on as before."""
    log = await open_log()
    for number in range(5):
        await log.append(b"%d" % number, f"boot.{number}")
    await log.trim(3)
    assert (4, 5) == await log.bounds()
    await log.trim(5)
    assert (6, 5) == await log.bounds()
    reader = reading(log, after=5)
    await log.append(b"5", "boot.5")
    await reader.reads(1)
    assert (6, b"5") == (reader.entries[0][0], reader.contents[0])


async def test_who_has_missed_what_is_trimmed_is_told_so(open_log: Open) -> None:
    """It must begin with a snapshot."""
    log = await open_log()
    for number in range(5):
        await log.append(b"%d" % number, f"boot.{number}")
    await log.trim(4)
    reader = reading(log, after=2)
    await eventually(lambda: reader.lost)
    assert [] == reader.entries


async def test_whoever_follows_no_longer_may_follow_again(open_log: Open) -> None:
    """From wherever it likes; meanwhile nothing comes."""
    log, other = await open_log(), await open_log()
    first = reading(log)
    await log.append(b"1", "b.1")
    await first.reads(1)
    await log.unfollow()
    await other.append(b"2", "b.2")
    again = reading(log)
    await again.reads(2)
    assert [b"1", b"2"] == again.contents
    assert [b"1"] == first.contents
    await log.unfollow()
    await log.unfollow()
