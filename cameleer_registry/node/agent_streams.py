"""The event streams of agents: commands are written to them as they are issued."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

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
        transport = self.transport
        if transport.is_closing():
            return False
        if transport.get_write_buffer_size() > self._streams.max_backlog:
            self._streams.lose(self, CloseReason.SLOW_CONSUMER)
            return False
        content = frame.chunked if self._chunked else frame.plain
        self.written += len(content)
        transport.write(content)
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

    def push(self, frame: Frame, reachable: Iterable[tuple[str, int]]) -> list[str]:
        """Write a frame to agents, each with the id of its stream; return to which it was."""
        streams = self._open
        return [
            agent_id
            for agent_id, stream_id in reachable
            if (stream := streams.get(stream_id)) is not None and stream.push(frame)
        ]
