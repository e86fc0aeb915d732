"""Journals that make facts durable when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from cameleer_registry.core.events import Event
from cameleer_registry.core.registry import Registry
from cameleer_registry.node.clock import Clock
from cameleer_registry.node.feed.feed import Feed
from cameleer_registry.node.journal.kinds import AWAITED, NEVER_KEPT, READ
from cameleer_registry.security.store import Credentials


class HeldJournal:
    """Keeps facts in memory, and holds all of them until it is told to let go.

    With ``turns`` it lets go of what has gathered by itself, so many turns of the loop after the
    first of it came.
    """

    def __init__(self, *, turns: int | None = None) -> None:
        self.durable = self.awaited = self.readable = self.position = 0
        self.facts: list[Event] = []
        self.turns = turns
        self._on_progress: Callable[[], None] = lambda: None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._scheduled = False

    keeps = True
    is_new = True
    trouble: str | None = None
    failed = False

    def figures(self) -> None:
        pass

    def open(
        self, registry: Registry, clock: Clock, credentials: Credentials | None = None
    ) -> None:
        pass

    def abandon(self) -> None:
        pass

    def keeper(self, registry: Registry, feed: Feed, *, heartbeat_interval: float) -> None:
        pass

    def start(self, on_progress: Callable[[], None], on_failure: Callable[[str], None]) -> None:
        self._on_progress = on_progress

    def append(self, facts: Sequence[Event]) -> int:
        for fact in facts:
            kind = type(fact)
            if kind in NEVER_KEPT:
                continue
            self.facts.append(fact)
            self.position = len(self.facts)
            if kind in AWAITED:
                self.awaited = self.readable = len(self.facts)
            elif kind in READ:
                self.readable = len(self.facts)
        if self.turns is not None and not self._scheduled and self.durable < self.readable:
            self._scheduled = True
            self._later(self.turns)
        return self.awaited

    def when(self, position: int) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((position, future))
        if position <= self.durable:
            self.release()
        return future

    def check(self) -> None:
        pass

    async def flush(self) -> None:
        self.release()

    async def close(self) -> None:
        self.release()

    def release(self) -> None:
        """Have all facts be durable that have been appended so far."""
        self.durable = len(self.facts)
        self._on_progress()
        self._waiting, waiting = [], self._waiting
        for position, future in waiting:
            if position > self.durable:
                self._waiting.append((position, future))
            elif not future.done():
                future.set_result(None)

    def _later(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._later, turns - 1)
        else:
            self._scheduled = False
            self.release()
