"""Writing one command to many streams, in batches, so that others are served in between.

Commands are written one after the other, so that every agent gets them in the order in which
they were issued. What fits into one batch, and has nothing before it, need not come here.
Between two batches everybody gets a turn who had something to say before the second: see
:meth:`FanOuts.drain`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from attrs import define, field

from ...core.targets import Targets
from .frames import Frame
from .outgoing import BATCH

Push = Callable[[str, Targets, slice, Frame], None]
"""Writes a command's frame to the streams of a part of its targets: (command id, targets, part,
frame)."""


@define(eq=False)
class FanOut:
    """One command on its way."""

    command_id: str
    frame: Frame
    targets: Targets
    # To how many of them it has been written.
    offset: int = 0
    # Done when all is written.
    done: asyncio.Future[None] = field(factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def complete(self) -> bool:
        """Whether it has been written to all."""
        return self.offset == len(self.targets)


class FanOuts:
    """The commands on their way, oldest first."""

    def __init__(self, push: Push) -> None:
        self._push = push
        self._queue: deque[FanOut] = deque()
        # Set while there is something in the queue.
        self._waiting = asyncio.Event()
        # True while drain() runs; else nobody would write what is left in the queue.
        self._draining = False

    def __bool__(self) -> bool:
        """Tell whether commands are on their way."""
        return bool(self._queue)

    def must_queue(self, targets: Targets) -> bool:
        """Tell whether a command has to wait for others, or is too long to be written at once."""
        return bool(self._queue) or len(targets) > BATCH

    def add(self, command_id: str, targets: Targets, frame: Frame) -> asyncio.Future[None] | None:
        """Put a command behind those that are being written.

        Returns what is done when it has been written to all, or None if it has been, since
        nobody else would.
        """
        fan_out = FanOut(command_id, frame, targets)
        if not self._draining:
            self._write_all(fan_out)
            return None
        self._queue.append(fan_out)
        self._waiting.set()
        return fan_out.done

    def on_its_way(self, command_id: str) -> asyncio.Future[None] | None:
        """Return the same of a command that may be on its way, or may have been written."""
        for fan_out in self._queue:
            if fan_out.command_id == command_id:
                return fan_out.done
        return None

    async def drain(self) -> None:
        """Write what is in the queue, batch by batch, whenever there is something. Never ends.

        Where it is ended all the same, it writes what is left, for nobody else would.
        """
        self._draining = True
        try:
            while True:
                await self._waiting.wait()
                while self._queue:
                    fan_out = self._queue[0]
                    self._write_batch(fan_out)
                    if fan_out.complete:
                        self._settle(self._queue.popleft())
                    # The loop looks for what has arrived at the beginning of a turn, and puts it
                    # behind what waits already, which is this. So with one turn given away, a
                    # request would wait for the rest of a batch and for the whole of the next.
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                self._waiting.clear()
        finally:
            self._draining = False
            while self._queue:
                fan_out = self._queue.popleft()
                self._settle(fan_out)
                self._write_all(fan_out)

    def _settle(self, fan_out: FanOut) -> None:
        if not fan_out.done.done():
            fan_out.done.set_result(None)

    def _write_all(self, fan_out: FanOut) -> None:
        while not fan_out.complete:
            self._write_batch(fan_out)

    def _write_batch(self, fan_out: FanOut) -> None:
        batch = slice(fan_out.offset, min(fan_out.offset + BATCH, len(fan_out.targets)))
        fan_out.offset = batch.stop
        if batch.start < batch.stop:
            self._push(fan_out.command_id, fan_out.targets, batch, fan_out.frame)
