"""One-time codes that sign a browser in on behalf of a token's holder.

A command line that opens a browser must not pass it the token: histories keep addresses, and
everybody on a machine can read command lines. A code is valid once and for a minute, which is too
short to be worth storing: only the process that made it knows it, and the nodes of a cluster know
its digest.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

from ..core.instant import NANOSECONDS, Instant
from ..errors import InvalidToken, TokenExpired
from . import tokens

LIFETIME: Final = 60
"""Seconds for which a code is good: a browser that has to be started first takes some of them."""

MOST: Final = 1000
"""Codes that wait to be spent; the oldest one goes first."""


class Codes:
    """The codes of one registry that have not been used yet."""

    def __init__(self) -> None:
        # The id of the token that was shown, and when the code ends, in steady time; by digest, and
        # in order of creation.
        self._waiting: dict[str, tuple[str, int]] = {}

    def keep(self, digest: str, token_id: str, now: Instant) -> None:
        """Have the code of a digest stand for a token."""
        ended = [known for known, (_, end) in self._waiting.items() if end <= now.steady]
        for known in ended:
            del self._waiting[known]
        if len(self._waiting) >= MOST:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[digest] = (token_id, now.steady + LIFETIME * NANOSECONDS)

    def spend(self, digest: str, now: Instant) -> str:
        """Return the id of the token that a code stands for, which is worth nothing from then on.

        Raises InvalidToken and TokenExpired.
        """
        found = self._waiting.pop(digest, None)
        if found is None:
            raise InvalidToken("there is no such code: a code is valid once, and for one registry")
        token_id, end = found
        if end <= now.steady:
            raise TokenExpired(f"a code is valid for {LIFETIME} seconds")
        return token_id

    def value(self) -> list[list[Any]]:
        """Return those that wait, as a value."""
        return [[digest, *of] for digest, of in self._waiting.items()]

    def start_over(self, of: Sequence[Sequence[Any]]) -> None:
        """Forget all, and know those of a value."""
        self._waiting = {digest: (token_id, end) for digest, token_id, end in of}


def generate() -> str:
    """Return a new code."""
    return secrets.token_urlsafe(32)


def digest_of(code: str) -> str:
    """Return the digest of something that may be a code; raises InvalidToken if it is none."""
    if not 0 < len(code) <= tokens.LONGEST or not code.isascii():
        raise InvalidToken("there is no such code")
    return tokens.digest_of(code)
