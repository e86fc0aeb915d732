"""The event streams of agents: commands are written to them as they are issued."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

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
        content = frame.chunked if self._chunked else frame.plain
        if self.behind:
            if transport.get_write_buffer_size() > self._streams.max_backlog:
                self._streams.lose(self, CloseReason.SLOW_CONSUMER)
                return False
            self.written += len(content)
        transport.write(content)
        return True

    def keep_alive(self) -> None:
        """Write a keepalive like any other frame."""
        self.push(KEEPALIVE)


class AgentStreams(Streams[AgentStream]):
    """The streams of all agents of a node."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(**limits)
        # The stream of each agent that has one.
        self._of: dict[str, AgentStream] = {}

    def open(self, agent_id: str, transport: asyncio.Transport, *, chunked: bool) -> AgentStream:
        """Take over a connection whose response headers have been written; the newest counts."""
        stream = self._of[agent_id] = AgentStream(self, agent_id, transport, chunked=chunked)
        self.add(stream)
        return stream

    def removed(self, stream: AgentStream) -> None:
        """Forget whose stream it was, unless that agent has a newer one."""
        if self._of.get(stream.agent_id) is stream:
            del self._of[stream.agent_id]

    def push(self, frame: Frame, agent_ids: Iterable[str]) -> list[str]:
        """Write a frame to agents; return to which it was written."""
        of = self._of
        return [
            agent_id
            for agent_id in agent_ids
            if (stream := of.get(agent_id)) is not None and stream.push(frame)
        ]
