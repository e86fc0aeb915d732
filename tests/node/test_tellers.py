"""Those who tell of what has happened: logs, counts, the feed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from cameleer_registry.core.events import AgentRegistered, AgentRemoved, StreamClosed

from ..support import Served, streaming


@pytest.mark.parametrize("teller", range(3))
async def test_one_that_fails_fails_nobody_else(
    served: Served, teller: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What it could not tell has happened all the same; the log says that it failed."""
    told: list[int] = []

    def tell(number: int, _fact: Any) -> None:
        if number == teller:
            raise RuntimeError("a defect")
        told.append(number)

    tellers = [partial(tell, number) for number in range(3)]
    for each in tellers:
        served.node.listen(each, AgentRegistered)
    assert 201 == (await served.register("a")).status
    assert [number for number in range(3) if number != teller] == told
    assert "a fact was not reported" in caplog.text
    assert AgentRegistered.__name__ in [getattr(record, "fact", "") for record in caplog.records]


async def test_everything_is_done_before_anything_is_told(served: Served) -> None:
    """Whoever tells of one fact finds the streams as they are after all of them."""
    await served.register("a")
    open_streams: list[tuple[str, int]] = []

    def tell(fact: Any) -> None:
        open_streams.append((type(fact).__name__, len(served.node.streams)))

    async with streaming(served, "a"):
        served.node.listen(tell, AgentRemoved, StreamClosed)
        facts = served.node.registry.remove("a", now=served.node.clock.now())
        last = sorted(facts, key=lambda fact: isinstance(fact, StreamClosed))
        served.node.carry_out(tuple(last))
    assert [("AgentRemoved", 0), ("StreamClosed", 0)] == open_streams
