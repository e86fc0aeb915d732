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
from .digests import all_kept, divergences, newest_event, same_digest
from .follower import Follower
from .load import Load
from .nodes import nodes

LEASES = () if IS_LONG else ("--heartbeat-interval", "2s", "--stale-after", "15s")
"""Shorter than a restart of both takes, where it is quick: who was forgotten would be STALE."""


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
            # Nobody was STALE while the fleet was there; whoever has gone may be, a lease later.
            told_until = len(follower.events)
            at_work[0].cancel()
            await asyncio.gather(at_work[0], return_exceptions=True)
            await same_digest(running, str(first))
            newest = int(await newest_event(running[0]))
            await follower.reached(newest)
            everywhere = [await all_kept(node, str(newest)) for node in running]
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
            ids = [int(event_id) for event_id, _, _ in all_told]
            begun = max(ids[0], follower.ids[0])
            assert [each for each in follower.ids if begun < each <= newest] == [
                each for each in ids if begun < each
            ]
            assert newest == ids[-1]
        assert 0 == follower.resets
        assert follower.moves >= 2
        assert [] == [
            data
            for name, data in follower.events[:told_until]
            if name == "agent-status" and data["to"] != "LIVE"
        ]
        figures = {
            "agents": SCALE.rolling,
            "broadcasts": len(load.accepted),
            "acknowledged": fleet.figures.acknowledged,
            "events": len(follower.ids),
            "streams opened": fleet.figures.streams,
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
