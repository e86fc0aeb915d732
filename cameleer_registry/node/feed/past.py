"""What an earlier process has left of the feed."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, frozen

from ...core.events import Event


@frozen(kw_only=True)
class KeptEvent:
    """An event about deliveries, as it was told: it cannot be made of its facts again."""

    id: int
    after: int
    """The position of the newest fact when it was told."""
    type: str
    groups: str
    """With commas between them."""
    at: int
    """The time of day, in microseconds since 1970."""
    data: str


@define(kw_only=True)
class Past:
    """From what the feed goes on."""

    first_id: int
    position: int
    """That of the newest fact that may have been told."""
    complete_after: int
    """The position after which all facts that are told one by one are there; 0: all there were."""
    fed: int
    """The position up to which all facts have been told, and their events kept."""
    facts: Sequence[tuple[int, Event]]
    """With their positions, oldest first."""
    rows: Sequence[KeptEvent]
    """In order of their ids."""
