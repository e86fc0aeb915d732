"""The machine that measures: what it is, and what it allows."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe() -> dict[str, str]:
    """Say what would have to be the same for the figures to be."""
    described = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
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
    cores = os.sched_getaffinity(0)
    if len(cores) > 1:
        os.sched_setaffinity(0, cores - {_of_servers(cores)})


@contextlib.contextmanager
def core_of_servers() -> Iterator[None]:
    """Have processes that are started meanwhile run on the core of the servers."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    os.sched_setaffinity(0, {_of_servers(os.sched_getaffinity(0))})
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def _of_servers(cores: set[int]) -> int:
    return max(cores)


def allow_descriptors() -> None:
    """Allow this process, and those it starts, as many open connections as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
