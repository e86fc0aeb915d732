"""Kills under load: nothing answered is lost, nothing is done twice, and all nodes are equal."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..nats import NatsServers, nats_servers
from .load import Load
from .nodes import NodeProcess, nodes, same_everywhere

ROUNDS = int(os.environ.get("CAMELEER_TEST_KILLS", "3"))
"""Kills of each kind; 7 make more than 20."""

WORKERS = 8
SECONDS = 2.0


async def everything(node: NodeProcess) -> dict[str, Any]:
    """Return all commands that a node knows, by their ids."""
    found: dict[str, Any] = {}
    async with httpx.AsyncClient(base_url=node.api, timeout=30) as client:
        for each in (await client.get("/commands")).json():
            found[each["commandId"]] = each
    return found


async def node_killed(_nats: NatsServers, running: list[NodeProcess]) -> None:
    """Kill a node, and start it again."""
    node = random.choice(running)
    await node.kill()
    await asyncio.sleep(0.5)
    await node.start()


async def nats_killed(nats: NatsServers, _running: list[NodeProcess]) -> None:
    """Kill a NATS server, the log's leader as often as not, and start it again."""
    server = random.choice(nats.servers)
    server.kill()
    await asyncio.sleep(0.5)
    server.start()
    await server.ready()
    await asyncio.sleep(4)


async def node_stopped(_nats: NatsServers, running: list[NodeProcess]) -> None:
    """End a node as an operator would, and start it again."""
    node = random.choice(running)
    assert 0 == await node.end(signal.SIGTERM)
    await node.start()


KINDS: list[Callable[[NatsServers, list[NodeProcess]], Any]] = [
    node_killed,
    nats_killed,
    node_stopped,
]


@pytest.mark.timeout(900)
async def test_kills_under_load(tmp_path: Path) -> None:
    """Two nodes, three NATS servers, and a client that asks again wherever it is answered."""
    async with (
        nats_servers(tmp_path / "nats", 3) as nats,
        nodes(nats, tmp_path, "a", "b", more=("--command-ttl", "1h")) as running,
    ):
        for number in range(WORKERS):
            assert 201 == (await running[0].enter(f"load-{number}")).status_code
        for _ in range(ROUNDS):
            for kill in KINDS:
                load = Load(running)
                working = [asyncio.create_task(load.run(number)) for number in range(WORKERS)]
                await asyncio.sleep(SECONDS / 2)
                await kill(nats, running)
                await asyncio.sleep(SECONDS / 2)
                load.stop()
                async with asyncio.timeout(60):
                    await asyncio.gather(*working)
                assert [] == load.strange
                assert len(load.accepted) > WORKERS
                assert max(load.longest.values()) < 14, load.longest
                await same_everywhere(*running)
                for node in running:
                    known = await everything(node)
                    assert set(load.accepted.values()) <= known.keys()
                    assert len(set(load.accepted.values())) == len(load.accepted)
                    for command_id in load.acknowledged:
                        assert "ACKNOWLEDGED" == known[command_id]["status"]
                print(kill.__name__, len(load.accepted), load.statuses, load.longest)
