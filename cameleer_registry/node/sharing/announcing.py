"""Opening an agent's stream at a node of many: the log says whose stream is the newest.

A stream is announced by an entry of the log, and opened when that has come back. If the log does
not answer, it is opened all the same: a client of a stream may stop for good when it is refused.
What is issued goes to it from then on, and when the log answers at last, an older stream of the
agent is ended, wherever that is, or this one, if a newer one has come meanwhile.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import frozen

from ...core import inputs
from ...core.events import CloseReason
from ...core.members import STREAMS_OF_A_NODE
from ...errors import NotInContact
from ..streams import frames
from .contact import ENDING
from .part import Part, forget

if TYPE_CHECKING:
    from ..node import Node
    from ..streams.agents import AgentStream

AT_ONCE: Final = 1.0
"""Seconds after which a stream is opened although the log has not answered."""


@frozen(eq=False)
class Announced:
    """A stream that is about to be opened."""

    stream_id: int
    # What is done when the stream is its agent's: it says how many commands had been issued by
    # then. None if nobody was told of the stream, because it ends as soon as it is open.
    confirmed: asyncio.Future[int] | None


class Announcing:
    """Announces the streams of one node."""

    def __init__(self, node: Node, part: Part) -> None:
        self._node = node
        self._part = part
        # Ids of streams that are open, and of which the log has yet to say whose they are.
        self.unconfirmed: set[int] = set()

    async def announce(self, agent_id: str) -> Announced:
        """Make a stream that is about to open its agent's, as soon as the log answers.

        Raises AgentNotRegistered, and NotInContact if the node has been cut off for too long, or
        takes part no more.
        """
        while not self._node.shutting_down:
            number = await self._number()
            stream_id = (number << STREAMS_OF_A_NODE) + self._node.streams.next_id()
            wish = inputs.OpenStream(agent_id=agent_id, stream_id=stream_id)
            confirmed = self._part.submit_for_long(wish)
            announced = Announced(stream_id, confirmed)
            try:
                await asyncio.wait([confirmed], timeout=AT_ONCE)
            except asyncio.CancelledError:
                self.withdraw(agent_id, announced)
                raise
            if not confirmed.done():
                return announced
            try:
                confirmed.result()
            except NotInContact:  # the others have given this node up, and it joins again
                await asyncio.sleep(0)
            else:
                return announced
        return Announced(self._node.streams.next_id(), None)

    async def _number(self) -> int:
        """Wait until this node takes part; raises NotInContact if that takes too long."""
        part = self._part
        if part.number is None and part.lost is None and not part.left:
            # While it joins again, after the others have given it up.
            await part.numbered(max(0.0, ENDING - part.contact.silent))
        return part.check_stream()

    def withdraw(self, agent_id: str, announced: Announced) -> None:
        """Tell that a stream is not opened after all: its client is gone."""
        if announced.confirmed is not None:
            forget(announced.confirmed)
            self.tell_closed(agent_id, announced.stream_id, CloseReason.CLIENT_GONE)

    def tell_closed(self, agent_id: str, stream_id: int, reason: CloseReason) -> None:
        """Tell the others that a stream has ended."""
        self._part.tell(inputs.CloseStream(agent_id=agent_id, stream_id=stream_id, reason=reason))

    def opened(self, stream: AgentStream, announced: Announced) -> None:
        """Have a stream that has just been opened be what the log says, now or later."""
        confirmed = announced.confirmed
        if confirmed is None:
            last = frames.moving(len(self._node.streams))
            self._node.streams.close(stream.stream_id, CloseReason.SHUTDOWN, last=last)
        elif confirmed.done():
            self._confirmed(stream, confirmed)
        else:
            self.unconfirmed.add(stream.stream_id)
            confirmed.add_done_callback(partial(self._confirmed, stream, late=True))

    def _confirmed(
        self, stream: AgentStream, confirmed: asyncio.Future[int], *, late: bool = False
    ) -> None:
        node, stream_id = self._node, stream.stream_id
        self.unconfirmed.discard(stream_id)
        if confirmed.cancelled() or confirmed.exception() is not None:
            # The agent is unknown by now, or the others have given this node up.
            node.streams.close(stream_id, CloseReason.NODE_LOST)
            return
        stream.since = confirmed.result()
        record = node.registry.find_agent(stream.agent_id)
        if record is None or record.stream_id != stream_id:
            node.streams.close(stream_id, CloseReason.REPLACED)  # meanwhile, and elsewhere
        elif node.shutting_down:
            node.close_stream(stream, CloseReason.SHUTDOWN)
        elif not late:  # else it was open when they were issued
            now = node.clock.now()
            missed = node.registry.issued_since(stream.agent_id, stream.since, now=now)
            node.catch_up_stream(stream, missed)
