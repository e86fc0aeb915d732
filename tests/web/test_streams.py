"""The event stream, byte for byte, on real sockets."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import chain

import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from cameleer_registry import NODE, CommandType, Order, Settings, Target, create_app
from cameleer_registry.node.journal.sqlite.journal import SqliteJournal
from cameleer_registry.node.streams.outgoing import OutgoingStream

from ..support import (
    AT_ONCE,
    Connection,
    Served,
    begin_stream,
    connected,
    eventually,
    open_stream,
    running,
    serving,
    streaming,
    virtual_clock,
    within,
)

ORDER = Order(type=CommandType.CONFIG_UPDATE, payload={"revision": 7})


async def test_a_stream_begins_at_once(served: Served) -> None:
    """Headers, the reconnection delay and a comment come before anything happens."""
    await served.register("a")
    async with connected(served) as connection:
        connection.writer.write(b"GET /api/v1/agents/a/events HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await connection.head()
        opening = await connection.chunk()
    headers = answer.headers
    assert answer.status == 200
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert headers["connection"] == "close"
    assert headers["x-cameleer-protocol-version"] == "1"
    assert "content-encoding" not in headers
    found = re.fullmatch(rb"retry: (\d+)\n: connected\n", opening)
    assert found
    assert 2000 <= int(found[1]) <= 5000


async def test_retry_is_drawn_for_each_stream(served: Served) -> None:
    """Clients that lose their server together are not told to come back together."""
    await served.register("a")
    delays = set()
    for _ in range(20):
        async with connected(served) as connection:
            connection.writer.write(b"GET /api/v1/agents/a/events HTTP/1.1\r\nHost: x\r\n\r\n")
            await connection.head()
            delays.add((await connection.chunk()).split(b"\n")[0])
    assert len(delays) > 10


async def test_an_event_is_three_lines_and_a_blank_one(served: Served) -> None:
    """id, event and data stand in that order, data on one line, whatever the payload holds."""
    payload = {"text": "a\r\nb\u2028c\u0085d\x00e", "camel": "\U0001f42b", "n": [1, None, 0.5]}
    await served.register("a")
    async with streaming(served, "a") as stream:
        issued = (await served.issue("/agents/a", "deep-trace", payload)).json()
        chunk = await stream.chunk()
    assert b"\r" not in chunk
    data = json.dumps(
        {k: issued[k] for k in ("commandId", "type", "payload", "createdAt", "expiresAt")}
    )
    lines = chunk.decode().split("\n")
    assert [f"id: {issued['commandId']}", "event: deep-trace"] == lines[:2]
    assert lines[2].startswith('data: {"commandId":')
    assert json.loads(data) == json.loads(lines[2].removeprefix("data: "))
    assert ["", ""] == lines[3:]
    assert payload == json.loads(lines[2].removeprefix("data: "))["payload"]
    assert len(chunk.decode().splitlines()) == 4, "split at a line end that Unicode knows"


async def test_keepalives_are_bare_comments() -> None:
    """A keepalive is a colon and one LF; several of them hold no blank line."""
    async with serving(Settings(keepalive_interval=0.05)) as served:
        await served.register("a")
        async with streaming(served, "a") as stream:
            assert [b":\n"] * 5 == [await stream.chunk() for _ in range(5)]


async def test_http_1_0_gets_a_plain_stream_that_ends_with_its_connection() -> None:
    """HTTP/1.0 knows no chunks; keep-alive or not, the end of the stream is that of both."""
    async with serving(Settings(keepalive_interval=0.05)) as served:
        await served.register("a")
        for asked in ("", "Connection: keep-alive\r\n"):
            async with connected(served) as connection:
                answer = await open_stream(served, connection, "a", version="1.0", headers=asked)
                assert "transfer-encoding" not in answer.headers
                assert answer.headers["connection"] == "close"
                lines = [await within(connection.reader.readline()) for _ in range(3)]
                assert lines[1:] == [b": connected\n", b":\n"]
                await served.node.issue(ORDER, Target.agent("a"))
                while not (await within(connection.reader.readline())).startswith(b"data: "):
                    pass
                await served.node.remove("a")
                await connection.closed()
            await served.register("a")


async def test_an_unknown_agent_has_no_stream(served: Served) -> None:
    """The answer tells an agent to register."""
    answer = await served.request("GET", "/agents/nobody/events")
    assert (404, "agent-not-registered") == (answer.status, answer.code)


async def test_head_opens_nothing(served: Served) -> None:
    """HEAD gets the head of a stream, leaves the agent unconnected, and an open stream alone."""
    assert 404 == (await served.request("HEAD", "/agents/a/events")).status
    await served.register("a")
    answer = await served.request("HEAD", "/agents/a/events")
    assert (200, b"") == (answer.status, answer.body)
    assert "text/event-stream" == answer.headers["content-type"]
    assert "no-store, no-transform" == answer.headers["cache-control"]
    assert "no" == answer.headers["x-accel-buffering"]
    assert "content-length" not in answer.headers
    assert not served.node.agent("a").connected
    async with streaming(served, "a") as stream:
        await served.request("HEAD", "/agents/a/events")
        command = await served.node.issue(ORDER, Target.agent("a"))
        assert command.command_id == (await stream.event())["id"]


async def test_last_event_id_replays_nothing(served: Served) -> None:
    """What was missed is not pushed again; it can be fetched."""
    await served.register("a")
    async with streaming(served, "a") as stream:
        first = await served.node.issue(ORDER, Target.agent("a"))
        await stream.event()
    await eventually(lambda: not served.node.agent("a").connected)
    missed = await served.node.issue(ORDER, Target.agent("a"))
    header = f"Last-Event-ID: {first.command_id}\r\n"
    async with streaming(served, "a", headers=header) as stream:
        third = await served.node.issue(ORDER, Target.agent("a"))
        assert third.command_id == (await stream.event())["id"]
    pending = (await served.request("GET", "/agents/a/commands?status=pending")).json()
    assert [third.command_id, missed.command_id, first.command_id] == [
        delivery["commandId"] for delivery in pending
    ]
    assert [True, False, True] == [bool(delivery["deliveredAt"]) for delivery in pending]


async def test_compression_is_never_used(served: Served) -> None:
    """Not even where the client accepts it and the host application compresses everything."""

    async def compress(_request: web.Request, response: web.StreamResponse) -> None:
        response.enable_compression()

    host = web.Application()
    host.on_response_prepare.append(compress)
    registry = create_app()
    host.add_subapp("/registry/", registry)
    async with running(host) as (name, port):
        embedded = Served(registry[NODE], name, port, "/registry")
        await embedded.register("a")
        async with connected(embedded) as connection:
            accept = "Accept-Encoding: gzip, deflate\r\n"
            answer = await open_stream(embedded, connection, "a", headers=accept)
            assert "content-encoding" not in answer.headers


# One agent, one stream


async def test_the_newest_stream_wins(served: Served) -> None:
    """The older one is ended cleanly, and only the newer one gets what comes."""
    await served.register("a")
    async with streaming(served, "a") as older, streaming(served, "a") as newer:
        assert b"" == await older.chunk()
        await older.closed()
        command = await served.node.issue(ORDER, Target.agent("a"))
        assert command.command_id == (await newer.event())["id"]
        assert served.node.agent("a").connected


async def test_the_end_of_an_older_stream_never_removes_the_newer(served: Served) -> None:
    """Whichever way the older connection ends, the agent stays connected."""
    await served.register("a")
    async with streaming(served, "a") as older, streaming(served, "a") as newer:
        older.reset()
        await eventually(lambda: 1 == len(served.node.streams._connections))
        assert served.node.agent("a").connected
        command = await served.node.issue(ORDER, Target.agent("a"))
        assert command.command_id == (await newer.event())["id"]
    await eventually(lambda: not served.node.agent("a").connected)


async def test_a_thousand_reconnects_leave_one_stream(served: Served) -> None:
    """Each comes before the one before it has gone; a command then arrives once."""
    await served.register("a")
    older: Connection | None = None
    for _ in range(1000):
        reader, writer = await asyncio.open_connection(served.host, served.port)
        newer = Connection(reader, writer)
        await open_stream(served, newer, "a")
        if older is not None:
            older.close()
        older = newer
    assert older is not None
    assert 1 == len(served.node.streams)
    command = await served.node.issue(ORDER, Target.agent("a"))
    assert 1 == command.connected_count
    assert command.command_id == (await older.event())["id"]
    await served.node.issue(ORDER, Target.agent("a"))
    assert command.command_id != (await older.event())["id"]
    older.close()
    await eventually(lambda: not served.node.agent("a").connected)
    await eventually(lambda: not served.node.streams._connections)


async def test_takeovers_in_a_row_are_a_conflict(served: Served) -> None:
    """The third within a minute is counted, and no other in that minute."""
    await served.register("a")
    conflicts = []
    async with AsyncExitStack() as streams:
        for _ in range(7):
            await streams.enter_async_context(streaming(served, "a"))
            conflicts.append(served.node.meters.conflicts)
    assert [0, 0, 0, 1, 1, 1, 1] == conflicts


# A client that goes away


@pytest.mark.parametrize("leave", [Connection.close, Connection.reset])
@pytest.mark.parametrize("cancel_handlers", [False, True])
async def test_a_client_that_goes_away_is_noticed(
    leave: Callable[[Connection], None], cancel_handlers: bool
) -> None:
    """At once, whether or not the runner cancels the handlers of clients that are gone."""
    async with serving(handler_cancellation=cancel_handlers) as served:
        await served.register("a")
        async with streaming(served, "a") as stream:
            assert served.node.agent("a").connected
            leave(stream)
            await eventually(lambda: not served.node.agent("a").connected, AT_ONCE)
        assert 0 == len(served.node.streams)
        await eventually(lambda: not served.node.streams._connections)


async def test_a_client_that_goes_away_is_noticed_when_embedded() -> None:
    """Also under somebody else's runner, through add_subapp."""
    host, registry = web.Application(), create_app()
    host.add_subapp("/registry/", registry)
    async with running(host) as (name, port):
        embedded = Served(registry[NODE], name, port, "/registry")
        await embedded.register("a")
        async with streaming(embedded, "a"):
            assert embedded.node.agent("a").connected
        await eventually(lambda: not embedded.node.agent("a").connected, AT_ONCE)


async def test_what_a_client_sends_after_its_request_is_ignored(served: Served) -> None:
    """Requests behind a stream are neither answered nor kept, and hide no disconnect."""
    await served.register("a")
    async with streaming(served, "a") as stream:
        for _ in range(100):
            stream.writer.write(b"GET /api/v1/agents HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
            await within(stream.writer.drain())
        command = await served.node.issue(ORDER, Target.agent("a"))
        assert command.command_id == (await stream.event())["id"]
    await eventually(lambda: not served.node.agent("a").connected, AT_ONCE)


async def test_a_client_that_is_gone_before_the_answer_leaves_nothing(served: Served) -> None:
    """A request that is reset at once costs neither a stream nor a connection."""
    await served.register("a")
    for _ in range(100):
        async with connected(served) as connection:
            connection.writer.write(b"GET /api/v1/agents/a/events HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.reset()
    await served.request("GET", "/agents")
    await eventually(lambda: not served.node.streams._connections)
    assert not served.node.agent("a").connected


# A client that does not read


async def unread(
    served: Served, agent_id: str, *, receive_buffer: int | None = 4096
) -> socket.socket:
    """Open a stream that nobody reads, with a receive buffer as small as can be."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (served.host, served.port))
    await loop.sock_sendall(
        sock, f"GET /api/v1/agents/{agent_id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )
    await eventually(lambda: served.node.agent(agent_id).connected)
    return sock


BIG = Order(type=CommandType.CONFIG_UPDATE, payload={"x": "y" * 900_000})


async def pile_up(served: Served, agent_id: str, count: int) -> None:
    """Send an agent more than the kernel takes for it."""
    for _ in range(count):
        await served.node.issue(BIG, Target.agent(agent_id))


async def test_a_reader_past_the_backlog_is_aborted_and_holds_up_nobody() -> None:
    """Its backlog is bounded; others get every event meanwhile; it may come back."""
    big = Order(type=CommandType.CONFIG_UPDATE, payload={"x": "y" * 500_000})
    settings = Settings(max_stream_backlog=1_000_000, stream_stall_timeout=3600)
    async with serving(settings) as served:
        await served.register("slow")
        await served.register("quick")
        sock = await unread(served, "slow")
        async with streaming(served, "quick") as quick:
            most = 0
            slow = next(iter(served.node.streams))
            for _ in range(40):
                command = await served.node.issue(big, Target.all())
                most = max(most, slow.transport.get_write_buffer_size())
                assert command.command_id == (await quick.event())["id"]
            assert not served.node.agent("slow").connected
            assert served.node.agent("quick").connected
            assert most <= 1_000_000 + 600_000, "bounded by the limit and one event"
        undelivered = served.node.agent_deliveries("slow")[0]
        assert undelivered.delivered_at is None
        async with streaming(served, "slow") as again:
            command = await served.node.issue(ORDER, Target.agent("slow"))
            assert command.command_id == (await again.event())["id"]
        sock.close()


async def test_a_reader_that_stalls_is_aborted_after_a_while() -> None:
    """Time bounds a backlog, too: one that stays below the limit in bytes is not kept for ever."""
    settings = Settings(max_stream_backlog=2**30, stream_stall_timeout=0.5)
    async with serving(settings) as served:
        await served.register("slow")
        sock = await unread(served, "slow")
        await pile_up(served, "slow", 10)
        assert served.node.agent("slow").connected
        await eventually(lambda: not served.node.agent("slow").connected)
        await eventually(lambda: not served.node.streams._connections)
        closed = served.node.meters.streams_closed
        assert {"slow-consumer": 1} == {str(reason): n for reason, n in closed.items() if n}
        sock.close()


@pytest.mark.parametrize("path", ["/agents/a/events", "/events"])
async def test_the_kernel_gives_a_reader_up_later_than_the_server(path: str) -> None:
    """The server says why; the kernel could only say that the connection is gone."""
    async with serving(Settings(stream_stall_timeout=7)) as served:
        await served.register("a")
        async with connected(served) as connection:
            await begin_stream(served, connection, path, version="1.1", headers="")
            stream = next(chain[OutgoingStream](served.node.streams, served.node.feed.streams))
            sock = stream.transport.get_extra_info("socket")
            assert 14_000 == sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


async def test_stalls_are_looked_for_often_enough() -> None:
    """In time to be first, also where keepalives are rare and timeouts are short."""
    async with serving(Settings(stream_stall_timeout=0.2, keepalive_interval=60)) as served:
        assert 0.05 == served.node.streams.next_wake() == served.node.feed.streams.next_wake()


async def test_a_reader_that_catches_up_is_kept() -> None:
    """A stall that is over in time costs nothing, and nothing is lost."""
    settings = Settings(max_stream_backlog=2**30, stream_stall_timeout=3600)
    async with serving(settings) as served:
        await served.register("a")
        async with streaming(served, "a") as stream:
            stream.writer.transport.pause_reading()  # type: ignore[attr-defined]
            ids = [(await served.node.issue(BIG, Target.agent("a"))).command_id for _ in range(9)]
            assert served.node.streams._stalled, "it is behind"
            stream.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert ids == [(await stream.event())["id"] for _ in ids]
            await eventually(lambda: not served.node.streams._stalled)
            assert served.node.agent("a").connected


@pytest.mark.looptime(start=1000)
async def test_a_slow_reader_that_goes_on_reading_is_kept() -> None:
    """However long it takes for what it was sent: only one that takes nothing is cut off."""
    settings = Settings(max_stream_backlog=2**30, stream_stall_timeout=0.2, keepalive_interval=0.1)
    async with serving(settings, clock=virtual_clock()) as served:
        await served.register("slow")
        sock = await unread(served, "slow", receive_buffer=None)
        loop = asyncio.get_running_loop()
        await pile_up(served, "slow", 12)
        start, received = loop.time(), 0
        while received < 12 * 900_000:
            received += len(await within(loop.sock_recv(sock, 131_072)))
            await asyncio.sleep(0.02)
        assert loop.time() - start > 3 * settings.stream_stall_timeout, "the test was too quick"
        assert served.node.agent("slow").connected
        sock.close()


async def test_a_reader_that_is_behind_and_sends_no_more_is_gone() -> None:
    """Its end of the connection is closed: it is not connected, whatever waits for it."""
    async with serving(Settings(max_stream_backlog=2**30)) as served:
        await served.register("slow")
        sock = await unread(served, "slow")
        await pile_up(served, "slow", 10)
        sock.shutdown(socket.SHUT_WR)
        await eventually(lambda: not served.node.agent("slow").connected, AT_ONCE)
        await eventually(lambda: not served.node.streams._connections)
        sock.close()


async def test_the_longest_stall_timeout_is_none_too_long_for_the_kernel() -> None:
    """A year of milliseconds does not fit into its int."""
    async with serving(Settings(stream_stall_timeout=365 * 86_400)) as served:
        await served.register("a")
        async with streaming(served, "a"):
            assert served.node.agent("a").connected


async def test_a_stalled_reader_does_not_outlive_its_stream() -> None:
    """A stream that was ended is aborted where its reader does not take the rest."""
    async with serving(Settings(max_stream_backlog=2**30)) as served:
        await served.register("slow")
        sock = await unread(served, "slow")
        await pile_up(served, "slow", 10)
        await served.node.remove("slow")
        assert 1 == len(served.node.streams._connections)
        await eventually(lambda: not served.node.streams._connections)
        sock.close()


# The server's own end


async def test_deleting_an_agent_ends_its_stream(served: Served) -> None:
    """Cleanly, and what it asks for next is refused."""
    await served.register("a")
    async with streaming(served, "a") as stream:
        assert 204 == (await served.request("DELETE", "/agents/a")).status
        assert b"" == await stream.chunk()
        await stream.closed()
    assert 404 == (await served.request("GET", "/agents/a/events")).status


async def test_shutdown_ends_streams_cleanly_and_quickly() -> None:
    """Each gets its last chunk; a reader that is stuck is cut off; nothing waits for either."""
    async with AsyncExitStack() as streams:
        async with serving(Settings(max_stream_backlog=2**30)) as served:
            await served.register("slow")
            sock = await unread(served, "slow")
            await pile_up(served, "slow", 10)
            clients = []
            for number in range(50):
                await served.register(f"a{number}")
                clients.append(await streams.enter_async_context(streaming(served, f"a{number}")))
            waiting = asyncio.create_task(
                served.request("GET", f"/commands/{await pending_command(served)}?wait=60")
            )
            await eventually(lambda: served.node._waiters)
        assert not served.node.streams._connections
        for client in clients:
            while await client.chunk():
                pass
            await client.closed()
        answer = await waiting
        assert (200, "PENDING") == (answer.status, answer.json()["status"])
        sock.close()


async def test_when_the_shutdown_is_over_so_is_every_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader that is stuck is not left to whoever runs the server."""
    async with serving(Settings(max_stream_backlog=2**30)) as served:
        await served.register("slow")
        sock = await unread(served, "slow")
        await pile_up(served, "slow", 10)
        monkeypatch.setattr(served.node.streams, "ending", lambda _stream: None)
        await served.node.shut_down()
        assert not served.node.streams._connections
        sock.close()


async def pending_command(served: Served) -> str:
    return (await served.node.issue(ORDER, Target.agent("a1"))).command_id


async def test_a_stream_asked_for_during_the_shutdown_is_ended_at_once(served: Served) -> None:
    """With 200, since clients stop for good on anything else."""
    await served.register("a")
    await served.node.shut_down()
    async with streaming(served, "a") as stream:
        assert b"" == await stream.chunk()
        await stream.closed()


# Many at once


@pytest.mark.parametrize("path", ["/agents/a/events", "/events"])
async def test_a_stream_asked_for_when_the_storage_has_failed_is_ended_at_once(
    keeping: Served, path: str
) -> None:
    """It is not refused, since clients do not come back after that; nor is it left open."""
    await keeping.register("a")
    journal = keeping.node.journal
    assert isinstance(journal, SqliteJournal)
    journal.fail(OSError("Input/output error"))
    async with connected(keeping) as connection:
        request = f"GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.writer.write(request.encode())
        assert 200 == (await connection.head()).status
        while await within(connection.chunk()):
            pass
    assert 0 == len(keeping.node.streams)


async def test_a_broadcast_reaches_every_stream_and_keeps_the_order() -> None:
    """Commands issued side by side arrive in the order of their ids on every stream."""
    async with serving() as served, AsyncExitStack() as streams:
        clients = []
        for number in range(600):
            await served.register(f"a{number}")
            clients.append(await streams.enter_async_context(streaming(served, f"a{number}")))
        commands = await asyncio.gather(
            *(served.node.issue(ORDER, Target.all()) for _ in range(3)),
            served.node.issue(ORDER, Target.agent("a599")),
            served.node.issue(ORDER, Target.all()),
        )
        ids = [command.command_id for command in commands]
        assert sorted(ids) == ids
        for number, client in enumerate(clients):
            expected = ids if number == 599 else ids[:3] + ids[4:]
            assert expected == [(await client.event())["id"] for _ in expected]
        delivered = served.node.deliveries(ids[0])
        assert 600 == sum(delivery.delivered_at is not None for delivery in delivered)


async def test_a_broadcast_goes_on_when_who_asked_for_it_has_gone() -> None:
    """A request that is cancelled half-way still reaches every target."""
    async with serving() as served, AsyncExitStack() as streams:
        clients = []
        for number in range(600):
            await served.register(f"a{number}")
            clients.append(await streams.enter_async_context(streaming(served, f"a{number}")))
        asking = asyncio.create_task(served.node.issue(ORDER, Target.all()))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert 1 == len({(await client.event())["id"] for client in clients})


@pytest.mark.parametrize("cancelling", [False, True])
async def test_nothing_of_aiohttp_is_kept_for_a_stream(cancelling: bool) -> None:
    """No task waits for its end, and no connection of aiohttp, whatever its runner would cancel."""
    async with serving(handler_cancellation=cancelling) as served, AsyncExitStack() as stack:
        handlers = [one for one in gc.get_objects() if isinstance(one, RequestHandler)]
        tasks = asyncio.all_tasks()
        streams = []
        for number in range(20):
            await served.register(f"a{number}")
            streams.append(await stack.enter_async_context(streaming(served, f"a{number}")))
        await eventually(lambda: asyncio.all_tasks() == tasks)
        gc.collect()
        assert len(handlers) == sum(isinstance(one, RequestHandler) for one in gc.get_objects())
        command = await served.node.issue(ORDER, Target.all())
        assert {command.command_id} == {(await stream.event())["id"] for stream in streams}
