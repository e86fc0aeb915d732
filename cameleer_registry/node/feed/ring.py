"""The newest events of the feed, with ids that ascend.

Each is encoded once, when somebody wants it: often nobody follows. Those of deliveries are encoded
at once, since they may be large, and the ring is bounded in bytes.

Whoever follows the feed has a place in it: that of the last event that was seen. What comes after a
place can be told as long as the ring reaches back to it. Places are counted one by one.

So are ids, in a registry that keeps nothing: the first is the time at which it started, in
microseconds since 1970, so that those of two servers, or of one before and after it was started
again, do not meet. Where facts are kept, an id follows from the position of the newest fact that it
tells of (:data:`SPREAD` to a fact), so that it is the same after a restart. All stay far below
2**53, up to which the numbers of JavaScript are exact.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Final

from attrs import define, field

from ... import wire
from ...core.feed import FeedEvent, FeedType, ResetReason
from ..streams import frames
from .news import News

ENCODED_AT_ONCE: Final = frozenset({FeedType.DELIVERY_ACKNOWLEDGED, FeedType.DELIVERY_EXPIRED})
"""They name up to a thousand agents; others tell of one, or of a command without its payload."""

SPREAD: Final = 1024
"""Ids to a position: deliveries of so many commands may be told after the same fact."""

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

    def keep_as(self, content: bytes) -> None:
        """Take what it is written as from elsewhere; before it is put into the ring."""
        self._content = content

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
        # The place and the id of the newest event.
        self.newest = self.newest_id = first_id - 1
        # The highest id that somebody may have been told, before this process or by it.
        self.ceiling = first_id - 1
        # The id of the newest event that is forgotten.
        self.lost_id = first_id - 1
        self.limit = limit
        self.limit_bytes = limit_bytes
        # Bytes of all that is kept; of what was never wanted, about.
        self.size = 0
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, place: int) -> Entry:
        """Return the event at a place between ``oldest`` and ``newest``."""
        # Reckoned from whichever end is nearer: O(1) for those who are up to date.
        return self._entries[place - self.newest - 1]

    @property
    def oldest(self) -> int:
        """The place of the oldest event that is kept; if there is none, of the next to come."""
        return self.newest - len(self._entries) + 1

    @property
    def oldest_id(self) -> int:
        """The id of the oldest event that is kept; if there is none, above all that were."""
        return self._entries[0].id if self._entries else self.newest_id + 1

    def id_after(self, position: int) -> int:
        """Return the id of an event that tells of the fact at a position; 0 if none is kept."""
        following = self.newest_id + 1
        return max(following, self.first_id + SPREAD * position) if position else following

    def append(self, news: News, position: int = 0) -> Entry:
        """Number an event and keep it, and forget what is over the limits."""
        return self._keep(Entry(self, self.id_after(position), news))

    def begin(self, first_id: int) -> None:
        """Take over the ids of an earlier process, before there is any event."""
        self.first_id = first_id
        self.newest_id = self.ceiling = self.lost_id = first_id - 1

    def restore(self, event_id: int, news: News, content: bytes) -> None:
        """Keep an event that was told by an earlier process, as it was."""
        entry = Entry(self, event_id, news)
        entry.keep_as(content)
        self._keep(entry)

    def resume(self, *, lost_id: int, position: int) -> None:
        """Go on after an earlier process, which has told of no fact beyond a position."""
        self.ceiling = max(self.ceiling, self.first_id + SPREAD * (position + 1) - 1)
        self.lost_id = max(self.lost_id, lost_id)

    def start(self, first_id: int) -> None:
        """Begin anew with a first id, before there is any event."""
        self.first_id = first_id
        self.newest = self.newest_id = self.ceiling = self.lost_id = first_id - 1

    def go_on(self, *, newest_id: int, lost_id: int) -> None:
        """Go on behind an id, after events have been restored."""
        self.newest_id = max(self.newest_id, newest_id)
        self.ceiling = max(self.ceiling, newest_id)
        self.lost_id = max(self.lost_id, lost_id)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def _keep(self, entry: Entry) -> Entry:
        self.newest += 1
        self.newest_id = entry.id
        if entry.id > self.ceiling:
            self.ceiling = entry.id
        self._entries.append(entry)
        self.size += entry.size
        if entry.type in ENCODED_AT_ONCE:
            _ = entry.content
        while len(self._entries) > self.limit or self.size > self.limit_bytes:
            forgotten = self._entries.popleft()
            self.size -= forgotten.size
            self.lost_id = forgotten.id
        return entry

    def find(self, last_event_id: str) -> int | ResetReason:
        """Return the place that a client names, or why it cannot be told what followed."""
        known = re.fullmatch(r"[0-9]{1,18}", last_event_id)
        event_id = int(last_event_id) if known else -1
        if not self.first_id - 1 <= event_id <= self.ceiling:
            return ResetReason.ANOTHER_SERVER
        if event_id < self.lost_id:
            return ResetReason.HISTORY_LOST
        seen = bisect_right(self._entries, event_id, key=_id_of)
        return self.oldest - 1 + seen

    def reaches(self, place: int) -> bool:
        """Tell whether everything after a place is still there."""
        return place >= self.oldest - 1


def _id_of(entry: Entry) -> int:
    return entry.id
