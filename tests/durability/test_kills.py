"""A server that is killed at any moment: whatever it has answered is there when it is back."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

from ..faults.figures import tell
from ..faults.scale import IS_LONG
from ..processes import server
from ..support import within
from .load import Worker, connected

KILLS = 60 if IS_LONG else 20
WORKERS = 8
MANY = 110
"""Agents of one group whose targets are kept as a list that commands refer to."""
SETTINGS = (
    *("--port", "0", "--log-level", "error", "--command-ttl", "3600", "--stale-after", "3600"),
    *("--command-history", "1000000", "--idempotency-keys", "100000"),
    *("--max-pending-per-agent", "100000"),
)


async def test_what_was_answered_is_there_after_each_kill(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Registrations, deletions, commands with their keys, and acknowledgements; counts exactly."""
    path = tmp_path / "registry.db"
    args = (*SETTINGS, "--database", str(path))
    seed = random.randrange(2**32)
    tell(record_property, seed=seed)
    chance = random.Random(seed)
    workers = [Worker(f"w{number}", random.Random(seed + number)) for number in range(WORKERS)]
    workers[0].fewest = MANY
    for _ in range(KILLS):
        async with server(*args) as served:
            await look(workers, served.url, everywhere=False)
            work = [asyncio.create_task(worker.work(served.url)) for worker in workers]
            await asyncio.sleep(chance.uniform(0.02, 0.8))
            served.process.kill()
            await within(asyncio.gather(*work))
    async with server(*args) as served:
        found = await look(workers, served.url, everywhere=True)
        assert 0 == await served.terminate()
    answered = sum(worker.answered for worker in workers)
    tell(record_property, answered=answered, looked_at=found)
    assert answered > 20 * KILLS
    assert ["registry.db", "registry.db.lock"] == sorted(os.listdir(tmp_path))
    with sqlite3.connect(path) as connection:
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()


async def look(workers: list[Worker], url: str, *, everywhere: bool) -> int:
    """Fail unless what was answered is there."""

    async def look_for(worker: Worker) -> int:
        async with connected(url) as peer:
            await worker.find_out(peer)
            return await worker.look(peer, everywhere=everywhere)

    return sum(await within(asyncio.gather(*map(look_for, workers)), 60))
