"""The journal of a node that keeps nothing: whatever has happened counts as durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ...core.events import Event


class MemoryJournal:
    """Keeps nothing. Nobody ever waits for it."""

    __slots__ = ()

    durable = awaited = readable = 0

    def start(self, on_progress: Callable[[], None]) -> None:
        """Do nothing."""

    def append(self, facts: Sequence[Event]) -> int:
        """Return a position that is durable already."""
        return 0

    def when(self, position: int) -> asyncio.Future[None]:
        """Return what is done already."""
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def check(self) -> None:
        """Allow every change."""

    async def flush(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""
