"""The ring of the newest events, next to a list that forgets nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cameleer_registry.core.feed import FeedEvent, FeedType, ResetReason
from cameleer_registry.node.feed import ring as module
from cameleer_registry.node.feed.news import News
from cameleer_registry.node.feed.ring import USUAL_SIZE, Ring

FIRST = 1000
AT = datetime(2026, 11, 23, 8, 15, 30, tzinfo=UTC)
SEEN = News(FeedType.STREAM_OPENED, ("g",), FeedEvent(at=AT))
"""Encoded when somebody wants it."""
COUNTED = News(FeedType.DELIVERY_EXPIRED, ("g",), FeedEvent(at=AT))
"""Encoded at once."""


@given(
    st.lists(st.tuples(st.sampled_from([SEEN, COUNTED]), st.booleans()), max_size=40),
    st.integers(1, 10),
    st.integers(0, 5000),
)
def test_it_keeps_the_newest_within_its_limits(
    told: list[tuple[News, bool]], limit: int, limit_bytes: int
) -> None:
    """In events and in bytes; what it takes is added up rightly, be it wanted or not."""
    ring = Ring(FIRST, limit=limit, limit_bytes=limit_bytes)
    for count, (news, wanted) in enumerate(told, start=1):
        ring.append(news)
        assert FIRST + count - 1 == ring.newest
        if wanted and len(ring):
            assert module.encode(ring.oldest, ring[ring.oldest].news) == ring[ring.oldest].content
        kept = [ring[event_id] for event_id in range(ring.oldest, ring.newest + 1)]
        assert [entry.id for entry in kept] == list(range(ring.oldest, ring.newest + 1))
        assert [news for news, _ in told[count - len(ring) : count]] == [e.news for e in kept]
        assert sum(entry.size for entry in kept) == ring.size
        assert len(ring) <= limit
        for position in range(FIRST - 1, ring.newest + 1):
            expected = position if position >= ring.oldest - 1 else ResetReason.HISTORY_LOST
            assert expected == ring.find(str(position))


def test_no_more_is_forgotten_than_has_to_be() -> None:
    """To the event, and to the byte."""
    ring = Ring(FIRST, limit=3, limit_bytes=10 * USUAL_SIZE)
    for _ in range(5):
        ring.append(SEEN)
    assert (FIRST + 2, 3) == (ring.oldest, len(ring))
    ring = Ring(FIRST, limit=100, limit_bytes=2 * USUAL_SIZE)
    for _ in range(5):
        ring.append(SEEN)
    assert (2, 2 * USUAL_SIZE) == (len(ring), ring.size)
    ring = Ring(FIRST, limit=100, limit_bytes=2 * USUAL_SIZE - 1)
    for _ in range(5):
        ring.append(SEEN)
    assert 1 == len(ring)


@pytest.mark.parametrize(
    "named", ["", "x", "-1", "+1", "1.0", "٣", "998", "1002", "9" * 19, " 999"]
)
def test_a_position_that_is_none_of_its_own(named: str) -> None:
    """Before the first, behind the newest, or no number of this server's."""
    ring = Ring(FIRST, limit=10, limit_bytes=10_000)
    ring.append(SEEN)
    ring.append(SEEN)
    assert FIRST + 1 == ring.newest
    assert ResetReason.ANOTHER_SERVER is ring.find(named)


def test_an_event_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody wants it; those that may be large at once."""
    encoded = []
    encode = module.encode

    def spy(event_id: int, news: News) -> bytes:
        encoded.append(event_id)
        return encode(event_id, news)

    monkeypatch.setattr(module, "encode", spy)
    ring = Ring(FIRST, limit=10, limit_bytes=10_000)
    ring.append(SEEN)
    ring.append(COUNTED)
    assert [FIRST + 1] == encoded
    for _ in range(2):
        assert ring[FIRST].content
        assert ring[FIRST + 1].content
    assert [FIRST + 1, FIRST] == encoded
