"""The event streams of agents: commands are written to them as they are issued."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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
        content = frame.chunked if self.chunked else frame.plain
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

    def push(self, frame: Frame, agent_ids: Sequence[str]) -> Sequence[str]:
        """Write a frame to agents; return to which it was written."""
        missed = set()
        for agent_id, stream in zip(agent_ids, map(self._of.get, agent_ids), strict=True):
            # What nearly all come to stands here once more, without a call for each of thousands.
            if stream is not None and not stream.behind and not stream.transport.is_closing():
                stream.transport.write(frame.chunked if stream.chunked else frame.plain)
            elif stream is None or not stream.push(frame):
                missed.add(agent_id)
        return [each for each in agent_ids if each not in missed] if missed else agent_ids
