"""Writing commands to the streams of their targets: the effect of their having been issued.

A command's frame is encoded before the command is issued, since what cannot be encoded is not
issued, and kept here until the fact is carried out. Commands to many are written in batches
(:mod:`~cameleer_registry.node.streams.fanout`), so that others are served in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ...core.events import CommandIssued
from ...core.instant import Instant
from ...core.registry import Events, Registry
from ...core.targets import Targets
from ..clock import Clock
from .agents import AgentStreams
from .fanout import FanOuts
from .frames import Frame


class Push:
    """Writes the commands of one node to the streams that it holds."""

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        streams: AgentStreams,
        carry_out: Callable[[Events], None],
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._streams = streams
        self._carry_out = carry_out
        self._fan_outs = FanOuts(self._write_part)
        # Frames of commands that are about to be carried out, by command id.
        self._frames: dict[str, Frame] = {}

    def prepare(self, command_id: str, frame: Frame) -> None:
        """Keep the frame of a command that is about to be issued."""
        self._frames[command_id] = frame

    def cancel(self, command_id: str) -> None:
        """Forget the frame of a command that is not issued after all."""
        self._frames.pop(command_id, None)

    def issued(self, fact: CommandIssued) -> None:
        """Write a command to the streams of its targets, or put it behind others."""
        frame = self._frames.pop(fact.command_id, None)
        if frame is None:  # its issue was told, and not caused, here
            return
        if self._fan_outs.must_queue(fact.agent_ids):
            self._fan_outs.add(fact.command_id, fact.agent_ids, frame)
        else:
            now = self._clock.now()
            awaited = self._registry.awaited(fact.command_id, fact.agent_ids, now=now)
            self._note(fact.command_id, self._streams.push(frame, awaited), now)

    async def written(self, command_id: str) -> None:
        """Wait until a command has been written to all of its targets' streams.

        It is written to all, also when the caller is cancelled meanwhile.
        """
        if (written := self._fan_outs.on_its_way(command_id)) is not None:
            await asyncio.shield(written)

    async def drain(self) -> None:
        """Write what is in the queue, whenever there is something. Never ends."""
        await self._fan_outs.drain()

    def _write_part(self, command_id: str, targets: Targets, part: slice, frame: Frame) -> None:
        now, agent_ids = self._clock.now(), targets[part]
        # It may have expired, or been forgotten, since it was issued.
        awaited = self._registry.awaited(command_id, agent_ids, now=now)
        if awaited is agent_ids:
            pushed = self._streams.push(frame, targets, part)
        else:
            pushed = self._streams.push(frame, awaited)
        self._note(command_id, pushed, now)

    def _note(self, command_id: str, agent_ids: Sequence[str], now: Instant) -> None:
        if agent_ids:
            self._carry_out(self._registry.pushed(command_id, agent_ids, now=now))
