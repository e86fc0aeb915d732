"""The commands that have come to an agent: each is carried out once, in time, and answered for.

They begin in the order in which they came, up to ``max_concurrent`` of them side by side, and
``config-update``s one after the other. A command that waits until its deadline has passed is not
carried out any more: whoever sent it has been told that it expired, and may have sent another. So
that there is a better answer than that, it is refused shortly before: the agent is busy.

A handler that has not returned by its command's deadline gives up its turn, since nobody waits for
it any more: it goes on, and so do the commands behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final

from attrs import define, field

from ..core.model import Ack, CommandEvent, CommandType
from ..logs import get_logger
from .handling import Handler, can_be_cut_off, failure, result_of
from .server_clock import ServerClock

log = get_logger(__name__)

SendAck = Callable[[str, Ack, datetime], Coroutine[Any, Any, None]]

MAX_WAITING: Final = 1000
"""Commands that may be under way or wait for their turn. A server that lets an agent have more
pending than that has been set to."""

MAX_OVERDUE: Final = 100
"""Handlers that may go on without a turn of their own: each may hold a thread for ever. Those
beyond keep their turn."""

LAST_WORDS: Final = 2.0
"""Seconds in which the commands that are cut off by the end can still be answered for."""

NOTICE: Final = 0.1
"""Share of its time that is left when a command that still waits is refused, so that the answer
comes before the deadline; at least 1 s, or half of its time if that is less, and at most 5 s."""


class _Phase(Enum):
    WAITING = auto()
    RUNNING = auto()
    ANSWERING = auto()


@define(eq=False)
class _Work:
    command: CommandEvent
    phase: _Phase = _Phase.WAITING
    has_turn: bool = False
    # Whether it is running although its deadline has passed.
    is_overdue: bool = False
    # When it began, by the loop's clock.
    begun: float = 0.0
    # None while it waits.
    task: asyncio.Task[None] | None = None
    # Of the moment at which it is refused, or overdue; None where there is none.
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class Inbox:
    """What one agent has been told to do."""

    def __init__(
        self,
        handlers: Mapping[CommandType, Handler],
        send_ack: SendAck,
        clock: ServerClock,
        *,
        max_concurrent: int,
    ) -> None:
        self._handlers = handlers
        self._send_ack = send_ack
        self._clock = clock
        self._max_concurrent = max_concurrent
        # The commands that have come, by their ids, until their deadlines; the oldest in front.
        self._seen: dict[str, datetime] = {}
        # Those that are not answered yet: they wait, or are in the hands of a task.
        self._waiting: dict[_Work, None] = {}
        self._under_way: dict[asyncio.Task[None], _Work] = {}
        self._turns_taken = 0
        # The config-update that is being carried out; None where none is.
        self._updating: _Work | None = None
        # The newest config-update that was taken; None before any.
        self._newest_update: CommandEvent | None = None
        self._closing = False

    def offer(self, command: CommandEvent, *, missed: bool = False) -> None:
        """Take a command that has come on the stream, or was ``missed``, unless it came before."""
        while self._seen and self._clock.seconds_until(next(iter(self._seen.values()))) <= 0:
            del self._seen[next(iter(self._seen))]
        if command.command_id in self._seen:
            return
        self._seen[command.command_id] = command.expires_at
        if command.type is CommandType.CONFIG_UPDATE:
            newest = self._newest_update
            # What comes on a stream is the newest that there is. A list may have come late.
            if missed and newest is not None and _age(command) < _age(newest):
                self._refuse(command, f"superseded by config-update {newest.command_id}")
                return
            self._newest_update = command
        if len(self._waiting) + len(self._under_way) >= MAX_WAITING:
            self._refuse(command, "too many commands are waiting")
            return
        left = self._clock.seconds_until(command.expires_at)
        if left <= 0:
            log.warning("command refused: its deadline has passed", **_ids(command))
            return
        work = _Work(command)
        self._waiting[work] = None
        notice = min(max(1.0, NOTICE * left), 5.0, left / 2)
        work.timer = asyncio.get_running_loop().call_later(left - notice, self._give_up, work)
        self._begin()

    async def close(self, grace: float) -> None:
        """Give what has begun ``grace`` seconds to finish, and leave what has not.

        What has not begun stays pending: the agent's next process can catch up on it.
        """
        self._closing = True
        try:
            await self._wind_up(grace)
        except asyncio.CancelledError:  # whoever ends the agent will not wait for that
            log.warning("the end was cut short", unanswered=len(self._under_way))
            raise
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    # Turns

    def _begin(self) -> None:
        """Carry out what has its turn by now."""
        if self._closing:
            return
        for work in list(self._waiting):
            if self._turns_taken >= self._max_concurrent:
                if self._max_concurrent == 1:
                    self._cut_off_overdue(next(iter(self._of(_Phase.RUNNING)), None))
                return
            is_update = work.command.type is CommandType.CONFIG_UPDATE
            if is_update and self._updating is not None:
                self._cut_off_overdue(self._updating)
                continue
            del self._waiting[work]
            _stop_timer(work)
            if self._clock.seconds_until(work.command.expires_at) <= 0:  # the loop was held up
                log.warning("command refused: its deadline has passed", **_ids(work.command))
                continue
            self._carry_out_now(work, is_update)

    def _carry_out_now(self, work: _Work, is_update: bool) -> None:
        loop = asyncio.get_running_loop()
        work.phase, work.begun = _Phase.RUNNING, loop.time()
        work.has_turn = True
        self._turns_taken += 1
        if is_update:
            self._updating = work
        left = max(0.0, self._clock.seconds_until(work.command.expires_at))
        work.timer = loop.call_later(left, self._overdue, work)
        self._start(work, self._carry_out(work))

    async def _carry_out(self, work: _Work) -> None:
        command = work.command
        ack = await result_of(self._handlers.get(command.type), command)
        if work.is_overdue:
            took = asyncio.get_running_loop().time() - work.begun
            log.warning("a handler has returned late", seconds=round(took, 1), **_ids(command))
        work.phase = _Phase.ANSWERING
        self._end_turn(work)
        self._begin()
        await self._send_ack(command.command_id, ack, command.expires_at)

    def _end_turn(self, work: _Work) -> None:
        _stop_timer(work)
        if work.has_turn:
            work.has_turn = False
            self._turns_taken -= 1
        if self._updating is work:
            self._updating = None

    def _overdue(self, work: _Work) -> None:
        """Have a handler that has not returned by its deadline hold up nobody else."""
        work.is_overdue = True
        command = work.command
        log.warning("a handler has not returned by its command's deadline", **_ids(command))
        without_turn = sum(not each.has_turn for each in self._of(_Phase.RUNNING))
        # Where one must not overtake another, none does so.
        if self._max_concurrent > 1 and without_turn < MAX_OVERDUE and work.has_turn:
            work.has_turn = False
            self._turns_taken -= 1
        self._begin()

    def _cut_off_overdue(self, work: _Work | None) -> None:
        """End what is overdue and others wait for, if it is a coroutine: those can be ended."""
        if work is None or not work.is_overdue or work.task is None or work.task.cancelling():
            return
        if can_be_cut_off(self._handlers.get(work.command.type)):
            log.warning("a handler is cut off: others wait for it", **_ids(work.command))
            work.task.cancel()

    def _give_up(self, work: _Work) -> None:
        """Refuse a command that would wait until its deadline."""
        del self._waiting[work]
        self._refuse(work.command, self._busy())

    def _busy(self) -> str:
        running = self._of(_Phase.RUNNING)
        longest = min(running, key=lambda each: each.begun, default=None)
        if longest is None:
            return "the agent was busy until now"
        seconds = asyncio.get_running_loop().time() - longest.begun
        return (
            f"the agent is busy with {len(running)} command{'s' if len(running) != 1 else ''}, "
            f"for {seconds:.0f} s with {longest.command.type} {longest.command.command_id}"
        )

    # Ending

    async def _wind_up(self, grace: float) -> None:
        for work in self._waiting:
            _stop_timer(work)
            log.warning("command left pending by the end", **_ids(work.command))
        self._waiting.clear()
        await self._answered(grace)
        cut_off = self._of(_Phase.RUNNING)
        for work in cut_off:
            if work.task is not None:
                work.task.cancel()
        for work in cut_off:
            if not work.is_overdue:
                self._refuse(work.command, "cut off by the end of the agent")
        await self._answered(LAST_WORDS)
        for work in self._of(_Phase.ANSWERING):
            log.warning("command left without an answer", **_ids(work.command))

    def _of(self, phase: _Phase) -> list[_Work]:
        return [work for work in self._under_way.values() if work.phase is phase]

    async def _answered(self, seconds: float) -> None:
        unanswered = [*self._of(_Phase.RUNNING), *self._of(_Phase.ANSWERING)]
        if tasks := [work.task for work in unanswered if work.task is not None]:
            await asyncio.wait(tasks, timeout=seconds)

    # Tasks

    def _start(self, work: _Work, doing: Coroutine[Any, Any, None]) -> None:
        work.task = asyncio.create_task(doing, name=f"command {work.command.command_id}")
        self._under_way[work.task] = work
        work.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        work = self._under_way.pop(task)
        self._end_turn(work)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a command was not answered", exc_info=error, **_ids(work.command))
        self._begin()

    def _refuse(self, command: CommandEvent, message: str) -> None:
        log.warning("command not carried out", reason=message, **_ids(command))
        answer = self._send_ack(command.command_id, failure(message), command.expires_at)
        self._start(_Work(command, _Phase.ANSWERING), answer)


def _stop_timer(work: _Work) -> None:
    if work.timer is not None:
        work.timer.cancel()
        work.timer = None


def _age(command: CommandEvent) -> tuple[datetime, str]:
    """Return what commands are ordered by: their ids grow (UUIDv7) within a millisecond."""
    return command.created_at, command.command_id


def _ids(command: CommandEvent) -> dict[str, Any]:
    return {"command_id": command.command_id, "command_type": str(command.type)}
