"""Codes with which a browser signs in, once, where somebody has shown a token already.

A command line that opens a browser must not hand it the token: an address stands in histories, and
a command line can be read by everybody on the machine. A code is good once and for a minute, which
is too short to be worth keeping: it is known to the process that made it, and to nobody after it.
"""

from __future__ import annotations

import secrets
from typing import Final

from ..core.instant import NANOSECONDS, Instant
from ..errors import InvalidToken, TokenExpired
from . import tokens

LIFETIME: Final = 60
"""Seconds for which a code is good: a browser that has to be started first takes some of them."""

MOST: Final = 1000
"""Codes that wait to be spent; the oldest one goes first."""


class Codes:
    """The codes of one node that nobody has spent yet."""

    def __init__(self) -> None:
        # The id of the token that was shown, and when the code ends, in steady time; by digest, and
        # in order of creation.
        self._waiting: dict[str, tuple[str, int]] = {}

    def make(self, token_id: str, now: Instant) -> str:
        """Return a code that stands for that token."""
        ended = [digest for digest, (_, end) in self._waiting.items() if end <= now.steady]
        for digest in ended:
            del self._waiting[digest]
        if len(self._waiting) >= MOST:
            del self._waiting[next(iter(self._waiting))]
        code = secrets.token_urlsafe(32)
        end = now.steady + LIFETIME * NANOSECONDS
        self._waiting[tokens.digest_of(code)] = (token_id, end)
        return code

    def spend(self, code: str, now: Instant) -> str:
        """Return the id of the token that a code stands for, which is worth nothing from then on.

        Raises InvalidToken and TokenExpired.
        """
        if not 0 < len(code) <= tokens.LONGEST or not code.isascii():
            raise InvalidToken("there is no such code")
        found = self._waiting.pop(tokens.digest_of(code), None)
        if found is None:
            raise InvalidToken("there is no such code: it is good once, and on one server")
        token_id, end = found
        if end <= now.steady:
            raise TokenExpired(f"a code is good for {LIFETIME} seconds")
        return token_id
