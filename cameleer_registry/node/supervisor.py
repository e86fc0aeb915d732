"""Tasks that must not end: each is started again when it does, and the log says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from ..logs import get_logger

log = get_logger(__name__)

RESTART_DELAYS: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds before a task is started again: the first time, the second, … and ever after."""

FAILING_AFTER: Final = 3
"""So many ends in a row, and a task counts as failing …"""

HEALTHY_AFTER: Final = 30.0
"""… until it has run for so many seconds."""


class Supervisor:
    """Keeps tasks running from :meth:`start` to :meth:`stop`."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # How often each task has ended in a row.
        self._ends: dict[str, int] = {}
        # How often each has been started again, since this was made.
        self.restarts: dict[str, int] = {}

    @property
    def failing(self) -> list[str]:
        """The names of the tasks that keep ending."""
        return [name for name, ends in self._ends.items() if ends >= FAILING_AFTER]

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Keep ``run()`` running under a name in plain English."""
        self.restarts.setdefault(name, 0)
        self._tasks[name] = asyncio.create_task(self._keep_running(name, run), name=name)

    async def stop(self) -> None:
        """End all tasks and wait until they have ended."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            healthy = loop.call_later(HEALTHY_AFTER, self._ends.pop, name, None)
            try:
                await run()
            except Exception:
                log.exception(f"{name} has failed and is started again", task=name)
            else:
                log.error(f"{name} has finished unexpectedly and is started again", task=name)
            finally:
                healthy.cancel()
            ends = self._ends[name] = self._ends.get(name, 0) + 1
            await asyncio.sleep(RESTART_DELAYS[min(ends, len(RESTART_DELAYS)) - 1])
            self.restarts[name] += 1
