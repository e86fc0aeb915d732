"""The operators' event feed, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from cameleer_registry import NODE, Ack, CommandType, Node, Order, Settings, Target, create_app
from cameleer_registry.node.feed import feed as feed_module
from cameleer_registry.node.feed import followers
from cameleer_registry.node.feed.followers import PIECE, Follower

from ..core.conversations import registration
from ..support import (
    AT_ONCE,
    Connection,
    EndOfStream,
    Served,
    at_once,
    begin_stream,
    connected,
    eventually,
    following,
    running,
    serving,
    streaming,
    virtual_clock,
    within,
)

ORDER = Order(type=CommandType.CONFIG_UPDATE)
GET = "GET /api/v1/events{} HTTP/1.1\r\nHost: x\r\n\r\n"


def happen(node: Node, count: int = 1, *, name: str = "a", group: str = "g") -> None:
    """Make so many events happen: one agent registers again and again."""
    for _ in range(count):
        at_once(node.register(registration(name, group)))


async def ids(follower: Connection, count: int) -> list[int]:
    return [int((await follower.event())["id"]) for _ in range(count)]


async def beyond_positions(follower: Connection) -> dict[str, Any]:
    """Read up to and including the next event that tells of something."""
    while (event := await follower.event())["event"] == "position":
        pass
    return event


def newest(served: Served) -> int:
    return served.node.feed._ring.newest


# What is told


async def test_the_feed_begins_at_once(served: Served) -> None:
    """Like an agent's stream: headers, the reconnection delay and a comment."""
    async with connected(served) as connection:
        connection.writer.write(GET.format("").encode())
        answer = await connection.head()
        opening = await connection.chunk()
    headers = answer.headers
    assert 200 == answer.status
    assert "text/event-stream" == headers["content-type"]
    assert "no-store, no-transform" == headers["cache-control"]
    assert "no" == headers["x-accel-buffering"]
    assert "close" == headers["connection"]
    assert "1" == headers["x-cameleer-protocol-version"]
    assert re.fullmatch(rb"retry: [2-5]\d{3}\n: connected\n", opening)


async def test_what_happens_is_told(served: Served) -> None:
    """In order, from what agents and operators do by HTTP."""
    async with following(served) as follower:
        await served.register("a", "g", version="1")
        async with streaming(served, "a"):
            command = (await served.issue("/agents/a")).json()
            await served.ack("a", command["commandId"], {"status": "FAILURE", "message": "no"})
        await eventually(lambda: not served.node.agent("a").connected)
        await served.request("DELETE", "/agents/a")
        events = [await follower.event() for _ in range(6)]
    assert [
        "agent-registered",
        "stream-opened",
        "command-issued",
        "delivery-acknowledged",
        "stream-closed",
        "agent-removed",
    ] == [event["event"] for event in events]
    first = int(events[0]["id"])
    assert list(range(first, first + 6)) == [int(event["id"]) for event in events]
    issued, acknowledged = events[2]["data"], events[3]["data"]
    for name in ("commandId", "type", "target", "targetCount", "createdAt", "expiresAt"):
        assert command[name] == issued[name]
    assert {
        "commandId": command["commandId"],
        "type": "config-update",
        "agentIds": ["a"],
        "failures": [{"agentId": "a", "message": "no"}],
        "failedCount": 1,
        "status": "ACKNOWLEDGED",
        "counts": {"PENDING": 0, "ACKNOWLEDGED": 1, "EXPIRED": 0},
        "outcomes": {"SUCCESS": 0, "FAILURE": 1},
    } == {name: value for name, value in acknowledged.items() if name != "at"}


async def test_acknowledgements_are_told_while_others_are_pending(served: Served) -> None:
    """A moment later, together."""
    for name in "abc":
        await served.register(name)
    async with following(served, "?types=delivery-acknowledged") as follower:
        command = await served.node.issue(ORDER, Target.all())
        await asyncio.sleep(2 * feed_module.MOMENT)  # what was to be told has been told
        for name in "ab":
            await served.node.acknowledge(name, command.command_id, Ack())
        event = await follower.event()
    assert (["a", "b"], "PENDING") == (event["data"]["agentIds"], event["data"]["status"])


async def test_everybody_who_follows_is_told(served: Served) -> None:
    """The same bytes, and what happened in a moment in one chunk."""
    async with following(served) as one, following(served) as other:
        happen(served.node, 3)
        chunk = await one.chunk()
        assert 3 == chunk.count(b"event: agent-registered\n")
        assert chunk == await other.chunk()


async def test_http_1_0_gets_a_plain_feed(served: Served) -> None:
    """Without chunks, to the end of the connection."""
    async with following(served, version="1.0") as follower:
        await within(follower.reader.readuntil(b": connected\n"))
        assert b"event: position\n" in await within(follower.reader.readuntil(b"\n\n"))
        happen(served.node)
        assert b"id: %d\n" % newest(served) == await within(follower.reader.readline())
        await served.node.shut_down()
        await follower.closed()


async def test_only_get_opens_a_feed(served: Served) -> None:
    """HEAD gets the head of one, or its refusal."""
    answer = await served.request("HEAD", "/events")
    assert (200, "text/event-stream") == (answer.status, answer.headers["content-type"])
    assert 400 == (await served.request("HEAD", "/events?types=nix")).status
    assert 405 == (await served.request("POST", "/events")).status
    assert 0 == len(served.node.feed.streams)


async def test_keepalives_come_while_nothing_happens() -> None:
    """A colon and one LF, as on an agent's stream."""
    async with serving(Settings(keepalive_interval=0.05)) as served, following(served) as follower:
        assert [b":\n"] * 3 == [await follower.chunk() for _ in range(3)]


async def test_the_feed_is_there_when_embedded() -> None:
    """Under the prefix, and under somebody else's runner."""
    host, registry = web.Application(), create_app()
    host.add_subapp("/registry/", registry)
    async with running(host) as (name, port):
        embedded = Served(registry[NODE], name, port, "/registry")
        async with following(embedded) as follower:
            await embedded.register("a")
            assert "agent-registered" == (await follower.event())["event"]
        await eventually(lambda: not len(embedded.node.feed.streams), AT_ONCE)


def test_what_happens_before_the_node_runs_is_told_too() -> None:
    """A host application may register agents before there is an event loop."""
    node = create_app()[NODE]
    happen(node, 2)
    assert 2 == len(node.feed._ring)


# Filters


async def test_types_can_be_chosen(served: Served) -> None:
    """In any case, repeated, comma-separated or both; what is left out is counted in the ids."""
    query = "?types=Agent-Removed,stream-conflict&types=agent-status"
    async with following(served, query) as follower:
        happen(served.node, 3)
        await served.node.remove("a")
        event = await follower.event()
        assert ("agent-removed", newest(served)) == (event["event"], int(event["id"]))


async def test_groups_can_be_chosen(served: Served) -> None:
    """A command to all is about each group that a target is in."""
    async with following(served, "?group=g&group=x,y") as follower:
        happen(served.node, name="other", group="h")
        happen(served.node, name="a", group="g")
        await served.node.issue(ORDER, Target.of_group("h"))
        command = await served.node.issue(ORDER, Target.all())
        events = [await follower.event() for _ in range(2)]
    assert ["a", command.command_id] == [
        event["data"].get("agentId") or event["data"]["commandId"] for event in events
    ]


@pytest.mark.parametrize("query", ["?types=nix,agent-status&types=nor", "?types="])
async def test_types_that_are_none_are_refused(served: Served, query: str) -> None:
    """Each of them is named, and nothing is opened."""
    answer = await served.request("GET", f"/events{query}")
    assert (400, "invalid-request") == (answer.status, answer.code)
    wrong = re.findall("ni|nor", query) or [""]
    assert len(wrong) == len(answer.json()["errors"])
    assert {"?types"} == {fault["path"] for fault in answer.json()["errors"]}
    assert 0 == len(served.node.feed.streams)


@pytest.mark.parametrize(
    "query", ["?group=", "?group=g,", "?group=a%20b", "?group=" + "g" * 129, "?group=%00&group=-"]
)
async def test_groups_that_cannot_be_are_refused(served: Served, query: str) -> None:
    """An empty one would be followed for ever, and nothing would come. Nothing is opened."""
    answer = await served.request("GET", f"/events{query}")
    assert (400, "invalid-request") == (answer.status, answer.code)
    assert query.count("group") == len(answer.json()["errors"])
    assert {"?group"} == {fault["path"] for fault in answer.json()["errors"]}
    assert 0 == len(served.node.feed.streams)


# Coming back


@pytest.mark.parametrize("query", ["", "?types=agent-removed", "?group=x"])
async def test_who_has_seen_nothing_yet_can_come_back(served: Served, query: str) -> None:
    """The feed begins with its position, whatever the filters say, so nothing is missed."""
    happen(served.node, 3)
    last = newest(served)
    async with connected(served) as connection:
        await begin_stream(served, connection, f"/events{query}", version="1.1", headers="")
        position = await connection.event()
    assert ("position", last, {"at"}) == (
        position["event"],
        int(position["id"]),
        position["data"].keys(),
    )
    happen(served.node, 2)
    async with following(served, last_event_id=position["id"]) as follower:
        assert [last + 1, last + 2] == await ids(follower, 2)


async def test_a_position_before_anything_has_happened(served: Served) -> None:
    """It is that before the first event."""
    async with connected(served) as connection:
        await begin_stream(served, connection, "/events", version="1.1", headers="")
        seen = (await connection.event())["id"]
    happen(served.node)
    async with following(served, last_event_id=seen) as follower:
        assert [int(seen) + 1] == await ids(follower, 1)


@pytest.mark.parametrize("limit", ["PASSED_OVER", "PASSED_OVER_BYTES"])
async def test_who_wants_little_is_told_how_far_the_feed_has_gone(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """So it comes back with an id that is still known, and hears of no history that was lost."""
    monkeypatch.setattr(feed_module, "HISTORY", 150)
    monkeypatch.setattr(followers, limit, 100 if limit == "PASSED_OVER" else 2000)
    async with serving() as served:
        async with following(served, "?types=agent-removed") as follower:
            happen(served.node, 99 if limit == "PASSED_OVER" else 5)
            await served.node.remove("a")  # from here on it is counted anew
            removed = await follower.event()
            assert ("agent-removed", newest(served)) == (removed["event"], int(removed["id"]))
            happen(served.node, 100)
            position = await follower.event()
            assert "position" == position["event"]
            assert int(removed["id"]) + 10 <= int(position["id"]) <= newest(served)
            assert position["data"]["at"] >= removed["data"]["at"]
        happen(served.node, 60)
        query = "?types=agent-removed"
        async with following(served, query, last_event_id=position["id"]) as follower:
            await served.node.remove("a")
            assert "agent-removed" == (await beyond_positions(follower))["event"]


async def test_without_an_id_the_feed_begins_with_what_happens_next(served: Served) -> None:
    """And without a reset."""
    happen(served.node, 5)
    before = newest(served)
    async with following(served) as follower:
        happen(served.node)
        assert [before + 1] == await ids(follower, 1)


@pytest.mark.parametrize("missed", [0, 1, 500])
async def test_with_an_id_the_feed_goes_on_behind_it(served: Served, missed: int) -> None:
    """With all that was missed, and then with what happens."""
    happen(served.node, 3)
    seen = newest(served)
    happen(served.node, missed)
    async with following(served, last_event_id=seen) as follower:
        happen(served.node, 2)
        assert list(range(seen + 1, seen + missed + 3)) == await ids(follower, missed + 2)


async def test_the_id_can_be_in_the_query(served: Served) -> None:
    """The header counts first: a client that comes back by itself asks for the same address."""
    happen(served.node, 5)
    last = newest(served)
    async with following(served, f"?lastEventId={last - 3}") as follower:
        assert [last - 2, last - 1, last] == await ids(follower, 3)
    async with following(served, f"?lastEventId={last - 3}", last_event_id=last - 1) as follower:
        assert [last] == await ids(follower, 1)
    async with following(served, "?lastEventId=") as follower:
        happen(served.node)
        assert [last + 1] == await ids(follower, 1)


async def test_what_is_filtered_out_is_so_when_it_was_missed_too(served: Served) -> None:
    """However much lies between."""
    happen(served.node)
    seen = newest(served)
    happen(served.node, 5000)
    await served.node.remove("a")
    async with following(served, "?types=agent-removed", last_event_id=seen) as follower:
        [stream] = served.node.feed.streams
        assert stream._position < newest(served), "all looked at in one turn"
        assert seen + 5001 == int((await beyond_positions(follower))["id"])


@pytest.mark.parametrize("seen", ["1", "0193-a-uuid", "-1", "9" * 400, str(10**18)])
async def test_an_id_of_another_server_is_told_so_first(served: Served, seen: str) -> None:
    """Whatever the filters say; from the reset's id on the feed goes on."""
    happen(served.node, 3)
    last = newest(served)
    query = "?types=agent-removed&group=x"
    async with following(served, query, last_event_id=seen) as follower:
        reset = await follower.event()
    assert ("reset", last, "another-server") == (
        reset["event"],
        int(reset["id"]),
        reset["data"]["reason"],
    )
    assert {"at", "reason", "oldestId"} == reset["data"].keys()
    async with following(served, last_event_id=reset["id"]) as follower:
        happen(served.node)
        assert [last + 1] == await ids(follower, 1)


async def test_a_reset_tells_how_far_back_the_server_remembers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind the event before the oldest one everything is told; where nothing is kept, nothing."""
    monkeypatch.setattr(feed_module, "HISTORY", 10)
    async with serving() as served:
        for happened, expected in [(0, 0), (3, 3), (20, 10)]:
            happen(served.node, happened)
            async with following(served, last_event_id="0") as follower:
                reset = await follower.event()
            last, oldest = int(reset["id"]), reset["data"]["oldestId"]
            assert expected == last - oldest + 1
            async with following(served, last_event_id=str(oldest - 1)) as follower:
                assert [*range(oldest, last + 1)] == await ids(follower, expected)


async def test_an_id_of_the_server_before_it_was_started_again_is_another_servers() -> None:
    """Also where nothing has happened yet; the reset then has an id to go on from."""
    async with serving() as served:
        happen(served.node, 1)
        seen = newest(served)
    async with serving() as served:
        async with following(served, last_event_id=seen) as follower:
            reset = await follower.event()
        assert "another-server" == reset["data"]["reason"]
        async with following(served, last_event_id=reset["id"]) as follower:
            happen(served.node)
            assert "agent-registered" == (await follower.event())["event"]


async def test_what_has_been_forgotten_is_a_history_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest id from which the ring can go on is that before its oldest event."""
    monkeypatch.setattr(feed_module, "HISTORY", 10)
    async with serving() as served:
        happen(served.node, 30)
        last = newest(served)
        async with following(served, last_event_id=last - 11) as follower:
            reset = await follower.event()
        assert ("reset", last, "history-lost") == (
            reset["event"],
            int(reset["id"]),
            reset["data"]["reason"],
        )
        async with following(served, last_event_id=last - 10) as follower:
            assert list(range(last - 9, last + 1)) == await ids(follower, 10)


async def test_ten_thousand_missed_events_neither_hold_the_loop_nor_pile_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are written piece by piece, each in a turn of its own, while others go on."""
    pieces: list[tuple[int, int]] = []
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    next_piece = Follower._next_piece

    def watched(self: Follower) -> bytes:
        piece = next_piece(self)
        pieces.append((turns, len(piece)))
        return piece

    monkeypatch.setattr(Follower, "_next_piece", watched)
    async with serving() as served:
        happen(served.node, 10_001)
        first = newest(served) - 9_999
        turn()
        async with following(served, last_event_id=first - 1) as follower:
            happen(served.node, 5)
            for stream in served.node.feed.streams:
                for _ in range(5):
                    stream._schedule()
            assert list(range(first, first + 10_005)) == await ids(follower, 10_005)
            monkeypatch.undo()
            [stream] = served.node.feed.streams
            assert 0 == stream.transport.get_write_buffer_size()
    assert max(size for _, size in pieces) < PIECE + 1000
    # A follower's own turn may be the one in which everybody is told what happens.
    assert max(Counter(turn for turn, _ in pieces).values()) <= 2


@pytest.mark.parametrize("backlog", [1024, 2**30])
async def test_a_backlog_is_one_piece(monkeypatch: pytest.MonkeyPatch, backlog: int) -> None:
    """Or less, where max_stream_backlog says so; a reader that reads is not cut for what waits."""
    most = 0
    settings = Settings(max_stream_backlog=backlog, keepalive_interval=0.01)
    async with serving(settings) as served:
        happen(served.node)
        seen = newest(served)
        with contextlib.closing(await unread(served, seen)) as sock:
            [stream] = served.node.feed.streams
            for _ in range(60):
                happen(served.node, 150)
                await asyncio.sleep(0)
                stream.advance()
                most = max(most, stream.transport.get_write_buffer_size())
            assert stream.transport.get_write_buffer_size(), "the kernel has taken it all"
            assert most <= min(backlog, PIECE) + 1000
            waiting = stream.transport.get_write_buffer_size()
            stream.keep_alive()
            assert waiting == stream.transport.get_write_buffer_size(), "no need of a keepalive"
            received = await read_until(sock, b"id: %d\n" % newest(served))
            found = [int(number) for number in re.findall(rb"^id: (\d+)$", received, re.M)]
            assert list(range(seen + 1, newest(served) + 1)) == found


async def unread(served: Served, seen: int | None = None) -> socket.socket:
    """Follow the feed without reading, with a receive buffer as small as can be, in plain lines."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (served.host, served.port))
    last = "" if seen is None else f"Last-Event-ID: {seen}\r\n"
    await loop.sock_sendall(sock, f"GET /api/v1/events HTTP/1.0\r\n{last}\r\n".encode())
    await eventually(lambda: len(served.node.feed.streams) == 1)
    [stream] = served.node.feed.streams
    stream.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return sock


async def read_until(sock: socket.socket, mark: bytes) -> bytes:
    """Read up to the end of the event with that mark."""
    received, loop = bytearray(), asyncio.get_running_loop()
    while mark not in received or not received.endswith(b"\n"):
        received += await within(loop.sock_recv(sock, 65_536))
    return bytes(received)


@examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    bursts=st.lists(st.integers(1, 60), min_size=10, max_size=40),
    reads=st.lists(st.integers(0, 120), min_size=3, max_size=15),
    history=st.sampled_from([40, 10_000]),
    leave=st.sampled_from([Connection.close, Connection.reset]),
)
async def test_who_drops_out_and_comes_back_sees_each_event_once_or_a_reset(
    bursts: list[int], reads: list[int], history: int, leave: Callable[[Connection], None]
) -> None:
    """Whenever it drops out, and however much happens meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed_module, "HISTORY", history)
        patch.setattr(feed_module, "MOMENT", 0.001)
        async with serving() as served:
            seen = first = newest(served)
            resets = 0

            async def happenings() -> None:
                for burst in bursts:
                    happen(served.node, burst)
                    await asyncio.sleep(0.001)

            async def take(follower: Connection) -> None:
                nonlocal seen, resets
                event = await follower.event()
                number = int(event["id"])
                if event["event"] == "reset":
                    assert "history-lost" == event["data"]["reason"]
                    assert number > seen
                    resets += 1
                else:
                    assert seen + 1 == number
                seen = number

            happening = asyncio.create_task(happenings())
            for count in reads:
                left = count
                async with following(served, last_event_id=seen) as follower:
                    # One that the history has left behind is cut off.
                    with contextlib.suppress(EOFError, ConnectionResetError):
                        while left and seen < newest(served):
                            await take(follower)
                            left -= 1
                    leave(follower)
                await asyncio.sleep(0)
            await happening
            while seen < newest(served):
                async with following(served, last_event_id=seen) as follower:
                    await take(follower)
            assert first + sum(bursts) == seen
            assert history < 10_000 or not resets


# Those who do not keep up, go away, or are too many


async def test_a_reader_that_takes_nothing_is_aborted_after_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Others are told everything meanwhile, and the log says why."""
    async with serving(Settings(stream_stall_timeout=0.5)) as served:
        with contextlib.closing(await unread(served)):
            async with following(served) as other:
                start = newest(served)
                happen(served.node, 9000)
                assert list(range(start + 1, start + 9001)) == await ids(other, 9000)
                await eventually(lambda: len(served.node.feed.streams) == 1)
                await eventually(lambda: len(served.node.feed.streams._connections) == 1)
        assert "feed aborted, its reader does not keep up" in caplog.messages


async def test_a_reader_that_the_history_does_not_wait_for_is_aborted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It would have a gap; when it comes back it is told so."""
    monkeypatch.setattr(feed_module, "HISTORY", 100)
    monkeypatch.setattr(feed_module, "MOMENT", 0.001)
    async with serving(Settings(stream_stall_timeout=3600)) as served:
        start = newest(served)
        with contextlib.closing(await unread(served)):
            async with following(served) as other:
                for burst in range(200):
                    happen(served.node, 50)
                    assert [start + 50 * burst + 1] == (await ids(other, 50))[:1]
                assert 1 == len(served.node.feed.streams)
            await eventually(lambda: not served.node.feed.streams._connections)
        assert "feed aborted, its reader does not keep up" in caplog.messages
        async with following(served, last_event_id=start + 1) as follower:
            assert "history-lost" == (await follower.event())["data"]["reason"]


@pytest.mark.looptime(start=1000)
async def test_a_slow_reader_that_goes_on_reading_is_kept() -> None:
    """However long it takes."""
    settings = Settings(stream_stall_timeout=0.2, keepalive_interval=0.05)
    async with serving(settings, clock=virtual_clock()) as served:
        loop, start = asyncio.get_running_loop(), newest(served)
        with contextlib.closing(await unread(served)) as sock:
            happen(served.node, 1500)
            begun, received = loop.time(), bytearray()
            while b"id: %d\n" % (start + 1500) not in received:
                received += await within(loop.sock_recv(sock, 32_768))
                await asyncio.sleep(0.02)
            assert loop.time() - begun > 2 * 0.2, "the test was too quick"
            assert 1 == len(served.node.feed.streams)


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset])
async def test_a_follower_that_goes_away_is_noticed(
    served: Served, leave: Callable[[Connection], None]
) -> None:
    """At once, and nothing is left of it."""
    async with following(served) as follower:
        assert 1 == len(served.node.feed.streams)
        leave(follower)
        await eventually(lambda: not len(served.node.feed.streams), AT_ONCE)
        await eventually(lambda: not served.node.feed.streams._connections)


async def test_one_follower_too_many_is_refused() -> None:
    """With 503 and when to come back, until one leaves."""
    async with serving(Settings(max_feeds=2)) as served:
        async with following(served), following(served):
            answer = await served.request("GET", "/events")
            assert (503, "too-many-feeds") == (answer.status, answer.code)
            assert 5 <= int(answer.headers["retry-after"]) <= 30
        await eventually(lambda: not len(served.node.feed.streams))
        async with following(served):
            assert 1 == len(served.node.feed.streams)


async def test_one_that_comes_too_late_while_the_headers_are_written_is_ended() -> None:
    """Its stream is over before it has begun; the next try is refused."""
    registry = create_app(Settings(max_feeds=1))

    async def dawdle(_request: web.Request, _response: web.StreamResponse) -> None:
        await asyncio.sleep(0.05)

    registry.on_response_prepare.append(dawdle)
    async with running(registry) as (name, port):
        served = Served(registry[NODE], name, port)

        async def ask(connection: Connection) -> bytes:
            connection.writer.write(GET.format("").encode())
            assert 200 == (await connection.head()).status
            return await connection.chunk()

        async with connected(served) as one, connected(served) as other:
            openings = await asyncio.gather(ask(one), ask(other))
            assert [False, True] == sorted(map(bool, openings))
            assert 1 == len(served.node.feed.streams)


# The server's own end


async def test_the_end_of_everything_is_told_before_the_end() -> None:
    """That streams are closed, and acknowledgements that were being gathered."""
    async with serving() as served, following(served) as follower:
        for name in ("a", "b"):
            await served.register(name)
        async with streaming(served, "a"), streaming(served, "b"):
            command = await served.node.issue(ORDER, Target.all())
            await served.ack("a", command.command_id)
            await served.node.shut_down()
            told: list[Any] = []
            with contextlib.suppress(EndOfStream):
                while event := await follower.event():
                    told.append((event["event"], event["data"].get("reason")))
            await follower.closed()
        assert 0 == len(served.node.feed.streams)
        assert not served.node.feed.streams._connections
    assert ("delivery-acknowledged", None) in told
    assert 2 == told.count(("stream-closed", "shutdown"))


async def test_a_follower_that_is_behind_is_told_the_rest_before_the_end(served: Served) -> None:
    """Thousands of events, in pieces; the last chunk comes after them."""
    happen(served.node)
    seen = newest(served)
    happen(served.node, 9000)
    async with following(served, last_event_id=seen) as follower:
        shutting_down = asyncio.create_task(served.node.shut_down())
        assert list(range(seen + 1, seen + 9001)) == await ids(follower, 9000)
        with pytest.raises(EndOfStream):
            await follower.line()
        await shutting_down


async def test_a_follower_that_catches_up_in_time_is_told_the_rest_before_the_end(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection is closed in the moment in which nothing waits for it any more."""
    with contextlib.closing(await unread(served)) as sock:
        [stream] = served.node.feed.streams
        while not stream.behind:
            happen(served.node, 100)
            stream.advance()
        shutting_down = asyncio.create_task(served.node.shut_down())
        received = await read_until(sock, b"id: %d\n" % newest(served))
        assert b"" == await within(asyncio.get_running_loop().sock_recv(sock, 1))
        await shutting_down
        assert b"id: %d\n" % (newest(served) - 1) in received
    assert [] == [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_follower_that_is_stuck_does_not_hold_up_the_end(served: Served) -> None:
    """It is cut off."""
    with contextlib.closing(await unread(served)):
        happen(served.node, 9000)
        [stream] = served.node.feed.streams
        stream.advance()
        await served.node.shut_down()
        assert not served.node.feed.streams._connections


async def test_a_feed_asked_for_during_the_shutdown_ends_at_once(served: Served) -> None:
    """When it has told what was missed."""
    happen(served.node, 3)
    last = newest(served)
    await served.node.shut_down()
    async with following(served, last_event_id=last - 2) as follower:
        assert [last - 1, last] == await ids(follower, 2)
        with pytest.raises(EndOfStream):
            await follower.line()
        await follower.closed()
