"""What a node expects of a journal, whichever it is.

Positions are whole numbers that ascend by one for each fact that is kept; 0 stands before the
first. Facts become durable in the order in which they were appended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from ...core.events import Event


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

    def start(self, on_progress: Callable[[], None]) -> None:
        """Begin to make facts durable.

        ``on_progress`` is called on the running loop whenever ``durable`` has grown, before
        whoever waits for that goes on.
        """

    def append(self, facts: Sequence[Event]) -> int:
        """Keep facts, in this order. It reads and writes no file, and never fails.

        Returns the position that has to be durable before anything is done about them: that of
        the newest awaited fact, which may be an earlier one.
        """

    def when(self, position: int) -> asyncio.Future[None]:
        """Return what is done when all facts up to ``position`` are durable, as soon as may be.

        It fails with StorageUnavailable or StorageFailed where they cannot be made so. Whoever
        waits for it is not alone: it must not be cancelled.
        """

    def check(self) -> None:
        """Raise StorageUnavailable where no change should be made, since it could not be kept."""

    async def flush(self) -> None:
        """Wait until all facts are durable, or cannot become so."""

    async def close(self) -> None:
        """Make all facts durable, and keep no more."""
