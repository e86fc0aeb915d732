"""What a node does twice a second: it gives a sign of life, and looks after its part.

It tells of the heartbeats that it has gathered, ends its streams if it has been cut off for too
long, begins anew if it is the one that is wrong, and sets a mark if it is time for a copy.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ...core import inputs
from ...core.events import CloseReason
from ...logs import get_logger
from .contact import ENDING
from .copying import Copying
from .gathering import Gathering
from .part import Part
from .rebuilding import Rebuilding

if TYPE_CHECKING:
    from ..node import Node

log = get_logger(__name__)

TICK: Final = 0.5
"""Seconds between two signs of life of a node."""

HEARD: Final = 1.0
"""Seconds after which those are put into the log who have sent heartbeats."""

SPREAD_SECONDS: Final = 3.0
"""In which streams are ended, so that their agents do not all come at once elsewhere."""


class Signs:
    """Gives signs of life."""

    def __init__(
        self,
        node: Node,
        part: Part,
        *,
        gathering: Gathering,
        copying: Copying,
        rebuilding: Rebuilding,
    ) -> None:
        self._node = node
        self._part = part
        self._gathering = gathering
        self._copying = copying
        self._rebuilding = rebuilding
        # Whether streams were ended since this node was in contact last.
        self._ending = False
        # Held on to while it runs.
        self._spreading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Give signs of life, and look after this node's part. Never ends."""
        part = self._part
        due = part.time()
        while True:
            await asyncio.sleep(TICK)
            if part.replica is None or part.left or part.lost is not None:
                continue
            if part.time() >= due:
                due = part.time() + HEARD
                self._gathering.tell_heard()
            if part.appender is not None and part.appender.idle:
                part.tell(
                    inputs.Tick(
                        position=part.replica.position,
                        checksum=part.replica.checksum,
                        streams=len(self._node.streams),
                    )
                )
            self._heed_contact()
            self._rebuilding.heed()
            self._mark()

    def _heed_contact(self) -> None:
        """End streams if this node has been cut off for too long."""
        if self._part.contact.silent <= ENDING:
            self._ending = False
            return
        if not self._ending:
            self._ending = True
            log.warning("cut off from the others, streams are ended")
        is_spreading = self._spreading is not None and not self._spreading.done()
        if len(self._node.streams) and not is_spreading:
            assert self._part.loop is not None
            self._spreading = self._part.loop.create_task(
                self._node.life.spread_ends(CloseReason.NODE_LOST, SPREAD_SECONDS)
            )

    def _mark(self) -> None:
        """Have everything copied when it is time, if it is this node's turn."""
        if self._part.is_first and self._copying.is_due():
            self._copying.marked(self._part.position)
            self._part.tell(inputs.Mark())
