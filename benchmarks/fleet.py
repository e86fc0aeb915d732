"""A fleet of streams, held by a process of its own with raw sockets and one epoll.

It says when the last stream had its event on a clock that all processes of a machine share. What
one event costs here is a system call and a search: see ``headroom`` in the results.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Final

from attrs import define, field, frozen

from . import machine
from .http import END_OF_EVENT, END_OF_HEAD, is_complete, status_of
from .servers import Address
from .sockets import connecting, error_of, trusting

PATIENCE: Final = 60.0
"""Seconds after which an event, or an opening, has been waited for long enough."""

READ: Final = 65_536


@frozen(kw_only=True)
class Opened:
    """What came of opening all streams."""

    seconds: float
    refused: int
    """Connections that were refused or reset, or answered with another status than 200."""


@frozen(kw_only=True)
class Beat:
    """The ordinary traffic of a fleet: heartbeats, evenly spread."""

    requests: tuple[bytes, ...]
    per_second: float
    keep: bool
    """Whether they share a connection; else each has one of its own, as our client's do."""


class Fleet:
    """The handle on the process that holds the streams."""

    def __init__(self, control: Connection, pid: int) -> None:
        self._control = control
        self.pid = pid

    def open(self, requests: Iterable[bytes], *, at_once: int = 500) -> Opened:
        """Open a stream for each of these requests, so many at a time."""
        return self._ask("open", tuple(requests), at_once)  # type: ignore[no-any-return]

    def expect(self, events: int) -> None:
        """Begin to count events, until there are so many in all."""
        self._ask("expect", events)

    def arrived(self) -> float:
        """Wait for the last of them; return when it came, in seconds as time.monotonic()."""
        return self._ask("arrived")  # type: ignore[no-any-return]

    def lost(self) -> int:
        """Return how many streams have ended since they were opened."""
        return self._ask("lost")  # type: ignore[no-any-return]

    def beat(self, beat: Beat | None) -> int:
        """Begin to send heartbeats, or cease to; return how many were answered before."""
        return self._ask("beat", beat)  # type: ignore[no-any-return]

    def stand_back(self) -> None:
        """Let others have the processor first, where it is they who hold the stopwatch."""
        self._ask("stand_back")

    def close(self) -> None:
        """Close all streams."""
        self._ask("close")

    def _ask(self, verb: str, *arguments: Any) -> Any:
        self._control.send((verb, arguments))
        if not self._control.poll(2 * PATIENCE):
            raise TimeoutError(f"the fleet does not answer: {verb}")
        answer = self._control.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def fleet(address: Address, *, tls: bool = False) -> Iterator[Fleet]:
    """Start a process that holds streams to that server."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_hold, args=(there, address, tls), daemon=True)
    process.start()
    there.close()
    assert process.pid is not None
    try:
        yield Fleet(here, process.pid)
    finally:
        here.close()
        process.join(PATIENCE)
        process.terminate()


# In the process


def _hold(control: Connection, address: Address, tls: bool) -> None:
    machine.allow_descriptors()
    holder = _Holder(control, address, trusting() if tls else None)
    gc.disable()  # nothing here is cyclic, and a collection would look like a slow server
    with suppress(EOFError, KeyboardInterrupt):
        holder.run()


@define(eq=False)
class _Opening:
    """Streams on their way to being open."""

    began: float
    waiting: deque[bytes]
    at_once: int
    number: int = 0
    refused: int = 0
    # With the request that waits for the connection, and with what was read of the head so far.
    connecting: dict[int, tuple[socket.socket, bytes]] = field(factory=dict)
    negotiating: dict[int, tuple[ssl.SSLSocket, bytes]] = field(factory=dict)
    asked: dict[int, tuple[socket.socket, bytes]] = field(factory=dict)


class _Holder:
    """One epoll over everything."""

    def __init__(self, control: Connection, address: Address, tls: ssl.SSLContext | None) -> None:
        self._control = control
        self._address = address
        # None if streams are not encrypted.
        self._tls = tls
        self._epoll = select.epoll()
        self._epoll.register(control.fileno(), select.EPOLLIN)
        self._streams: dict[int, socket.socket] = {}
        self._lost = 0
        # None while nobody waits for them.
        self._opening: _Opening | None = None
        # Events that are still to come, and when the last one came.
        self._missing = 0
        self._last = 0.0
        self._asked_when = False
        self._heart: _Heart | None = None

    def run(self) -> None:
        """Do what is asked, until nobody asks any more."""
        control = self._control.fileno()
        while True:
            for number, events in self._epoll.poll(self._next_beat(), 1024):
                if number in self._streams:
                    self._read(number)
                elif number == control:
                    verb, arguments = self._control.recv()
                    getattr(self, f"_on_{verb}")(*arguments)
                elif self._opening and number in self._opening.connecting:
                    self._ask_for_stream(self._opening, number, events)
                elif self._opening and number in self._opening.negotiating:
                    self._negotiate(self._opening, number)
                elif self._opening and number in self._opening.asked:
                    self._read_head(self._opening, number)
                elif self._heart:
                    self._heart.read(number, events)
            if self._heart:
                self._heart.send_due()

    def _next_beat(self) -> float:
        return self._heart.seconds_to_next() if self._heart else -1

    # What is asked

    def _on_open(self, requests: tuple[bytes, ...], at_once: int) -> None:
        self._lost = 0
        self._opening = _Opening(time.monotonic(), deque(requests), at_once)
        self._open_more(self._opening)

    def _on_expect(self, events: int) -> None:
        self._missing = events
        self._control.send(None)

    def _on_arrived(self) -> None:
        self._asked_when = True
        self._tell_when()

    def _on_lost(self) -> None:
        self._control.send(self._lost)

    def _on_beat(self, beat: Beat | None) -> None:
        answered = 0
        if self._heart:
            answered = self._heart.answered
            self._heart.close()
        self._heart = _Heart(beat, self._epoll, self._address) if beat else None
        self._control.send(answered)

    def _on_stand_back(self) -> None:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        self._control.send(None)

    def _on_close(self) -> None:
        for sock in self._streams.values():
            sock.close()
        self._streams.clear()
        self._control.send(None)

    # Opening

    def _open_more(self, opening: _Opening) -> None:
        underway = len(opening.connecting) + len(opening.negotiating) + len(opening.asked)
        while opening.waiting and underway < opening.at_once:
            sock = connecting(self._address, opening.number)
            opening.number += 1
            opening.connecting[sock.fileno()] = (sock, opening.waiting.popleft())
            self._epoll.register(sock.fileno(), select.EPOLLOUT)
            underway += 1
        if not underway:
            self._opening = None
            seconds = time.monotonic() - opening.began
            self._control.send(Opened(seconds=seconds, refused=opening.refused))

    def _ask_for_stream(self, opening: _Opening, number: int, events: int) -> None:
        sock, request = opening.connecting.pop(number)
        if events & (select.EPOLLERR | select.EPOLLHUP) or error_of(sock):
            self._refused(opening, sock)
            return
        if self._tls is not None:
            encrypted = self._tls.wrap_socket(sock, do_handshake_on_connect=False)
            opening.negotiating[number] = (encrypted, request)
            self._negotiate(opening, number)
            return
        self._ask(opening, number, sock, request)

    def _negotiate(self, opening: _Opening, number: int) -> None:
        sock, request = opening.negotiating[number]
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            self._epoll.modify(number, select.EPOLLIN)
        except ssl.SSLWantWriteError:
            self._epoll.modify(number, select.EPOLLOUT)
        except OSError:
            del opening.negotiating[number]
            self._refused(opening, sock)
        else:
            del opening.negotiating[number]
            self._ask(opening, number, sock, request)

    def _ask(self, opening: _Opening, number: int, sock: socket.socket, request: bytes) -> None:
        sock.send(request)
        opening.asked[number] = (sock, b"")
        self._epoll.modify(number, select.EPOLLIN)

    def _read_head(self, opening: _Opening, number: int) -> None:
        sock, head = opening.asked.pop(number)
        try:
            data = sock.recv(READ)
        except ssl.SSLWantReadError:  # a ticket of TLS 1.3
            opening.asked[number] = (sock, head)
            return
        except OSError:
            data = b""
        head += data
        if data and END_OF_HEAD not in head:
            opening.asked[number] = (sock, head)
            return
        if not data or status_of(head) != 200:
            self._refused(opening, sock)
            return
        self._streams[number] = sock
        self._open_more(opening)

    def _refused(self, opening: _Opening, sock: socket.socket) -> None:
        opening.refused += 1
        self._epoll.unregister(sock.fileno())
        sock.close()
        self._open_more(opening)

    # Reading

    def _read(self, number: int) -> None:
        try:
            data = self._streams[number].recv(READ)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        if not data:
            self._lost += 1
            self._epoll.unregister(number)
            self._streams.pop(number).close()
            return
        if self._missing and (events := data.count(END_OF_EVENT)):
            self._missing -= events
            if self._missing <= 0:
                self._last = time.monotonic()
                self._tell_when()

    def _tell_when(self) -> None:
        if self._asked_when and self._missing <= 0:
            self._asked_when = False
            self._control.send(self._last)


class _Heart:
    """Sends heartbeats when they are due, and reads the answers."""

    def __init__(self, beat: Beat, epoll: select.epoll, address: Address) -> None:
        self._beat = beat
        self._epoll = epoll
        self._address = address
        self._began = time.monotonic()
        self._sent = 0
        self.answered = 0
        self._underway: dict[int, tuple[socket.socket, bytes]] = {}
        self._idle: list[socket.socket] = []

    def seconds_to_next(self) -> float:
        """Return when the next heartbeat is due."""
        due = self._began + self._sent / self._beat.per_second
        return max(0.0, due - time.monotonic())

    def send_due(self) -> None:
        """Send one, where it is due."""
        if self.seconds_to_next() > 0:
            return
        request = self._beat.requests[self._sent % len(self._beat.requests)]
        if self._idle:
            sock = self._idle.pop()
            sock.send(request)
            self._epoll.modify(sock.fileno(), select.EPOLLIN)
            request = b""
        else:
            sock = connecting(self._address, self._sent % 40_000)
            self._epoll.register(sock.fileno(), select.EPOLLOUT)
        self._underway[sock.fileno()] = (sock, request)
        self._sent += 1

    def read(self, number: int, events: int) -> None:
        """Send what waited for its connection, or take the answer."""
        sock, request = self._underway.pop(number)
        if request and events & select.EPOLLOUT:
            sock.send(request)
            self._epoll.modify(number, select.EPOLLIN)
            self._underway[number] = (sock, b"")
            return
        answer = sock.recv(READ)
        assert is_complete(answer), answer
        assert status_of(answer) == 204, answer
        self.answered += 1
        if self._beat.keep:
            self._idle.append(sock)
            self._epoll.modify(number, 0)
        else:
            self._epoll.unregister(number)
            sock.close()

    def close(self) -> None:
        """Leave."""
        for sock in [*self._idle, *(sock for sock, _ in self._underway.values())]:
            self._epoll.unregister(sock.fileno())
            sock.close()
