"""Times that no server of ours names: an agent neither asks without a pause nor stays away."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, Final

import pytest
from aiohttp import web
from attrs import define, field

from cameleer_registry.client import Agent, bounds
from cameleer_registry.client.credentials import Credentials
from cameleer_registry.core.model import AgentCredential

from ..support import running
from .support import running_agent, virtual_time

VERSION: Final = {"X-Cameleer-Protocol-Version": "1"}
HUGE: Final = 2**64 - 1


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (-(2**63), bounds.LEAST),
        (0, bounds.LEAST),
        (99, bounds.LEAST),
        (100, 0.1),
        (30_000, 30.0),
        (86_400_000, 86_400.0),
        (86_400_001, bounds.MOST),
        (HUGE, bounds.MOST),
    ],
)
def test_an_interval(said: int, taken: float) -> None:
    """Of any number that JSON can have."""
    assert taken == bounds.interval(said)


@define
class Odd:
    """What looks like a server, and says any times."""

    heartbeat: int = 30_000
    keepalive: int = 15_000
    renew_after: int | None = None
    retry: str = "3000"
    retry_after: str = ""
    """With which each first request to register is refused; "" refuses none."""
    ends: bool = False
    """Whether it ends its streams, after half a minute."""
    asked: list[tuple[str, float]] = field(factory=list)
    """The last word of each path that was asked for, and when."""

    def times(self, name: str) -> list[float]:
        return [moment for one, moment in self.asked if one == name]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        self.asked.append((name, asyncio.get_running_loop().time()))
        match name:
            case "register" if self.retry_after and len(self.times(name)) == 1:
                problem = {"type": "urn:cameleer:problem:at-capacity", "title": "", "detail": ""}
                headers = {**VERSION, "Retry-After": self.retry_after}
                return web.json_response(problem, status=503, headers=headers)
            case "register":
                return web.json_response(self.welcome(), status=201, headers=VERSION)
            case "heartbeat":
                return web.Response(status=204, headers=VERSION)
            case "token":
                credential = {"credential": self.credential()}
                return web.json_response(credential, headers=VERSION)
            case "commands":
                return web.json_response([], headers=VERSION)
            case _:
                return await self.stream(request)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        headers = {**VERSION, "Content-Type": "text/event-stream"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(f"retry: {self.retry}\n: connected\n".encode())
        await asyncio.sleep(30 if self.ends else 1e6)
        return response

    def welcome(self) -> dict[str, Any]:
        return {
            "agentId": "a",
            "status": "LIVE",
            "resumed": False,
            "sseEndpoint": "/api/v1/agents/a/events",
            "serverPublicKey": None,
            "config": {
                "heartbeatIntervalMs": self.heartbeat,
                "staleAfterMs": 90_000,
                "deadAfterMs": 300_000,
                "keepaliveIntervalMs": self.keepalive,
                "commandTtlMs": 60_000,
            },
            "credential": self.credential(),
        }

    def credential(self) -> dict[str, Any] | None:
        if self.renew_after is None:
            return None
        return {
            "accessToken": "t",
            "expiresInMs": 3_600_000,
            "renewAfterMs": self.renew_after,
            "renewableForMs": 3_600_000,
        }

    async def watched(self, seconds: float) -> None:
        """Have an agent live with it for so long."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        async with running(app) as (host, port):
            agent = Agent(f"http://{host}:{port}", agent_id="a", group="g", token="x")
            async with running_agent(agent) as task:
                await asyncio.sleep(seconds)
                assert not task.done()


@virtual_time
@pytest.mark.parametrize("said", [0, -1, 1])
async def test_heartbeats_without_a_pause(said: int) -> None:
    """Ten a second at most."""
    odd = Odd(heartbeat=said)
    await odd.watched(20)
    assert 100 < len(odd.times("heartbeat")) <= 20 / (0.9 * bounds.LEAST) + 1


@virtual_time
async def test_heartbeats_never() -> None:
    """Once a day."""
    odd = Odd(heartbeat=HUGE)
    await odd.watched(3 * bounds.MOST)
    assert 2 <= len(odd.times("heartbeat")) <= 4


@virtual_time
@pytest.mark.parametrize("said", [0, -1])
async def test_no_keepalives(said: int) -> None:
    """A stream on which nothing comes is given up all the same, and opened ever more rarely."""
    odd = Odd(keepalive=said)
    await odd.watched(600)
    assert 10 < len(odd.times("events")) < 60


@virtual_time
async def test_keepalives_hardly_ever() -> None:
    """It is no stream that ends the agent."""
    odd = Odd(keepalive=HUGE)
    await odd.watched(600)
    assert 1 == len(odd.times("events"))


@virtual_time
@pytest.mark.parametrize("said", ["99999999", "9" * 18])
async def test_a_stream_that_may_be_opened_tomorrow(said: str) -> None:
    """It is opened again within two minutes."""
    odd = Odd(retry=said, ends=True)
    await odd.watched(1000)
    gaps = [later - earlier for earlier, later in pairwise(odd.times("events"))]
    assert len(gaps) > 5
    assert all(gap <= 30 + 120.5 for gap in gaps)


@virtual_time
@pytest.mark.parametrize("said", ["3600", "86400", "1e300"])
async def test_registering_tomorrow(said: str) -> None:
    """It tries again within a minute."""
    odd = Odd(retry_after=said)
    await odd.watched(61)
    refused, registered = odd.times("register")
    assert 30 <= registered - refused <= 60.5


@virtual_time
async def test_registering_at_once() -> None:
    """It takes some rest; the unit of Retry-After is the second."""
    odd = Odd(retry_after="0.0001")
    await odd.watched(10)
    refused, registered = odd.times("register")
    assert 1 <= registered - refused <= 2.5


@virtual_time
@pytest.mark.parametrize(("said", "least", "most"), [(0, 50, 101), (-1, 50, 101), (HUGE, 0, 0)])
async def test_a_token_that_is_always_due(said: int, least: int, most: int) -> None:
    """It is renewed ten times a second at most."""
    odd = Odd(renew_after=said)
    await odd.watched(10)
    assert least <= len(odd.times("token")) <= most


def test_a_token_that_is_never_due() -> None:
    """It is renewed once a day."""
    credential = AgentCredential(
        access_token="t", expires_in_ms=1, renew_after_ms=HUGE, renewable_for_ms=1
    )
    credentials = Credentials(None)
    credentials.take(credential)
    assert bounds.MOST - 60 <= credentials._due_in(credential) <= bounds.MOST
