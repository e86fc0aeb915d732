"""Whether the nodes have come to the same, and which of them begins anew if they have not.

Each node says with every sign of life what all that it has derived sums up to, and up to where.
They cannot differ, as long as nothing is wrong with a program or with a machine. Where they do,
those in the minority begin anew, with the newest snapshot and the log behind it. If it is one
against one, nobody can say which is wrong: the younger one begins anew, and if that was not it, the
other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from attrs import define, field

GRACE: Final = 3.0
"""Seconds within which each node has said what it has come to."""

PATIENCE: Final = 15.0
"""Seconds after which the older half begins anew, too, if the younger one has, to no avail; and
before a node tries it again."""

LATELY: Final = 600.0
TRIES: Final = 2
"""How often a node begins anew within that many seconds, before it gives up."""


@define
class Agreement:
    """What one node has seen of the others."""

    # Whether each other node that takes part has come to the same, by boot; as of its newest sign.
    _agrees: dict[str, bool] = field(factory=dict)
    # Since when not all do, by the clock of the caller; None while they do.
    _since: float | None = None
    # When this node has begun anew.
    _rebuilt: list[float] = field(factory=list)

    def note(self, boot: str, agrees: bool) -> bool:
        """Note what another node says; tell whether that is news, and bad news."""
        before = self._agrees.get(boot, True)
        self._agrees[boot] = agrees
        return before and not agrees

    def is_to_begin_anew(self, own: str, live: Sequence[str], now: float) -> bool:
        """Tell whether this node should begin anew; ``live`` are all nodes, the oldest first."""
        self._agrees = {boot: agrees for boot, agrees in self._agrees.items() if boot in live}
        differing = {boot for boot, agrees in self._agrees.items() if not agrees}
        alike = {own, *(boot for boot, agrees in self._agrees.items() if agrees)}
        if not differing:
            if len(alike) == len(live):
                self._since = None
            return False
        if self._since is None:
            self._since = now
        heard = len(alike) + len(differing) == len(live)
        if not heard and now - self._since < GRACE:
            return False
        if self._rebuilt and now - self._rebuilt[-1] < 2 * PATIENCE:
            return False  # it is somebody else's turn
        if len(alike) != len(differing):
            return len(alike) < len(differing)
        return _is_younger(alike, differing, live) or now - self._since > PATIENCE

    def began_anew(self, now: float) -> bool:
        """Note that this node begins anew; tell whether it has not done so too often."""
        self._agrees.clear()
        self._rebuilt = [at for at in self._rebuilt if now - at < LATELY]
        self._rebuilt.append(now)
        return len(self._rebuilt) <= TRIES


def _is_younger(some: Collection[str], others: Collection[str], live: Sequence[str]) -> bool:
    """Tell whether the oldest node of all these is among the others."""
    return next((boot in others for boot in live if boot in some or boot in others), False)
