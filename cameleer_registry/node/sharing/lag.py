"""Waiting until this node knows what other nodes have answered.

There are two ways. An answer carries a token, which names the position up to which it is true; who
brings that token here waits for that position. And who asks for something that is not known here
waits for a barrier: an entry of this node's own, which comes back behind all that others had
answered before.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from typing import Any, Final

from ...core import inputs
from ...core.inputs import Input
from ...errors import NodeBehind
from ..log.port import Log

POSITION_PATIENCE: Final = 2.0
"""Seconds that a request waits for what another node has answered."""

LOOKS: Final = 0.02
"""Seconds between two looks at the end of the log for things that are not known here."""

Position = str
"""What ``X-Cameleer-Position`` says: the beginning of the lineage, and the position."""

_NUMBER: Final = re.compile(r"[0-9]{1,18}")  # no log becomes longer


class Positions:
    """Who waits until the log has been applied up to some position."""

    def __init__(self, shared_log: Log, position: Callable[[], int]) -> None:
        self._log = shared_log
        # Up to where the log has been applied.
        self._position = position
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def token(self) -> Position:
        """What an answer carries, so that another node can wait until it knows as much."""
        return f"{self._log.lineage[:12]}-{self._position()}"

    async def reached(self, token: str) -> None:
        """Wait until this node knows what an answer with that token has said.

        What is malformed, or of another log, is ignored. Raises NodeBehind.
        """
        lineage, _, number = token.rpartition("-")
        if lineage != self._log.lineage[:12] or not _NUMBER.fullmatch(number):
            return
        await self.wait_for(int(number), POSITION_PATIENCE)

    async def told(self, position: int) -> None:
        """Wait for a position that another node's feed has told, if it is likely to come."""
        if self._position() < position <= self._position() + 10**6:
            with contextlib.suppress(NodeBehind):
                await self.wait_for(position, POSITION_PATIENCE)

    async def wait_for(self, position: int, patience: float | None = None) -> None:
        """Wait for a position; raises NodeBehind if it has not come in that many seconds."""
        if position <= self._position():
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append((position, future))
        timer = None
        if patience is not None:
            timer = loop.call_later(patience, self._not_reached, position, future)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()

    def _not_reached(self, position: int, future: asyncio.Future[None]) -> None:
        if not future.done():
            at = self._position()
            future.set_exception(NodeBehind(f"this node is at {at}, before {position}"))

    def reach(self, position: int) -> None:
        """Let those go on who wait for that position, or for one before it."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for at, future in waiting:
            if future.done():
                continue
            if at <= position:
                future.set_result(None)
            else:
                self._waiting.append((at, future))

    def give_up(self, error: Exception) -> None:
        """Tell all who wait that nothing comes any more."""
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)


class Looks:
    """Barriers that are sent into the log; all who ask within a moment share one."""

    def __init__(
        self, submit: Callable[[Input], asyncio.Future[Any]], time: Callable[[], float]
    ) -> None:
        self._submit = submit
        self._time = time
        self._next: asyncio.Future[None] | None = None
        self._sent = 0.0

    async def look(self) -> None:
        """Wait until this node knows all that others had answered by now; raises NotInContact."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            future = self._next = loop.create_future()
            wait = max(0.0, self._sent + LOOKS - self._time())
            loop.call_later(wait, self._send, future)
        await asyncio.shield(self._next)

    def _send(self, future: asyncio.Future[None]) -> None:
        self._next, self._sent = None, self._time()
        try:
            sent = self._submit(inputs.Barrier())
        except Exception as error:
            future.set_exception(error)
            future.exception()
            return

        def done(of: asyncio.Future[Any]) -> None:
            if future.done():
                return
            if (error := of.exception()) is not None:
                future.set_exception(error)
                future.exception()
            else:
                future.set_result(None)

        sent.add_done_callback(done)
