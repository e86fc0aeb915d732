"""As many open files as the system lets a process have; each connection is one."""

from __future__ import annotations

import contextlib
import resource


def raise_limit() -> int:
    """Raise the limit of open files as far as it goes; 1,024 is a usual default. Return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems have a lower one than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
