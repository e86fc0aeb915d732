"""With what a node begins: the copy in its own database, or the newest snapshot of the log.

If the log has no snapshot, this node founds it, with what its database holds of a registry that was
alone. A database that holds something that the log has not is refused, and left as it is.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Final

from attrs import frozen

from ...core.copies import copy_of
from ...core.instant import nanoseconds
from ...core.log_time import LogTime
from ...core.members import Members
from ...core.registry import Limits, Registry
from ...core.replica import Replica
from ...errors import CannotJoin, CannotOpenDatabase
from ...logs import get_logger
from ...security.store import Credentials
from ..auth import replicated
from ..auth.signing import Signer
from ..clock import Clock
from ..journal.sqlite import errors
from ..log.port import Log, Snapshot
from . import snapshots
from .own_file import OwnFile, refuse
from .turns import in_turns

log = get_logger(__name__)

LOOK_AGAIN: Final = 0.1
"""Seconds after which it is looked again whether another node has founded the log."""


@frozen(kw_only=True)
class Beginning:
    """Finds the copy that a node begins with, and makes the first one of all."""

    log: Log
    # None if this node has no database.
    file: OwnFile | None
    # Of this node's settings: the log has its own from when it was founded.
    limits: Limits
    heartbeat_interval: float

    async def content(self) -> bytes:
        """Return a copy to begin with; raises CannotJoin and CannotOpenDatabase."""
        newest = await self.log.load()
        belongs = None if self.file is None else self.file.belongs()
        if belongs is not None and belongs.lineage != self.log.lineage:
            assert self.file is not None
            raise refuse(self.file.path, "belongs to another log than that of this cluster")
        if newest is None:
            newest = await self._found()
        elif belongs is None and self.file is not None:
            self._check_unused(self.file)
        if belongs is None:
            if self.file is not None:
                await self._keep(self.file, newest)
            return newest.content
        assert self.file is not None
        position = snapshots.position(belongs.content)
        oldest, last = await self.log.bounds()
        if position > last:
            raise CannotJoin(
                f"{self.file.path} has seen the entry {position} of the log, which ends at {last}: "
                "entries that had been confirmed are lost"
            )
        return belongs.content if position + 1 >= oldest else newest.content

    async def _keep(self, file: OwnFile, newest: Snapshot) -> None:
        """Write the copy to the database before anything else happens.

        From then on the database says to which log it belongs, however this node ends.
        """
        copied = await in_turns(snapshots.unpack(newest.content))
        try:
            await file.write(self.log.lineage, copied)
        except sqlite3.Error as error:
            raise CannotOpenDatabase(f"{file.path}: {errors.reason(error)}") from None

    async def _found(self) -> Snapshot:
        """Found the log with what the database holds; or begin with what another one has."""
        registry, clock = Registry(self.limits, in_order=True), Clock()
        credentials, order = Credentials(), Signer()
        now, first = clock.now(), clock.now().wall // 1000
        holds = False
        if self.file is not None:
            loaded = self.file.load_alone(registry, clock, credentials)
            holds = bool(loaded.agents or loaded.commands or credentials.ever)
            now = loaded.now
            interval = nanoseconds(self.heartbeat_interval)
            registry.resume(now=now, least=min(registry.limits.stale_after, 2 * interval))
            registry.all_closed(now=now)
            if (line := registry.newest_line()) is not None:
                order.goes_on_after(line)
            # Above all ids that anybody may have been told.
            first = max(first, loaded.first_event + 1024 * (loaded.position + 2))
        if not holds and (founded := await self._founded_by_others()) is not None:
            return founded
        replica = Replica(registry, Members(), LogTime(now))
        feed = {"first": first, "newest": first - 1, "lost": first - 1, "events": []}
        beside = replicated.value(credentials, [], order.order)
        copied = snapshots.value(copy_of(replica), feed, beside)
        content = await asyncio.to_thread(snapshots.pack, copied)
        if await self.log.found(content):
            log.info("log founded", agents=len(registry), commands=registry.count_commands())
        elif holds:
            assert self.file is not None
            self._check_unused(self.file)
        newest = await self.log.load()
        assert newest is not None
        return newest

    async def _founded_by_others(self) -> Snapshot | None:
        """Leave it to a node that has something to found the log; None if none has done so.

        Were this one quicker, that node's database would be refused.
        """
        loop = asyncio.get_running_loop()
        began, told = loop.time(), 0.0
        while (founded := await self.log.load()) is None:
            seconds = await self.log.founding_seconds()
            if loop.time() >= began + seconds:
                break
            if seconds > told:
                told = seconds
                log.info("this node leaves it to others to found the log", seconds=seconds)
            await asyncio.sleep(LOOK_AGAIN)
        return founded

    def _check_unused(self, file: OwnFile) -> None:
        """Raise CannotOpenDatabase if the database holds what the log has not."""
        credentials = Credentials()
        loaded = file.load_alone(Registry(self.limits), Clock(), credentials)
        if loaded.agents or loaded.commands or credentials.ever:
            raise refuse(
                file.path,
                "was used by a registry alone, and this cluster has been founded already: start "
                "this node with a new database, and it has what the others have; or, if all are to "
                "have what is in this one, end all nodes, delete both streams of the cluster in "
                "NATS, move the others' databases away, and start this node first",
            )
