"""SIGTERM, shared by all agents of a process.

The signal is handled by ``signal.signal`` and not by the loop's ``add_signal_handler``. So it can
be told whose handler is installed, and one that the program has installed meanwhile is left alone.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

# What to call, in the order in which the agents have begun; each may be called from anywhere.
_callbacks: Final[dict[object, Callable[[], None]]] = {}


@contextmanager
def on_sigterm(callback: Callable[[], None]) -> Iterator[None]:
    """Call back upon SIGTERM, while inside; ``callback`` must be safe to call from any thread.

    Only while nobody else handles the signal: a program with a handler of its own knows what to
    do, whether it was there before or has come since. Python has signals in the main thread only:
    an agent elsewhere is called back where one in the main thread has begun before it.
    """
    if _is_free():
        signal.signal(signal.SIGTERM, _call_all)
    this = object()
    _callbacks[this] = callback
    try:
        yield
    finally:
        _callbacks.pop(this, None)  # none of it is there where the process has forked since
        if not _callbacks:
            _give_back()


def _is_free() -> bool:
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def _give_back() -> None:
    """Have SIGTERM end the process again, where the handler is still ours."""
    if signal.getsignal(signal.SIGTERM) is _call_all:
        with suppress(ValueError):  # not the main thread: the next signal does it
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _call_all(_number: int, _frame: Any) -> None:
    for callback in list(_callbacks.values()):
        callback()
    if not _callbacks:
        _give_back()
        os.kill(os.getpid(), signal.SIGTERM)


def _forget() -> None:
    """Have a forked process be ended by SIGTERM: the agents are those of its parent."""
    _callbacks.clear()
    _give_back()


os.register_at_fork(after_in_child=_forget)
