"""A fleet of thousands, against a server in a process of its own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from cameleer_registry import NODE, create_app
from cameleer_registry.system import raise_file_limit

from .processes import server
from .support import Connection, Served, connected, following, open_stream, within

FLEET = 2000


async def test_a_broadcast_to_a_fleet() -> None:
    """2,000 agents register, connect, get one command, and acknowledge it.

    Who follows the feed is told so in a few events.
    """
    raise_file_limit()
    async with server() as process, AsyncExitStack() as streams:
        # Only its address is used: the registry of this one is empty.
        served = Served(create_app()[NODE], "127.0.0.1", int(process.url.rsplit(":", 1)[1]))
        ids = [f"agent-{number:04}" for number in range(FLEET)]

        async def join(agent_id: str) -> None:
            assert 201 == (await served.register(agent_id, "fleet")).status
            connection = await streams.enter_async_context(connected(served))
            await open_stream(served, connection, agent_id)
            agents[agent_id] = connection

        async def obey(agent_id: str) -> str:
            event = await agents[agent_id].event()
            assert 200 == (await served.ack(agent_id, event["id"])).status
            return str(event["id"])

        async def watch() -> list[dict[str, Any]]:
            told = [await follower.event()]
            while told[-1]["data"].get("status", "PENDING") == "PENDING":
                told.append(await follower.event())
            return told

        agents: dict[str, Connection] = {}
        for start in range(0, FLEET, 100):
            await asyncio.gather(*map(join, ids[start : start + 100]))
        types = "?types=command-issued,delivery-acknowledged,delivery-expired"
        follower = await streams.enter_async_context(following(served, types))
        watching = asyncio.create_task(watch())
        command = (await served.issue("/agents/groups/fleet")).json()
        assert (FLEET, FLEET) == (command["targetCount"], command["connectedCount"])
        seen = await asyncio.gather(*map(obey, ids))
        assert {command["commandId"]} == set(seen)
        path = f"/commands/{command['commandId']}"
        finished = (await served.request("GET", f"{path}?wait=10")).json()
        assert ("ACKNOWLEDGED", FLEET) == (finished["status"], finished["counts"]["ACKNOWLEDGED"])
        deliveries = (await served.request("GET", f"{path}/deliveries")).json()
        assert ids == [delivery["agentId"] for delivery in deliveries]
        assert {"ACKNOWLEDGED"} == {delivery["status"] for delivery in deliveries}
        assert all(delivery["deliveredAt"] for delivery in deliveries)
        told = await within(watching)
        assert len(told) < 50
        assert ids == sorted(name for event in told[1:] for name in event["data"]["agentIds"])
        assert finished["counts"] == told[-1]["data"]["counts"]
        assert 0 == await process.terminate()
