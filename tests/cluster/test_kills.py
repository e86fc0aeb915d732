"""Kills under load: nothing answered is lost, nothing is done twice, and all nodes are equal."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from ..faults.scale import SCALE
from ..nats import NatsServer, NatsServers, nats_servers
from .digests import divergences, newest_event, same_digest
from .load import Crew, Load, crew
from .nodes import NodeProcess, nodes
from .servers import called, caught_up, roles

AGENTS: Final = 8
WORKERS: Final = 4
BEFORE: Final = 0.7
AWAY: Final = 0.5
AFTER: Final = 0.7
"""Seconds of load before a kill, of absence, and of load when everything is back."""


async def node_killed(_: NatsServers, running: list[NodeProcess]) -> None:
    """SIGKILL for a node."""
    node = random.choice(running)
    await node.kill()
    await asyncio.sleep(AWAY)
    await node.start()


async def node_stopped(_: NatsServers, running: list[NodeProcess]) -> None:
    """SIGTERM, as an operator has it."""
    node = random.choice(running)
    assert 0 == await node.end(signal.SIGTERM)
    await node.start()


async def leader_killed(servers: NatsServers, _: list[NodeProcess]) -> None:
    """SIGKILL for the server that leads the log."""
    await _without(servers, called(servers, (await roles(servers)).leader))


async def tail_killed(servers: NatsServers, _: list[NodeProcess]) -> None:
    """SIGKILL for a server from which a node reads the log."""
    await _without(servers, called(servers, random.choice((await roles(servers)).tails)))


async def both_killed(servers: NatsServers, running: list[NodeProcess]) -> None:
    """SIGKILL for the server that leads the log and for a node, at once."""
    server = called(servers, (await roles(servers)).leader)
    node = random.choice(running)
    server.kill()
    await node.kill()
    await asyncio.sleep(AWAY)
    server.start()
    await server.ready()
    await node.start()
    await caught_up(servers)


async def _without(servers: NatsServers, server: NatsServer) -> None:
    server.kill()
    await asyncio.sleep(AWAY)
    server.start()
    await server.ready()
    await caught_up(servers)


Kill = Callable[[NatsServers, list[NodeProcess]], Awaitable[None]]
KINDS: Final[list[Kill]] = [node_killed, leader_killed, node_stopped, tail_killed, both_killed]


async def check(load: Load, of: Crew, node: NodeProcess) -> None:
    """Hold what the client was promised against what a node knows."""
    known: list[dict[str, Any]] = (await node.ask("GET", "/commands")).json()
    by_key: dict[str, list[str]] = {}
    for command in known:
        by_key.setdefault(command["payload"]["key"], []).append(command["commandId"])
    assert {key: [command_id] for key, command_id in load.accepted.items()} == {
        key: by_key.get(key, []) for key in load.accepted
    }
    assert [] == [key for key, ids in by_key.items() if len(ids) != 1]
    assert [] == [c["commandId"] for c in known if c["status"] != "ACKNOWLEDGED"]
    carried_out = {command_id for _, command_id in of.done}
    assert set(load.accepted.values()) <= carried_out
    assert [] == of.twice()


@pytest.mark.timeout(3600)
async def test_kills_under_load(tmp_path: Path, record_property: Any) -> None:
    """Two nodes, three NATS servers, and a client that asks again wherever it is answered."""
    accepted, slowest, told = 0, 0.0, []
    async with (
        nats_servers(tmp_path / "nats", 3) as servers,
        nodes(servers, tmp_path, "a", "b", more=("--command-ttl", "1h"), quiet=True) as running,
        crew(running, AGENTS) as agents,
    ):
        ids = [agent.agent_id for agent in agents.agents]
        for kill in KINDS * SCALE.kills_of_a_kind:
            after = await newest_event(running[0])
            load = Load(running, ids)
            working = [asyncio.create_task(load.run(number)) for number in range(WORKERS)]
            await asyncio.sleep(BEFORE)
            await kill(servers, running)
            await asyncio.sleep(AFTER)
            load.stop()
            async with asyncio.timeout(90):
                await asyncio.gather(*working)
            assert [] == load.strange
            assert len(load.accepted) > WORKERS
            for node in running:
                await node.shows(
                    lambda node=node: node.ask("GET", "/commands?status=PENDING"),  # type: ignore[misc]
                    lambda pending: not pending,
                    90,
                )
            same = await same_digest(running, after)
            for node in running:
                await check(load, agents, node)
                assert 0 == await divergences(node)
            accepted += len(load.accepted)
            slowest = max(slowest, load.until_accepted)
            told.append(
                f"{kill.__name__}: {len(load.accepted)} accepted, digest {same}, "
                f"accepted within {load.until_accepted:.2f} s; longest {load.longest_shown()}"
            )
            print(told[-1])
        print(
            f"{len(told)} kills: {accepted:,} commands accepted, "
            f"{sum(agents.done.values()):,} carried out by agents, none lost, none twice; "
            f"the longest wait for a 202 was {slowest:.2f} s"
        )
    record_property("kills", told)
