"""How far the registry had come when it last answered: so that no later answer is older.

Where a registry has several nodes, one may be a moment behind another. An answer says how far its
node had come, a request that brings this along is answered when its node has come as far.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

HEADER: Final = "X-Cameleer-Position"

# It is handed back as it came. One that is longer, or could not stand in a head, is none.
_SENSIBLE: Final = re.compile(r"[!-~]{1,256}")
_NUMBERED: Final = re.compile(r"(.*?)(\d{1,30})")


class Position:
    """The furthest position that answers have told of."""

    def __init__(self) -> None:
        # None until an answer has told of one.
        self._furthest: str | None = None

    def heard(self, headers: Mapping[str, str]) -> None:
        """Take note of what the head of an answer says.

        Answers may overtake each other: of two positions that differ in their last number only,
        the greater one counts. Of any others it is the one that came last.
        """
        said = headers.get(HEADER)
        if said is None or not _SENSIBLE.fullmatch(said):
            return
        if self._furthest is None or not _is_behind(said, self._furthest):
            self._furthest = said

    def headers(self) -> dict[str, str]:
        """Return what to send along with a request."""
        return {} if self._furthest is None else {HEADER: self._furthest}


def _is_behind(one: str, other: str) -> bool:
    found = _NUMBERED.fullmatch(one), _NUMBERED.fullmatch(other)
    if found[0] is None or found[1] is None or found[0][1] != found[1][1]:
        return False
    return int(found[0][2]) < int(found[1][2])
