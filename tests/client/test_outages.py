"""What an agent lives through: a proxy that itself answers 401, a server's clock set back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from attrs import define, field

from cameleer_registry import Order, Target
from cameleer_registry.client import Agent
from cameleer_registry.client.server_clock import ServerClock
from cameleer_registry.core.instant import NANOSECONDS
from cameleer_registry.node.clock import Clock

from ..closed import Closed, closed
from ..support import eventually, virtual_clock
from .support import (
    Proxy,
    VirtualServerClock,
    connected,
    listening,
    proxy,
    running_agent,
    virtual_time,
)

REFUSAL = (
    b"HTTP/1.1 401 Unauthorized\r\n"
    b'WWW-Authenticate: Bearer realm="somebody else"\r\n'
    b"Content-Type: text/html\r\nContent-Length: 12\r\nConnection: close\r\n\r\n"
    b"<h1>401</h1>"
)
TEN_MINUTES = 600


@define
class Gateway:
    """A proxy that has lost its own configuration: it asks everybody for a password."""

    through: Proxy
    url: str = ""
    is_broken: bool = False
    refused: list[tuple[float, bytes]] = field(factory=list)
    """When a request was refused, and which it was."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection on, or refuse what is asked on it."""
        if not self.is_broken:
            await self.through.serve(reader, writer)
            return
        head = await reader.readuntil(b"\r\n\r\n")
        self.refused.append((asyncio.get_running_loop().time(), head.partition(b" HTTP/")[0]))
        writer.write(REFUSAL)
        await writer.drain()
        writer.close()

    def breaks(self) -> None:
        """Refuse everybody from now on, also those who are connected."""
        self.is_broken = True
        self.through.cut()


@asynccontextmanager
async def gateway(served: Closed) -> AsyncIterator[Gateway]:
    """Put one between agents and a server."""
    async with proxy(served) as network:
        found = Gateway(network)
        async with listening(found.serve) as where:
            found.url = f"http://{where}"
            yield found


@virtual_time
async def test_ten_minutes_of_a_proxys_401() -> None:
    """The agent keeps its token, asks less and less often, never ends, and is there again."""
    async with closed(agents={}, clock=virtual_clock()) as served, gateway(served) as before:
        token = served.tokens["enrol"]
        agent = Agent(before.url, agent_id="n", group="g", token=token, clock=VirtualServerClock())
        agent.on("replay")(lambda _: None)
        async with running_agent(agent) as task:
            await connected(served, "n", 60)
            assert agent._credentials is not None
            shown = agent._credentials.header()
            before.breaks()
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(TEN_MINUTES)
            assert not task.done()
            assert shown == agent._credentials.header(), "a stranger's 401 says nothing of it"
            assert not [one for _, one in before.refused if b"register" in one]
            # A heartbeat every 7.5 s at most, and a stream at most that often.
            assert 10 < len(before.refused) < 2 * TEN_MINUTES / 6
            moments = [round(moment - began, 3) for moment, _ in before.refused]
            assert len(moments) == len(set(moments)), "each after a delay of its own"
            before.is_broken = False
            await connected(served, "n", 120)
            assert shown == agent._credentials.header()
            assert {"new": 1, "resumed": 0} == dict(served.node.meters.registrations)
            done = await served.node.issue(Order(type="replay"), Target.agent("n"))
            command = await served.node.wait(done.command_id, 20)
            assert {"SUCCESS": 1, "FAILURE": 0} == {
                str(outcome): count for outcome, count in command.outcomes.items()
            }


@virtual_time
@pytest.mark.parametrize("minutes", [1, 10])
async def test_a_proxys_401_to_the_first_registration(minutes: int) -> None:
    """The agent waits: a deployment may start its agents before its proxy is right."""
    async with closed(agents={}, clock=virtual_clock()) as served, gateway(served) as before:
        before.breaks()
        token = served.tokens["enrol"]
        agent = Agent(before.url, agent_id="n", group="g", token=token, clock=VirtualServerClock())
        async with running_agent(agent) as task:
            await asyncio.sleep(60 * minutes)
            assert not task.done()
            assert 3 < len(before.refused) < 20 + minutes * 3
            before.is_broken = False
            await eventually(lambda: agent.connected, 200)
            assert 1 == served.node.meters.registrations["new"]


@virtual_time
async def test_the_servers_clock_is_set_back_by_a_day() -> None:
    """Its commands look expired to whoever knows its time from before: that is asked for again."""
    back = 0
    usual = virtual_clock()
    clock = Clock(steady=usual._steady, wall=lambda: usual._wall() - back)

    class AsEachAnswerTells(ServerClock):
        def seconds_until(self, moment: datetime) -> float:
            return moment.timestamp() - clock._wall() / NANOSECONDS

    async with closed(agents={}, clock=clock) as served:
        token = served.tokens["enrol"]
        agent = Agent(served.url, agent_id="n", group="g", token=token, clock=AsEachAnswerTells())
        agent.on("config-update")(lambda _: None)

        async def outcome() -> tuple[str, str | None]:
            issued = await served.node.issue(Order(type="config-update"), Target.agent("n"))
            await served.node.wait(issued.command_id, 20)
            [delivery] = served.node.deliveries(issued.command_id)
            assert delivery.result is not None
            return str(delivery.result.status), delivery.result.message

        async with running_agent(agent):
            await connected(served, "n", 60)
            assert ("SUCCESS", None) == await outcome()
            await asyncio.sleep(100)
            registered = served.node.meters.registrations["resumed"]
            back = 86_400 * NANOSECONDS
            assert ("FAILURE", "refused: expired") == await outcome()
            await eventually(lambda: served.node.meters.registrations["resumed"] > registered, 60)
            assert ("SUCCESS", None) == await outcome()
            assert registered + 1 == served.node.meters.registrations["resumed"]
            # Who repeats what has expired has nobody register more often than once a minute.
            back = 2 * 86_400 * NANOSECONDS
            for _ in range(5):
                assert ("FAILURE", "refused: expired") == await outcome()
            await asyncio.sleep(5)
            assert registered + 1 == served.node.meters.registrations["resumed"]
            await asyncio.sleep(60)
            assert ("FAILURE", "refused: expired") == await outcome()
            await asyncio.sleep(5)
            assert registered + 2 == served.node.meters.registrations["resumed"]
            assert ("SUCCESS", None) == await outcome()
