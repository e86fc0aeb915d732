"""Who founds the log: a node that has something to found it with, if one is started meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cameleer_registry.errors import CannotOpenDatabase
from cameleer_registry.node.log.local import LocalLog

from ...durability import nodes
from ...support import within
from .world import world


async def alone(database: Path) -> None:
    """Leave what a registry alone does."""
    async with nodes.running(database) as node:
        await node.register(nodes.agent("x"))


async def test_it_is_left_to_a_node_with_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started in the same moment, and slower."""
    await alone(tmp_path / "a.db")
    monkeypatch.setattr(LocalLog, "founding_seconds", 60.0)
    async with world() as of:
        empty = asyncio.create_task(of.join("b"))
        await asyncio.sleep(0.2)
        assert not empty.done()
        a = await of.join("a", database=str(tmp_path / "a.db"))
        b = await within(empty, 30)
        for member in (a, b):
            assert ["x"] == [
                each["agentId"] for each in (await member.request("GET", "/agents")).json()
            ]


async def test_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And then a database that was used alone is refused, and it is said what can be done."""
    await alone(tmp_path / "a.db")
    monkeypatch.setattr(LocalLog, "founding_seconds", 0.2)
    async with world() as of:
        b = await within(of.join("b"), 30)
        with pytest.raises(CannotOpenDatabase, match="delete both streams") as refused:
            await of.join("a", database=str(tmp_path / "a.db"))
        assert "\n" not in str(refused.value)
        assert [] == (await b.request("GET", "/agents")).json()
