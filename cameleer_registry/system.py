"""What is asked of the operating system: a clock that only moves forward, and open files."""

from __future__ import annotations

import contextlib
import gc
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Final

steady_ns: Final[Callable[[], int]] = partial(
    time.clock_gettime_ns, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)
"""Returns nanoseconds that only move forward, also while the host is suspended.

Linux's CLOCK_MONOTONIC stands still in a suspended host and CLOCK_BOOTTIME does not.
"""


@cache
def boot_id() -> str:
    """Return an id of this start of the host; empty if the system has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


@contextmanager
def no_collections(*, for_good: bool) -> Iterator[None]:
    """Keep the garbage collector from looking again and again at what is being made.

    Nothing of it is garbage, and there are millions of it: it takes from a third of the time to
    most of it. ``for_good`` says that it is never to be looked at afterwards either.
    """
    was_enabled, had_frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    try:
        yield
    finally:
        if for_good:
            # All of it counts as old now, or the first look would be at all of it.
            gc.freeze()
            if not had_frozen:
                gc.unfreeze()
        if was_enabled:
            gc.enable()


def raise_file_limit() -> int:
    """Raise the limit of open files as far as it goes; 1,024 is a usual default. Return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems have a lower one than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
