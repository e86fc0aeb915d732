"""A node that has derived something else than the others begins anew, without ending.

It takes the newest snapshot and what the log has behind it, as a node does that starts. Its
streams stay open, and whoever waits for an entry goes on waiting: what comes of that is the new
registry's to say. What the log tells once more has been told before, and is not told again. Only
the feed is made anew, and whoever follows it comes back to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from ...core.copies import making
from ...core.events import CloseReason
from ...core.model import AgentDelivery, DeliveryState
from ...errors import NotInContact, SettingsError
from ...logs import get_logger
from ...system import no_collections
from ..log.port import LogLost, LogUnavailable
from . import snapshots
from .agreement import Agreement
from .announcing import Announcing
from .applying import Applying
from .copying import Copying
from .part import Part
from .turns import in_turns
from .written import Written

if TYPE_CHECKING:
    from ..node import Node
    from ..streams.agents import AgentStream

log = get_logger(__name__)

AGAIN: Final = 1.0
"""Seconds after which it is tried again if the log does not answer."""

LOOKED_AT: Final = 200
"""Streams that are looked at in one turn of the loop."""


class Rebuilding:
    """Has this node begin anew when it is the one that is wrong, or may be."""

    def __init__(
        self,
        node: Node,
        part: Part,
        *,
        agreement: Agreement,
        applying: Applying,
        copying: Copying,
        announcing: Announcing,
        written: Written,
    ) -> None:
        self._node = node
        self._part = part
        self._agreement = agreement
        self._applying = applying
        self._copying = copying
        self._announcing = announcing
        self._written = written
        self._task: asyncio.Task[None] | None = None
        # How often it was time to begin anew.
        self.rebuilds = 0

    @property
    def is_running(self) -> bool:
        """Whether this node begins anew at present."""
        return self._task is not None and not self._task.done()

    def heed(self) -> None:
        """Begin anew if this node is the one that is wrong, or may be."""
        part = self._part
        assert part.replica is not None
        assert part.loop is not None
        if self.is_running:
            return
        live, now = list(part.replica.members.live), part.time()
        if not self._agreement.is_to_begin_anew(part.boot, live, now):
            return
        self.rebuilds += 1
        if self._agreement.began_anew(now):
            self._task = part.loop.create_task(self._run(), name="beginning anew")
        else:
            part.lose("it has derived something else than the others, again and again")

    async def close(self) -> None:
        """Begin anew no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Begin anew. What cannot be done for good ends the node's part."""
        part = self._part
        log.error("this node has derived something else than the others and begins anew")
        while part.lost is None:
            try:
                await self._rebuild()
            except LogUnavailable as error:
                log.warning("the log cannot be read yet", reason=str(error))
                await asyncio.sleep(AGAIN)
            except NotInContact:
                return  # the node ends
            except (LogLost, SettingsError) as error:
                part.lose(f"it has to begin anew, and cannot: {error}")
            except snapshots.UNREADABLE as error:
                part.lose(f"it has to begin anew, and cannot read the snapshot: {error!r}")
            else:
                log.warning("this node has begun anew", position=part.position)
                return

    async def _rebuild(self) -> None:
        part, standing = self._part, self._node.standing
        newest = await part.log.load()
        if newest is None:
            raise LogLost("there is no snapshot")
        # Made beside what is shown meanwhile, and put into its place at once.
        with no_collections(for_good=False):
            copied: dict[str, Any] = await in_turns(snapshots.unpack(newest.content))
            replica = await in_turns(making(snapshots.copy_in(copied)))
        oldest, head = await part.log.bounds()
        if oldest > replica.position + 1:
            raise LogUnavailable("the log was trimmed while its snapshot was loaded")
        part.is_level, standing.rests = False, True
        try:
            await part.log.unfollow()
            await self._copying.written()
            head = max(head, part.position)
            await self._applying.begin_with(replica, copied, told=part.position)
            await self._applying.catch_up(head)
        finally:
            part.is_level, standing.rests = True, False
        await self._go_through_streams(copied["about"]["issued"])

    async def _go_through_streams(self, issued: int) -> None:
        """Have this node's streams be what all nodes know of them, and write what they have missed.

        What is noted in the log as written counts up to the snapshot, which ``issued`` commands
        had been issued by. What this node has noted since may be about others than it meant: so it
        goes by what it has seen itself.
        """
        node = self._node
        for count, stream in enumerate(list(node.streams), start=1):
            record = node.registry.find_agent(stream.agent_id)
            if stream.stream_id in self._announcing.unconfirmed:
                continue  # the log has yet to say
            if record is None or record.stream_id != stream.stream_id:
                node.streams.close(stream.stream_id, CloseReason.REPLACED)
                continue
            node.catch_up_stream(stream, self._missed(stream, issued))
            if count % LOOKED_AT == 0:
                await asyncio.sleep(0)

    def _missed(self, stream: AgentStream, issued: int) -> list[AgentDelivery]:
        """Return what should have been written to a stream, and was not, in order of issue."""
        node, missed = self._node, []
        number_of = node.registry.command_number
        for each in node.iter_agent_deliveries(stream.agent_id, states=[DeliveryState.PENDING]):
            number = number_of(each.command_id)
            if number <= stream.since:
                break  # before there was this stream: the agent has asked for that
            if self._written.has(each.command_id, stream.agent_id):
                continue
            if each.delivered_at is None or number > issued:
                missed.append(each)
        return missed[::-1]
