"""Calling a handler, which is the program's own code: whatever it does, there is an answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from .. import wire
from ..core.model import Ack, CommandEvent, Outcome
from ..logs import get_logger
from .threads import in_thread

log = get_logger(__name__)

Handler = Callable[[CommandEvent], Any]
"""Carries a command out; what it returns, or what it returns can be awaited for, is the data of
the acknowledgement. A plain function runs in a thread of its own."""

LONGEST_MESSAGE: Final = 8000
"""Characters of an exception's message: less than a server takes, and more than people read."""


class _RaisedInThread(Exception):
    """A handler has raised in its thread what would end the program if it were raised here."""


async def result_of(handler: Handler | None, command: CommandEvent) -> Ack:
    """Let a handler carry out a command, and return its acknowledgement; None means no handler.

    A handler that calls ``sys.exit``, as a parser of arguments does, has failed, and ends nothing
    else. Raises CancelledError if the task is cancelled, and KeyboardInterrupt.
    """
    if handler is None:
        return failure(f"this agent has no handler for {command.type}")
    task = asyncio.current_task()
    try:
        ack = _ack_of(await _call(handler, command))
        wire.encode_request(ack)
    except asyncio.CancelledError:
        if _is_cancelled():
            raise  # it is us who are cancelled
        return failure("the handler was cancelled")
    except KeyboardInterrupt:  # not the handler's, but of the loop's program
        raise
    except BaseException as error:
        if isinstance(error, GeneratorExit) and not _is_run_by(task):
            raise  # it is us who are closed, unfinished, with the loop
        told = error.args[0] if isinstance(error, _RaisedInThread) else error
        ids: dict[str, Any] = {"command_id": command.command_id, "command_type": str(command.type)}
        log.warning("command failed", exc_info=told, **ids)
        return failure(_told(told))
    return ack


def can_be_cut_off(handler: Handler | None) -> bool:
    """Tell whether cancelling its task ends a handler: a thread cannot be ended."""
    return inspect.iscoroutinefunction(handler)


def failure(message: str) -> Ack:
    """Return the acknowledgement of a command that was not carried out."""
    return Ack(status=Outcome.FAILURE, message=message)


def _told(error: BaseException) -> str:
    """Return what an exception says, however it is made."""
    if isinstance(error, SystemExit):
        status = "" if error.code is None else repr(error.code)
        return f"the handler called exit({status})"
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


def _is_run_by(task: asyncio.Task[Any] | None) -> bool:
    try:
        return asyncio.current_task() is task
    except RuntimeError:  # no loop runs
        return False


async def _call(handler: Handler, command: CommandEvent) -> Any:
    if inspect.iscoroutinefunction(handler):
        return await handler(command)
    try:
        returned = await in_thread(handler, command)
    except (KeyboardInterrupt, GeneratorExit) as error:  # Ctrl-C does not come to threads
        raise _RaisedInThread(error) from None
    return await returned if inspect.isawaitable(returned) else returned


def _ack_of(returned: Any) -> Ack:
    return returned if isinstance(returned, Ack) else Ack(data=returned)
