"""SIGTERM, shared by all agents of a process."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_callbacks: set[Callable[[], None]] = set()


@contextmanager
def on_sigterm(callback: Callable[[], None]) -> Iterator[None]:
    """Call back upon SIGTERM, while inside.

    Only where nobody else handles it: a program with a handler of its own knows what to do. Not
    outside the main thread, where Python has no signals.
    """
    loop = asyncio.get_running_loop()
    if not _callbacks and not _is_free():
        yield
        return
    if not _callbacks:
        loop.add_signal_handler(signal.SIGTERM, _call_all)
    _callbacks.add(callback)
    try:
        yield
    finally:
        _callbacks.discard(callback)
        if not _callbacks:
            loop.remove_signal_handler(signal.SIGTERM)


def _is_free() -> bool:
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def _call_all() -> None:
    for callback in list(_callbacks):
        callback()
