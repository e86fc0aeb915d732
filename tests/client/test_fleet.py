"""A simulated fleet, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web

from cameleer_registry import InvalidRequest, Settings
from cameleer_registry.client import fleet as module
from cameleer_registry.client.fleet import Fleet
from cameleer_registry.core.model import Delivery

from ..support import Served, eventually, running, serving, virtual_clock, within
from .support import virtual_time


@asynccontextmanager
async def at_work(fleet: Fleet) -> AsyncIterator[Fleet]:
    """Run a fleet, and cancel it at the end."""
    task = asyncio.create_task(fleet.run())
    try:
        yield fleet
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def sent(served: Served) -> str:
    """Send a command to all."""
    return str((await served.issue("/agents")).json()["commandId"])


def states(served: Served, command_id: str) -> set[str]:
    return {str(delivery.status) for delivery in served.node.deliveries(command_id)}


async def test_it_is_real_to_the_server(served: Served) -> None:
    """Its agents register, are connected, acknowledge; the figures say what the server has seen."""
    async with at_work(Fleet(served.url, agents=5, groups=2, ack_delay=0)) as fleet:
        await eventually(lambda: fleet.connected == 5)
        agents = served.node.agents()
        assert [f"sim-000{number}" for number in range(1, 6)] == [a.agent_id for a in agents]
        groups = {group.group: group.live for group in served.node.groups()}
        assert {"sim-group-1": 3, "sim-group-2": 2} == groups
        assert all(agent.connected for agent in agents)
        command_id = await sent(served)
        await eventually(lambda: states(served, command_id) == {"ACKNOWLEDGED"})
        await eventually(lambda: fleet.figures.acknowledged == 5)
        expected = module.Figures(registrations=5, streams=5, received=5, acknowledged=5)
        assert (expected, 5) == (fleet.figures, fleet.registered)
    await eventually(lambda: not any(agent.connected for agent in served.node.agents()))


async def test_heartbeats_are_counted() -> None:
    """As they are sent."""
    settings = Settings(heartbeat_interval=0.05, stale_after=10)
    async with serving(settings) as served, at_work(Fleet(served.url, agents=2)) as fleet:
        await eventually(lambda: fleet.figures.heartbeats >= 4)
    # The last ones of two agents may have arrived without their answer.
    arrived = served.node.meters.heartbeats
    assert fleet.figures.heartbeats <= arrived <= fleet.figures.heartbeats + 2


async def test_answers_that_are_failures(served: Served) -> None:
    """All of them, where the rate is one."""
    async with at_work(Fleet(served.url, agents=3, failure_rate=1, ack_delay=0.01)) as fleet:
        await eventually(lambda: fleet.connected == 3)
        command_id = await sent(served)
        await eventually(lambda: states(served, command_id) == {"ACKNOWLEDGED"})
        results = [delivery.result for delivery in served.node.deliveries(command_id)]
        assert {("FAILURE", "simulated failure")} == {
            (str(result.status), result.message) for result in results if result
        }
        assert 3 == fleet.figures.failed


def tasks_of_the_client() -> list[asyncio.Task[Any]]:
    """Return what works for the fleet, without what the server has for its connections."""
    return [
        task
        for task in asyncio.all_tasks()
        if "/client/" in getattr(getattr(task.get_coro(), "cr_code", None), "co_filename", "")
        and "/tests/" not in task.get_coro().cr_code.co_filename  # type: ignore[union-attr]
    ]


async def test_commands_that_are_never_answered(served: Served) -> None:
    """They stay pending until they expire, and nothing is kept of them."""
    async with at_work(Fleet(served.url, agents=3, ack_rate=0, ack_delay=0)) as fleet:
        await eventually(lambda: fleet.connected == 3)
        before = len(tasks_of_the_client())
        command_id = await sent(served)
        await eventually(lambda: fleet.figures.ignored == 3)
        await eventually(lambda: len(tasks_of_the_client()) <= before)
        assert {"PENDING"} == states(served, command_id)
    assert {"PENDING"} == states(served, command_id), "nor at the end"


async def test_rates_are_shares(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """About half of the commands are answered, and half of those with a failure."""
    monkeypatch.setattr(module, "STARTED_PER_SECOND", 1000)
    fleet = Fleet(served.url, agents=100, ack_rate=0.5, failure_rate=0.5, ack_delay=0)
    async with at_work(fleet):
        await eventually(lambda: fleet.connected == 100)
        for _ in range(4):
            command_id = await sent(served)
        figures = fleet.figures
        await eventually(lambda: figures.received == 400)
        await eventually(lambda: figures.acknowledged + figures.ignored == 400)
        deliveries: list[Delivery] = served.node.deliveries(command_id)
    assert 100 == len(deliveries)
    assert 140 <= figures.acknowledged <= 260
    assert 60 <= figures.failed <= 140


async def test_churn(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents go, and come back under the same ids as other processes would."""
    monkeypatch.setattr(module, "MINUTE", 0.1)
    monkeypatch.setattr(module, "AWAY", (0.01, 0.02))
    async with at_work(Fleet(served.url, agents=3, churn=1)) as fleet:
        await eventually(lambda: fleet.connected > 0)
        instances = {agent.instance_id for agent in served.node.agents()}
        await eventually(lambda: fleet.figures.restarts >= 10)
        await eventually(lambda: fleet.figures.reconnects >= 5)
        agents = served.node.agents()
    assert ["sim-0001", "sim-0002", "sim-0003"] == [agent.agent_id for agent in agents]
    assert instances != {agent.instance_id for agent in agents}


@virtual_time
async def test_it_does_not_stampede() -> None:
    """They begin one after the other, 100 a second."""
    clock = virtual_clock()
    async with serving(clock=clock) as served, at_work(Fleet(served.url, agents=50)) as fleet:
        await asyncio.sleep(0.255)
        assert 26 == len(served.node.agents())
        await asyncio.sleep(1)
        assert 50 == fleet.registered


async def test_a_fleet_that_is_refused() -> None:
    """The first refusal for good ends it."""

    async def answer(_request: web.Request) -> web.Response:
        problem = {"type": "urn:cameleer:problem:invalid-request", "title": "x", "detail": "no"}
        return web.json_response(problem, status=400)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    async with running(app) as (host, port):
        with pytest.raises(InvalidRequest, match="no"):
            await within(Fleet(f"http://{host}:{port}", agents=20).run())
