"""Group commit: facts gather while a commit is under way, and go out together with the next."""

from __future__ import annotations

from attrs import define, field

from ..shared import Shared


@define(eq=False)
class Batch:
    """Facts that are committed together."""

    # Positions: of the fact before the first, and of the last.
    after: int
    end: int
    # Each as text.
    facts: list[bytes] = field(factory=list)
    size: int = 0
    # Done when they are durable. None while nobody waits for that.
    _durable: Shared | None = field(default=None, init=False)

    def add(self, fact: bytes) -> int:
        """Put a fact at the end; return its position."""
        self.end += 1
        self.facts.append(fact)
        self.size += len(fact)
        return self.end

    def text(self) -> str:
        """Return all of them as one JSON array."""
        return (b"[" + b",".join(self.facts) + b"]").decode()

    def durable(self) -> Shared:
        """Return what is done when they are durable."""
        if self._durable is None or self._durable.done():
            self._durable = Shared()
        return self._durable

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits until they are durable."""
        return self._durable is not None and not self._durable.done()

    def settle(self) -> None:
        """Tell those who wait that they are durable."""
        if self._durable is not None:
            self._durable.finish()

    def fail(self, error: Exception) -> None:
        """Tell those who wait that it cannot be known when they will be."""
        if self._durable is not None:
            self._durable.finish(error)
