"""Readers that stop reading, or read next to nothing: they are cut off, and nobody else notices."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import pytest
from aiohttp.web_protocol import RequestHandler

from cameleer_registry import CommandType, Order, Registration, Settings, Target
from cameleer_registry.core.events import CloseReason
from cameleer_registry.core.rules import AgentId, GroupName, Label, Note
from cameleer_registry.node.feed.followers import PIECE, Follower
from cameleer_registry.node.streams.outgoing import OutgoingStream

from ..processes import Server, server
from ..support import eventually, serving, within
from .leaks import leaves_nothing
from .others import others
from .scale import SCALE

Tell = Callable[[str, object], None]

SMALL_BUFFER = 4096
"""Bytes that the kernel may keep for a reader: so few that it is soon behind."""

LARGE = Order(type=CommandType.CONFIG_UPDATE, payload={"x": "y" * 300_000})
CAMELS = "\U0001f42b" * 256
EVENTFUL = Registration(
    agent_id=AgentId("a"),
    group=GroupName("g"),
    name=Label(CAMELS),
    version=Note(CAMELS),
    instance_id=Note(CAMELS),
)
"""What makes an event of 3 KiB."""

SMALL = Order(type=CommandType.CONFIG_UPDATE, payload={"revision": 7})


async def asked(address: tuple[str, int], path: str, *, times: int = 1) -> socket.socket:
    """Ask for something on a connection of its own, whose answer nobody reads as yet."""
    loop, sock = asyncio.get_running_loop(), socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    sock.setblocking(False)
    await loop.sock_connect(sock, address)
    await loop.sock_sendall(
        sock, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * times
    )
    return sock


@pytest.mark.parametrize("bound", ["bytes", "time"])
async def test_agents_that_stop_reading_are_aborted_and_harm_nobody(bound: str, tell: Tell) -> None:
    """What waits for them stays within its bound; others get everything, in order."""
    most = 1_000_000 if bound == "bytes" else 2**30
    settings = Settings(
        max_stream_backlog=most,
        stream_stall_timeout=3600 if bound == "bytes" else 0.2,
        command_history=10,
    )
    worst = 0
    async with serving(settings) as served, others(served) as everybody:
        without = await everybody.get_commands(SMALL)
        agents = len(everybody.streams)
        seconds = []

        async def fault() -> None:
            nonlocal worst
            with ExitStack() as stack:
                ids = [AgentId(f"stalled-{number}") for number in range(SCALE.stalled_readers)]
                for agent_id in ids:
                    await served.node.register(
                        Registration(agent_id=agent_id, group=GroupName("stalled"))
                    )
                    path = f"/api/v1/agents/{agent_id}/events"
                    sock = await asked((served.host, served.port), path)
                    stack.enter_context(sock)
                await eventually(lambda: len(served.node.streams) == agents + len(ids))
                while len(served.node.streams) > agents:
                    if bound == "bytes" or not served.node.streams._stalled:
                        await served.node.issue(LARGE, Target.of_group("stalled"))
                    worst = max(worst, served.node.streams.worst_backlog())
                    seconds.append(await everybody.get_commands(SMALL, count=1))
                for agent_id in ids:
                    await served.node.remove(agent_id)

        ran = await leaves_nothing(served, fault, times=3, tell=tell)
        await everybody.get_commands(SMALL)
        closed = served.node.meters.streams_closed
        # The kernel may be first, where it has room for what the server has written by then.
        aborted = closed[CloseReason.SLOW_CONSUMER] + closed[CloseReason.CLIENT_GONE]
    everybody.compare(without, sorted(seconds)[len(seconds) * 99 // 100], tell)
    tell("readers aborted", aborted)
    tell("worst backlog, bytes", worst)
    assert ran * SCALE.stalled_readers == aborted
    assert worst <= most + 350_000, "its bound, and one event"


def with_small_buffers(streams: Iterable[OutgoingStream]) -> None:
    """Have the kernel keep as little as it can of what is written to streams."""
    for stream in streams:
        sock = stream.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)


def is_told(follower: Follower) -> bool:
    """Tell whether a follower has been written all that it can be."""
    return follower.behind or follower._position == follower._ring.newest


@pytest.mark.parametrize("bound", ["events", "time"])
async def test_followers_that_stop_reading_are_aborted_and_leave_nothing(
    bound: str, tell: Tell
) -> None:
    """When the feed has moved on past what they have read, or they have taken nothing for long."""
    settings = Settings(stream_stall_timeout=3600 if bound == "events" else 0.2)
    worst = 0
    async with serving(settings) as served:
        node = served.node

        async def fault() -> None:
            nonlocal worst
            with ExitStack() as stack:
                for _ in range(SCALE.stalled_readers):
                    sock = await asked((served.host, served.port), "/api/v1/events")
                    stack.enter_context(sock)
                await eventually(lambda: len(node.feed.streams) == SCALE.stalled_readers)
                with_small_buffers(node.feed.streams)
                while not all(follower.behind for follower in node.feed.streams):
                    for _ in range(20):
                        await node.register(EVENTFUL)
                    await eventually(lambda: all(map(is_told, node.feed.streams)))
                worst = max(worst, node.feed.streams.worst_backlog())
                while len(node.feed.streams):
                    if bound == "events":
                        await node.register(EVENTFUL)
                    await asyncio.sleep(0.01)

        ran = await leaves_nothing(served, fault, times=3, events=30, tell=tell)
        tell("readers aborted", node.feed.closed[CloseReason.SLOW_CONSUMER])
        tell("worst backlog, bytes", worst)
        assert ran * SCALE.stalled_readers == node.feed.closed[CloseReason.SLOW_CONSUMER]
        assert 0 < worst <= 2 * PIECE


async def test_a_reader_of_a_byte_at_a_time_gets_what_waits_within_the_bounds() -> None:
    """One that is slow and not behind is no slow consumer, however long it takes."""
    settings = Settings(stream_stall_timeout=0.1, keepalive_interval=0.05)
    async with serving(settings) as served:
        await served.register("a")
        loop, received = asyncio.get_running_loop(), b""
        with await asked((served.host, served.port), "/api/v1/agents/a/events") as sock:
            await eventually(lambda: served.node.agent("a").connected)
            command = await served.node.issue(SMALL, Target.agent("a"))
            start = loop.time()
            while b"\n\n" not in received or loop.time() - start < 3 * 0.1:
                received += await within(loop.sock_recv(sock, 1))
            assert command.command_id.encode() in received
            assert served.node.agent("a").connected


async def test_a_reader_of_a_byte_at_a_time_that_falls_behind_is_aborted(tell: Tell) -> None:
    """By the byte it would take days for what waits, and its kernel takes nothing meanwhile."""
    settings = Settings(max_stream_backlog=2**30, stream_stall_timeout=0.2, command_history=10)
    async with serving(settings) as served:
        loop = asyncio.get_running_loop()
        read = 0

        async def fault() -> None:
            nonlocal read
            await served.register("a")
            with await asked((served.host, served.port), "/api/v1/agents/a/events") as sock:
                await eventually(lambda: served.node.agent("a").connected)
                while not served.node.streams._stalled:
                    await served.node.issue(LARGE, Target.agent("a"))
                while served.node.agent("a").connected:
                    read += len(await within(loop.sock_recv(sock, 1)))
                    await asyncio.sleep(0.01)
            await served.node.remove("a")

        ran = await leaves_nothing(served, fault, times=3, tell=tell)
        tell("bytes read before it was aborted", read)
        closed = served.node.meters.streams_closed
        assert ran == closed[CloseReason.SLOW_CONSUMER] + closed[CloseReason.CLIENT_GONE]


def answering() -> int:
    """Return how many connections aiohttp has in this process."""
    return sum(
        isinstance(one, RequestHandler) and one.transport is not None for one in gc.get_objects()
    )


async def test_long_lists_that_nobody_reads_are_cut_off(tell: Tell) -> None:
    """After the time for which a reader may take nothing, with the task that wrote it."""
    async with serving(Settings(stream_stall_timeout=0.2)) as served:
        for number in range(20):
            await served.register(f"a{number}", capabilities={"x": "y" * 500_000})

        async def fault() -> None:
            with ExitStack() as stack:
                for _ in range(SCALE.stalled_readers):
                    sock = await asked((served.host, served.port), "/api/v1/agents")
                    stack.enter_context(sock)
                    await within(asyncio.get_running_loop().sock_recv(sock, 1))
                await eventually(lambda: not answering())

        await leaves_nothing(served, fault, times=3, tell=tell)


def descriptors(process: Server) -> int:
    return len(os.listdir(f"/proc/{process.process.pid}/fd"))


async def test_answers_that_nobody_reads_are_cut_off(tell: Tell) -> None:
    """Also those that are not written piece by piece: the kernel gives their readers up."""
    async with server("--port", "0", "--stream-stall-timeout", "0.2") as process:
        address = "127.0.0.1", int(process.url.rsplit(":", 1)[1])
        async with process.client() as client:
            body = {"agentId": "a", "group": "g", "capabilities": {"x": "y" * 900_000}}
            assert 201 == (await client.post("/agents/register", json=body)).status_code
        before = descriptors(process)
        with ExitStack() as stack:
            for _ in range(SCALE.stalled_readers):
                # More than the kernel has room for, so that the rest waits in the process.
                sock = await asked(address, "/api/v1/agents/a", times=8)
                stack.enter_context(sock)
                await within(asyncio.get_running_loop().sock_recv(sock, 1))
            tell("descriptors before", before)
            await eventually(lambda: descriptors(process) <= before)
        tell("descriptors after", descriptors(process))
        assert 0 == await process.terminate()
