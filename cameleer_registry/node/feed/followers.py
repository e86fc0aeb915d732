"""The writer of one follower's connection: it walks along the ring.

A follower has a position in the ring and is written what comes after it, piece by piece, the next
one when nothing of the last waits in this process any more. So the past and the present are told
in one way, without a gap and nothing twice between them; a reader that takes its time takes no
memory; and one that was away for long does not hold the loop when it comes back. A reader that
the ring does not wait for has lost the thread, and loses its connection.
"""

from __future__ import annotations

import asyncio
from typing import Final

from attrs import frozen

from ...core.events import CloseReason
from ...core.feed import FeedType
from ..streams.frames import KEEPALIVE, Frame
from ..streams.outgoing import OutgoingStream, Streams
from .narrowing import Narrowing
from .ring import Entry, Ring, position

PIECE: Final = 65_536
"""Bytes written to one follower before others get their turn."""

LOOKED_AT: Final = 1000
"""Events looked at for one piece: of those, few may be wanted."""


PASSED_OVER: Final = 1000
"""Unwanted events after which a follower is told its position: a tenth of those that are kept."""

PASSED_OVER_BYTES: Final = 2**20
"""Bytes of them after which it is told likewise: a sixteenth of what is kept."""


@frozen(kw_only=True)
class Interest:
    """What a follower wants to be told; empty ones stand for all."""

    types: frozenset[FeedType] = frozenset()
    groups: frozenset[str] = frozenset()
    narrowing: Narrowing | None = None
    """What exists for whoever follows; None stands for everything."""

    def content_of(self, entry: Entry) -> bytes | None:
        """Return the lines by which an event is told; None if it is not wanted."""
        if not self._includes(entry):
            return None
        return entry.content if self.narrowing is None else self.narrowing.content_of(entry)

    def _includes(self, entry: Entry) -> bool:
        return (not self.types or entry.type in self.types) and (
            not self.groups or not self.groups.isdisjoint(entry.groups)
        )


EVERYTHING: Final = Interest()


class Follower(OutgoingStream):
    """One connection that follows the feed."""

    __slots__ = (
        "_interest",
        "_leaving",
        "_passed_over",
        "_passed_over_bytes",
        "_position",
        "_ring",
        "_scheduled",
    )

    def __init__(
        self,
        streams: Streams[Follower],
        ring: Ring,
        transport: asyncio.Transport,
        *,
        chunked: bool,
        position: int,
        interest: Interest,
    ) -> None:
        self._ring = ring
        self._position = position
        self._interest = interest
        # What it did not want since it was told anything.
        self._passed_over = self._passed_over_bytes = 0
        # True while a turn to write the next piece has been asked for.
        self._scheduled = False
        # True when it shall be ended as soon as it has been told everything.
        self._leaving = False
        super().__init__(streams, transport, chunked=chunked)

    def tell(self, content: bytes) -> None:
        """Write something that is for this follower only."""
        self._write(Frame.of(content))

    def advance(self) -> None:
        """Write the next piece, unless the reader has yet to take the last one."""
        self._scheduled = False
        if self.transport.is_closing():
            return
        if not self._ring.reaches(self._position):
            self._streams.lose(self, CloseReason.SLOW_CONSUMER)
            return
        if self.behind:
            return
        if piece := self._next_piece():
            self._write(Frame.of(piece))
        if self._position < self._ring.newest:
            self._schedule()
        elif self._leaving:
            self._streams.lose(self, CloseReason.SHUTDOWN)

    def leave(self) -> None:
        """End the stream as soon as it has been told everything."""
        self._leaving = True
        self.advance()

    def keep_alive(self) -> None:
        """Write a keepalive, unless something waits to be written anyway."""
        if not self.behind and not self.transport.is_closing():
            self._write(KEEPALIVE)

    def resume_writing(self) -> None:
        """Go on: the reader has taken everything."""
        super().resume_writing()
        # Not here and now: asyncio's transport cannot be closed from within this call, for it
        # would report the loss of the connection twice.
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.advance)

    def _next_piece(self) -> bytes:
        """Gather what is wanted of the next events, up to a piece, and move on past them.

        Who wants few of them is told now and then how far that has gone: otherwise it would come
        back with the id of an event that is forgotten, though it has missed nothing.
        """
        contents, size, most = [], 0, min(PIECE, self._streams.max_backlog)
        last = min(self._ring.newest, self._position + LOOKED_AT)
        while self._position < last and size < most:
            self._position += 1
            entry = self._ring[self._position]
            if (content := self._interest.content_of(entry)) is not None:
                contents.append(content)
                size += len(content)
                self._passed_over = self._passed_over_bytes = 0
            else:
                self._passed_over += 1
                self._passed_over_bytes += entry.size
        if self._passed_over >= PASSED_OVER or self._passed_over_bytes >= PASSED_OVER_BYTES:
            contents.append(position(entry.id, entry.at))
            self._passed_over = self._passed_over_bytes = 0
        return b"".join(contents)
