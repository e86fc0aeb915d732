"""What the server asks of the kernel for the sockets that it listens on."""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path

import pytest

from cameleer_registry import serving

SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


@pytest.mark.skipif(sys.platform != "linux", reason="it is asked of Linux")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_as_many_may_wait_as_the_kernel_allows(family: int) -> None:
    """Whatever asyncio has listened with before: then the kernel's setting alone counts."""
    with socket.socket(family) as sock:
        sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        sock.listen(serving.ACCEPTED_AT_ONCE)
        assert serving.ACCEPTED_AT_ONCE == longest_queue(sock)
        serving._prepare(sock, give_up_after=1)
        assert min(serving.BACKLOG, int(SOMAXCONN.read_text())) == longest_queue(sock)
        with socket.create_connection(sock.getsockname()[:2], 5):
            assert 1 == waiting(sock)


def longest_queue(sock: socket.socket) -> int:
    """Return how many connections may wait: tcpi_sacked of a listening socket (tcp_info(7))."""
    return _tcp_info(sock, 28)


def waiting(sock: socket.socket) -> int:
    """Return how many do: its tcpi_unacked."""
    return _tcp_info(sock, 24)


def _tcp_info(sock: socket.socket, offset: int) -> int:
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    (value,) = struct.unpack_from("I", raw, offset)
    return int(value)
