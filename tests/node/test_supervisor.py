"""The guarded tasks: started again when they end, and reported when they keep ending."""

from __future__ import annotations

import asyncio

import pytest

from cameleer_registry.node.supervisor import FAILING_AFTER, HEALTHY_AFTER, Supervisor

pytestmark = pytest.mark.looptime(start=1000)


async def test_a_task_that_fails_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """With its name and the traceback in the log."""
    runs = []

    async def fail() -> None:
        runs.append(asyncio.get_running_loop().time())
        raise LookupError("broken")

    supervisor = Supervisor()
    supervisor.start("heartbeat monitor", fail)
    assert {"heartbeat monitor": 0} == supervisor.restarts
    await asyncio.sleep(1)
    await supervisor.stop()
    assert 3 == len(runs)
    assert {"heartbeat monitor": 2} == supervisor.restarts
    record = caplog.records[0]
    assert ("ERROR", "heartbeat monitor has failed and is started again") == (
        record.levelname,
        record.getMessage(),
    )
    assert record.exc_info
    assert "heartbeat monitor" == record.__dict__["task"]


async def test_a_task_that_returns_has_finished_unexpectedly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """These tasks are not meant to end at all."""

    async def leave() -> None:
        pass

    supervisor = Supervisor()
    supervisor.start("stream keeper", leave)
    await asyncio.sleep(0.05)
    await supervisor.stop()
    message = "stream keeper has finished unexpectedly and is started again"
    assert message == caplog.records[0].getMessage()


async def test_a_task_that_keeps_ending_is_failing_until_it_has_run_for_a_while() -> None:
    """Restarts come ever more slowly, and one good run clears the record."""
    broken = True
    starts = []

    async def run() -> None:
        starts.append(asyncio.get_running_loop().time())
        if not broken:
            await asyncio.sleep(3600)
        raise LookupError

    supervisor = Supervisor()
    supervisor.start("command expiry", run)
    await asyncio.sleep(0.3)
    assert [] == supervisor.failing
    await asyncio.sleep(60)
    assert ["command expiry"] == supervisor.failing
    assert pytest.approx(5) == starts[-1] - starts[-2]
    broken = False
    await asyncio.sleep(5 + HEALTHY_AFTER - 1)
    assert len(starts) > FAILING_AFTER
    await asyncio.sleep(2)
    assert [] == supervisor.failing
    await supervisor.stop()
