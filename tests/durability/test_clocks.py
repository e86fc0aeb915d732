"""Restarts after a while, under clocks that agree or do not, on one boot of the host or another."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cameleer_registry import Node
from cameleer_registry.core.instant import NANOSECONDS
from cameleer_registry.core.model import Ack, AgentStatus, DeliveryState, Order, Target
from cameleer_registry.core.registry import Registry
from cameleer_registry.errors import CommandExpired
from cameleer_registry.node.journal.sqlite import loading
from cameleer_registry.node.journal.sqlite.journal import SqliteJournal

from . import nodes

SETTINGS: Any = {"stale_after": 90, "dead_after": 300, "heartbeat_interval": 30, "command_ttl": 60}
GRACE = 60
"""Seconds for which nobody is judged after a restart: min(stale_after, 2 × heartbeat_interval)."""

AWAY = [1, nodes.HOUR, 3 * nodes.DAY]
STEPS = [-nodes.DAY, 0, nodes.DAY]


async def stop(node: Node, path: Path, *, clean: bool) -> Path:
    """End a node, one way or the other; return where its file is."""
    if clean:
        await nodes.end(node)
        return path
    copy = path.with_name(f"{path.name}.copy")
    await nodes.kill(node, to=copy)
    return copy


async def advance(host: nodes.Host, node: Node, seconds: float) -> None:
    host.passes(seconds)
    await node.catch_up()


def statuses(node: Node) -> dict[str, AgentStatus]:
    return {agent.agent_id: agent.status for agent in node.agents()}


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("away", AWAY)
@pytest.mark.parametrize("boot", ["same", "another"])
async def test_leases_wait_for_those_who_come_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    boot: str,
    away: int,
    step: int,
    clean: bool,
) -> None:
    """Nobody who was LIVE is STALE, and nobody who was STALE is DEAD, before the grace is over.

    Who was DEAD is DEAD until it is heard.
    """
    host, path = nodes.Host(), tmp_path / "registry.db"
    node = nodes.start(path, host, **SETTINGS)
    await node.register(nodes.agent("dead"))
    await advance(host, node, 100)
    await node.register(nodes.agent("stale"))
    await advance(host, node, 300)
    await node.register(nodes.agent("live"))
    await node.register(nodes.agent("fresh"))
    await advance(host, node, 89)
    node.heartbeat("fresh")
    before = statuses(node)
    assert {"dead": "DEAD", "stale": "STALE", "live": "LIVE", "fresh": "LIVE"} == before
    path = await stop(node, path, clean=clean)
    host.passes(away)
    host.wall += step * NANOSECONDS
    if boot == "another":
        monkeypatch.setattr(loading, "boot_id", lambda: "another")
        host.steady = 5 * NANOSECONDS
    node = nodes.start(path, host, **SETTINGS)
    await node.catch_up()
    assert before == statuses(node)
    await advance(host, node, GRACE - 0.001)
    assert before == statuses(node)
    assert not any(agent.connected for agent in node.agents())
    await advance(host, node, 0.001)
    if clean:  # after a crash the clock of leases goes on from where anything was written last
        late = {"dead": "DEAD", "stale": "DEAD", "live": "STALE", "fresh": "LIVE"}
        assert late == statuses(node)
    assert "DEAD" == statuses(node)["dead"]
    node.heartbeat("dead")
    assert "LIVE" == statuses(node)["dead"]
    await nodes.end(node)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("away", [0.5, 49.999, 50, nodes.HOUR, 3 * nodes.DAY])
async def test_deadlines_run_on(tmp_path: Path, away: float, step: int, clean: bool) -> None:
    """To the millisecond on one boot, however the clock is set; a late answer is kept."""
    host, path = nodes.Host(), tmp_path / "registry.db"
    node = nodes.start(path, host, **SETTINGS)
    for agent_id in "abc":
        await node.register(nodes.agent(agent_id))
    command = await node.issue(Order(type="replay"), Target.all())
    await node.acknowledge("a", command.command_id, Ack())
    await advance(host, node, 10)
    path = await stop(node, path, clean=clean)
    host.passes(away)
    host.wall += step * NANOSECONDS
    node = nodes.start(path, host, **SETTINGS)
    shown = node.command(command.command_id)
    over = away >= 50
    assert (0 if over else 2) == shown.counts[DeliveryState.PENDING]
    assert 1 == shown.counts[DeliveryState.ACKNOWLEDGED]
    if not over:
        await advance(host, node, 49.999 - away)
        assert 2 == node.command(command.command_id).counts[DeliveryState.PENDING]
        await node.acknowledge("b", command.command_id, Ack())
        await advance(host, node, 0.001)
    await node.catch_up()
    with pytest.raises(CommandExpired):
        await node.acknowledge("c", command.command_id, Ack())
    path = await stop(node, path, clean=False)
    node = nodes.start(path, host, **SETTINGS)
    late = {each.agent_id: each.late_ack_at for each in node.deliveries(command.command_id)}
    assert {"a": True, "b": True, "c": False} == {name: at is None for name, at in late.items()}
    await nodes.end(node)


@pytest.mark.parametrize("step", STEPS)
async def test_deadlines_after_the_host_has_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """By the time of day; if that was set back, no time has passed."""
    host, path = nodes.Host(), tmp_path / "registry.db"
    node = nodes.start(path, host, **SETTINGS)
    await node.register(nodes.agent("a"))
    command = await node.issue(Order(type="replay"), Target.all())
    path = await stop(node, path, clean=False)
    host.passes(20)
    host.wall += step * NANOSECONDS
    host.steady = 5 * NANOSECONDS
    monkeypatch.setattr(loading, "boot_id", lambda: "another")
    node = nodes.start(path, host, **SETTINGS)
    left = {-nodes.DAY: 60, 0: 40, nodes.DAY: 0}[step]
    for seconds, pending in ((left - 0.001, 1), (0.001, 0)):
        if seconds > 0:
            await advance(host, node, seconds)
        expected = pending if left else 0
        assert expected == node.command(command.command_id).counts[DeliveryState.PENDING]
    await nodes.end(node)


@pytest.mark.parametrize("clean", [True, False])
async def test_when_an_agent_was_heard(tmp_path: Path, clean: bool) -> None:
    """Exactly, after a clean end; after a crash as of its registration or of a later heartbeat."""
    host, path = nodes.Host(), tmp_path / "registry.db"
    node = nodes.start(path, host, **SETTINGS)
    await node.register(nodes.agent("a"))
    registered = node.agent("a").last_heartbeat_at
    host.passes(7.25)
    node.heartbeat("a")
    heard = node.agent("a").last_heartbeat_at
    path = await stop(node, path, clean=clean)
    node = nodes.start(path, host, **SETTINGS)
    found = node.agent("a").last_heartbeat_at
    assert found == heard if clean else registered <= found <= heard
    await nodes.end(node)


@pytest.mark.parametrize("step", STEPS)
async def test_how_long_nobody_was_there(tmp_path: Path, step: int) -> None:
    """By the clock as it is now, whatever it showed before."""
    host, path = nodes.Host(), tmp_path / "registry.db"
    node = nodes.start(path, host, **SETTINGS)
    await node.register(nodes.agent("a"))
    await nodes.end(node)
    host.passes(nodes.HOUR)
    host.wall += step * NANOSECONDS
    async with nodes.running(path, host, **SETTINGS) as node:
        assert node.life.resumption is not None
        shown = node.life.resumption.shown()
        assert timedelta(hours=1) == shown.away_until - shown.away_from
        assert host.wall // NANOSECONDS == shown.away_until.timestamp()


async def test_nobody_was_heard_after_the_time_from_which_it_goes_on(tmp_path: Path) -> None:
    """If a process is killed right after it has written when agents were heard, and no fact."""
    host, path = nodes.Host(), tmp_path / "registry.db"
    node = nodes.start(path, host, **SETTINGS)
    await node.register(nodes.agent("a"))
    host.passes(40)
    node.heartbeat("a")
    await nodes.folding_of(node)._write_chunk(0, always=True)
    copy = await stop(node, path, clean=False)
    journal, registry = SqliteJournal(copy), Registry(node.registry.limits)
    loaded = journal.open(registry, host.clock())
    [record] = registry.records(0, 1)
    assert loaded.last_alive == record.heard
    await journal.close()
