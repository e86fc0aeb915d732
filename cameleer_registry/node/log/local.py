"""A log in this process: for tests, where several nodes share one, and can be cut off from it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

from attrs import define, field

from .port import FOUNDER_SECONDS, LogLost, LogUnavailable, Snapshot, Take, TooLargeForLog


@define(eq=False)
class LocalEngine:
    """What keeps entries for all :class:`LocalLog` of one log."""

    stamp: Callable[[], int] = time.time_ns
    max_entry: int = 2**20
    lineage: str = field(factory=lambda: uuid4().hex)
    # Id, stamp and content of each entry from `first` on.
    entries: list[tuple[str, int, bytes]] = field(factory=list)
    first: int = 1
    snapshots: list[Snapshot] = field(factory=list)
    # While True nothing is stored, and nobody is told so.
    stalled: bool = False
    logs: list[LocalLog] = field(factory=list)
    # Whether a node has said that it has something to found the log with.
    has_founder: bool = False
    # For how long a node that has nothing waits for one that has not said so.
    founding_seconds: float = 0.0

    @property
    def last(self) -> int:
        """The position of the newest entry."""
        return self.first + len(self.entries) - 1

    def store(self, content: bytes, entry_id: str) -> None:
        """Store an entry, unless there is one of that id, and wake all who follow."""
        if all(entry_id != known for known, _, _ in self.entries):
            self.entries.append((entry_id, self.stamp(), content))
        for log in self.logs:
            log.wake()


class LocalLog:
    """One node's way to a log in this process."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        # True while this node is cut off: what it sends arrives when it no longer is.
        self.cut = False
        self._held: list[tuple[bytes, str]] = []
        self._next = 1
        self._take: Take | None = None
        self._on_lost: Callable[[str], None] = lambda _: None
        self._lineage = engine.lineage
        self._scheduled = False

    @property
    def lineage(self) -> str:
        """By which this log is told from all others."""
        return self._lineage

    @property
    def max_entry(self) -> int:
        """How many bytes an entry may take."""
        return self._engine.max_entry

    @property
    def connected(self) -> bool:
        """Whether the node is not cut off."""
        return not self.cut

    @property
    def behind(self) -> int:
        """How many entries are still to come."""
        return max(0, self._engine.last - self._next + 1)

    async def open(self, known: str | None = None, *, founds: bool = False) -> None:
        """Take part."""
        self._engine.has_founder |= founds
        self._engine.logs.append(self)

    async def append(self, content: bytes, entry_id: str) -> None:
        """Append an entry; while cut off, it is held back, and may be stored later."""
        if len(content) > self.max_entry:
            raise TooLargeForLog(f"{len(content)} bytes")
        await asyncio.sleep(0)
        if self.cut or self._engine.stalled:
            self._held.append((content, entry_id))
            raise LogUnavailable("cut off")
        self._engine.store(content, entry_id)

    def heal(self) -> None:
        """End being cut off: what was held back arrives, and what was missed comes."""
        self.cut = False
        held, self._held = self._held, []
        for content, entry_id in held:
            self._engine.store(content, entry_id)
        self.wake()

    async def bounds(self) -> tuple[int, int]:
        """Return the oldest position that is still there, and the newest."""
        self._reach()
        return self._engine.first, self._engine.last

    def follow(self, after: int, take: Take, on_lost: Callable[[str], None]) -> None:
        """Give all entries after a position to ``take``."""
        self._next, self._take, self._on_lost = after + 1, take, on_lost
        self.wake()

    async def unfollow(self) -> None:
        """Give nothing any more."""
        self._take = None

    def wake(self) -> None:
        """Look for entries, when this turn of the loop is over."""
        if self._take is not None and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        engine = self._engine
        if self._take is None or self.cut:
            return
        if engine.lineage != self._lineage or self._next < engine.first:
            self._take = None
            self._on_lost("the log is another one")
            return
        while self._take is not None and self._next <= engine.last:
            _, stamp, content = engine.entries[self._next - engine.first]
            position, self._next = self._next, self._next + 1
            self._take(position, stamp, content)

    async def found(self, content: bytes) -> bool:
        """Save the snapshot of position 0, unless there is one."""
        self._reach()
        if self._engine.snapshots:
            return False
        self._engine.snapshots.append(Snapshot(0, content))
        return True

    async def founding_seconds(self) -> float:
        """Return for how long a node that has nothing leaves it to others to found the log."""
        return FOUNDER_SECONDS if self._engine.has_founder else self._engine.founding_seconds

    async def save(self, snapshot: Snapshot) -> None:
        """Save a snapshot, and keep the one before it."""
        self._reach()
        self._engine.snapshots = [*self._engine.snapshots, snapshot][-2:]

    async def load(self) -> Snapshot | None:
        """Return the newest snapshot."""
        self._reach()
        return self._engine.snapshots[-1] if self._engine.snapshots else None

    async def kept(self) -> int:
        """Return the position of the older snapshot."""
        self._reach()
        return self._engine.snapshots[0].position if self._engine.snapshots else 0

    async def trim(self, position: int) -> None:
        """Forget all entries up to a position."""
        self._reach()
        drop = max(0, position - self._engine.first + 1)
        del self._engine.entries[:drop]
        self._engine.first += drop

    async def close(self) -> None:
        """Follow no longer."""
        self._take = None
        if self in self._engine.logs:
            self._engine.logs.remove(self)

    def _reach(self) -> None:
        if self.cut:
            raise LogUnavailable("cut off")
        if self._engine.lineage != self._lineage:
            raise LogLost("the log is another one")
