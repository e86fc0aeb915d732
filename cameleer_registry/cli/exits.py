"""How the command line ends: its exit statuses, and the one line that says why."""

from __future__ import annotations

import os
import sys
from typing import Final, NoReturn

from ..errors import RegistryError
from .plain import plain

NOT_DONE: Final = 1
"""The fleet did not do it; or the server could not be started."""

USED_WRONGLY: Final = 2
"""What was written on the command line, or in a setting, makes no sense. Nothing was done."""

REFUSED: Final = 3
"""The server cannot be reached, or has refused."""

# What ends a process by a signal shows in a shell as 128 and its number.
INTERRUPTED: Final = 130
PIPE_BROKEN: Final = 141
TERMINATED: Final = 143


def fail(message: str, status: int) -> NoReturn:
    """Say on one line of standard error what went wrong, and end."""
    print(f"cameleer-registry: {plain(message)}", file=sys.stderr)
    sys.exit(status)


def fail_at_once(message: str, status: int) -> NoReturn:
    """Do the same without tidying up, which could write to what has been left as it is."""
    print(f"cameleer-registry: {plain(message)}", file=sys.stderr, flush=True)
    os._exit(status)


def reason(error: RegistryError) -> str:
    """Return all that a server has said about its refusal, on one line."""
    faults = "; ".join(f"{fault.path}: {fault.message}" for fault in error.errors)
    again = "" if error.retry_after is None else f" (try again in {error.retry_after:g} s)"
    return (faults or error.detail) + again
