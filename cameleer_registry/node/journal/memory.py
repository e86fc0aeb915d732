"""The journal of a node that keeps nothing: whatever has happened counts as durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ...core.events import Event
from ...core.registry import Registry
from ...security.store import Credentials
from ..clock import Clock
from ..feed.feed import Feed


class MemoryJournal:
    """Keeps nothing. Nobody ever waits for it."""

    __slots__ = ()

    durable = awaited = readable = position = 0
    keeps = False
    is_new = True

    @property
    def trouble(self) -> None:
        """None: there is nothing that could fail."""

    @property
    def failed(self) -> bool:
        """False, likewise."""
        return False

    def figures(self) -> None:
        """Return nothing: there is nothing to count."""

    def open(
        self, registry: Registry, clock: Clock, credentials: Credentials | None = None
    ) -> None:
        """Find nothing."""

    def keeper(self, registry: Registry, feed: Feed, *, heartbeat_interval: float) -> None:
        """Need nobody."""

    def start(self, on_progress: Callable[[], None], on_failure: Callable[[str], None]) -> None:
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

    def abandon(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""
