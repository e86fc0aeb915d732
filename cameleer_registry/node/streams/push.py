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
from ...core.model import AgentDelivery, CommandEvent
from ...core.registry import Events, Registry
from ...core.targets import Targets
from ...core.views import time_of_day
from ..clock import Clock
from . import frames
from .agents import AgentStream, AgentStreams
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
        # Where many nodes share the registry: is told which streams were written to, and the rest
        # is up to the log. None if this node is alone.
        self.tell_others: Callable[[str, Sequence[str]], None] | None = None
        # True while what is carried out was written before.
        self.rests = False

    def prepare(self, command_id: str, frame: Frame) -> None:
        """Keep the frame of a command that is about to be issued."""
        self._frames[command_id] = frame

    def cancel(self, command_id: str) -> None:
        """Forget the frame of a command that is not issued after all."""
        self._frames.pop(command_id, None)

    def issued(self, fact: CommandIssued) -> None:
        """Write a command to the streams of its targets, or put it behind others."""
        if self.rests:
            return
        targets = fact.agent_ids
        if self.tell_others is not None:
            # Issued at any node: here it is written to those that hold a stream here.
            targets = self._streams.among(targets)
            frame = frame_of(fact) if targets else None
        else:
            frame = self._frames.pop(fact.command_id, None)
        if frame is None:  # there is nobody, or its issue was told, and not caused, here
            return
        if self._fan_outs.must_queue(targets):
            self._fan_outs.add(fact.command_id, targets, frame)
        else:
            now = self._clock.now()
            awaited = self._registry.awaited(fact.command_id, targets, now=now)
            self._note(fact.command_id, self._streams.push(frame, awaited), now)

    def catch_up(self, stream: AgentStream, deliveries: Sequence[AgentDelivery]) -> None:
        """Write to a stream what was issued since others know of it, and before it was here."""
        for delivery in deliveries:
            line = None if delivery.signed is None else delivery.signed.encode()
            if stream.push(frames.event(event_of(delivery), line)):
                self._note(delivery.command_id, (stream.agent_id,), self._clock.now())

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
        if agent_ids and self.tell_others is not None:
            self.tell_others(command_id, agent_ids)
        elif agent_ids:
            self._carry_out(self._registry.pushed(command_id, agent_ids, now=now))


def frame_of(fact: CommandIssued) -> Frame:
    """Return the frame of a command that was issued at whichever node."""
    return frames.event(
        CommandEvent(
            command_id=fact.command_id,
            type=fact.order.type,
            payload=fact.order.payload,
            created_at=time_of_day(fact.at),
            expires_at=time_of_day(fact.expires),
        ),
        None if fact.line is None else fact.line.encode(),
    )


def event_of(delivery: AgentDelivery) -> CommandEvent:
    """Return the event by which a delivery is told."""
    return CommandEvent(
        command_id=delivery.command_id,
        type=delivery.type,
        payload=delivery.payload,
        created_at=delivery.created_at,
        expires_at=delivery.expires_at,
    )
