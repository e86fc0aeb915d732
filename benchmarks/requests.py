"""Requests from this process: many at once, or one after the other with a stopwatch."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

from attrs import frozen

from .http import END_OF_EVENT, is_complete, status_of
from .servers import Address
from .sockets import connecting, trusting

CONNECTIONS: Final = 32
"""Enough that a server always has something to do, few enough that none waits long."""

READ: Final = 65_536
PATIENCE: Final = 60.0

GOOD: Final = frozenset({200, 201, 202, 204})


@frozen(kw_only=True)
class Burst:
    """What came of sending requests as fast as they are answered."""

    answered: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


def saturate(
    address: Address,
    requests: Iterator[bytes],
    *,
    seconds: float = PATIENCE,
    connections: int = CONNECTIONS,
    tls: bool = False,
    heard: Callable[[bytes], object] = lambda _: None,
) -> Burst:
    """Send requests over some connections, each as soon as the one before it is answered.

    It ends with the requests, or after so many seconds. ``heard`` is given each answer. Raises
    where an answer is no success.
    """
    epoll = select.epoll()
    socks: dict[int, socket.socket] = {}
    partial: dict[int, bytes] = {}
    for number in range(connections):
        sock = connecting(address, number)
        sock.setblocking(True)  # until it is connected, which the first send waits for
        if tls:
            sock = _encrypted(sock)
        epoll.register(sock.fileno(), select.EPOLLIN)
        socks[sock.fileno()] = sock
    began = time.monotonic()
    deadline = began + seconds
    answered = underway = 0
    for sock, request in zip(socks.values(), islice(requests, connections), strict=False):
        sock.sendall(request)
        underway += 1
    while underway:
        ready = epoll.poll(PATIENCE)
        if not ready:
            raise TimeoutError(f"{address} has stopped answering")
        over = time.monotonic() >= deadline
        for number, _ in ready:
            answer = partial.pop(number, b"") + _received(socks[number])
            if not is_complete(answer):
                partial[number] = answer
                continue
            _check(answer)
            heard(answer)
            answered += 1
            underway -= 1
            if not over and (request := next(requests, b"")):
                socks[number].sendall(request)
                underway += 1
    took = time.monotonic() - began
    epoll.close()
    for sock in socks.values():
        sock.close()
    return Burst(answered=answered, seconds=took)


class Caller:
    """One connection, on which one request follows the other."""

    def __init__(self, address: Address, *, tls: bool = False) -> None:
        self._sock = socket.create_connection(address, PATIENCE)
        if tls:
            self._sock = trusting().wrap_socket(self._sock)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """Return the number by which others wait for it."""
        return self._sock.fileno()

    def send(self, request: bytes) -> None:
        """Send one."""
        self._sock.sendall(request)

    def answer(self) -> bytes:
        """Return the answer, whole; raises where it is no success."""
        answer = b""
        while not is_complete(answer):
            answer += self._read()
        _check(answer)
        return answer

    def ask(self, request: bytes) -> bytes:
        """Send one, and return its answer."""
        self.send(request)
        return self.answer()

    def seconds_of(self, request: bytes) -> float:
        """Return how long one takes to be answered."""
        began = time.perf_counter()
        self.ask(request)
        return time.perf_counter() - began

    def seconds_until_end(self, request: bytes) -> float:
        """Return how long one takes whose answer comes in pieces, of which nobody knows how many.

        It must be an answer in chunks, or one with a length.
        """
        began = time.perf_counter()
        self.send(request)
        answer = bytearray(self._read())
        if b"ransfer-Encoding: chunked" in answer:
            while not answer.endswith(b"\r\n0\r\n\r\n"):
                answer += self._read()
        else:
            while not is_complete(bytes(answer)):
                answer += self._read()
        _check(bytes(answer))
        return time.perf_counter() - began

    def open_stream(self, request: bytes) -> None:
        """Ask for a stream, and read until it is open."""
        self.send(request)
        seen = b""
        while b": connected\n" not in seen:
            seen += self._read()
        _check(seen)

    def event(self) -> None:
        """Read until an event has come."""
        seen = b""
        while END_OF_EVENT not in seen:
            seen += self._read()

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def _read(self) -> bytes:
        data = self._sock.recv(READ)
        if not data:
            raise ConnectionResetError("the server has hung up")
        return data


@contextmanager
def caller(address: Address) -> Iterator[Caller]:
    """Connect, and hang up at the end."""
    one = Caller(address)
    try:
        yield one
    finally:
        one.close()


def paced(address: Address, request: bytes, *, seconds: float, per_second: float) -> list[float]:
    """Send a request so many times a second, and return how long each took to be answered.

    It counts from the moment at which a request was due, and the next one is sent whether or not
    it has been answered: else the worst moments would be seen the least.
    """
    idle = [Caller(address) for _ in range(CONNECTIONS)]
    began = time.monotonic()
    underway: dict[Caller, float] = {}
    took: list[float] = []
    count = max(1, int(seconds * per_second))
    sent = 0
    while len(took) < count:
        due = began + sent / per_second
        wait = max(0.0, due - time.monotonic()) if sent < count and idle else PATIENCE
        ready, _, _ = select.select(underway, (), (), wait)
        for one in ready:
            one.answer()
            took.append(time.monotonic() - underway.pop(one))
            idle.append(one)
        if sent < count and idle and time.monotonic() >= due:
            one = idle.pop()
            one.send(request)
            underway[one] = due
            sent += 1
    for one in idle:
        one.close()
    return took


def _encrypted(sock: socket.socket) -> ssl.SSLSocket:
    """Negotiate, when the connection has come about."""
    select.select((), (sock,), (), PATIENCE)
    encrypted = trusting().wrap_socket(sock)
    encrypted.setblocking(False)
    return encrypted


def _received(sock: socket.socket) -> bytes:
    """Return what has come; nothing if that was a ticket of TLS 1.3."""
    try:
        return sock.recv(READ)
    except ssl.SSLWantReadError:
        return b""


def _check(answer: bytes) -> None:
    if status_of(answer) not in GOOD:
        raise AssertionError(f"not a success: {answer[:300]!r}")
