"""The operators' feed goes on over a restart: every fact is told at least once, and ids ascend."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cameleer_registry import Node
from cameleer_registry.core.events import Event
from cameleer_registry.core.feed import FeedType
from cameleer_registry.core.model import Ack, Order, Target
from cameleer_registry.node.feed import feed as feed_module
from cameleer_registry.node.journal.sqlite.writer import statement

from ..wires import Wire
from . import nodes

COMMANDS = 5


def follow(node: Node, last_event_id: str | None) -> Wire:
    wire = Wire()
    node.open_feed(wire, chunked=True, last_event_id=last_event_id)
    return wire


async def change(node: Node, life: int) -> list[tuple[str, str]]:
    """Do some things; return what the feed has to tell of them: a type, and an id in its data."""
    told = []
    for number in range(4):
        agent_id = f"agent-{life}-{number}"
        await node.register(nodes.agent(agent_id))
        told.append(("agent-registered", agent_id))
    for _ in range(COMMANDS):
        command = await node.issue(Order(type="replay"), Target.agent(f"agent-{life}-0"))
        told.append(("command-issued", command.command_id))
        await node.acknowledge(f"agent-{life}-0", command.command_id, Ack())
        told.append(("delivery-acknowledged", command.command_id))
    await node.remove(f"agent-{life}-3")
    told.append(("agent-removed", f"agent-{life}-3"))
    return told


@pytest.mark.parametrize("ending", ["clean", "crash", "crash while a share gathers"])
@pytest.mark.parametrize("seen", ["nothing new", "half", "all"])
async def test_the_feed_goes_on_over_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, seen: str
) -> None:
    """From wherever somebody was, over three lives; nothing is lost, and nobody is reset."""
    if ending == "crash while a share gathers":
        monkeypatch.setattr(feed_module, "MOMENT", 3600)
    path = tmp_path / "0.db"
    node = nodes.start(path)
    wire = follow(node, None)
    [position] = wire.events()
    last, ids = position["id"], [int(position["id"])]
    told: list[tuple[str, str]] = []
    found: set[tuple[str, str]] = set()
    for life in range(1, 4):
        told += await change(node, life)
        if ending == "clean":
            await nodes.end(node)
        else:
            if ending == "crash" and life % 2:
                await asyncio.sleep(0.3)  # shares are told; what they told may be kept or not
            path = tmp_path / f"{life}.db"
            await nodes.kill(node, to=path)
        events = [each for each in wire.events() if each["event"] != FeedType.POSITION]
        count = {"nothing new": 0, "half": len(events) // 2, "all": len(events)}[seen]
        for each in events[:count]:
            last = each["id"]
            found |= names(each)
            ids.append(int(each["id"]))
        path = tmp_path / "0.db" if ending == "clean" else path
        node = nodes.start(path)
        wire = follow(node, last)
    node.feed.end()
    for each in wire.events():
        assert FeedType.RESET != each["event"]
        found |= names(each)
        ids.append(int(each["id"]))
    assert set() == set(told) - found
    assert ids == sorted(set(ids))
    await nodes.end(node)


def names(event: dict[str, object]) -> set[tuple[str, str]]:
    """Return what an event tells of: its type with the id of an agent or of a command."""
    data = event["data"]
    assert isinstance(data, dict)
    return {
        (str(event["event"]), str(data[key])) for key in ("agentId", "commandId") if key in data
    }


async def test_ids_are_never_given_twice(tmp_path: Path) -> None:
    """Also not to events of facts that nobody waited for, and that a crash took back."""
    path, host = tmp_path / "registry.db", nodes.Host()
    node = nodes.start(path, host, stale_after=10, heartbeat_interval=5)
    facts: list[Event] = []
    node.listen(facts.append)
    wire = follow(node, None)
    await node.register(nodes.agent("a"))
    host.passes(11)
    await node.catch_up()  # it is STALE, which is told at once
    node.feed.end()
    before = {each["id"]: each["event"] for each in wire.events()}
    assert "agent-status" in before.values()
    await nodes.kill(node, to=tmp_path / "copy.db")
    node = nodes.start(tmp_path / "copy.db", host, stale_after=10, heartbeat_interval=5)
    wire = follow(node, max(before, key=int))
    await node.register(nodes.agent("b"))
    node.feed.end()
    after = {each["id"]: each["event"] for each in wire.events()}
    assert "reset" not in after.values()
    assert "agent-registered" in after.values()
    assert not set(before) & set(after)
    await nodes.end(node)


@pytest.mark.parametrize("lives", [2, 4])
async def test_the_feed_reaches_back_over_any_number_of_crashes(tmp_path: Path, lives: int) -> None:
    """Positions that are left out after a crash are no facts that have to be dropped."""
    path = tmp_path / "0.db"
    node = nodes.start(path)
    [position] = follow(node, None).events()
    told: set[tuple[str, str]] = set()
    for life in range(lives):
        told |= set(await change(node, life))
        await asyncio.sleep(0.3)  # the shares are told
        keeper = nodes.folding_of(node)
        await keeper.fold()
        await keeper.keep_feed()
        await keeper._trim()
        path = tmp_path / f"{life + 1}.db"
        await nodes.kill(node, to=path)
        node = nodes.start(path)
    wire = follow(node, position["id"])
    events = wire.events()
    assert FeedType.RESET not in [each["event"] for each in events]
    assert set() == told - {name for each in events for name in names(each)}
    await nodes.end(node)


async def test_ids_are_never_given_twice_over_crashes_in_a_row(tmp_path: Path) -> None:
    """Though the process between them has written no fact of which it had told."""
    host = nodes.Host()
    leases: dict[str, Any] = {"stale_after": 10, "heartbeat_interval": 5}
    path = tmp_path / "registry.db"
    node = nodes.start(path, host, **leases)
    await node.register(nodes.agent("a"))
    await nodes.kill(node, to=tmp_path / "1.db")
    given = set[str]()
    for life in range(1, 4):
        node = nodes.start(tmp_path / f"{life}.db", host, **leases)
        wire = follow(node, None)
        await nodes.journal_of(node).carry_out(statement("SELECT 1"))
        host.passes(11)
        await node.catch_up()
        node.feed.end()
        ids = {each["id"] for each in wire.events() if each["event"] == FeedType.AGENT_STATUS}
        assert 1 == len(ids)
        assert not ids & given
        given |= ids
        await nodes.kill(node, to=tmp_path / f"{life + 1}.db")
