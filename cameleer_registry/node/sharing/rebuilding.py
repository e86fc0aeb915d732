"""A node that has derived something else than the others begins anew, without ending.

It takes the newest snapshot and what the log has behind it, as a node does that starts. Its
streams stay open, and whoever waits for an entry goes on waiting: what comes of that is the new
registry's to say. What the log tells once more has been told before. Only the feed is made anew,
and whoever follows it comes back to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from ...core.copies import UnknownCopy, making
from ...core.events import CloseReason
from ...core.model import DeliveryState
from ...errors import NotInContact, SettingsError
from ...logs import get_logger
from ...system import no_collections
from ..log.port import LogLost, LogUnavailable
from . import snapshots
from .agreement import Agreement
from .applying import Applying
from .copying import Copying
from .part import Part
from .turns import in_turns

if TYPE_CHECKING:
    from ..node import Node

log = get_logger(__name__)

AGAIN: Final = 1.0
"""Seconds after which it is tried again if the log does not answer."""

LOOKED_AT: Final = 200
"""Streams that are looked at in one turn of the loop."""


class Rebuilding:
    """Has this node begin anew when it is the one that is wrong, or may be."""

    def __init__(
        self, node: Node, part: Part, *, agreement: Agreement, applying: Applying, copying: Copying
    ) -> None:
        self._node = node
        self._part = part
        self._agreement = agreement
        self._applying = applying
        self._copying = copying
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
            except (LogLost, SettingsError, UnknownCopy, KeyError, ValueError) as error:
                part.lose(f"it has to begin anew, and cannot: {error}")
            else:
                log.warning("this node has begun anew", position=part.position)
                return

    async def _rebuild(self) -> None:
        part, standing = self._part, self._node.standing
        newest = await part.log.load()
        _, head = await part.log.bounds()
        if newest is None:
            raise LogLost("there is no snapshot")
        # Made beside what is shown meanwhile, and put into its place at once.
        with no_collections(for_good=False):
            copied: dict[str, Any] = await in_turns(snapshots.unpack(newest.content))
            replica = await in_turns(making(snapshots.copy_in(copied)))
        part.is_level, standing.rests = False, True
        try:
            await part.log.unfollow()
            await self._copying.written()
            head = max(head, part.position)
            await self._applying.begin_with(replica, copied, told=part.position)
            await self._applying.catch_up(head)
        finally:
            part.is_level, standing.rests = True, False
        await _go_through_streams(self._node, copied["about"]["issued"])


async def _go_through_streams(node: Node, issued: int) -> None:
    """Have this node's streams be what all nodes know of them, and write what they have missed.

    Of a command that was issued since the snapshot, by its number, nobody knows whether it was
    written to the right ones: so it is written again. Agents know what they have had.
    """
    number_of = node.registry.command_number
    for count, stream in enumerate(list(node.streams), start=1):
        record = node.registry.find_agent(stream.agent_id)
        if record is None or record.stream_id != stream.stream_id:
            node.streams.close(stream.stream_id, CloseReason.REPLACED)
            continue
        pending = node.iter_agent_deliveries(stream.agent_id, states=[DeliveryState.PENDING])
        missed = [
            each
            for each in pending
            if each.delivered_at is None or number_of(each.command_id) > issued
        ]
        node.catch_up_stream(stream, missed[::-1])
        if count % LOOKED_AT == 0:
            await asyncio.sleep(0)
