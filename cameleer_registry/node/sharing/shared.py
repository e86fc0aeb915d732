"""One node among many: it follows the log, puts into it what comes to it, and acts on what comes of
all entries.

Everything that changes the registry goes through the log, and is applied when it comes back, in the
order of the log, as at every other node. What follows from that is done here as far as it is this
node's: its streams are written to, its callers are answered.

Each module of this folder does one part of that. They are put together here, from the bottom up:
each knows those that it was given, and none of those above it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...core import inputs
from ...core.copies import making
from ...core.inputs import Input
from ...core.replica import Replica
from ...errors import CannotJoin, NodeBehind, NotInContact, SettingsError
from ...logs import get_logger
from ...system import no_collections
from ..auth.replicated import Replicated
from ..limits import limits_of
from ..log.port import Log, LogLost, LogUnavailable
from . import snapshots
from .agreement import Agreement
from .announcing import Announcing
from .applying import Applying
from .beginning import Beginning
from .contact import ENDING
from .copying import Copying
from .entering import Entering
from .gathering import Gathering
from .lag import Looks, Position
from .own_file import Belongs, OwnFile
from .part import Part, forget
from .rebuilding import Rebuilding
from .shown import Shown
from .signs import Signs
from .turns import in_turns

if TYPE_CHECKING:
    from ..node import Node

log = get_logger(__name__)

AGAIN: Final = 0.5
"""Seconds after which a node that joins tries again to read the log."""

LEVEL_AGAIN: Final = 0.05
"""Seconds after which it is looked again whether this node knows as much as the others."""

LEAVE_SECONDS: Final = 3.0
"""In which the others are told that this node ends."""


class Shared:
    """A node's part in a registry that many nodes share."""

    def __init__(
        self,
        node: Node,
        shared_log: Log,
        beside: Replicated,
        *,
        name: str,
        database: Path | None,
    ) -> None:
        self.node = node
        # The credentials, which the log moves as it does the registry.
        self.beside = beside
        self._database = database
        self.part = part = Part(shared_log, name=name, has_started=lambda: node.has_started)
        agreement, entering = Agreement(), Entering(node, part)
        self.copying = Copying(node, part, beside)
        self.applying = Applying(
            node, part, beside, agreement=agreement, copying=self.copying, entering=entering
        )
        self.announcing = Announcing(node, part)
        self._gathering = Gathering(node, part)
        self.rebuilding = Rebuilding(
            node,
            part,
            agreement=agreement,
            applying=self.applying,
            copying=self.copying,
            announcing=self.announcing,
            written=self._gathering.written,
        )
        self._entering = entering
        self._looks = Looks(part.submit, part.time)
        self._signs = Signs(
            node,
            part,
            gathering=self._gathering,
            copying=self.copying,
            rebuilding=self.rebuilding,
        )
        self.shown = Shown(
            node=node,
            part=part,
            applying=self.applying,
            copying=self.copying,
            rebuilding=self.rebuilding,
        )

    # From start to end

    async def join(self) -> None:
        """Follow the log up to its end, and take part; raises CannotJoin and CannotOpenDatabase."""
        self.part.loop = asyncio.get_running_loop()
        known = self._open_if_there()
        file = self.copying.file
        founds = known is None and file is not None and file.is_used
        await self.part.log.open(None if known is None else known.lineage, founds=founds)
        if self._database is not None and self.copying.file is None:
            self.copying.file = OwnFile.open(self._database)
        while True:
            try:
                await self._follow()
                break
            except LogUnavailable as error:
                log.warning("the log cannot be read yet", reason=str(error))
                await asyncio.sleep(AGAIN)
            except LogLost as error:
                raise CannotJoin(str(error)) from None
        self.node.authority.begin_shared()
        await self._entering.enter()

    def _open_if_there(self) -> Belongs | None:
        """Open a database that has been used before; return to which log it belongs."""
        if self._database is None or not self._database.exists():
            return None
        self.copying.file = OwnFile.open(self._database)
        return self.copying.file.belongs()

    async def _follow(self) -> None:
        """Begin with the newest copy that there is, and apply all that the log has behind it."""
        beginning = Beginning(
            log=self.part.log,
            file=self.copying.file,
            limits=self.node.registry.limits,
            heartbeat_interval=self.node.settings.heartbeat_interval,
        )
        with no_collections(for_good=True):
            try:
                content = await beginning.content()
                copied = await in_turns(snapshots.unpack(content))
                replica = await in_turns(making(snapshots.copy_in(copied)))
                await self.applying.begin_with(replica, copied)
            except SettingsError as error:
                raise CannotJoin(str(error)) from None
            except snapshots.UNREADABLE as error:
                raise CannotJoin(f"the snapshot of the log cannot be read: {error!r}") from None
            del content, copied
        if limits_of(self.node.settings) != replica.registry.limits:
            log.warning("this node's settings are others than the log's, which count")
        oldest, newest = await self.part.log.bounds()
        if oldest > replica.position + 1:
            raise LogUnavailable("the log was trimmed while its snapshot was loaded")
        await self.applying.catch_up(newest)

    async def send(self) -> None:
        """Put into the log what waits for that. Never ends."""
        await self.part.send()

    async def tick(self) -> None:
        """Give signs of life, and put heartbeats into the log. Never ends."""
        await self._signs.run()

    async def leave(self) -> None:
        """Tell the others that this node ends; its streams have been."""
        part = self.part
        if not part.takes_part or part.appender is None:
            part.left = True
            return
        self._gathering.tell_heard()
        self._gathering.tell_pushed()
        left = part.appender.submit(inputs.Leave())
        forget(left)
        part.left = True
        await asyncio.wait([left], timeout=LEAVE_SECONDS)

    async def close(self) -> None:
        """Write what is to be written, and follow no longer."""
        self.part.left = True
        await self.rebuilding.close()
        await self.copying.newest_written()
        await self.part.log.close()
        if self.part.appender is not None:
            self.part.appender.give_up(NotInContact("this node has ended"))
        self.copying.close()

    def lose(self, reason: str) -> None:
        """Take part no more: the log is lost, or is another one."""
        self.part.lose(reason)

    # What this node is to the others

    @property
    def boot(self) -> str:
        """By which this start of the node is known to the others."""
        return self.part.boot

    @property
    def replica(self) -> Replica | None:
        """What the log has come to; None before this node has joined."""
        return self.part.replica

    @property
    def position(self) -> int:
        """The position of the newest entry that has been applied."""
        return self.part.position

    @property
    def takes_part(self) -> bool:
        """Whether this node is one of those that take part, as far as it knows."""
        return self.part.takes_part

    @property
    def is_first(self) -> bool:
        """Whether this node does what one of them has to do."""
        return self.part.is_first

    @property
    def holds(self) -> tuple[str, ...]:
        """The names of the keys that the others believe to be here."""
        return self.part.holds

    # Asking

    def submit(self, given: Input, *, waits: bool = True) -> asyncio.Future[Any]:
        """Put an input into the log; return what is done when it has come back."""
        return self.part.submit(given, waits=waits)

    def tell(self, given: Input) -> None:
        """Put an input into the log for which nobody waits; nothing happens while cut off."""
        self.part.tell(given)

    def heartbeat(self, agent_id: str) -> asyncio.Future[Any] | None:
        """Note a heartbeat; return what is done if it changes a status.

        Raises AgentNotRegistered and NotInContact.
        """
        return self._gathering.heartbeat(agent_id)

    def pushed(self, command_id: str, agent_ids: Sequence[str]) -> None:
        """Note to whose streams a command was written; in a moment it is told to the others."""
        self._gathering.pushed(command_id, agent_ids)

    # Waiting for what others know

    def check_level(self) -> None:
        """Raise NotInContact or NodeBehind while this node knows less than the others."""
        self.part.check_level(started=self.node.has_started)

    async def level(self) -> None:
        """Wait until this node knows as much as the others; raises likewise if that takes long."""
        part, loop = self.part, asyncio.get_running_loop()
        until = loop.time() + ENDING
        while part.lost is None and not part.left and loop.time() < until:
            try:
                self.check_level()
            except (NotInContact, NodeBehind):
                await asyncio.sleep(LEVEL_AGAIN)
            else:
                return
        self.check_level()

    @property
    def has_hope(self) -> bool:
        """Whether this node may be in contact again before its streams are ended."""
        part = self.part
        return part.lost is None and not part.left and part.contact.silent <= ENDING

    @property
    def token(self) -> Position:
        """What an answer carries, so that another node can wait until it knows as much."""
        return self.part.positions.token

    async def reached(self, token: str) -> None:
        """Wait until this node knows what an answer with that token has said; raises NodeBehind."""
        await self.part.positions.reached(token)

    async def told(self, event_id: str) -> None:
        """Wait until this node knows as much as who was told that event of the feed."""
        position = self.node.feed.position_of(event_id)
        if position is not None:
            await self.part.positions.told(position)

    async def look(self) -> None:
        """Wait until this node knows all that others had answered by now; raises NotInContact."""
        await self._looks.look()
