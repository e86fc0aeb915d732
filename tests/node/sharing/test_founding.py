"""Who founds the log: a node that has something to found it with, if one is started meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cameleer_registry.errors import CannotOpenDatabase
from cameleer_registry.node.log.local import LocalLog
from cameleer_registry.node.log.port import Snapshot

from ...durability import nodes
from ...support import eventually, within
from .world import world


async def alone(database: Path) -> None:
    """Leave what a registry alone does."""
    async with nodes.running(database) as node:
        await node.register(nodes.agent("x"))


async def test_it_is_left_to_a_node_with_a_database(tmp_path: Path) -> None:
    """Started in the same moment, and slower."""
    await alone(tmp_path / "a.db")
    async with world() as of:
        of.engine.founding_seconds = 60.0
        empty = asyncio.create_task(of.join("b"))
        await asyncio.sleep(0.2)
        assert not empty.done()
        a = await of.join("a", database=str(tmp_path / "a.db"))
        b = await within(empty, 30)
        for member in (a, b):
            assert ["x"] == [
                each["agentId"] for each in (await member.request("GET", "/agents")).json()
            ]


async def test_who_has_something_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it can found the log: its database may be large, and a new log slow to answer."""
    await alone(tmp_path / "a.db")
    load, slow = LocalLog.load, asyncio.Event()

    async def load_slowly(log: LocalLog) -> Snapshot | None:
        if log is of.engine.logs[0]:
            await slow.wait()
        return await load(log)

    monkeypatch.setattr(LocalLog, "load", load_slowly)
    async with world() as of:
        joins = asyncio.create_task(of.join("a", database=str(tmp_path / "a.db")))
        await eventually(lambda: of.engine.logs)
        empty = asyncio.create_task(of.join("b"))
        await asyncio.sleep(0.2)
        assert not empty.done()
        slow.set()
        for member in await within(asyncio.gather(joins, empty), 30):
            agents = (await member.request("GET", "/agents")).json()
            assert ["x"] == [each["agentId"] for each in agents]


async def test_but_not_for_ever(tmp_path: Path) -> None:
    """And then a database that was used alone is refused, and it is said what can be done."""
    await alone(tmp_path / "a.db")
    async with world() as of:
        of.engine.founding_seconds = 0.2
        b = await within(of.join("b"), 30)
        with pytest.raises(CannotOpenDatabase, match="delete both streams") as refused:
            await of.join("a", database=str(tmp_path / "a.db"))
        assert "\n" not in str(refused.value)
        assert [] == (await b.request("GET", "/agents")).json()
