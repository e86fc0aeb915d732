"""The log in NATS JetStream: killed servers, lost connections, other histories."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nats.aio.msg import Msg

from cameleer_registry.errors import CannotJoin
from cameleer_registry.node.log.jetstream import connection as connection_module
from cameleer_registry.node.log.jetstream import tail
from cameleer_registry.node.log.jetstream.connection import Access
from cameleer_registry.node.log.jetstream.log import JetStreamLog
from cameleer_registry.node.log.port import LogUnavailable, Snapshot, TooLargeForLog

from ...nats import NatsServers, nats_servers
from ...support import eventually
from .test_log import reading


@asynccontextmanager
async def opened(servers: NatsServers, *urls: str) -> AsyncIterator[JetStreamLog]:
    """Open a log on these servers."""
    log = JetStreamLog(Access(servers=urls or servers.urls), "test")
    await log.open()
    try:
        yield log
    finally:
        await log.close()


async def insist(log: JetStreamLog, content: bytes, entry_id: str) -> None:
    """Append an entry, however often it takes."""
    while True:
        try:
            await log.append(content, entry_id)
        except LogUnavailable:
            await asyncio.sleep(0.1)
        else:
            return


async def leader_of(log: JetStreamLog) -> str:
    """Return which server leads the log."""
    info = await log._connection.api("STREAM.INFO.test-log")
    return str(info["cluster"]["leader"])


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[NatsServers]:
    """Three servers."""
    async with nats_servers(tmp_path, 3) as servers:
        yield servers


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[NatsServers]:
    """One server."""
    async with nats_servers(tmp_path) as servers:
        yield servers


async def test_three_servers_keep_three_replicas(three: NatsServers) -> None:
    """Of both streams, though they are asked for while the servers find each other."""
    async with opened(three) as log:
        for stream in ("test-log", "test-snapshots"):
            info = await log._connection.api(f"STREAM.INFO.{stream}")
            assert 3 == info["config"]["num_replicas"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_nothing_is_lost_or_stored_twice_when_a_leader_ends(
    three: NatsServers, number: signal.Signals
) -> None:
    """Whoever appends asks again under the same id, and whoever reads goes on elsewhere."""
    async with opened(three) as log:
        reader = reading(log)
        written = []

        async def write() -> None:
            for count in range(120):
                await insist(log, b"%d" % count, f"boot.{count}")
                written.append(b"%d" % count)
                await asyncio.sleep(0.01)

        writing = asyncio.create_task(write())
        await reader.reads(20)
        leader = await leader_of(log)
        [server] = [each for each in three.servers if each.name == leader]
        server.send(number)
        async with asyncio.timeout(90):
            await writing
        await reader.reads(120)
        assert written == reader.contents
        assert [] == reader.lost


async def test_a_server_that_comes_back_brings_all_with_it(one: NatsServers) -> None:
    """One alone is an outage, and no loss."""
    async with opened(one) as log:
        reader = reading(log)
        await insist(log, b"a", "boot.1")
        one[0].kill()
        with pytest.raises(LogUnavailable):
            await log.append(b"b", "boot.2")
        one[0].start()
        await insist(log, b"b", "boot.2")
        await reader.reads(2)
        assert [b"a", b"b"] == reader.contents


async def test_a_slow_reader_misses_nothing(one: NatsServers) -> None:
    """A client's own consumers drop what does not fit into their queue."""
    async with opened(one) as log:
        await asyncio.gather(*(log.append(b"%d" % n, f"x.{n}") for n in range(1500)))
        seen: list[int] = []

        def take(position: int, _stamp: int, _content: bytes) -> None:
            seen.append(position)
            if position % 100 == 0:
                # Held up, as by work that takes long.
                asyncio.get_running_loop().call_later(0, sum, range(100_000))

        log.follow(0, take, lambda _: None)
        await eventually(lambda: len(seen) == 1500)
        assert list(range(1, 1501)) == seen


async def test_a_gap_is_noticed_and_filled(
    one: NatsServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that does not come is asked for anew, with all behind it."""
    receive = tail.Tail._receive
    dropped: list[str] = []

    async def forgetful(self: tail.Tail, message: Msg) -> None:
        if message.data == b"7" and len(dropped) < 2:
            dropped.append(message.reply)
            return
        await receive(self, message)

    monkeypatch.setattr(tail.Tail, "_receive", forgetful)
    async with opened(one) as log:
        reader = reading(log)
        for number in range(10):
            await log.append(b"%d" % number, f"x.{number}")
        await reader.reads(10)
        assert 2 == len(dropped)
        assert [b"%d" % number for number in range(10)] == reader.contents
        assert log.tail_restarts >= 2


async def test_it_is_followed_as_soon_as_a_consumer_can_be_made(
    one: NatsServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not while the servers elect who leads them: it is tried again, and nothing is missed."""
    api, refused = connection_module.Connection.api, 0

    async def elects(self: connection_module.Connection, what: str, *args: Any, **body: Any) -> Any:
        nonlocal refused
        if what.startswith("CONSUMER.CREATE") and refused < 3:
            refused += 1
            raise LogUnavailable("JetStream: no leader at present")
        return await api(self, what, *args, **body)

    monkeypatch.setattr(connection_module.Connection, "api", elects)
    async with opened(one) as log:
        reader = reading(log)
        for number in range(5):
            await log.append(b"%d" % number, f"x.{number}")
        await reader.reads(5)
        assert [b"%d" % number for number in range(5)] == reader.contents
        assert 3 == refused


async def test_the_last_entry_is_missed_by_nobody(
    one: NatsServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes behind it that would show the gap, but for the server's heartbeat."""
    receive = tail.Tail._receive
    dropped: list[str] = []

    async def forgetful(self: tail.Tail, message: Msg) -> None:
        if message.data == b"last" and not dropped:
            dropped.append(message.reply)
            return
        await receive(self, message)

    monkeypatch.setattr(tail.Tail, "_receive", forgetful)
    async with opened(one) as log:
        reader = reading(log)
        await log.append(b"last", "x.1")
        await reader.reads(1)
        assert [b"last"] == reader.contents


Spoil = Callable[[JetStreamLog], Any]


async def made_anew(log: JetStreamLog) -> None:
    """Delete the stream, and have another one made with as many entries."""
    await log._connection.api("STREAM.DELETE.test-log")
    another = JetStreamLog(log._connection._access, "test")
    await another.open()
    for number in range(5):
        await another.append(b"other %d" % number, f"other.{number}")
    await another.close()


async def deleted(log: JetStreamLog) -> None:
    """Delete the stream."""
    await log._connection.api("STREAM.DELETE.test-log")


@pytest.mark.parametrize(("spoil", "says"), [(deleted, "gone"), (made_anew, "another one")])
async def test_another_history_is_noticed(one: NatsServers, spoil: Spoil, says: str) -> None:
    """Nobody goes on with it."""
    async with opened(one) as log:
        reader = reading(log)
        for number in range(3):
            await log.append(b"%d" % number, f"x.{number}")
        await reader.reads(3)
        await spoil(log)
        await eventually(lambda: reader.lost)
        assert says in reader.lost[0]
        assert 3 == len(reader.entries)


async def test_who_knows_a_log_makes_no_other(one: NatsServers) -> None:
    """An empty one would be in the way of the streams that are to be restored."""
    async with opened(one) as log:
        known, api = log.lineage, log._connection.api
        again = JetStreamLog(Access(servers=one.urls), "test")
        for lineage in (known, "another"):
            await again.open(lineage)
            assert known == again.lineage
            await again.close()
            again = JetStreamLog(Access(servers=one.urls), "test")
        await deleted(log)
        with pytest.raises(CannotJoin, match="there is no log test-log in NATS"):
            await again.open(known)
        await again.close()
        assert ["test-snapshots"] == (await api("STREAM.NAMES"))["streams"]


@pytest.mark.parametrize("first", [True, False])
async def test_who_is_to_found_a_log_says_so(one: NatsServers, first: bool) -> None:
    """Whichever of them makes its streams; and nobody does when something is in it."""
    logs = [JetStreamLog(Access(servers=one.urls), "test") for _ in range(3)]
    try:
        for number, log in enumerate(logs[:2]):
            await log.open(founds=first == (number == 0))
        for log in logs[:2]:
            assert 60 == await log.founding_seconds()
        assert logs[0].lineage == logs[1].lineage
        await deleted(logs[0])
        await logs[2].open()
        assert 2 == await logs[2].founding_seconds()
        await logs[2].append(b"0", "x.0")
        await logs[1].close()
        logs[1] = JetStreamLog(Access(servers=one.urls), "test")
        await logs[1].open(founds=True)
        assert 2 == await logs[2].founding_seconds()
    finally:
        for log in logs:
            await log.close()


async def test_a_log_that_has_forgotten_is_noticed(one: NatsServers, tmp_path: Path) -> None:
    """As after power has failed where servers do not wait for their disks."""
    import shutil

    async with opened(one) as log:
        await log.append(b"0", "x.0")
        one[0].send(signal.SIGTERM)
        assert one[0].process is not None
        await asyncio.to_thread(one[0].process.wait)
        shutil.copytree(one[0].directory / "store", tmp_path / "before")
        one[0].start()
        reader = reading(log)
        for number in range(1, 4):
            await insist(log, b"%d" % number, f"x.{number}")
        await reader.reads(4)
        one[0].kill()
        shutil.rmtree(one[0].directory / "store")
        shutil.move(tmp_path / "before", one[0].directory / "store")
        one[0].start()
        await eventually(lambda: reader.lost)
        assert "confirmed are lost" in reader.lost[0]


async def test_a_snapshot_that_is_not_whole_is_passed_over(one: NatsServers) -> None:
    """The one before it is there for that."""
    async with opened(one) as log:
        await log.found(b"founded")
        await log.save(Snapshot(5, b"good"))
        await log.save(Snapshot(9, b"bad"))
        manifest = await log._manifest()
        assert manifest is not None
        await log._ask(
            "STREAM.PURGE.test-snapshots", filter=f"test.snapshots.chunk.{manifest['id']}.*"
        )
        assert Snapshot(5, b"good") == await log.load()


async def test_a_server_that_takes_little_at_once(tmp_path: Path) -> None:
    """A snapshot is stored in smaller pieces, and an entry that is too large is refused."""
    content = secrets.token_bytes(300_000)
    small = nats_servers(tmp_path, settings="max_payload: 64KB")
    async with small as servers, opened(servers) as log:
        await log.found(content)
        assert Snapshot(0, content) == await log.load()
        for size in (60_000, 70_000):
            with pytest.raises(TooLargeForLog):
                await log.append(b"x" * size, f"e-{size}")
        with pytest.raises(TooLargeForLog):
            await log._publish("test.log", b"x" * 70_000, {})


async def test_an_old_server_is_refused(one: NatsServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line that says which is needed."""
    monkeypatch.setattr(connection_module, "OLDEST_SERVER", (99, 0, 0))
    with pytest.raises(CannotJoin, match=r"99\.0\.0 or newer is needed"):
        async with opened(one):
            pass


def test_places_are_read_from_both_forms_of_a_reply() -> None:
    """With a domain and without (NATS ADR-15)."""
    assert (7, 99, 4) == tail.place_of("$JS.ACK.log.c.1.7.3.99.4")
    assert (7, 99, 4) == tail.place_of("$JS.ACK.hub.ACC.log.c.1.7.3.99.4")
    assert (7, 99, 4) == tail.place_of("$JS.ACK.hub.ACC.log.c.1.7.3.99.4.x")


@pytest.mark.parametrize("data", [b"", b"+OK", b"[]", b'"a"', b"{"])
async def test_what_is_no_answer_of_jetstreams_is_none(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else may answer under its subject: that is asked again, and ends nothing."""

    async def request(*_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(data=data)

    connection = connection_module.Connection(Access(servers=[]))
    monkeypatch.setattr(connection._client, "request", request)
    with pytest.raises(LogUnavailable, match="not JetStream's"):
        await connection.publish("x", b"", {})
