"""What fails where nobody waits for it, or nobody waits any more."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from cameleer_registry.core.inputs import Barrier, Mark
from cameleer_registry.core.replica import Outcome
from cameleer_registry.errors import NotYourAgent
from cameleer_registry.node.log.port import Snapshot
from cameleer_registry.node.sharing.appender import Waiting
from cameleer_registry.node.sharing.own_file import OwnFile

from ...support import eventually
from .world import world


async def test_a_refusal_of_which_nobody_is_told_is_no_error_of_ours() -> None:
    """Whoever asked has gone, and the log is not told of an exception that was never retrieved."""
    loop, said = asyncio.get_running_loop(), list[Any]()
    loop.set_exception_handler(lambda _, context: said.append(context))
    waiting = Waiting(Barrier(), b"", loop.create_future())
    waiting.settle(Outcome(None, NotYourAgent("a")))
    del waiting
    gc.collect()
    assert [] == said


async def test_a_copy_that_fails_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it fails of: without one the log is not trimmed, and grows until somebody looks."""

    async def save(_: Snapshot) -> None:
        raise RuntimeError("of a kind that is not expected")

    async with world("a") as of:
        [a] = of.members
        with monkeypatch.context() as failing:
            failing.setattr(a.log, "save", save)
            a.shared.tell(Mark())
            await eventually(lambda: "the copy was not made" in caplog.text)
        a.shared.tell(Mark())
        await eventually(lambda: a.shared.copying.snapshot_position > 0)


async def test_a_copy_that_is_not_whole_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    """And the next one can be written."""
    file = OwnFile.open(tmp_path / "r.db")
    feed, beside = {"newest": 0}, {"credentials": [], "codes": [], "order": 0}
    whole = {"about": {"now": [1, 2, 3]}, "rows": [], "feed": feed, "beside": beside}
    try:
        await file.write("one", whole)
        with pytest.raises(KeyError):
            await file.write("two", {**whole, "about": {}})
        belongs = file.belongs()
        assert belongs is not None
        assert "one" == belongs.lineage
        await file.write("three", whole)
    finally:
        file.close()
