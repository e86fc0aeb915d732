"""Non-blocking sockets to a server, from as many source addresses as their number needs."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from .servers import Address

PER_SOURCE: Final = 4_000
"""Connections from one address of 127.0.0.0/8: well below the 28,000 ports that Linux hands out,
so that those which are still in TIME_WAIT are in nobody's way."""

_NO_PORT: Final = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)


def connecting(address: Address, number: int = 0) -> socket.socket:
    """Begin to connect, from the source address that the connection of that number has."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_IP, _NO_PORT, 1)
    sock.bind((f"127.0.0.{2 + number // PER_SOURCE}", 0))
    sock.connect_ex(address)
    return sock


def error_of(sock: socket.socket) -> int:
    """Return the error number of a connection that did not come about, or 0."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def trusting() -> ssl.SSLContext:
    """Return what encrypts, and believes every certificate: nobody is in between here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
