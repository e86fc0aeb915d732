"""Snapshots are read and loaded in slices: others have their turn in between."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import orjson
import pytest

from cameleer_registry.core.copies import Copy
from cameleer_registry.core.inputs import Mark, Register
from cameleer_registry.core.loader import Loader
from cameleer_registry.core.slices import SLICE, at_once
from cameleer_registry.errors import CannotJoin
from cameleer_registry.node.log.local import LocalLog
from cameleer_registry.node.log.port import Snapshot
from cameleer_registry.node.sharing import snapshots

from ...core.conversations import registration
from ...support import eventually
from .world import Member, World, world

AGENTS = 4 * SLICE


def test_what_is_packed_is_read_again() -> None:
    """All of it; and of its beginning, the position."""
    rows = [("t", str(number), "", [number, None]) for number in range(1234)]
    about = {"position": 7, "text": "ü\n"}
    packed = snapshots.pack(snapshots.value(Copy(about=about, rows=rows), {"f": 1}, {"b": []}))
    assert 7 == snapshots.position(packed)
    copied = at_once(snapshots.unpack(packed))
    assert (about, rows) == (copied["about"], copied["rows"])
    assert ({"f": 1}, {"b": []}) == (copied["feed"], copied["beside"])
    empty = snapshots.pack(snapshots.value(Copy(about=about, rows=[]), {}, {}))
    assert [] == at_once(snapshots.unpack(empty))["rows"]
    with pytest.raises(orjson.JSONDecodeError):
        at_once(snapshots.unpack(packed[:-9]))


def test_it_is_read_piece_by_piece() -> None:
    """As many pieces as lines, however many rows there are."""
    rows = [("t", str(number), "", number) for number in range(3 * snapshots.ROWS_A_LINE)]
    packed = snapshots.pack(snapshots.value(Copy(about={}, rows=rows), {}, {}))
    assert 3 == sum(1 for _ in snapshots.unpack(packed))


class Watched:
    """How many rows were loaded in one turn of the loop, at most."""

    def __init__(self) -> None:
        self.loaded = self.worst = self.turns = 0

    async def run(self) -> None:
        """Look in each turn. Never ends."""
        while True:
            self.worst = max(self.worst, self.loaded)
            self.turns += bool(self.loaded)
            self.loaded = 0
            assert not attrs.validators.get_disabled()  # what is sent meanwhile is looked at
            await asyncio.sleep(0)


@asynccontextmanager
async def watching(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    """Watch how rows are loaded."""
    watched, take = Watched(), Loader.take

    def counted(loader: Loader, *row: Any) -> None:
        watched.loaded += 1
        take(loader, *row)

    monkeypatch.setattr(Loader, "take", counted)
    task = asyncio.create_task(watched.run())
    try:
        yield watched
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def with_snapshot(of: World) -> Member:
    """Give the first node many agents, and have it save a snapshot."""
    [a] = of.members
    entered = [
        a.shared.submit(Register(registration=registration(f"x-{number}")))
        for number in range(AGENTS)
    ]
    await asyncio.gather(*entered)
    a.shared.tell(Mark())
    await eventually(lambda: a.shared.copying.snapshot_position > 0)
    return a


async def test_a_node_that_joins_has_its_loop_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """So its probes are answered; and in the end the collector of garbage is at work again."""
    async with world("a") as of:
        await with_snapshot(of)
        async with watching(monkeypatch) as watched:
            b = await of.join("b")
        await of.level()
        assert len(b.node.registry) == AGENTS
        assert watched.worst <= SLICE
        assert watched.turns >= AGENTS // SLICE
        assert gc.isenabled()


WRONG: dict[str, Any] = {
    "no JSON": b"{",
    "a list": b"[]",
    "a number": b"7",
    "no replica": b"{}",
    "rows that are none": {"rows": [7]},
    "no feed": {"feed": None},
    "nothing beside": {"beside": None},
    "about nothing": {"about": None},
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("joins", [True, False])
async def test_a_snapshot_of_another_form(wrong: str, joins: bool) -> None:
    """A node that joins says so in one line, and one that begins anew takes part no more."""
    async with world("a") as of:
        a = await with_snapshot(of)
        found = await a.log.load()
        assert found is not None
        spoilt = WRONG[wrong]
        if not isinstance(spoilt, bytes):
            spoilt = snapshots.pack(at_once(snapshots.unpack(found.content)) | spoilt)

        async def load(*_: Any) -> Snapshot:
            return Snapshot(found.position, spoilt)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LocalLog if joins else a.log, "load", load)
            if joins:
                with pytest.raises(CannotJoin, match="the snapshot of the log cannot be read"):
                    await of.join("b")
            else:
                await a.shared.rebuilding._run()
                assert "cannot read the snapshot" in str(a.shared.part.lost)


@pytest.mark.parametrize("joins", [True, False])
async def test_a_log_that_is_trimmed_meanwhile(joins: bool) -> None:
    """It begins with the newer snapshot then, whether it joins or begins anew."""
    async with world("a") as of:
        a = await with_snapshot(of)
        log = LocalLog if joins else a.log
        load, loads = log.load, 0

        async def trimmed(*self: Any) -> Snapshot | None:
            nonlocal loads
            loads += 1
            found = await load(*self)
            if loads == 1:  # two more are made while this one is loaded
                for _ in range(2):
                    before = a.shared.copying.snapshot_position
                    a.shared.tell(Mark())
                    await eventually(lambda b=before: a.shared.copying.snapshot_position > b)
                await eventually(lambda: found is not None and of.engine.first > found.position + 1)
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(log, "load", trimmed)
            if joins:
                b = await of.join("b")
                assert len(b.node.registry) == AGENTS
            else:
                await a.shared.rebuilding._run()
                assert a.shared.part.lost is None
        assert loads >= 2
        await of.level()


async def test_a_node_that_begins_anew_has_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it is sent meanwhile is looked at like always."""
    async with world("a") as of:
        a = await with_snapshot(of)
        async with watching(monkeypatch) as watched:
            await a.shared.rebuilding._rebuild()
        assert len(a.node.registry) == AGENTS
        assert watched.worst <= SLICE
        assert watched.turns >= AGENTS // SLICE
        assert gc.isenabled()
        assert 200 == (await a.request("GET", "/agents/x-7")).status
