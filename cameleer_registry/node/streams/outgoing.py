"""The writer of one connection, and all of them together.

A stream takes its connection over from aiohttp, as an upgrade would: it becomes the transport's
protocol. So it is told at once when the peer goes away, whoever runs the server, and when the
kernel's buffer is full and when it drains; and it writes framed bytes straight to the socket, at
the price of the system call. Only what the kernel does not take at once goes to the transport,
which keeps it, and then all goes there until nothing waits any more. To aiohttp the connection is
gone: see ``web/streams.py``.

Nothing waits for a slow reader. Its backlog is bounded in bytes and in time, and past either
bound its connection is aborted, since a close would wait for the buffer to drain, for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from fcntl import ioctl
from itertools import islice, takewhile
from termios import TIOCOUTQ
from typing import Any, Final, Generic, TypeVar

from ...core.events import CloseReason
from ...security.principals import Principal
from .frames import END, Frame, opening

BATCH: Final = 80
"""Streams written to before others get their turn: 0.5 ms of work. A heartbeat that comes in the
middle of that waits for the rest of it."""

NOWHERE: Final = -1
"""In place of a descriptor."""

TOGETHER: Final = 1 / 150
"""Share of the keepalive interval by which a keepalive may be late, to be written with others:
0.1 s of 15. To wake for each of 700 a second costs more than they do."""

ENDING_GRACE: Final = 1.0
"""Seconds in which a stream that has been ended may still drain before it is aborted."""


def _in_kernel(transport: asyncio.Transport) -> int:
    """Return how many bytes the kernel holds that the peer has not confirmed; 0 if unknown.

    It takes what waits here in lumps of a third of its own buffer, which may be megabytes: by
    that alone a slow reader would seem to take nothing for a long time.
    """
    try:
        sock = transport.get_extra_info("socket")
        return int.from_bytes(ioctl(sock.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)
    except (AttributeError, OSError, ValueError):  # no socket, not one of TCP, or closed by now
        return 0


def _descriptor(transport: asyncio.Transport) -> int:
    """Return where may be written what a transport would write as it is, or NOWHERE.

    Only asyncio's own for plain sockets are known to: TLS encrypts it, and other loops' keep it.
    """
    if type(transport).__module__ == "asyncio.selector_events":
        return int(transport.get_extra_info("socket").fileno())
    return NOWHERE


class OutgoingStream(asyncio.Protocol):
    """An event stream on one connection. What is written to it is for the kinds of it to say."""

    __slots__ = (
        "_streams",
        "behind",
        "bytes_written",
        "chunked",
        "direct",
        "principal",
        "stream_id",
        "transport",
    )

    def __init__(
        self, streams: Streams[Any], transport: asyncio.Transport, *, chunked: bool
    ) -> None:
        self.stream_id = streams.next_id()
        # Who opened it; None if nobody was asked.
        self.principal: Principal | None = None
        self.transport = transport
        self._streams = streams
        self.chunked = chunked
        # Whether anything waits in the transport; and since then, how many bytes were written.
        self.behind = False
        self.bytes_written = 0
        # Where to write past the transport. NOWHERE if that may not be, while something waits in
        # the transport, and from the end on: the system gives the number to others then.
        self.direct = NOWHERE
        descriptor = _descriptor(transport)
        # It is told as soon as anything waits. asyncio's TLS transport pauses at the mark itself,
        # and at 0 would do so while nothing waits.
        most = 1 if descriptor == NOWHERE else 0
        transport.set_write_buffer_limits(high=most, low=0)
        transport.set_protocol(self)
        transport.resume_reading()  # it may have been paused for what the client sent after
        self._write(opening())
        if transport.get_write_buffer_size() <= most:
            self.direct = descriptor
        elif not self.behind:  # it was told to whom the connection belonged before
            self.pause_writing()

    def keep_alive(self) -> None:
        """Write a keepalive, so that nobody between here and the reader thinks it idle."""
        raise NotImplementedError

    def end(self, last: Frame | None = None) -> None:
        """End the stream cleanly, with a last frame if there is one.

        A reader that does not take the rest in time is cut off.
        """
        if not self.transport.is_closing():
            if last is not None:
                self._write(last)
            self._write(END)
            self.direct = NOWHERE
            self.transport.close()
            self._streams.ending(self)

    def lose(self, reason: CloseReason) -> None:
        """Have whoever keeps it end it, unless it has ended."""
        self._streams.lose(self, reason)

    def abort(self) -> None:
        """Cut the connection; what is waiting to be read is lost."""
        self.direct = NOWHERE
        self.transport.abort()

    @property
    def taken(self) -> int:
        """Bytes that the peer has confirmed since it was behind, more or less a constant."""
        return (
            self.bytes_written - self.transport.get_write_buffer_size() - _in_kernel(self.transport)
        )

    def _write(self, frame: Frame) -> None:
        content = frame.chunked if self.chunked else frame.plain
        if self.behind:
            self.bytes_written += len(content)
        elif self.direct != NOWHERE:
            content = content[self._take(content) :]
        if content:
            self.write_rest(content)

    def write_rest(self, content: bytes) -> bool:
        """Have the transport write what the kernel did not take; tell whether it is still open.

        Where it is not, a part of a frame may have gone out, and nothing may follow that.
        """
        self.transport.write(content)
        if self.transport.is_closing():
            self.direct = NOWHERE
            return False
        return True

    def _take(self, content: bytes) -> int:
        """Give the kernel what it takes at once; return how many bytes that was.

        Why it takes none, the transport finds out as well, and knows what to do about it.
        """
        try:
            return os.write(self.direct, content)
        except OSError:
            return 0

    # What the transport has to say

    def data_received(self, data: bytes) -> None:
        """Ignore what a client sends after its request: nothing would ever answer it."""

    def eof_received(self) -> None:
        """Take a client that sends no more for one that is gone, as aiohttp does."""
        self._streams.lose(self, CloseReason.CLIENT_GONE)

    def pause_writing(self) -> None:
        """Begin to count the time for which the reader is behind, and the bytes."""
        self.behind = True
        self.direct = NOWHERE
        self._streams.stalled(self)

    def resume_writing(self) -> None:
        """Stop counting: the reader has caught up."""
        self.behind = False
        if not self.transport.is_closing():
            self.direct = _descriptor(self.transport)
        self._streams.recovered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave; the connection is gone."""
        self.direct = NOWHERE
        self._streams.gone(self)


S = TypeVar("S", bound=OutgoingStream)


class Streams(Generic[S]):
    """All streams of one kind, by their ids, with what the keeper needs to know of them."""

    def __init__(
        self,
        *,
        keepalive_interval: float,
        max_backlog: int,
        stall_timeout: float,
        on_lost: Callable[[S, CloseReason], None],
    ) -> None:
        self.keepalive_interval = keepalive_interval
        self.max_backlog = max_backlog
        self.stall_timeout = stall_timeout
        self._on_lost = on_lost
        self._next_id = 0
        self._open: dict[int, S] = {}
        # When each open stream is due for a keepalive: all wait equally long, so the first to be
        # due stands in front. OrderedDict keeps that cheap to find.
        self._keepalive_due: OrderedDict[S, float] = OrderedDict()
        # Readers that are behind: until when they must have taken more than so many bytes.
        self._stalled: dict[S, tuple[float, int]] = {}
        # Streams that were ended: until when they must be gone.
        self._ending: dict[S, float] = {}
        # Streams whose connections exist, ended ones included.
        self._connections: set[S] = set()
        # Set when the last of them is gone. None while nobody waits for that.
        self._all_gone: asyncio.Event | None = None

    def __len__(self) -> int:
        """Return how many streams are open."""
        return len(self._open)

    def __iter__(self) -> Iterator[S]:
        return iter(list(self._open.values()))

    def next_id(self) -> int:
        """Return an id for a stream, which no other has had."""
        self._next_id += 1
        return self._next_id

    def add(self, stream: S) -> None:
        """Keep a stream that has just taken its connection over."""
        self._connections.add(stream)
        self._open[stream.stream_id] = stream
        self._keepalive_due[stream] = self._time() + self.keepalive_interval

    def close(self, stream_id: int, reason: CloseReason, *, last: Frame | None = None) -> bool:
        """End a stream, or cut it off if its reader is the reason; tell whether it was open.

        ``last`` is what is written before its end.
        """
        stream = self._open.pop(stream_id, None)
        if stream is None:
            return False
        self.removed(stream)
        self._keepalive_due.pop(stream, None)
        self._stalled.pop(stream, None)
        if reason is CloseReason.SLOW_CONSUMER:
            stream.abort()
        else:
            stream.end(last)
        return True

    def removed(self, stream: S) -> None:
        """Take note that a stream is open no more, for whoever keeps more of it."""

    def worst_backlog(self) -> int:
        """Return how many bytes wait in this process for the stream that is furthest behind.

        It asks every transport, which takes 2 ms for 20,000 of them.
        """
        waiting = (stream.transport.get_write_buffer_size() for stream in self._open.values())
        return max(waiting, default=0)

    async def drained(self, timeout: float) -> None:
        """Wait until every connection is gone; abort those that are not, ``timeout`` s later."""
        self._all_gone = asyncio.Event()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_gone.wait(), timeout)
        for stream in list(self._connections):
            stream.abort()
        await asyncio.sleep(0)  # in which transports tell that they are gone

    # What the keeper does

    def keep_alive(self, limit: int) -> bool:
        """Write to up to ``limit`` streams that are due; tell whether there may be more."""
        now = self._time()
        waiting = islice(self._keepalive_due.items(), limit)
        due = [stream for stream, _ in takewhile(lambda entry: entry[1] <= now, waiting)]
        for stream in due:
            self._keepalive_due[stream] = now + self.keepalive_interval
            self._keepalive_due.move_to_end(stream)
        for stream in due:
            stream.keep_alive()
        return len(due) == limit

    def abort_overdue(self) -> None:
        """Abort the connections whose time has come, and give those more that make use of it."""
        now = self._time()
        for stream, (at, taken) in list(self._stalled.items()):
            if at > now:
                continue
            if stream.taken > taken:
                self.stalled(stream)
            else:
                self.lose(stream, CloseReason.SLOW_CONSUMER)
        for stream in [stream for stream, at in self._ending.items() if at <= now]:
            stream.abort()

    def next_wake(self) -> float:
        """Return in how many seconds to look again: soon enough for what begins meanwhile."""
        most = min(1.0, self.keepalive_interval / 4, self.stall_timeout / 4)
        first = next(iter(self._keepalive_due.values()), None)
        if first is None:
            return most
        return min(most, max(self.keepalive_interval * TOGETHER, first - self._time()))

    # What the streams report

    def lose(self, stream: S, reason: CloseReason) -> None:
        """Report that somebody has lost a stream."""
        if stream.stream_id in self._open:
            self._on_lost(stream, reason)

    def gone(self, stream: S) -> None:
        """Forget a connection that is gone."""
        self._connections.discard(stream)
        if self._all_gone is not None and not self._connections:
            self._all_gone.set()
        self._stalled.pop(stream, None)
        self._ending.pop(stream, None)
        self.lose(stream, CloseReason.CLIENT_GONE)

    def stalled(self, stream: S) -> None:
        """Give a reader time to take something."""
        self._stalled[stream] = (self._time() + self.stall_timeout, stream.taken)

    def recovered(self, stream: S) -> None:
        """Take note that a reader has caught up."""
        self._stalled.pop(stream, None)

    def ending(self, stream: S) -> None:
        """Give a stream that was ended time to drain."""
        self._ending[stream] = self._time() + ENDING_GRACE

    def _time(self) -> float:
        return asyncio.get_running_loop().time()
