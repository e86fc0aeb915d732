"""Plain functions, each in a thread of its own.

Those of asyncio (``to_thread``) are a handful for the whole process, and host names are looked up
in them, too: handlers that block would keep heartbeats from being sent. And Python waits for them
at its end, however long they take.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Final, TypeVar

T = TypeVar("T")

NAME: Final = "cameleer-registry handler"


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Call a function in a thread, and return what it returns, or raise what it raises.

    If this is cancelled, the thread goes on, but is not waited for.
    """
    loop = asyncio.get_running_loop()
    context = copy_context()
    # What was returned, and what was raised. Not as the future's own exception: that cannot be a
    # StopIteration, and whoever awaits it would wait for ever.
    ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def end(returned: Any, raised: BaseException | None) -> None:
        if not ended.done():
            ended.set_result((returned, raised))

    def work() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = context.run(function, *args), None
        except BaseException as error:
            outcome = None, error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(end, *outcome)

    threading.Thread(target=work, name=NAME, daemon=True).start()
    returned, raised = await ended
    if raised is not None:
        raise raised
    result: T = returned
    return result
