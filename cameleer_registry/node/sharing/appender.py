"""Putting inputs into the log: many in one entry, one entry on its way at a time.

While an entry is on its way the next gathers, so the log sets the pace. An entry is sent again
under the same id until it is confirmed, or has come back: a time-out is no refusal. Who asked for
something waits for what comes of it, and that is known when the entry comes back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import orjson
from attrs import define, field

from ...core import inputs
from ...core.inputs import Entry, Input
from ...core.replica import Outcome
from ...errors import BodyTooLarge, NotInContact, OutcomeUnknown
from ...logs import get_logger
from ...security.inputs import encode
from ..log.port import Log, LogUnavailable, TooLargeForLog
from ..telling.histogram import Histogram

log = get_logger(__name__)

PATIENCE: Final = 10.0
"""Seconds after which nobody waits any longer: an election takes up to nine."""

MOST_INPUTS: Final = 200
MOST_BYTES: Final = 256 * 1024
"""Of one entry; a single input may be as large as the log takes."""

QUEUE_INPUTS: Final = 10_000
QUEUE_BYTES: Final = 8 * 2**20
"""That wait to be sent; what comes then is refused."""

AGAIN: Final = (0.05, 0.1, 0.25, 0.5)
"""Seconds between two tries to send one entry."""

APPEND_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
INPUTS_AN_ENTRY: Final = (1, 2, 5, 10, 25, 50, 100, 200)


@define(eq=False)
class Waiting:
    """An input that waits for what comes of it."""

    given: Input
    content: bytes
    # None if nobody waits.
    outcome: asyncio.Future[Any] | None
    timer: asyncio.TimerHandle | None = None
    sent: bool = False

    def settle(self, outcome: Outcome | None) -> None:
        """Tell who waits what has come of it; None stands for an entry that did not count."""
        if self.timer is not None:
            self.timer.cancel()
        if self.outcome is None or self.outcome.done():
            return
        if outcome is None:
            self.fail(NotInContact("this node was given up by the others; nothing was changed"))
        elif outcome.refusal is not None:
            self.outcome.set_exception(outcome.refusal)
            self.outcome.exception()  # who waited may have gone
        else:
            self.outcome.set_result(outcome.value)

    def fail(self, error: Exception) -> None:
        """Tell who waits that nothing is known, or was done."""
        if self.timer is not None:
            self.timer.cancel()
        if self.outcome is not None and not self.outcome.done():
            self.outcome.set_exception(error)
            self.outcome.exception()  # who waited may have gone


@define(eq=False)
class Appender:
    """Puts the inputs of one start of a node into the log."""

    log: Log
    boot: str
    # How many entries there have been.
    no: int = 0
    _urgent: deque[Waiting] = field(factory=deque)
    # What nobody waits for stands behind all that somebody does.
    _later: deque[Waiting] = field(factory=deque)
    _bytes: int = 0
    # Inputs of entries that have not come back, by the numbers of these.
    _sent: dict[int, Sequence[Waiting]] = field(factory=dict)
    _wake: asyncio.Event = field(factory=asyncio.Event)
    _came_back: asyncio.Event = field(factory=asyncio.Event)
    seconds: Histogram = field(factory=lambda: Histogram(APPEND_SECONDS))
    inputs: Histogram = field(factory=lambda: Histogram(INPUTS_AN_ENTRY))
    retries: int = 0

    def submit(
        self, given: Input, *, waits: bool = True, for_long: bool = False
    ) -> asyncio.Future[Any]:
        """Put an input into the log; return what is done when it has come back.

        It fails with what the registry raises, with OutcomeUnknown if too much time has passed, and
        with NotInContact if it is certain that nothing has been done. ``waits`` tells whether
        anybody waits for it, and ``for_long`` whether that is without a limit. Raises BodyTooLarge
        if the log does not take it, and NotInContact if too much waits already.
        """
        content = orjson.dumps(encode(given))
        if len(content) > self.log.max_entry - 1024:
            raise BodyTooLarge(self.log.max_entry - 1024)
        if waits and (self._bytes > QUEUE_BYTES or len(self._urgent) >= QUEUE_INPUTS):
            raise NotInContact("more waits for the log than it takes")
        loop = asyncio.get_running_loop()
        waiting = Waiting(given, content, loop.create_future())
        self._bytes += len(content)
        if waits:
            if not for_long:
                waiting.timer = loop.call_later(PATIENCE, self._lose_patience, waiting)
            self._urgent.append(waiting)
        else:
            self._later.append(waiting)
        self._wake.set()
        assert waiting.outcome is not None
        return waiting.outcome

    def came_back(self, no: int, outcomes: Sequence[Outcome]) -> None:
        """Tell those who wait what has come of an entry; no outcomes if it did not count."""
        sent = self._sent.pop(no, ())
        for place, waiting in enumerate(sent):
            waiting.settle(outcomes[place] if outcomes else None)
        self._came_back.set()

    def give_up(self, error: Exception) -> None:
        """Tell all who wait that nothing comes back any more."""
        for waiting in (*self._urgent, *self._later):
            waiting.fail(error)
        for sent in self._sent.values():
            for waiting in sent:
                waiting.fail(error)
        self._urgent.clear()
        self._later.clear()
        self._sent.clear()
        self._bytes = 0
        self._came_back.set()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is on its way."""
        return not (self._urgent or self._later or self._sent)

    async def run(self) -> None:
        """Send what waits, entry by entry. Never ends."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while some := self._take():
                await self._send(some)

    def _take(self) -> list[Waiting]:
        """Take what goes into the next entry."""
        some: list[Waiting] = []
        size = 0
        for queue in (self._urgent, self._later):
            while queue and len(some) < MOST_INPUTS:
                if some and size + len(queue[0].content) > MOST_BYTES:
                    return some
                waiting = queue.popleft()
                size += len(waiting.content)
                self._bytes -= len(waiting.content)
                waiting.sent = True
                some.append(waiting)
        return some

    async def _send(self, some: Sequence[Waiting]) -> None:
        self.no += 1
        no, loop = self.no, asyncio.get_running_loop()
        self._sent[no] = some
        self.inputs.observe(len(some))
        head = orjson.dumps([inputs.FORMAT, self.boot, no])[:-1]
        content = head + b",[" + b",".join(each.content for each in some) + b"]]"
        entry_id = Entry(boot=self.boot, no=no, inputs=()).id
        began, tries = loop.time(), 0
        while no in self._sent:
            try:
                await self.log.append(content, entry_id)
            except LogUnavailable as error:
                self.retries += 1
                log.debug("an entry was not confirmed", entry=entry_id, reason=str(error))
                await self._pause(no, AGAIN[min(tries, len(AGAIN) - 1)])
                tries += 1
            except TooLargeForLog as error:
                log.error("an entry is too large for the log", entry=entry_id, reason=str(error))
                for waiting in self._sent.pop(no, ()):
                    waiting.fail(BodyTooLarge(self.log.max_entry))
                return
            else:
                self.seconds.observe(loop.time() - began)
                return

    async def _pause(self, no: int, seconds: float) -> None:
        """Wait a moment, unless the entry comes back meanwhile."""
        self._came_back.clear()
        if no in self._sent:
            try:
                async with asyncio.timeout(seconds):
                    await self._came_back.wait()
            except TimeoutError:
                pass

    def _lose_patience(self, waiting: Waiting) -> None:
        if waiting.sent:
            waiting.fail(OutcomeUnknown(f"the log has not answered within {PATIENCE:g} s"))
            return
        self._urgent.remove(waiting)
        self._bytes -= len(waiting.content)
        waiting.fail(NotInContact("the log does not answer; nothing was changed"))
