"""Those who tell of what has happened: logs, counts, the feed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from cameleer_registry.core.events import AgentRegistered

from ..support import Served


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

    served.node._tellers = tuple(partial(tell, number) for number in range(3))
    assert 201 == (await served.register("a")).status
    assert [number for number in range(3) if number != teller] == told
    assert "a fact was not told" in caplog.text
    assert AgentRegistered.__name__ in [getattr(record, "fact", "") for record in caplog.records]
