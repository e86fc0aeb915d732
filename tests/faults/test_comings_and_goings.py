"""Clients that come and go too quickly, half-way, or twice: nothing of them stays."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack

import pytest
from aiohttp import web

from cameleer_registry import Ack, CommandType, Order, Settings, Target
from cameleer_registry.core.events import CloseReason
from cameleer_registry.web.inline import InlineRunner

from ..exposition import scrape
from ..processes import server
from ..support import (
    Connection,
    EndOfStream,
    Served,
    connected,
    eventually,
    following,
    open_stream,
    serving,
    streaming,
    virtual_clock,
    within,
)
from .leaks import leaves_nothing
from .others import others
from .scale import SCALE

Tell = Callable[[str, object], None]

RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER without a time: a close becomes a reset."""

SMALL = Order(type=CommandType.CONFIG_UPDATE, payload={"revision": 7})

HEAD = b"GET /api/v1/agents/a/events HTTP/1.1\r\nHost: localhost\r\nX-More: and so on\r\n\r\n"


def client_socket(address: tuple[str, int], *, reset: bool) -> socket.socket:
    """Connect, to a listener on this machine, which the kernel does before anybody accepts."""
    sock = socket.create_connection(address, timeout=20)
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    return sock


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("runs", [web.AppRunner, InlineRunner], ids=["embedded", "served"])
async def test_connections_that_end_in_the_middle_of_a_request_leave_nothing(
    reset: bool, runs: type[web.AppRunner], tell: Tell
) -> None:
    """Before a byte, in the request line, in a header, in a body, and before the answer."""
    body = (
        b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    )
    cuts = [b"", HEAD[:3], HEAD[:30], HEAD[:60], HEAD[:-2], body, HEAD]
    tried = iter(range(1_000_000))
    async with serving(runs=runs) as served:
        await served.register("a")

        async def fault() -> None:
            number = next(tried)
            with client_socket((served.host, served.port), reset=reset) as sock:
                sock.sendall(cuts[number % len(cuts)])
                if number % 3:  # two out of three times the server has seen it
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)

        await leaves_nothing(served, fault, times=SCALE.resets, tell=tell)
        assert not served.node.agent("a").connected
        async with streaming(served, "a"):
            assert served.node.agent("a").connected


async def test_connections_reset_before_they_are_accepted_leave_nothing(
    served: Served, tell: Tell
) -> None:
    """Many at once, with a request in each of them that nobody waits for."""
    await served.register("a")

    async def fault() -> None:
        socks = [client_socket((served.host, served.port), reset=True) for _ in range(50)]
        for sock in socks:
            sock.sendall(HEAD)
            sock.close()
        await served.request("GET", "/agents/a")

    await leaves_nothing(served, fault, times=max(5, SCALE.resets // 50), tell=tell)


async def test_clients_that_wait_and_leave_leave_nothing(served: Served, tell: Tell) -> None:
    """Who waits for a command and goes away is looked after within a second."""
    await served.register("a")
    command = await served.node.issue(SMALL, Target.agent("a"))
    request = (
        f"GET /api/v1/commands/{command.command_id}?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )

    async def fault() -> None:
        with ExitStack() as stack:
            for number in range(20):
                address = (served.host, served.port)
                sock = stack.enter_context(client_socket(address, reset=number % 2 == 0))
                sock.sendall(request.encode())
            await eventually(lambda: 20 == len(served.node._waiters))

    await leaves_nothing(served, fault, times=2, tell=tell)


@pytest.mark.parametrize("path", ["agents/a/events", "events"])
async def test_streams_opened_and_closed_at_once_leave_nothing(
    path: str, served: Served, tell: Tell
) -> None:
    """Closed before the answer, with it unread, or in the moment in which it has begun."""
    await served.register("a")
    request = f"GET /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    loop, tried = asyncio.get_running_loop(), iter(range(1_000_000))

    async def fault() -> None:
        number = next(tried)
        with client_socket((served.host, served.port), reset=number % 2 == 0) as sock:
            sock.setblocking(False)
            await loop.sock_sendall(sock, request)
            if number % 3:
                assert (await within(loop.sock_recv(sock, 12))).endswith(b"200")

    await leaves_nothing(served, fault, times=SCALE.openings, tell=tell)
    opened, closed = served.node.meters.streams_opened, served.node.meters.streams_closed
    assert opened == sum(closed.values())
    tell("streams opened", opened or sum(served.node.feed.closed.values()))


async def test_a_process_survives_streams_opened_and_closed_at_once(tell: Tell) -> None:
    """Descriptors, streams and counts of the real program are as before, after thousands."""
    loop = asyncio.get_running_loop()
    async with server("--port", "0", "--log-level", "warning") as process:
        host, port = "127.0.0.1", int(process.url.rsplit(":", 1)[1])
        async with process.client() as client:
            for number in range(20):
                body = {"agentId": f"a{number}", "group": "g"}
                assert 201 == (await client.post("/agents/register", json=body)).status_code

        def holds() -> int:
            return len(os.listdir(f"/proc/{process.process.pid}/fd"))

        def resident() -> int:
            with open(f"/proc/{process.process.pid}/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

        async def metrics() -> dict[str, float]:
            async with process.client() as client:
                text = (await client.get(f"{process.url}/metrics")).text
            found = re.findall(r"^(cameleer_stream[a-z_]+)(?:\{.*\})? (\S+)$", text, re.MULTILINE)
            sums: dict[str, float] = {}
            for name, value in found:
                sums[name] = sums.get(name, 0) + float(value)
            return sums

        async def come_and_go(agent: int, times: int) -> None:
            request = (
                f"GET /api/v1/agents/a{agent}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
            for number in range(times):
                with socket.socket() as sock:
                    sock.setblocking(False)
                    await within(loop.sock_connect(sock, (host, port)))
                    await loop.sock_sendall(sock, request)
                    if number % 2:
                        assert (await within(loop.sock_recv(sock, 12))).endswith(b"200")

        await metrics()
        before = holds()
        # The feed's history fills meanwhile: what is resident grows by that, and is told only.
        resident_before = resident()
        each = SCALE.openings_of_process // 20
        await asyncio.gather(*(come_and_go(agent, each) for agent in range(20)))
        await eventually(lambda: holds() <= before)
        seen = await metrics()
        for name, value in {
            "tried": 20 * each,
            "descriptors before": before,
            "descriptors after": holds(),
            "streams opened": int(seen["cameleer_streams_opened_total"]),
            "resident MiB before": resident_before >> 20,
            "resident MiB after": resident() >> 20,
        }.items():
            tell(name, value)
        assert 0 == seen["cameleer_streams_open"]
        assert seen["cameleer_streams_opened_total"] == seen["cameleer_streams_closed_total"]
        assert seen["cameleer_streams_opened_total"] >= 10 * each, "those that read the answer"
        assert 0 == await process.terminate()


async def test_reconnecting_before_the_old_connection_is_gone_leaves_one_stream(tell: Tell) -> None:
    """Each command arrives once, on the newest; the older ones end cleanly and leave nothing."""

    async def fault() -> None:
        async with AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(streaming(served, "a")) for _ in range(5)]
            command = await served.node.issue(SMALL, Target.agent("a"))
            assert command.command_id == (await streams.pop().event())["id"]
            for older in streams:
                assert b"" == await older.chunk()
                await older.closed()
        await served.node.acknowledge("a", command.command_id, Ack())

    async with serving(Settings(command_history=10)) as served:
        await served.register("a")
        await leaves_nothing(served, fault, times=SCALE.takeovers // 5, tell=tell)


@pytest.mark.looptime(start=1000)
async def test_two_processes_that_fight_over_one_id_for_a_minute(
    caplog: pytest.LogCaptureFixture, tell: Tell
) -> None:
    """They take turns at the pace they are told; that is a conflict, reported once, to everybody.

    All others get every command meanwhile, in order.
    """
    caplog.set_level(logging.INFO)
    loop = asyncio.get_running_loop()
    async with serving(clock=virtual_clock()) as served, others(served) as everybody:
        await served.register("a")

        async def process() -> None:
            while True:
                async with connected(served) as connection:
                    connection.writer.write(HEAD)
                    await connection.head()
                    retry = (await connection.line()).decode().removeprefix("retry: ")
                    with contextlib.suppress(EndOfStream):
                        while await connection.line():
                            pass
                await asyncio.sleep(int(retry) / 1000)

        async with following(served, "?types=stream-conflict") as feed:
            before, end = await scrape(served), loop.time() + 60
            fighting = [asyncio.create_task(process()) for _ in range(2)]
            while loop.time() < end:
                await everybody.get_commands(SMALL, count=5)
                await asyncio.sleep(6)
            for task in fighting:
                task.cancel()
            await asyncio.gather(*fighting, return_exceptions=True)
            after = await scrape(served)
            assert "a" == (await feed.event())["data"]["agentId"]
            await eventually(lambda: not served.node.agent("a").connected)

    def rise(name: str) -> float:
        return after.value(name) - before.value(name)

    tell("takeovers", rise("cameleer_stream_takeovers_total"))
    # Between the shortest delay and the longest that a client is told.
    assert 60 / 5 - 1 <= rise("cameleer_stream_takeovers_total") <= 60 / 2 + 1
    assert 1 == rise("cameleer_stream_conflicts_total")
    told = [r.getMessage() for r in caplog.records if "command" not in r.getMessage()]
    assert ["stream conflict: two processes seem to use one id"] == [
        message for message in told if message != "agent registered"
    ]


async def test_two_processes_that_fight_as_fast_as_they_can_harm_nobody(
    served: Served, caplog: pytest.LogCaptureFixture, tell: Tell
) -> None:
    """Without a pause, they cost nothing that stays, and one line in the log."""
    caplog.set_level(logging.INFO)
    await served.register("a")
    async with others(served) as everybody:
        without = await everybody.get_commands(SMALL)

        async def fight(times: int) -> None:
            async with streaming(served, "a") as first:
                holder = first
                for _ in range(times):
                    reader, writer = await asyncio.open_connection(served.host, served.port)
                    newer = Connection(reader, writer)
                    await open_stream(served, newer, "a")
                    assert b"" == await holder.chunk(), "it is ended, as it should be"
                    holder.close()
                    holder = newer
                holder.close()

        caplog.clear()
        fighting = asyncio.create_task(fight(SCALE.takeovers))
        during = []
        while not fighting.done():
            during.append(await everybody.get_commands(SMALL, count=5))
        await fighting
        told = [r.getMessage() for r in caplog.records if "command" not in r.getMessage()]
        assert ["stream conflict: two processes seem to use one id"] == told
        everybody.compare(without, max(during), tell)
        await eventually(lambda: not served.node.agent("a").connected)
        assert SCALE.takeovers == served.node.meters.streams_closed[CloseReason.REPLACED]
        assert 1 == served.node.meters.conflicts
        await leaves_nothing(served, lambda: fight(25), times=SCALE.takeovers // 25, tell=tell)
