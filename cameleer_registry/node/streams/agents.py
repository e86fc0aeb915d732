"""The event streams of agents: commands are written to them as they are issued."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any, Final

from ...core.events import CloseReason
from ...core.targets import Targets
from .frames import KEEPALIVE, Frame
from .outgoing import BATCH, NOWHERE, OutgoingStream, Streams

ALL: Final = slice(None)


class AgentStream(OutgoingStream):
    """The event stream of one agent on one connection."""

    __slots__ = ("agent_id", "since")

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
        # How many commands had been issued when it became its agent's, if many nodes share the
        # registry: those are not written to it.
        self.since = 0

    def push(self, frame: Frame) -> bool:
        """Write a frame, unless the connection is closing, or breaks; tell whether it was written.

        A reader that is too far behind loses its connection instead.
        """
        transport = self.transport
        if transport.is_closing():
            return False
        if self.behind and transport.get_write_buffer_size() > self._streams.max_backlog:
            self._streams.lose(self, CloseReason.SLOW_CONSUMER)
            return False
        self._write(frame)
        return not transport.is_closing()

    def keep_alive(self) -> None:
        """Write a keepalive like any other frame."""
        self.push(KEEPALIVE)


class AgentStreams(Streams[AgentStream]):
    """The streams of all agents of a node."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(**limits)
        # The stream of each agent that has one.
        self._of: dict[str, AgentStream] = {}
        # Those of the targets of the last command to many, part by part, as long as no stream is
        # opened or closed. To look each up costs a fifth of what it costs to write to it.
        self._last: Sequence[str] = ()
        self._parts: dict[int, list[AgentStream | None]] = {}
        # Which of the targets of the last command to many hold a stream here; likewise.
        self._among: tuple[Targets, Targets] | None = None

    def open(
        self,
        agent_id: str,
        transport: asyncio.Transport,
        *,
        chunked: bool,
        stream_id: int | None = None,
    ) -> AgentStream:
        """Take over a connection whose response headers have been written; the newest counts.

        ``stream_id`` is its id if that was drawn before.
        """
        stream = self._of[agent_id] = AgentStream(self, agent_id, transport, chunked=chunked)
        if stream_id is not None:
            stream.stream_id = stream_id
        self._forget_last()
        self.add(stream)
        return stream

    def of(self, agent_id: str) -> AgentStream | None:
        """Return the stream of an agent; None if it has none."""
        return self._of.get(agent_id)

    def removed(self, stream: AgentStream) -> None:
        """Forget whose stream it was, unless that agent has a newer one."""
        self._forget_last()
        if self._of.get(stream.agent_id) is stream:
            del self._of[stream.agent_id]

    def _forget_last(self) -> None:
        self._parts.clear()
        self._among = None

    def among(self, targets: Targets) -> Targets:
        """Return which of these agents hold a stream here: the same object for the same targets."""
        if self._among is not None and self._among[0] is targets:
            return self._among[1]
        if len(targets) < len(self._of):
            found = Targets(filter(self._of.__contains__, targets))
        else:
            found = Targets(filter(targets.__contains__, self._of))
        if len(found) > BATCH:
            self._among = targets, found
        return found

    def push(self, frame: Frame, targets: Sequence[str], part: slice = ALL) -> Sequence[str]:
        """Write a frame to some of these agents; return to which it was written."""
        missed = set()
        agent_ids = targets[part]
        for agent_id, stream in zip(agent_ids, self._streams_of(targets, part), strict=True):
            # What nearly all come to stands here once more, without calls for each of thousands.
            if stream is not None and stream.direct != NOWHERE:
                content = frame.chunked if stream.chunked else frame.plain
                try:
                    taken = os.write(stream.direct, content)
                except OSError:
                    taken = 0
                if taken == len(content) or (taken and stream.write_rest(content[taken:])):
                    continue
            if stream is None or not stream.push(frame):
                missed.add(agent_id)
        return [each for each in agent_ids if each not in missed] if missed else agent_ids

    def _streams_of(self, targets: Sequence[str], part: slice) -> list[AgentStream | None]:
        if len(targets) <= BATCH:
            return list(map(self._of.get, targets[part]))
        if self._last is not targets:
            self._last = targets
            self._parts.clear()
        streams = self._parts.get(part.start)
        if streams is None:
            streams = self._parts[part.start] = list(map(self._of.get, targets[part]))
        return streams
