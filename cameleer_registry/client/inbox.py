"""The commands that have come to an agent: each is carried out once, in time, and answered for.

They begin in the order in which they came, up to ``max_concurrent`` of them side by side. A
command that waits until its deadline has passed is not carried out any more: whoever sent it has
been told that it expired, and may have sent another.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final

from attrs import define

from .. import wire
from ..core.model import Ack, CommandEvent, CommandType, Outcome
from ..logs import get_logger
from .server_clock import ServerClock
from .threads import in_thread

log = get_logger(__name__)

Handler = Callable[[CommandEvent], Any]
"""Carries a command out; what it returns, or what it returns can be awaited for, is the data of
the acknowledgement. A plain function runs in a thread of its own."""

SendAck = Callable[[str, Ack, datetime], Coroutine[Any, Any, None]]

MAX_WAITING: Final = 1000
"""Commands that may be under way or wait for their turn. A server that lets an agent have more
pending than that has been set to."""

LAST_WORDS: Final = 2.0
"""Seconds in which the commands that are cut off by the end can still be answered for."""

LONGEST_MESSAGE: Final = 8000
"""Characters of an exception's message: less than a server takes, and more than people read."""


class _Phase(Enum):
    WAITING = auto()
    RUNNING = auto()
    ANSWERING = auto()


@define
class _Work:
    command: CommandEvent
    phase: _Phase = _Phase.WAITING


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
        self._slots = asyncio.Semaphore(max_concurrent)
        # The commands that have come, by their ids, until their deadlines; the oldest in front.
        self._seen: dict[str, datetime] = {}
        # Those that are not answered yet, by the task of each.
        self._under_way: dict[asyncio.Task[None], _Work] = {}

    def offer(self, command: CommandEvent) -> None:
        """Take a command that has come, unless it has come before."""
        while self._seen and self._clock.seconds_until(next(iter(self._seen.values()))) <= 0:
            del self._seen[next(iter(self._seen))]
        if command.command_id in self._seen:
            return
        self._seen[command.command_id] = command.expires_at
        if len(self._under_way) < MAX_WAITING:
            work = _Work(command)
            self._start(work, self._carry_out(work))
        else:
            self._refuse(command, "too many commands are waiting")

    async def close(self, grace: float) -> None:
        """Give what has begun ``grace`` seconds to finish, and leave what has not.

        What has not begun stays pending: the agent's next process can catch up on it.
        """
        try:
            await self._wind_up(grace)
        except asyncio.CancelledError:  # whoever ends the agent will not wait for that
            log.warning("the end was cut short", unanswered=len(self._under_way))
            raise
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _wind_up(self, grace: float) -> None:
        for task in self._in(_Phase.WAITING):
            task.cancel()
            log.warning("command left pending by the end", **_ids(self._under_way[task].command))
        await self._answered(grace)
        cut_off = [self._under_way[task].command for task in self._in(_Phase.RUNNING)]
        for task in self._in(_Phase.RUNNING):
            task.cancel()
        for command in cut_off:
            self._refuse(command, "cut off by the end of the agent")
        await self._answered(LAST_WORDS)
        for task in self._in(_Phase.ANSWERING):
            log.warning("command left without an answer", **_ids(self._under_way[task].command))

    def _in(self, phase: _Phase) -> list[asyncio.Task[None]]:
        return [task for task, work in self._under_way.items() if work.phase is phase]

    async def _answered(self, seconds: float) -> None:
        if tasks := [*self._in(_Phase.RUNNING), *self._in(_Phase.ANSWERING)]:
            await asyncio.wait(tasks, timeout=seconds)

    def _start(self, work: _Work, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing, name=f"command {work.command.command_id}")
        self._under_way[task] = work
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        work = self._under_way.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a command was not answered", exc_info=error, **_ids(work.command))

    async def _carry_out(self, work: _Work) -> None:
        command = work.command
        async with self._slots:
            if self._clock.seconds_until(command.expires_at) <= 0:
                log.warning("command refused: its deadline has passed", **_ids(command))
                return
            work.phase = _Phase.RUNNING
            ack = await self._result_of(command)
        work.phase = _Phase.ANSWERING
        await self._send_ack(command.command_id, ack, command.expires_at)

    def _refuse(self, command: CommandEvent, message: str) -> None:
        log.warning("command not carried out", reason=message, **_ids(command))
        answer = self._send_ack(command.command_id, _failure(message), command.expires_at)
        self._start(_Work(command, _Phase.ANSWERING), answer)

    async def _result_of(self, command: CommandEvent) -> Ack:
        handler = self._handlers.get(command.type)
        if handler is None:
            return _failure(f"this agent has no handler for {command.type}")
        try:
            ack = _ack_of(await _call(handler, command))
            wire.encode_request(ack)
        except asyncio.CancelledError:
            if _is_cancelled():
                raise  # it is us who are cancelled
            return _failure("the handler was cancelled")
        except Exception as error:
            log.warning("command failed", exc_info=error, **_ids(command))
            return _failure(_told(error))
        return ack


def _told(error: Exception) -> str:
    """Return what an exception says, however it is made."""
    # A KeyError says no more than the key. And either may fail: it is the program's own code.
    for said in (repr,) if isinstance(error, KeyError) else (str, repr):
        with suppress(Exception):
            if message := said(error):
                # A lone surrogate stands for a byte of a file's name that is no UTF-8.
                message = message.encode("utf-8", "backslashreplace").decode()
                return (
                    message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"
                )
    return type(error).__name__


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _call(handler: Handler, command: CommandEvent) -> Any:
    if inspect.iscoroutinefunction(handler):
        return await handler(command)
    returned = await in_thread(handler, command)
    return await returned if inspect.isawaitable(returned) else returned


def _ack_of(returned: Any) -> Ack:
    return returned if isinstance(returned, Ack) else Ack(data=returned)


def _failure(message: str) -> Ack:
    return Ack(status=Outcome.FAILURE, message=message)


def _ids(command: CommandEvent) -> dict[str, Any]:
    return {"command_id": command.command_id, "command_type": str(command.type)}
