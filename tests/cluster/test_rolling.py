"""A rolling restart: one node after the other, while a fleet is at work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cameleer_registry.client.fleet import Fleet
from cameleer_registry.core.model import DeliveryState
from cameleer_registry.system import raise_file_limit

from ..faults.scale import IS_LONG, SCALE
from ..nats import nats_servers
from .digests import divergences, newest_event, same_digest, told
from .follower import Follower
from .load import Load
from .nodes import nodes

LEASES = (
    *("--heartbeat-interval", "10s" if IS_LONG else "2s"),
    *("--stale-after", "30s" if IS_LONG else "15s"),
)
"""Shorter than a restart of both takes, so that somebody would be STALE who had been forgotten."""


@pytest.mark.timeout(900)
async def test_both_nodes_are_restarted_under_a_fleet(tmp_path: Path, record_property: Any) -> None:
    """Nobody is STALE, nothing expires, and who follows the feed misses nothing."""
    raise_file_limit()
    loop = asyncio.get_running_loop()
    more = (*LEASES, "--command-ttl", "10m")
    async with (
        nats_servers(tmp_path / "nats", 3) as servers,
        nodes(servers, tmp_path, "a", "b", more=more, quiet=True) as running,
    ):
        urls = [node.url for node in running]
        fleet, follower = Fleet(urls, agents=SCALE.rolling), Follower(running)
        load = Load(running, [], broadcasts=1.0, pace=3.0 if IS_LONG else 0.5)
        at_work = [asyncio.create_task(each.run()) for each in (fleet, follower)]
        try:
            await until_connected(fleet)
            first = follower.ids[-1]
            issuing = asyncio.create_task(load.run(0))
            took = []
            for node in running:
                before = fleet.figures.streams
                began = loop.time()
                assert 0 == await node.end()
                took.append(loop.time() - began)
                await node.start()
                async with asyncio.timeout(60):
                    while fleet.figures.streams == before:  # noqa: ASYNC110 - nothing tells
                        await asyncio.sleep(0.1)
                if IS_LONG:
                    await until_connected(fleet)
            load.stop()
            await issuing
            assert [] == load.strange
            await running[0].shows(
                lambda: running[0].ask("GET", "/commands?status=PENDING"),
                lambda left: not left,
                120,
            )
            await same_digest(running, str(first))
            newest = int(await newest_event(running[0]))
            await follower.reached(newest)
            everywhere = [await told(node, str(follower.ids[0])) for node in running]
            for node in running:
                commands = (await node.ask("GET", "/commands")).json()
                assert sorted(load.accepted.values()) == sorted(c["commandId"] for c in commands)
                for command in commands:
                    assert SCALE.rolling == command["targetCount"]
                    assert SCALE.rolling == command["counts"][DeliveryState.ACKNOWLEDGED]
                assert 0 == await divergences(node)
        finally:
            for task in at_work:
                task.cancel()
            await asyncio.gather(*at_work, return_exceptions=True)
        for all_told in everywhere:
            assert follower.ids[1:] == [int(event_id) for event_id, _, _ in all_told]
        assert 0 == follower.resets
        assert follower.moves >= 2
        assert [] == [
            data
            for name, data in follower.events
            if name == "agent-status" and data["to"] != "LIVE"
        ]
        figures = {
            "agents": SCALE.rolling,
            "broadcasts": len(load.accepted),
            "acknowledged": fleet.figures.acknowledged,
            "events": len(follower.ids),
            "moves of the follower": follower.moves,
            "SIGTERM to exit": ", ".join(f"{each:.2f} s" for each in took),
            "longest answers": load.longest_shown(),
        }
        for name, value in figures.items():
            record_property(name, value)
            print(f"{name}: {value}")


async def until_connected(fleet: Fleet) -> None:
    """Wait until each agent holds a stream."""
    async with asyncio.timeout(180):
        while fleet.connected < fleet.size:  # noqa: ASYNC110 - nothing tells when they do
            await asyncio.sleep(0.1)
