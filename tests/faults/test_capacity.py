"""More than there is room for: agents, descriptors, and so many of everything that memory shows."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import resource
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest

from cameleer_registry import (
    Ack,
    AgentTarget,
    AtCapacity,
    CommandExpired,
    CommandType,
    Node,
    Order,
    Registration,
    Settings,
    Target,
)
from cameleer_registry.core.rules import AgentId, GroupName
from cameleer_registry.logs import ROOT
from cameleer_registry.node.clock import Clock
from cameleer_registry.node.feed import feed
from cameleer_registry.node.telling import meters

from ..exposition import scrape
from ..processes import Server, server
from ..support import Served, at_once, eventually, serving, streaming, within
from .figures import tell
from .scale import SCALE

SECOND = 1_000_000_000


class Hands:
    """The hands of a clock that a test moves."""

    def __init__(self) -> None:
        self.steady = SECOND

    def clock(self) -> Clock:
        return Clock(tick=10**15, steady=lambda: self.steady, wall=lambda: 10**18 + self.steady)


def registration(agent_id: str, group: str = "g") -> Registration:
    return Registration(agent_id=AgentId(agent_id), group=GroupName(group))


# Agents


async def test_the_limit_refuses_the_new_and_never_harms_the_known(
    record_property: Any,
) -> None:
    """However many come: each is told when to try again, and nothing is kept of it."""
    async with serving(Settings(max_agents=3)) as served, AsyncExitStack() as streams:
        node = served.node
        for agent_id in "abc":
            await served.register(agent_id)
            await streams.enter_async_context(streaming(served, agent_id))
        refuse(node, range(SCALE.refusals // 2))
        before = blocks()
        refuse(node, range(SCALE.refusals // 2, SCALE.refusals))
        kept = blocks() - before
        said = {
            (await served.register(f"new{n}", f"new{n}")).headers["retry-after"] for n in range(20)
        }
        assert len(said) > 1, "so that they do not come back at once"

        known = await served.register("a", "another", instanceId="of another process")
        assert (200, True) == (known.status, known.json()["resumed"])
        assert 204 == (await served.request("POST", "/agents/b/heartbeat")).status
        command = (await served.issue("/agents")).json()
        assert (3, 3) == (command["targetCount"], command["connectedCount"])
        assert 200 == (await served.ack("c", command["commandId"])).status
        assert ["a", "b", "c"] == [agent.agent_id for agent in node.agents()]
        assert {"another", "g"} == set(node.registry._roster.groups)
        assert 404 == (await served.issue("/agents/groups/new1")).status

        await served.request("DELETE", "/agents/c")
        assert 201 == (await served.register("new1", "new1")).status
    tell(record_property, refusals=SCALE.refusals, blocks_kept=kept)
    assert kept < SCALE.refusals // 20


def refuse(node: Node, numbers: range) -> None:
    for number in numbers:
        with pytest.raises(AtCapacity):
            at_once(node.register(registration(f"new{number}", f"new{number}")))


# Descriptors


def starved_server() -> AbstractAsyncContextManager[Server]:
    """Start a server that runs out of descriptors at some fifty connections."""
    return server("--port", "0", "--log-format", "json", stderr=PIPE, open_files=64)


SLOW = b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
"""A request that is never finished."""


async def test_more_connections_than_descriptors() -> None:
    """Those that are open go on; two lines tell of it; and then more are accepted."""
    async with starved_server() as served:
        port = int(served.url.rsplit(":", 1)[1])
        async with served.client() as client, served.client() as agent:
            await client.post("/agents/register", json={"agentId": "a", "group": "g"})
            async with agent.stream("GET", "/agents/a/events") as stream:
                lines = stream.aiter_lines()
                await within(anext(lines))
                others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(96)]
                starved = await asyncio.open_connection("127.0.0.1", port)
                starved[1].write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answered = asyncio.create_task(starved[0].readline())
                told = [await within(log_line(served.process.stderr)) for _ in range(2)]
                for _ in range(30):
                    assert 204 == (await client.post("/agents/a/heartbeat")).status_code
                    await asyncio.sleep(0.05)  # meanwhile asyncio tries again, and fails
                for path in ("/metrics", "/healthz", "/readyz", "/", "/api/v1/agents"):
                    assert 200 == (await client.get(served.url + path)).status_code
                order = {"type": "replay"}
                command = (await client.post("/agents/a/commands", json=order)).json()
                while f"id: {command['commandId']}" != await within(anext(lines)):
                    pass
                assert not answered.done()
                for _, writer in others:
                    writer.close()
                assert b"HTTP/1.1 200 OK\r\n" == await within(answered)
                told += [await within(log_line(served.process.stderr)) for _ in range(2)]
                starved[1].close()
        assert 0 == await served.terminate()
        assert served.process.stderr is not None
        rest = (await served.process.stderr.read()).decode()
    assert [
        ("info", "agent registered"),
        ("error", "new connections cannot be accepted, open ones go on"),
        ("info", "command issued"),
        ("warning", "connections are accepted again"),
    ] == told
    assert "Traceback" not in rest
    assert "accepted" not in rest


async def log_line(stderr: asyncio.StreamReader | None) -> tuple[str, str]:
    """Read the next line of the log after those of the start: its level, and what it says."""
    assert stderr is not None
    while True:
        entry = json.loads(await stderr.readline())
        if entry["event"] != "listening" and not entry["event"].startswith("nothing is stored"):
            return entry["level"], entry["event"]


async def test_the_end_comes_also_where_descriptors_have_run_out() -> None:
    """In time, with streams ended, and without a traceback."""
    async with starved_server() as served:
        port = int(served.url.rsplit(":", 1)[1])
        async with served.client() as client:
            await client.post("/agents/register", json={"agentId": "a", "group": "g"})
            async with client.stream("GET", "/agents/a/events") as stream:
                lines = stream.aiter_lines()
                await within(anext(lines))
                slow = await asyncio.open_connection("127.0.0.1", port)
                slow[1].write(SLOW)
                others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(96)]
                said = ""
                while "cannot be accepted" not in said:
                    _, said = await within(log_line(served.process.stderr))
                served.process.send_signal(signal.SIGTERM)
                assert [": connected"] == [line async for line in lines]
        assert 0 == await within(served.process.wait())
        assert served.process.stderr is not None
        assert b"Traceback" not in await served.process.stderr.read()
        for _, writer in (slow, *others):
            writer.close()


# Memory


@pytest.fixture
def silent() -> Iterator[None]:
    """Have nothing logged: pytest keeps all of it."""
    log = logging.getLogger(ROOT)
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(logging.NOTSET)


def blocks() -> int:
    """Return how many pieces of memory Python holds; tracemalloc takes eight times as long."""
    gc.collect()
    return sys.getallocatedblocks()


def resident() -> int:
    """Return the KiB that this process has taken at the most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def test_memory_is_flat_over_commands(silent: None, record_property: Any) -> None:
    """To one, to groups and to all; acknowledged, late, expired, waited for in vain."""
    hands = Hands()
    node = Node(Settings(command_history=SCALE.history), clock=hands.clock())
    node.start()
    try:
        for number in range(10):
            await node.register(registration(f"a{number}", f"g{number % 3}"))
        await command(node, hands, range(SCALE.commands // 2))
        half, before = blocks(), resident()
        await command(node, hands, range(SCALE.commands // 2, SCALE.commands))
        grown, taken = blocks() - half, resident() - before
    finally:
        await node.stop()
    tell(record_property, commands=SCALE.commands, blocks=half, blocks_more=grown, KiB_more=taken)
    assert grown < SCALE.commands // 100


async def command(node: Node, hands: Hands, numbers: range) -> None:
    """Issue commands of every kind, and let become of them whatever can."""
    for number in numbers:
        node.heartbeat(f"a{number % 10}")
        target = Target.agent(f"a{number % 10}")
        if number % 20 == 0:
            target = Target.all() if number % 40 else Target.of_group(f"g{number % 3}")
        kind = list(CommandType)[number % 3]
        issued = await node.issue(Order(type=kind, payload={"n": number}), target)
        agent_id = f"a{number % 10}" if isinstance(target, AgentTarget) else "a1"
        if number % 8:
            if number % 20 or number % 40:
                await node.acknowledge(agent_id, issued.command_id, Ack(data=number))
        elif number % 16:
            hands.steady += 61 * SECOND
            for other in range(10):
                node.heartbeat(f"a{other}")
            if number % 20:
                with pytest.raises(CommandExpired):
                    await node.acknowledge(agent_id, issued.command_id, Ack())
        else:
            await node.wait(issued.command_id, 0)
        if number % 1000 == 0:
            await asyncio.sleep(0)
    hands.steady += 61 * SECOND
    await node.catch_up()


async def test_memory_is_flat_over_agents(silent: None, record_property: Any) -> None:
    """Each in two groups of its own, with a command that it never answers."""
    node = Node(Settings(command_history=SCALE.agents // 4), clock=Hands().clock())
    await come_and_go(node, range(SCALE.agents // 2))
    half, before = blocks(), resident()
    await come_and_go(node, range(SCALE.agents // 2, SCALE.agents))
    grown, taken = blocks() - half, resident() - before
    tell(record_property, agents=SCALE.agents, blocks=half, blocks_more=grown, KiB_more=taken)
    assert 0 == len(node.registry)
    assert grown < SCALE.agents // 100


async def come_and_go(node: Node, numbers: range) -> None:
    for number in numbers:
        agent_id = f"agent-{number}"
        await node.register(registration(agent_id, f"group-{number}"))
        node.heartbeat(agent_id)
        await node.register(registration(agent_id, f"other-{number}"))
        await node.issue(Order(type=CommandType.REPLAY), Target.of_group(f"other-{number}"))
        await node.remove(agent_id)


async def test_memory_is_flat_over_visits(
    silent: None, record_property: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over HTTP, where connections, requests and streams have their share in it."""
    monkeypatch.setattr(feed, "HISTORY", 100)
    monkeypatch.setattr(meters, "FINISHED_REMEMBERED", 10)
    settings = Settings(command_history=SCALE.visits // 8)
    async with serving(settings) as served:
        await visit(served, range(SCALE.visits // 2))
        half, before = blocks(), resident()
        await visit(served, range(SCALE.visits // 2, SCALE.visits))
        grown, taken = blocks() - half, resident() - before
    tell(record_property, visits=SCALE.visits, blocks=half, blocks_more=grown, KiB_more=taken)
    assert grown < SCALE.visits


async def visit(served: Served, numbers: range) -> None:
    for number in numbers:
        agent_id, group = f"agent-{number}", f"group-{number % 20}"
        await served.register(agent_id, group)
        async with streaming(served, agent_id) as stream, streaming(served, agent_id) as newer:
            command_id = (await served.issue(f"/agents/{agent_id}")).json()["commandId"]
            assert command_id == (await newer.event())["id"]
            if number % 2:
                await served.ack(agent_id, command_id)
            await served.request("POST", f"/agents/{agent_id}/heartbeat")
            await served.request("GET", f"/no/such/address/{number}")
            await served.request("POST", "/agents/register", raw=b"{%d" % number)
            await stream.closed()
            await served.request("DELETE", f"/agents/{agent_id}")
            await newer.closed()
        if number % 50 == 0:
            await scrape(served)
    await eventually(lambda: not served.node.streams._connections)
