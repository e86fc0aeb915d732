"""The feed's events as plain values, so that a node goes on with those that it has not told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ...core.feed import FeedEvent, FeedType
from .news import News
from .ring import Ring

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def value(ring: Ring) -> dict[str, Any]:
    """Return all events of a ring, and where it begins and ends."""
    return {
        "first": ring.first_id,
        "newest": ring.newest_id,
        "lost": ring.lost_id,
        "events": [
            [
                entry.id,
                entry.type.value,
                list(entry.groups),
                (entry.at - _EPOCH) // timedelta(microseconds=1),
                entry.content.decode(),
            ]
            for entry in ring
        ],
    }


def restore(ring: Ring, of: Mapping[str, Any]) -> None:
    """Make a ring, which is empty, of these values."""
    ring.start(of["first"])
    for event_id, kind, groups, at, content in of["events"]:
        moment = _EPOCH + timedelta(microseconds=at)
        ring.restore(event_id, News(FeedType(kind), groups, FeedEvent(at=moment)), content.encode())
    ring.go_on(newest_id=of["newest"], lost_id=of["lost"])
