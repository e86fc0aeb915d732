"""The operators' event feed: facts become events, kept in a ring, and told to whoever follows.

Everything that happens within a moment is told together: the deliveries of one command as one
event, and to each follower all events in one write. So what a follower costs does not grow with
the pace at which things happen, and an event costs little if nobody follows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ... import wire
from ...core.events import CloseReason, Event
from ...core.feed import FeedEvent, FeedType, ResetEvent
from ...core.instant import Instant, nanoseconds
from ...core.queries import Queries
from ...core.views import time_of_day
from ...errors import TooManyFeeds
from ...logs import get_logger
from ...settings import Settings
from ..streams import frames
from ..streams.outgoing import Streams
from . import copying, news, ring
from .followers import Follower, Interest
from .news import News
from .past import KeptEvent, Past
from .ring import ENCODED_AT_ONCE, SPREAD, Entry, Ring
from .shares import Shares

log = get_logger(__name__)

MOMENT: Final = 0.1
"""Seconds: what happens within them is told together."""

HISTORY: Final = 10_000
"""Events kept for those who come back."""

HISTORY_BYTES: Final = 16 * 2**20
"""Bytes kept of them at the most: 10,000 usual ones take 2 to 3 MB."""

FOLLOWERS: Final = 25
"""Followers written to before others get their turn."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

ENDS: Final = (
    CloseReason.CLIENT_GONE,
    CloseReason.SLOW_CONSUMER,
    CloseReason.SHUTDOWN,
    CloseReason.CREDENTIAL_OVER,
)
"""Why somebody's following may end."""


class Feed:
    """The events of one node, and those who follow them."""

    def __init__(
        self,
        settings: Settings,
        *,
        started: Instant,
        position: Callable[[], int] = lambda: 0,
    ) -> None:
        """``position`` returns that of the fact that is being told; 0 if none is kept."""
        self.max_feeds = settings.max_feeds
        self.streams: Streams[Follower] = Streams(
            keepalive_interval=settings.keepalive_interval,
            max_backlog=settings.max_stream_backlog,
            stall_timeout=settings.stream_stall_timeout,
            on_lost=self.close,
        )
        # How many have ended, by why.
        self.closed = dict.fromkeys(ENDS, 0)
        self._position = position
        # True if many nodes tell the same: then moments are cut by the log's time, and nothing
        # is kept here, since the log is.
        self.by_log = False
        # The steady time at which what waits is told; None while nothing does.
        self._cut_at: int | None = None
        # Events about deliveries that have not been kept yet, and after which position each is.
        self._unkept: list[tuple[int, Entry]] = []
        # The position before the oldest fact that waits in a share; None while none does.
        self._gathering_since: int | None = None
        self._ring = Ring(started.wall // 1000, limit=HISTORY, limit_bytes=HISTORY_BYTES)
        self._shares = Shares(self._append)
        self.tellers: Mapping[type[Event], Callable[[Event], None]] = {
            **dict.fromkeys(news.REPORTERS, self._take_news),
            **dict.fromkeys(self._shares.takers, self._take_share),
            # That a command was issued is told by itself, and begins what is told in shares.
            **dict.fromkeys(news.REPORTERS.keys() & self._shares.takers.keys(), self._take_both),
        }
        # Set while there is something to be told.
        self._waiting = asyncio.Event()

    # What happened

    def take(self, fact: Event) -> None:
        """Take in a fact; what it comes to is told within a moment."""
        if (taker := self.tellers.get(type(fact))) is not None:
            taker(fact)

    def _take_both(self, fact: Event) -> None:
        self._take_news(fact)
        self._take_share(fact)

    def _take_news(self, fact: Event) -> None:
        self._append(news.REPORTERS[type(fact)](fact))

    def _take_share(self, fact: Event) -> None:
        self._shares.takers[type(fact)](fact)
        if self._shares:
            self._waiting.set()
            if self._gathering_since is None:
                self._gathering_since = self._position() - 1
        else:
            self._gathering_since = None

    def _append(self, told: News) -> None:
        position = self._position()
        entry = self._ring.append(told, position)
        if position and told.type in ENCODED_AT_ONCE and not self.by_log:
            self._unkept.append((position, entry))
        self._waiting.set()

    async def tell(self) -> None:
        """Tell everybody what happens, moment by moment. Never ends."""
        self._waiting.set()  # if this has failed and is started again, something may be left
        while True:
            await self._waiting.wait()
            await asyncio.sleep(MOMENT)
            if not self.by_log:
                self._tell_shares()
            self._waiting.clear()
            await self._advance_all()

    def _tell_shares(self) -> None:
        self._shares.tell_all()
        self._gathering_since = None

    def share(self, position: Callable[[], int]) -> None:
        """Tell what all nodes tell that follow one log; ``position`` is that in the log."""
        self.by_log, self._position = True, position

    def cut(self, now: Instant | None) -> None:
        """Tell what waits if its moment is over, or if no moment is given.

        Every node that follows a log does so at the same entries, before their facts are told.
        """
        if not self._shares:
            self._cut_at = None
        elif now is None or (self._cut_at is not None and now.steady >= self._cut_at):
            self._tell_shares()
            self._cut_at = None

    def gather(self, now: Instant) -> None:
        """Note when the moment begins of what waits since this entry of the log."""
        if self._shares and self._cut_at is None:
            self._cut_at = now.steady + nanoseconds(MOMENT)

    def copy(self) -> dict[str, Any]:
        """Return all events as plain values."""
        return copying.value(self._ring)

    def take_over(self, copied: Mapping[str, Any], registry: Queries) -> None:
        """Go on with the events of another node, and with no others.

        Whoever follows is told the rest of what there was, and comes back.
        """
        for follower in self.streams:
            follower.leave()
        self._ring = Ring(0, limit=HISTORY, limit_bytes=HISTORY_BYTES)
        self._shares = Shares(self._append)
        self._cut_at = None
        copying.restore(self._ring, copied)
        self._shares.learn(registry.open_commands())

    @property
    def newest_id(self) -> int:
        """The id of the newest event."""
        return self._ring.newest_id

    def position_of(self, event_id: str) -> int | None:
        """Return the position of the log that an id follows from; None if it is none of ours."""
        if not event_id.isascii() or not event_id.isdigit() or len(event_id) > 18:
            return None
        return max(0, (int(event_id) - self._ring.first_id) // SPREAD)

    async def _advance_all(self) -> None:
        # Not within tell(), which would hold on to the last of them until something happens again.
        for count, follower in enumerate(self.streams, start=1):
            follower.advance()
            if count % FOLLOWERS == 0:
                await asyncio.sleep(0)

    # What is kept of it

    def take_unkept(self) -> tuple[list[list[Any]], int, int]:
        """Return what is to be kept, so that the feed goes on after a restart.

        That is: events about deliveries, which cannot be made of their facts again, each as id,
        position, type, groups, time of day in microseconds, and data; the position up to which all
        facts are told; and the oldest id that is still in the ring.
        """
        rows = [
            [entry.id, position, str(entry.type), ",".join(entry.groups), _micros(entry.at), data]
            for position, entry in self._unkept
            for data in [wire.encode_line(entry.news.data).decode()]
        ]
        self._unkept.clear()
        told = self._position()
        if self._gathering_since is not None:
            told = min(told, self._gathering_since)
        return rows, told, self._ring.oldest_id

    def restore(self, past: Past, registry: Queries) -> None:
        """Go on where an earlier process has ended: with its events, and with what it did not tell.

        The registry is as it was then.
        """
        self._ring.begin(past.first_id)
        rows = deque(row for row in past.rows if row.after >= past.complete_after)
        for position, fact in past.facts:
            while rows and rows[0].after < position:
                self._restore(rows.popleft())
            if (told := news.of(fact)) is not None:
                self._ring.append(told, position)
        while rows:
            self._restore(rows.popleft())
        lost = past.first_id - 1
        if past.complete_after:
            lost = past.first_id + SPREAD * (past.complete_after + 1) - 1
        self._ring.resume(lost_id=lost, position=past.position)
        self._shares.learn(registry.open_commands())
        untold = [fact for position, fact in past.facts if position > past.fed]
        self._shares.tell_again(untold, registry.find_command)

    def _restore(self, row: KeptEvent) -> None:
        moment = _EPOCH + timedelta(microseconds=row.at)
        told = News(FeedType(row.type), row.groups.split(","), FeedEvent(at=moment))
        self._ring.restore(row.id, told, frames.lines(str(row.id), row.type, row.data.encode()))

    # Those who follow

    def check_room(self) -> None:
        """Raise TooManyFeeds if there is no room for one more follower."""
        if len(self.streams) >= self.max_feeds:
            raise TooManyFeeds(self.max_feeds)

    def open(
        self,
        transport: asyncio.Transport,
        *,
        chunked: bool,
        last_event_id: str | None,
        interest: Interest,
        now: Instant,
    ) -> Follower:
        """Make a connection follow the feed, from behind the event that its client saw last.

        Without one it begins with what happens next, and is told its position first, so that it can
        come back whatever happens. Where what the client missed cannot be told any more, that is
        what it is told first. The headers of the response must have been
        written; ``chunked`` tells whether they announce chunks. Raises TooManyFeeds, and then
        leaves the connection alone.
        """
        self.check_room()
        newest = self._ring.newest
        found = newest if last_event_id is None else self._ring.find(last_event_id)
        position = found if isinstance(found, int) else newest
        follower = Follower(
            self.streams,
            self._ring,
            transport,
            chunked=chunked,
            position=position,
            interest=interest,
        )
        self.streams.add(follower)
        log.debug("feed opened", stream_id=follower.stream_id)
        if not isinstance(found, int):
            oldest = self._ring.oldest_id
            reset = ResetEvent(at=time_of_day(now), reason=found, oldest_id=oldest)
            follower.tell(ring.encode(self._ring.newest_id, News(FeedType.RESET, (), reset)))
        elif last_event_id is None:
            follower.tell(ring.position(self._ring.newest_id, time_of_day(now)))
        follower.advance()
        return follower

    def close(self, follower: Follower, reason: CloseReason) -> None:
        """End a follower's stream; it may be gone already."""
        if not self.streams.close(follower.stream_id, reason):
            return
        self.closed[reason] += 1
        if reason is CloseReason.SLOW_CONSUMER:
            log.warning("feed aborted, its reader does not keep up", stream_id=follower.stream_id)
        else:
            log.debug("feed closed", stream_id=follower.stream_id, reason=str(reason))

    def end(self) -> None:
        """Tell everybody the rest, and end their streams."""
        if not self.by_log:
            self._tell_shares()
        for follower in self.streams:
            follower.leave()


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
