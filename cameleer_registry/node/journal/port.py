"""What a node expects of a journal, whichever it is.

Positions are whole numbers that ascend by one for each fact that is kept; 0 stands before the
first. Facts become durable in the order in which they were appended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen

from ...core.events import Event
from ...core.instant import Instant
from ...core.registry import Registry
from ...security.store import Credentials
from ..clock import Clock
from ..feed.feed import Feed
from ..feed.past import Past
from ..telling.histogram import Histogram


@frozen(kw_only=True)
class Figures:
    """How a journal does, in numbers."""

    commit_seconds: Histogram
    facts_a_commit: Histogram
    sizes: Mapping[str, int]
    """Bytes of each of its files."""
    waiting: int
    """Bytes of facts that are not durable yet."""
    refused: Mapping[str, int]
    """Changes that were refused, by the code."""
    in_trouble: bool
    """Whether no change should be made at present."""


class Opened(Protocol):
    """What was found when a journal was opened."""

    @property
    def registry_id(self) -> str:
        """By which a registry is told from others, over all restarts."""

    def told(self) -> dict[str, Any]:
        """Return what the log says of it."""

    @property
    def last_alive(self) -> Instant | None:
        """The last moment of which anything is known; None in a new registry."""

    @property
    def now(self) -> Instant:
        """The moment of opening, on the clock that goes on."""

    @property
    def agents(self) -> int:
        """How many agents there are."""

    @property
    def commands(self) -> int:
        """How many commands there are."""

    @property
    def clean(self) -> bool:
        """Whether the process before has ended as it should."""

    @property
    def past(self) -> Past:
        """What is left of the feed."""


class Keeper(Protocol):
    """Keeps what is not kept fact by fact."""

    async def run(self) -> None:
        """Do so whenever there is something to do. Never ends."""

    async def finish(self) -> None:
        """Do so for the last time, when nothing happens any more."""


class Journal(Protocol):
    """Facts, durable in the order in which they were appended.

    It is used on the loop that it was started on, and by nobody else.
    """

    durable: int
    """Position up to which all facts are durable."""

    awaited: int
    """Position of the newest fact that nothing may be done about before it is durable."""

    readable: int
    """Position of the newest fact that nobody may read before it is durable."""

    position: int
    """Position of the newest fact."""

    keeps: bool
    """Whether it keeps anything: if not, positions stay 0."""

    @property
    def is_new(self) -> bool:
        """Whether nothing has been kept so far; to be asked before it is opened."""

    @property
    def trouble(self) -> str | None:
        """Why no change should be made at present, in a few words; None while all is well."""

    @property
    def failed(self) -> bool:
        """Whether nothing can be kept any more, and what was kept cannot be known."""

    def figures(self) -> Figures | None:
        """Return how it does; None if nothing is kept."""

    def open(
        self, registry: Registry, clock: Clock, credentials: Credentials | None = None
    ) -> Opened | None:
        """Make a registry, which is empty, of what was kept, and have the clock go on.

        The same is done with a store of credentials, if one is given.

        Returns None if nothing is kept. Raises CannotOpenDatabase.
        """

    def keeper(self, registry: Registry, feed: Feed, *, heartbeat_interval: float) -> Keeper | None:
        """Return who keeps what is not kept fact by fact; None if nothing is kept."""

    def start(self, on_progress: Callable[[], None], on_failure: Callable[[str], None]) -> None:
        """Begin to make facts durable.

        ``on_progress`` is called on the running loop whenever ``durable`` has grown, before
        whoever waits for that goes on. ``on_failure`` is told why, when nothing can be kept any
        more and what has been kept cannot be known.
        """

    def append(self, facts: Sequence[Event]) -> int:
        """Keep facts, in this order. It reads and writes no file, and never fails.

        Returns the position that has to be durable before anything is done about them: that of
        the newest awaited fact, which may be an earlier one.
        """

    def when(self, position: int) -> asyncio.Future[None]:
        """Return what is done when all facts up to ``position`` are durable, as soon as may be.

        It fails with StorageUnavailable or StorageFailed if they cannot be made so. Whoever
        waits for it is not alone: it must not be cancelled.
        """

    def check(self) -> None:
        """Raise StorageUnavailable if no change should be made, since it could not be kept."""

    async def flush(self) -> None:
        """Wait until all facts are durable, or cannot become so."""

    def abandon(self) -> None:
        """Let others have what was opened, before anything was kept."""

    async def close(self) -> None:
        """Make all facts durable, and keep no more."""
