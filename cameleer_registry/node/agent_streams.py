"""The event streams of agents: commands are written to them as they are issued."""

from __future__ import annotations

import asyncio

from ..core.events import CloseReason
from .frames import KEEPALIVE, Frame
from .streams import EventStream, Streams


class AgentStream(EventStream):
    """The event stream of one agent on one connection."""

    __slots__ = ("agent_id",)

    def __init__(
        self,
        streams: AgentStreams,
        agent_id: str,
        transport: asyncio.Transport,
        *,
        chunked: bool,
    ) -> None:
        super().__init__(streams, transport, chunked=chunked)
        self.agent_id = agent_id

    def push(self, frame: Frame) -> bool:
        """Write a frame, unless the connection is closing; tell whether it was written.

        A reader that is too far behind loses its connection instead.
        """
        if self.transport.is_closing():
            return False
        if self.transport.get_write_buffer_size() > self._streams.max_backlog:
            self._streams.lose(self, CloseReason.SLOW_CONSUMER)
            return False
        self._write(frame)
        return True

    def keep_alive(self) -> None:
        """Write a keepalive like any other frame."""
        self.push(KEEPALIVE)


class AgentStreams(Streams[AgentStream]):
    """The streams of all agents of a node."""

    def open(self, agent_id: str, transport: asyncio.Transport, *, chunked: bool) -> AgentStream:
        """Take over a connection whose response headers have been written."""
        stream = AgentStream(self, agent_id, transport, chunked=chunked)
        self.add(stream)
        return stream

    def push(self, stream_id: int, frame: Frame) -> bool:
        """Write a frame to a stream; tell whether it was open, and was written to."""
        stream = self._open.get(stream_id)
        return stream is not None and stream.push(frame)
