"""Threads of our own, in a real process."""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio.subprocess import PIPE
from contextvars import ContextVar

import pytest

from cameleer_registry.client.threads import in_thread

from ..processes import environment
from ..support import within

kept: ContextVar[str] = ContextVar("kept")


async def test_what_it_returns() -> None:
    """It runs elsewhere, and knows the context in which it was called."""
    kept.set("context")
    thread, told = await in_thread(
        lambda more: (threading.current_thread(), kept.get() + more), "!"
    )
    assert threading.current_thread() is not thread
    assert "context!" == told


@pytest.mark.parametrize("raised", [ValueError("no"), asyncio.CancelledError(), KeyError(1)])
async def test_what_it_raises(raised: BaseException) -> None:
    """It is raised here."""

    def fail() -> None:
        raise raised

    with pytest.raises(type(raised)) as caught:
        await within(in_thread(fail))
    assert raised is caught.value


async def test_a_stop_iteration() -> None:
    """It becomes what it becomes in a coroutine, and nobody waits for ever."""
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        await within(in_thread(next, iter(())))
    assert isinstance(caught.value.__cause__, StopIteration)


async def test_more_than_asyncio_has_threads() -> None:
    """They run side by side, and leave those of asyncio to whoever else needs one."""
    number = 40
    all_there = threading.Barrier(number + 1)
    blocked = [asyncio.create_task(in_thread(all_there.wait, 20)) for _ in range(number)]
    await within(asyncio.to_thread(all_there.wait, 20))
    await within(asyncio.gather(*blocked))


async def test_cancelled() -> None:
    """What comes then is nobody's, and no error."""
    goes_on, over = threading.Event(), threading.Event()

    def block() -> None:
        goes_on.wait(20)
        over.set()

    task = asyncio.create_task(in_thread(block))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    goes_on.set()
    await within(asyncio.to_thread(over.wait, 20))


async def test_a_process_ends_without_waiting_for_them() -> None:
    """However long they take."""
    program = """
import asyncio, contextlib, threading
from cameleer_registry.client.threads import in_thread

async def main():
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(in_thread(threading.Event().wait), 0.01)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment(), stderr=PIPE
    )
    try:
        _, err = await within(process.communicate())
    finally:
        if process.returncode is None:
            process.kill()
    assert (0, b"") == (process.returncode, err)
