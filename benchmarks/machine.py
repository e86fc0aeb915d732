"""The machine that measures: what it is, and what it allows."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

CORES: Final = os.sched_getaffinity(0)
"""What this process was allowed, before it shared them out."""

OF_SERVERS: Final = max(CORES)
"""The core that servers have for themselves."""


def describe() -> dict[str, str]:
    """Say what would have to be the same for the figures to be."""
    described = {
        "processor": _processor(),
        "cores": str(len(CORES)),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": f"{os.getloadavg()[0]:.1f} before it began",
    }
    for package in ("aiohttp", "attrs", "cattrs", "orjson"):
        with contextlib.suppress(PackageNotFoundError):
            described[package] = version(package)
    return described


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def share_out() -> None:
    """Keep this process, and those it starts, off the core that servers have for themselves.

    Without that it is the scheduler's choice which of them run on the same one, and it chooses
    differently for each: a process that is woken there starts four times as soon. Where there is
    but one core, they share it.
    """
    if len(CORES) > 1:
        os.sched_setaffinity(0, CORES - {OF_SERVERS})


@contextlib.contextmanager
def core_of_servers() -> Iterator[None]:
    """Have processes that are started meanwhile run on the core of the servers."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {OF_SERVERS})
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def allow_descriptors() -> None:
    """Allow this process, and those it starts, as many open connections as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
