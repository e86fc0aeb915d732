"""The newest events of the feed, numbered without a gap.

Each is encoded once, when somebody wants it: often nobody follows. Those of deliveries are encoded
at once, since they may be large, and the ring is bounded in bytes.

Whoever follows the feed has a position in it: the id of the last event that was seen. What comes
after a position can be told as long as the ring reaches back to it.

The first id is the time at which the server started, in microseconds since 1970, so that those of
two servers, or of one before and after it was started again, do not meet; and it stays far below
2**53, up to which the numbers of JavaScript are exact.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection
from datetime import datetime
from typing import Final

from attrs import define, field

from ... import wire
from ...core.feed import FeedEvent, FeedType, ResetReason
from ..streams import frames
from .news import News

ENCODED_AT_ONCE: Final = frozenset({FeedType.DELIVERY_ACKNOWLEDGED, FeedType.DELIVERY_EXPIRED})
"""They name up to a thousand agents; others tell of one, or of a command without its payload."""

USUAL_SIZE: Final = 256
"""Bytes that others are taken for until they are encoded: 150 to 250 with ordinary names."""


@define(eq=False)
class Entry:
    """One event."""

    ring: Ring
    id: int
    news: News
    # As it is written. None until somebody wants it.
    _content: bytes | None = field(default=None, init=False)

    @property
    def type(self) -> FeedType:
        """What it tells of."""
        return self.news.type

    @property
    def groups(self) -> Collection[str]:
        """The groups that it is about."""
        return self.news.groups

    @property
    def at(self) -> datetime:
        """When it happened."""
        return self.news.data.at

    @property
    def content(self) -> bytes:
        """The lines by which it is told."""
        if self._content is None:
            content = encode(self.id, self.news)
            self.ring.size += len(content) - self.size
            self._content = content
        return self._content

    @property
    def size(self) -> int:
        """How many bytes it takes, or is taken for."""
        return USUAL_SIZE if self._content is None else len(self._content)


def encode(event_id: int, news: News) -> bytes:
    """Return the lines by which an event is told."""
    return frames.lines(str(event_id), news.type, wire.encode_line(news.data))


def position(event_id: int, at: datetime) -> bytes:
    """Return the lines by which a client is told where it is, though nothing has happened.

    An id alone would do by the standard, but some clients dispatch it as an event without data.
    """
    return encode(event_id, News(FeedType.POSITION, (), FeedEvent(at=at)))


class Ring:
    """The newest events: up to a number of them, and of bytes."""

    def __init__(self, first_id: int, *, limit: int, limit_bytes: int) -> None:
        self.first_id = first_id
        self.newest = first_id - 1
        self.limit = limit
        self.limit_bytes = limit_bytes
        # Bytes of all that is kept; of what was never wanted, about.
        self.size = 0
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, event_id: int) -> Entry:
        """Return an event between ``oldest`` and ``newest``."""
        # Reckoned from whichever end is nearer: O(1) for those who are up to date.
        return self._entries[event_id - self.newest - 1]

    @property
    def oldest(self) -> int:
        """The id of the oldest event that is kept; where there is none, of the next to come."""
        return self.newest - len(self._entries) + 1

    def append(self, news: News) -> None:
        """Number an event and keep it, and forget what is over the limits."""
        entry = Entry(self, self.newest + 1, news)
        self.newest += 1
        self._entries.append(entry)
        self.size += entry.size
        if news.type in ENCODED_AT_ONCE:
            _ = entry.content
        while len(self._entries) > self.limit or self.size > self.limit_bytes:
            self.size -= self._entries.popleft().size

    def find(self, last_event_id: str) -> int | ResetReason:
        """Return the position that a client names, or why it cannot be told what followed."""
        known = re.fullmatch(r"[0-9]{1,18}", last_event_id)
        position = int(last_event_id) if known else -1
        if not self.first_id - 1 <= position <= self.newest:
            return ResetReason.ANOTHER_SERVER
        return position if self.reaches(position) else ResetReason.HISTORY_LOST

    def reaches(self, position: int) -> bool:
        """Tell whether everything after a position is still there."""
        return position >= self.oldest - 1
