"""A network of its own, for peers that vanish: their packets are dropped, and nobody is told."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

import pytest
from attrs import define, field

from ..processes import required

CLONE_NEWNET: Final = 0x40000000
"""setns(2): a network namespace. Python's own os.setns came with 3.12."""

_numbers: Final = count()


@define
class Network:
    """A cable from here to a namespace in which clients live."""

    namespace: str
    here: str
    """The address at which those in there reach us."""
    _cut: bool = field(default=False)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Have this thread make its sockets in there; not that of a loop, which others share."""
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.namespace}", os.O_RDONLY)
        try:
            if libc.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(home, CLONE_NEWNET)
        finally:
            os.close(home)
            os.close(there)

    async def connect(self, port: int, *, receive_buffer: int | None = None) -> socket.socket:
        """Connect from in there to a port of ours."""
        sock = await asyncio.to_thread(self._socket)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (self.here, port))
        return sock

    def cut(self) -> None:
        """Have everything dropped that they send: no FIN, no reset, no confirmation."""
        _ip("-n", self.namespace, "route", "add", "blackhole", f"{self.here}/32")
        self._cut = True

    def mend(self) -> None:
        """Let their packets through again, if they were dropped."""
        if self._cut:
            _ip("-n", self.namespace, "route", "del", "blackhole", f"{self.here}/32")
            self._cut = False

    def _socket(self) -> socket.socket:
        """Make a socket that belongs in there; to be called in a thread."""
        with self.inside():
            return socket.socket()


@contextmanager
def network() -> Iterator[Network]:
    """Make a network, and take it away again.

    Only root can: others skip what needs it, but never in CI.
    """
    required("ip")
    if os.geteuid() != 0:
        assert not os.environ.get("CI"), "only root can make a network namespace"
        pytest.skip("only root can make a network namespace")
    # Of 198.18.0.0/15, which is for tests of networks (RFC 2544) and routed nowhere.
    number = os.getpid() * 8 + next(_numbers)
    name, subnet = f"cameleer{number}", f"198.{18 + (number >> 14) % 2}.{(number >> 6) % 256}"
    here, there = (f"{subnet}.{(number % 64) * 4 + last}" for last in (1, 2))
    outside, inside = f"cml{number}o", f"cml{number}i"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        _ip("addr", "add", f"{here}/30", "dev", outside)
        _ip("link", "set", outside, "up")
        _ip("-n", name, "addr", "add", f"{there}/30", "dev", inside)
        _ip("-n", name, "link", "set", inside, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield Network(name, here)
    finally:
        _ip("netns", "del", name)
        # The namespace lives on where one of its sockets does, and with it the cable.
        subprocess.run(["ip", "link", "del", outside], check=False, stderr=subprocess.DEVNULL)


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True)
