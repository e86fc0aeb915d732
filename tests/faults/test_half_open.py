"""Peers that vanish without a word: noticed and freed, whatever was under way on the connection."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from attrs import evolve, frozen

from cameleer_registry import Ack, CommandType, Order, Registration, Settings, Target
from cameleer_registry.core.events import CloseReason
from cameleer_registry.core.rules import AgentId, GroupName
from cameleer_registry.web.connections import PoliteConnection

from ..processes import server
from ..support import Served, at_once, eventually, serving, streaming, within
from .leaks import leaves_nothing
from .network import Network, network
from .scale import SCALE

Tell = Callable[[str, object], None]

SMALL = Order(type=CommandType.CONFIG_UPDATE, payload={"revision": 7})
BIG = Order(type=CommandType.CONFIG_UPDATE, payload={"x": "y" * 500_000})

QUICK = Settings(
    keepalive_interval=0.1,
    stream_stall_timeout=0.15,
    body_timeout=0.2,
    command_history=1,
    max_stream_backlog=2**30,
)


@pytest.fixture(scope="module")
def made() -> Iterator[Network]:
    """A network for all tests of this module."""
    with network() as made:
        yield made


@pytest.fixture
def cable(made: Network) -> Iterator[Network]:
    """The network, whole at the beginning of each test."""
    yield made
    made.mend()


@asynccontextmanager
async def served_to(cable: Network, settings: Settings = QUICK) -> AsyncIterator[Served]:
    """Serve those at the other end of a cable, with little patience."""
    async with serving(
        settings, host=cable.here, keepalive_timeout=0.4, lingering_time=0.1
    ) as served:
        yield served


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments at which connections were accepted."""
    moments: list[float] = []
    connection_made = PoliteConnection.connection_made

    def noting(connection: PoliteConnection, transport: asyncio.BaseTransport) -> None:
        moments.append(asyncio.get_running_loop().time())
        connection_made(connection, transport)

    monkeypatch.setattr(PoliteConnection, "connection_made", noting)
    return moments


def connections(served: Served) -> int:
    """Return how many connections there are, aiohttp's and streams'."""
    node = served.node
    return (
        len(node.streams._connections)
        + len(node.feed.streams._connections)
        + sum(
            isinstance(one, PoliteConnection) and one.transport is not None
            for one in gc.get_objects()
        )
    )


@frozen
class Doing:
    """What a peer has asked for when it vanishes."""

    request: bytes
    answered: bool = False
    """Whether it has got the beginning of an answer by then."""


DOING = {
    "stream": Doing(
        b"GET /api/v1/agents/{agent}/events HTTP/1.1\r\nHost: localhost\r\n\r\n", answered=True
    ),
    "feed": Doing(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n", answered=True),
    "list": Doing(b"GET /api/v1/agents HTTP/1.1\r\nHost: localhost\r\n\r\n", answered=True),
    "nothing": Doing(b""),
    "head": Doing(b"GET /api/v1/agents HTTP/1.1\r\nHo"),
    "body": Doing(
        b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
    ),
    "idle": Doing(
        b"POST /api/v1/agents/a1/heartbeat HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 0\r\n\r\n",
        answered=True,
    ),
    "wait": Doing(b"GET /api/v1/commands/{command}?wait=0.3 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
}


@pytest.mark.parametrize("doing", DOING)
async def test_a_peer_that_vanishes_is_noticed_and_freed(
    doing: str, cable: Network, accepted: list[float], tell: Tell
) -> None:
    """Whatever it was doing, its connection goes when a time-out has passed."""
    loop, what, slowest = asyncio.get_running_loop(), DOING[doing], 0.0
    async with served_to(cable) as served:
        for number in range(SCALE.half_open):
            register(served, f"a{number}", 10_000_000 // SCALE.half_open if doing == "list" else 0)
        pending = await served.node.issue(SMALL, Target.agent("a0"))

        async def fault() -> None:
            nonlocal slowest
            accepted.clear()
            with ExitStack() as stack:
                for number in range(SCALE.half_open):
                    sock = stack.enter_context(await cable.connect(served.port))
                    request = what.request.replace(b"{agent}", b"a%d" % number)
                    request = request.replace(b"{command}", pending.command_id.encode())
                    await loop.sock_sendall(sock, request)
                    if what.answered:
                        assert b"HTTP" == await within(loop.sock_recv(sock, 4))
                await eventually(lambda: len(accepted) == SCALE.half_open)
                cable.cut()
                cut = loop.time()
                await eventually(lambda: not connections(served))
                slowest = max(slowest, loop.time() - cut)
            cable.mend()

        await leaves_nothing(served, fault, times=2, tell=tell)
        assert not any(agent.connected for agent in served.node.agents())
    tell("seconds until it was noticed, at most", round(slowest, 2))


async def test_a_peer_that_vanishes_behind_a_backlog_is_noticed_and_freed(
    cable: Network, tell: Tell
) -> None:
    """What waits for it goes with it."""
    async with served_to(cable) as served:
        node = served.node

        async def fault() -> None:
            register(served, "a")
            with await cable.connect(served.port) as sock:
                await asyncio.get_running_loop().sock_sendall(sock, stream_of("a"))
                await eventually(lambda: node.agent("a").connected)
                cable.cut()
                while not node.streams._stalled and node.agent("a").connected:
                    await node.issue(BIG, Target.agent("a"))
                await eventually(lambda: not node.agent("a").connected)
                await eventually(lambda: not node.streams._connections)
            cable.mend()
            await node.remove("a")

        await leaves_nothing(served, fault, times=2, tell=tell)


async def test_an_agent_comes_back_before_its_vanished_connection_is_noticed(
    cable: Network, tell: Tell
) -> None:
    """It is connected all the time, gets every command, and the old connection goes at once."""
    settings = evolve(QUICK, keepalive_interval=60, stream_stall_timeout=60)
    async with served_to(cable, settings) as served:
        node = served.node
        register(served, "a")

        async def fault() -> None:
            with await cable.connect(served.port) as sock:
                await asyncio.get_running_loop().sock_sendall(sock, stream_of("a"))
                await eventually(lambda: node.agent("a").connected)
                cable.cut()
                async with streaming(served, "a") as again:
                    assert 1 == len(node.streams)
                    await eventually(lambda: 1 == len(node.streams._connections))
                    command = await node.issue(SMALL, Target.agent("a"))
                    assert command.command_id == (await again.event())["id"]
                    assert node.agent("a").connected
                    await node.acknowledge("a", command.command_id, Ack())
                await eventually(lambda: not node.agent("a").connected)
            cable.mend()

        ran = await leaves_nothing(served, fault, times=9, tell=tell)
        assert ran == node.meters.streams_closed[CloseReason.REPLACED]


async def test_the_program_frees_peers_that_vanish(cable: Network, tell: Tell) -> None:
    """The real one: its descriptors are as before, and its metrics say so."""
    loop = asyncio.get_running_loop()
    impatient = ("--keepalive-interval", "0.1", "--stream-stall-timeout", "0.15")
    async with server("--host", cable.here, "--auth", "off", "--port", "0", *impatient) as process:

        def descriptors() -> int:
            return len(os.listdir(f"/proc/{process.process.pid}/fd"))

        async with process.client() as client:
            for number in range(SCALE.half_open):
                body = {"agentId": f"a{number}", "group": "g"}
                assert 201 == (await client.post("/agents/register", json=body)).status_code
        before = descriptors()
        with ExitStack() as stack:
            for number in range(SCALE.half_open):
                sock = await cable.connect(int(process.url.rsplit(":", 1)[1]))
                stack.enter_context(sock)
                await loop.sock_sendall(sock, stream_of(f"a{number}"))
                assert b"HTTP" == await within(loop.sock_recv(sock, 4))
            cable.cut()
            cut = loop.time()
            await eventually(lambda: descriptors() <= before)
            tell("seconds until all were noticed", round(loop.time() - cut, 2))
        tell("descriptors before and after", (before, descriptors()))
        async with process.client() as client:
            agents = (await client.get("/agents")).json()
        assert [False] * SCALE.half_open == [agent["connected"] for agent in agents]
        assert 0 == await process.terminate()


def register(served: Served, agent_id: str, size: int = 0) -> None:
    """Register an agent that declares so many bytes."""
    capabilities = {"x": "y" * size}
    at_once(
        served.node.register(
            Registration(
                agent_id=AgentId(agent_id), group=GroupName("g"), capabilities=capabilities
            )
        )
    )


def stream_of(agent_id: str) -> bytes:
    """Return the request for an agent's stream."""
    return f"GET /api/v1/agents/{agent_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
