"""Following the log: applying each entry in order, and doing what is this node's to do about it.

What changes the registry comes from here, and from nowhere else. The entries of this node's own are
applied when they come back, like those of all others.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import orjson

from ...core.replica import Applied, Replica
from ...logs import get_logger
from ...security.inputs import to_entry
from ..auth.replicated import Replicated
from .agreement import Agreement
from .clock import SharedClock
from .copying import Copying
from .entering import Entering
from .part import Part
from .turns import in_turns

if TYPE_CHECKING:
    from ..node import Node

log = get_logger(__name__)


class Applying:
    """Moves this node's replica by the entries of the log."""

    def __init__(
        self,
        node: Node,
        part: Part,
        beside: Replicated,
        *,
        agreement: Agreement,
        copying: Copying,
        entering: Entering,
    ) -> None:
        self._node = node
        self._part = part
        self._beside = beside
        self._agreement = agreement
        self._copying = copying
        self._entering = entering
        # Up to where the log was applied before this node began anew: that has been told.
        self._told = 0
        # Entries that wait until a copy is made; None while none is.
        self._held: deque[tuple[int, int, bytes]] | None = None
        # How often another node had derived something else.
        self.divergences = 0

    @property
    def _clock(self) -> SharedClock:
        clock = self._node.clock
        assert isinstance(clock, SharedClock)
        return clock

    @property
    def is_holding(self) -> bool:
        """Whether entries wait until a copy is made."""
        return self._held is not None

    @property
    def held(self) -> int:
        """How many entries wait for that."""
        return len(self._held or ())

    async def begin_with(self, replica: Replica, copied: dict[str, Any], *, told: int = 0) -> None:
        """Be what a copy says; what the log has up to the position ``told`` is not told again.

        Raises KeyError if it is no whole copy, and SettingsError if the keys for it are not here.
        """
        node, clock = self._node, self._clock
        await in_turns(self._beside.start_over(copied["beside"]))
        node.registry.become(replica.registry)
        replica.registry, replica.beside = node.registry, self._beside
        self._part.replica, self._told = replica, told
        clock.follow(replica.time)
        node.feed.take_over(copied["feed"], node.registry)
        node.meters.learn(node.registry.open_commands())
        self._copying.marked(replica.position)

    async def catch_up(self, head: int) -> None:
        """Follow the log, and return when it has been applied up to a position."""
        part = self._part
        assert part.replica is not None
        part.log.follow(part.replica.position, self._take, part.lose)
        await part.positions.wait_for(head)

    def _take(self, position: int, stamp: int, content: bytes) -> None:
        """Apply an entry, or hold it while everything is being copied as it is."""
        if self._held is None:
            self._apply(position, stamp, content)
        else:
            self._held.append((position, stamp, content))

    def _apply(self, position: int, stamp: int, content: bytes) -> None:
        """Apply an entry that has come from the log, and do what is this node's to do."""
        replica, node, boot = self._part.replica, self._node, self._part.boot
        assert replica is not None
        entry = to_entry(orjson.loads(content))
        applied = replica.apply(position, stamp, entry)
        self._clock.applied()
        node.feed.cut(applied.now)
        own, again = entry.boot == boot, position <= self._told
        node.carry_out_shared(applied.facts, own=own and not again, again=again)
        node.feed.gather(applied.now)
        if applied.cut:
            node.feed.cut(None)
        if not again:
            self._tell_of_nodes(applied)
        if own:
            self._came_back(applied)
        if applied.cut:
            self._copying.marked(position)
            if not again:
                self._copy(replica, own=own)
        if any(member.boot == boot for member in applied.lost):
            self._entering.enter_again()
        self._compare(applied)
        self._part.positions.reach(position)

    def _tell_of_nodes(self, applied: Applied) -> None:
        for member in applied.joined:
            at = self._part.position
            log.info("node joined", node=member.name, number=member.number, position=at)
        for member in applied.left:
            log.info("node left", node=member.name, number=member.number)
        for member in applied.lost:
            log.warning("node lost", node=member.name, number=member.number)

    def _came_back(self, applied: Applied) -> None:
        """Tell those who wait what has come of an entry of this node's own."""
        if applied.by is not None:
            self._part.contact.note()
        for outcome in applied.outcomes:
            if outcome.refusal is not None:
                outcome.refusal.settled = True  # type: ignore[attr-defined]
        if self._part.appender is not None:
            self._part.appender.came_back(applied.entry.no, applied.outcomes)

    def _compare(self, applied: Applied) -> None:
        """Note which other nodes have come to the same."""
        for member, agrees in applied.compared:
            if member.boot == self._part.boot:
                continue
            self.divergences += not agrees
            if self._agreement.note(member.boot, agrees):
                log.error(
                    "another node has derived something else from the log",
                    node=member.name,
                    position=applied.position,
                )

    # Holding entries

    def _copy(self, replica: Replica, *, own: bool) -> None:
        """Have everything copied as it is now; what comes meanwhile waits for that."""
        if self._copying.is_wanted(own=own):
            self._held = deque()
            self._copying.begin(replica, own=own, then=self._release)

    def _release(self) -> None:
        """Apply what has been held, up to where one more copy is to be made."""
        held, self._held = self._held or deque(), None
        try:
            for entry in held:
                self._take(*entry)  # which holds the rest if one more copy begins there
        except Exception as error:
            log.exception("an entry of the log could not be applied")
            self._part.lose(f"an entry of the log could not be applied: {error}")
