"""Which process answers: an id that every answer carries, so that two cannot pass for one.

Two processes behind one address, such as two workers of gunicorn, are two registries, each of which
knows half of the agents. A client that both answer in turn recognises that by their ids.
"""

from __future__ import annotations

import os
import secrets
from typing import Final

HEADER: Final = "X-Cameleer-Instance"

_own = secrets.token_hex(4)


def instance() -> str:
    """Return the id of this process: eight hexadecimal digits, drawn at random."""
    return _own


def _renew() -> None:
    global _own
    _own = secrets.token_hex(4)


# A server that forks its workers after it has imported us would give all of them one id.
os.register_at_fork(after_in_child=_renew)
