"""Copies of everything at one position, made at marks of the log.

A mark is an entry, so that all nodes copy the same. Each node writes the copy to its own database.
The node that set the mark also saves it as a snapshot of the log, and trims the log. A node that
starts reads the log on from there.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ...core import copies
from ...core.copies import Copy
from ...core.replica import Replica
from ...logs import get_logger
from ..auth.replicated import Replicated
from ..journal.sqlite import errors
from ..log.port import LogUnavailable, Snapshot
from . import snapshots
from .own_file import OwnFile
from .part import Part

if TYPE_CHECKING:
    from ..node import Node

log = get_logger(__name__)

MARK_SECONDS: Final = 600.0
MARK_ENTRIES: Final = 50_000
"""After which everything is copied: from there a node reads the log on when it starts."""

COPIED_AT_ONCE: Final = 200
"""Rows made in one turn of the loop: 2 ms."""


class Copying:
    """Makes copies, and keeps when the newest mark was."""

    def __init__(self, node: Node, part: Part, beside: Replicated) -> None:
        self._node = node
        self._part = part
        self._beside = beside
        # This node's own database; None if it has none. Set when it is opened.
        self.file: OwnFile | None = None
        # The position and time of the newest mark, or of the copy that this node began with.
        self._marked_at = 0
        self._marked = 0.0
        # The copy that is being written, which waits for those before it.
        self._writing: asyncio.Task[None] | None = None
        # The position of the newest snapshot that this node has saved.
        self.snapshot_position = 0

    # Marks

    def marked(self, position: int) -> None:
        """Note a mark at a position."""
        self._marked_at, self._marked = position, self._part.time()

    @property
    def entries(self) -> int:
        """How many entries there have been since the newest mark."""
        return self._part.position - self._marked_at

    @property
    def age(self) -> float:
        """How many seconds ago the newest mark was."""
        return self._part.time() - self._marked

    def is_due(self) -> bool:
        """Tell whether everything is to be copied again."""
        return self.entries > MARK_ENTRIES or (self.entries > 1 and self.age > MARK_SECONDS)

    # Copies

    def is_wanted(self, *, own: bool) -> bool:
        """Tell whether a copy is to be made at a mark; ``own`` says that this node has set it."""
        return own or self.file is not None

    def begin(self, replica: Replica, *, own: bool, then: Callable[[], None]) -> None:
        """Copy everything as it is now; write it to this node's database, and to the log.

        The replica must stay as it is until ``then`` is called, which is before it is written.
        """
        assert self._part.loop is not None
        writing = self._write(replica, own=own, then=then, after=self._writing)
        self._writing = self._part.loop.create_task(writing)

    async def _make(
        self, replica: Replica, then: Callable[[], None]
    ) -> tuple[Copy, dict[str, Any], dict[str, Any]]:
        """Make a copy little by little."""
        try:
            about, feed = copies.about(replica), self._node.feed.copy()
            beside = self._beside.value()
            rows: list[tuple[str, str, str, Any]] = []
            for row in copies.rows_of(replica.registry):
                rows.append(row)
                if len(rows) % COPIED_AT_ONCE == 0:
                    await asyncio.sleep(0)
            return Copy(about=about, rows=rows), feed, beside
        finally:
            then()

    async def _write(
        self,
        replica: Replica,
        *,
        own: bool,
        then: Callable[[], None],
        after: asyncio.Task[None] | None,
    ) -> None:
        try:
            copy, feed, beside = await self._make(replica, then)
            if after is not None:
                await asyncio.gather(after, return_exceptions=True)
            if self.file is not None and not await self._write_file(self.file, copy, feed, beside):
                return
            if own:
                await self._save(copy, feed, beside)
        except Exception:  # whoever waits for this looks at no result
            log.exception("the copy was not made", own=own)

    async def _write_file(
        self, file: OwnFile, copy: Copy, feed: dict[str, Any], beside: dict[str, Any]
    ) -> bool:
        """Write a copy to the database; return False if that fails for good."""
        try:
            content = snapshots.value(copy, feed, beside)
            await file.write(self._part.log.lineage, content)
        except sqlite3.Error as error:
            if not errors.is_passing(error):
                self._part.lose(f"{file.path}: {errors.reason(error)}")
                return False
            log.error("the copy was not written", reason=errors.reason(error))
        return True

    async def _save(self, copy: Copy, feed: dict[str, Any], beside: dict[str, Any]) -> None:
        """Save a copy as a snapshot of the log, and trim the log."""
        shared_log = self._part.log
        try:
            copied = snapshots.value(copy, feed, beside)
            packed = await asyncio.to_thread(snapshots.pack, copied)
            await shared_log.save(Snapshot(copy.position, packed))
            self.snapshot_position = copy.position
            await shared_log.trim(await shared_log.kept())
        except LogUnavailable as error:
            log.warning("the snapshot was not saved", reason=str(error))

    async def written(self) -> None:
        """Wait until no copy is being made, even if another one begins meanwhile."""
        while self._writing is not None and not self._writing.done():
            await self.newest_written()

    async def newest_written(self) -> None:
        """Wait until the copy that was begun last is written."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    def close(self) -> None:
        """Let others have the database."""
        if self.file is not None:
            self.file.close()
            self.file = None
