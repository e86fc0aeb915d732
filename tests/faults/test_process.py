"""A server that is killed, one that is told to end, and one whose tasks fail."""

from __future__ import annotations

import asyncio
import math
import re
import signal
import socket
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from attrs import define, field

from cameleer_registry import Settings
from cameleer_registry.client import fleet as fleet_module
from cameleer_registry.client.fleet import Fleet
from cameleer_registry.core.feed import FeedType
from cameleer_registry.node import monitors
from cameleer_registry.node.feed.feed import Feed
from cameleer_registry.node.streams.fanout import FanOuts
from cameleer_registry.node.telling.narrator import Narrator
from cameleer_registry.system import raise_file_limit

from ..exposition import scrape
from ..processes import Server, free_port, server
from ..support import eventually, following, serving, streaming, virtual_clock, within
from .figures import tell
from .scale import SCALE

virtual_time = pytest.mark.looptime(start=1000)


@asynccontextmanager
async def at_work(doing: Awaitable[Any]) -> AsyncIterator[None]:
    """Have something done meanwhile, and cancel it at the end."""
    task = asyncio.ensure_future(doing)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


# Killed, and started again


@virtual_time
@pytest.mark.parametrize("away", [0, 7, 90])
async def test_agents_are_back_within_two_heartbeat_intervals(
    away: int, record_property: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the server was away; and not all of them in one moment."""
    monkeypatch.setattr(fleet_module, "STARTED_PER_SECOND", 1000)
    interval, size, port = 10.0, 50, free_port()
    settings = Settings(heartbeat_interval=interval, stale_after=30)
    loop = asyncio.get_running_loop()
    async with at_work(Fleet(f"http://127.0.0.1:{port}", agents=size).run()):
        async with serving(settings, clock=virtual_clock(), port=port) as served:
            await eventually(lambda: are_back(served.node.agents(), size), 60)
            await asyncio.sleep(2 * interval)
            for stream in served.node.streams:
                stream.abort()  # as the kernel does with the connections of a dead process
        await asyncio.sleep(away)
        async with serving(settings, clock=virtual_clock(), port=port) as served:
            began = loop.time()
            back: dict[str, float] = {}
            while len(back) < size:
                await asyncio.sleep(0.1)
                for agent in served.node.agents():
                    if agent.connected:
                        back.setdefault(agent.agent_id, loop.time() - began)
                assert loop.time() - began <= 2 * interval, f"{size - len(back)} are not back"
    busiest = max(Counter(map(math.floor, back.values())).values())
    tell(record_property, last_one_back=round(max(back.values()), 1), most_in_one_second=busiest)
    assert busiest <= size // 2


def are_back(agents: list[Any], size: int) -> bool:
    return size == len([1 for agent in agents if agent.connected and agent.status == "LIVE"])


async def test_a_server_that_is_killed_under_load(record_property: Any) -> None:
    """With SIGKILL, while it sends commands; started again, it has all agents back."""
    port = free_port()
    args = ("--port", str(port), "--heartbeat-interval", "5", "--log-level", "error")
    fleet = Fleet(f"http://127.0.0.1:{port}", agents=SCALE.fleet, ack_delay=0)
    async with at_work(fleet.run()):
        async with server(*args) as served, at_work(broadcast(served)):
            await eventually(lambda: fleet.connected == fleet.size, 60)
            await eventually(lambda: fleet.figures.acknowledged > fleet.size, 60)
            served.process.kill()
            await within(served.process.wait())
            await eventually(lambda: not fleet.connected)
        async with server(*args) as served, served.client() as client:
            began, back = time.monotonic(), [0.0] * fleet.size
            count = 0
            while count < fleet.size:
                agents = (await client.get("/agents")).json()
                now = sum(a["connected"] and a["status"] == "LIVE" for a in agents)
                back[count:now] = [time.monotonic() - began] * max(0, now - count)
                count = max(count, now)
                await asyncio.sleep(0.02)
            command = (await client.post("/agents/commands", json={"type": "replay"})).json()
            assert fleet.size == command["connectedCount"]
            done = (await client.get(f"/commands/{command['commandId']}?wait=20")).json()
            assert "ACKNOWLEDGED" == done["status"]
    busiest = max(Counter(math.floor(moment) for moment in back).values())
    tell(
        record_property,
        agents=fleet.size,
        last_one_back=round(back[-1], 1),
        most_in_one_second=busiest,
    )


async def broadcast(served: Server) -> None:
    """Send commands to all agents, one after the other, as long as the server is there."""
    async with served.client() as client:
        with suppress(Exception):
            while True:
                await client.post("/agents/commands", json={"type": "replay"})


# Told to end


@define
class Reader(asyncio.Protocol):
    """The client's end of one connection: everything that came, and how it ended."""

    received: bytearray = field(factory=bytearray)
    ended: str = ""
    transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> None:
        self.ended = "FIN"

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or repr(exc)


async def test_the_end_under_load(record_property: Any) -> None:
    """Every stream ends cleanly, and every request that was sent before the signal is answered.

    Commands to all agents, heartbeats and waiting operators are under way.
    """
    raise_file_limit()
    loop = asyncio.get_running_loop()
    args = ("--port", "0", "--log-level", "error")
    async with (
        server(*args, stderr=PIPE) as served,
        served.client() as client,
        AsyncExitStack() as stack,
    ):
        port = int(served.url.rsplit(":", 1)[1])

        async def connect() -> Reader:
            _, reader = await loop.create_connection(Reader, "127.0.0.1", port)
            stack.callback(reader.transport.abort)
            return reader

        streams = await open_streams(connect, SCALE.streams)
        operators = [await connect() for _ in range(20)]
        heartbeats = [await connect() for _ in range(200)]
        command = (await client.post("/agents/agent-0/commands", json={"type": "replay"})).json()
        for number, operator in enumerate(operators):
            order = request("POST", "agents/commands", b'{"type":"replay","payload":{}}')
            wait = request("GET", f"commands/{command['commandId']}?wait=60")
            operator.transport.write(order if number % 2 else wait)
        for number, heartbeat in enumerate(heartbeats):
            heartbeat.transport.write(request("POST", f"agents/agent-{number}/heartbeat") * 3)
        # Not accepted yet, and as good as accepted: the kernel has taken the connection for it.
        newcomers = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        for newcomer in newcomers:
            stack.callback(newcomer.close)
            newcomer.sendall(request("POST", "agents/agent-0/heartbeat"))
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert 0 == await within(served.process.wait(), 60)
        took = time.monotonic() - began
        everybody = [*streams, *operators, *heartbeats]
        await eventually(lambda: all(reader.ended for reader in everybody), 60)
        assert served.process.stderr is not None
        assert b"" == await served.process.stderr.read()
        answers = [newcomer.recv(65_536) for newcomer in newcomers]
    unclean = [s for s in streams if s.ended != "FIN" or not s.received.endswith(b"\r\n0\r\n\r\n")]
    events = sum(bytes(stream.received).count(b"event: replay") for stream in streams)
    assert [] == unclean
    for number, operator in enumerate(operators):
        assert ("FIN", [b"202" if number % 2 else b"200"]) == (operator.ended, statuses(operator))
    assert {("FIN", (b"204",) * 3)} == {(h.ended, tuple(statuses(h))) for h in heartbeats}
    assert {b"HTTP/1.1 204 No Content"} == {answer.partition(b"\r\n")[0] for answer in answers}
    tell(record_property, streams=len(streams), seconds=round(took, 2), events_written=events)


def request(method: str, path: str, body: bytes = b"") -> bytes:
    length = "" if method == "GET" else f"Content-Length: {len(body)}\r\n"
    return f"{method} /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n".encode() + body


def statuses(reader: Reader) -> list[bytes]:
    return re.findall(rb"^HTTP/1\.1 (\d+) ", bytes(reader.received), re.M)


async def open_streams(connect: Callable[[], Awaitable[Reader]], count: int) -> list[Reader]:
    """Register agents on one connection each, and open their streams on the same."""

    async def join(number: int) -> Reader:
        reader = await connect()
        body = b'{"agentId":"agent-%d","group":"g"}' % number
        reader.transport.write(
            request("POST", "agents/register", body)
            + request("GET", f"agents/agent-{number}/events")
        )
        await eventually(lambda: b": connected\n" in reader.received, 60)
        return reader

    readers = []
    for start in range(0, count, 100):
        batch = range(start, min(count, start + 100))
        readers += await asyncio.gather(*map(join, batch))
    return readers


# Tasks that fail

TASKS: list[tuple[str, Any, str]] = [
    ("heartbeat monitor", monitors, "heartbeat_monitor"),
    ("command expiry", monitors, "command_expiry"),
    ("stream keeper", monitors, "stream_keeper"),
    ("event loop monitor", monitors, "loop_monitor"),
    ("forgetting of dead agents", monitors, "forget_dead"),
    ("command fan-out", FanOuts, "drain"),
    ("event feed", Feed, "tell"),
    ("log sums", Narrator, "sum_up"),
]


@virtual_time
@pytest.mark.parametrize(("name", "owner", "attribute"), TASKS, ids=[task[0] for task in TASKS])
async def test_a_task_that_is_made_to_fail(
    name: str,
    owner: Any,
    attribute: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is started again, and reported in the log, by /readyz and as a metric; then it works.

    Meanwhile requests are served as ever, because none needs it.
    """
    run, failures = getattr(owner, attribute), 0

    async def fails_at_first(itself: Any) -> None:
        nonlocal failures
        if failures < 5:
            failures += 1
            raise LookupError("made to fail")
        await run(itself)

    monkeypatch.setattr(owner, attribute, fails_at_first)
    settings = Settings(forget_dead_after=86_400)
    async with serving(settings, clock=virtual_clock()) as served, following(served) as feed:
        ids = [f"a{number:02}" for number in range(60)]
        for agent_id in ids:
            await served.register(agent_id)
        async with streaming(served, "a59") as stream:
            await asyncio.sleep(3)
            answer = await served.request("GET", "//readyz")
            assert (503, [f"{name} keeps failing"]) == (answer.status, answer.json()["reasons"])
            early = (await served.issue("/agents")).json()
            assert (60, 1) == (early["targetCount"], early["connectedCount"])
            assert early["commandId"] == (await stream.event())["id"]
            assert 200 == (await served.ack("a59", early["commandId"])).status
            await asyncio.sleep(47)
            assert 200 == (await served.request("GET", "//readyz")).status
            restarts = (await scrape(served)).values("cameleer_task_restarts_total", zeros=True)
            assert {(task,): 5 * (task == name) for task, _, _ in TASKS} == restarts
            late = (await served.issue("/agents")).json()
            assert late["commandId"] == (await stream.event())["id"]
            assert b":\n" == await asyncio.wait_for(stream.chunk(), 20)
        await asyncio.sleep(150)
        assert sum(served.node.meters.loop_lag.counts) > 300
        told = Counter[str]()
        while told[FeedType.DELIVERY_EXPIRED] < 2 or told[FeedType.AGENT_STATUS] < len(ids):
            told[(await feed.event())["event"]] += 1
    lines = [r for r in caplog.records if r.name.startswith("cameleer") and r.levelname == "ERROR"]
    assert [f"{name} has failed and is started again"] * 5 == [r.getMessage() for r in lines]
    assert all(line.exc_info for line in lines)
