"""How the command line ends: its exit statuses, and the one line that says why."""

from __future__ import annotations

import os
import re
import sys
from typing import Final, NoReturn

from ..errors import RegistryError, ServerUnreachable
from . import help as words
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
    """Return all that a server has said about its refusal, on one line, and what helps."""
    faults = "; ".join(f"{fault.path}: {fault.message}" for fault in error.errors)
    again = "" if error.retry_after is None else f" (try again in {error.retry_after:g} s)"
    return (faults or error.detail) + again + _help_with(error.status, error.code)


def no_answer(error: ServerUnreachable) -> str:
    """Return why no registry answered, on one line, and what helps."""
    message = str(error)
    if found := re.search(r" was answered (401|403|407) ", message):
        message += _help_with(int(found[1]), None)
    return message


def _help_with(status: int, code: str | None) -> str:
    """Return what to do where credentials are missing or do not suffice; nothing elsewhere."""
    token, file = words.TOKEN_VARIABLE, words.TOKEN_FILE_VARIABLE
    has_token = os.environ.get(token) or os.environ.get(file)
    match status, code:
        case ((401 | 403), None):
            return (
                " (something in front of it requires credentials: a name and password in the "
                f"address, a token in {token}, or what --header sends)"
            )
        case 407, None:
            return " (the proxy requires a name and password: put them into its address)"
        case 401, _ if has_token:
            return (
                f" (the token in {token} or {file} is not valid for this "
                "server, or no longer: ask its administrator for another)"
            )
        case 401, _:
            return (
                f" (this server requires a token: put it into {token}, or the name of its "
                f"file into {file}, and try again)"
            )
        case 403, ("insufficient-role" | "not-your-agent" | "group-not-allowed"):
            return (
                f" (the token in {token} or {file} does not allow it: ask "
                "the administrator for one that does)"
            )
        case 403, "proxied-without-auth":
            return " (start the server with --auth off, or with tokens)"
        case _:
            return ""
