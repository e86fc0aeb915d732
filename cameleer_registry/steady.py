"""Time that only moves forward."""

from __future__ import annotations

import time


def steady_ns() -> int:
    """Return nanoseconds that only move forward, also while the host is suspended.

    Linux's CLOCK_MONOTONIC stands still in a suspended host and CLOCK_BOOTTIME does not.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()
