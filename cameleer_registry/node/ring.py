"""The newest events of the feed, numbered without a gap and encoded once.

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

from attrs import frozen

from .. import wire
from ..core.feed import FeedEvent, FeedType, ResetReason
from . import frames
from .news import News


@frozen(eq=False)
class Entry:
    """One event, ready to be written."""

    id: int
    type: FeedType
    groups: Collection[str]
    at: datetime
    content: bytes


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
        # Bytes of all that is kept.
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
        content = encode(self.newest + 1, news)
        entry = Entry(self.newest + 1, news.type, news.groups, news.data.at, content)
        self.newest += 1
        self._entries.append(entry)
        self.size += len(entry.content)
        while len(self._entries) > self.limit or self.size > self.limit_bytes:
            self.size -= len(self._entries.popleft().content)

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
