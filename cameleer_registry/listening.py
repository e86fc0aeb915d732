"""Opening the sockets that a server listens on: an address, both families, a path, or systemd's.

asyncio and aiohttp can open sockets themselves, but have each IPv6 socket refuse IPv4, give each
address of a name a free port of its own, and know nothing of sockets that are there already.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import Final

from .errors import CannotListen, reason_of
from .setting_values import UNIX

ATTEMPTS: Final = 10
"""Free ports of a name's first address that are tried with the others."""

_ELSEWHERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Why an address of a name cannot be listened on, when it is the fault of this machine: /etc/hosts
says that localhost is ::1 where IPv6 is switched off, as it is in many a container."""


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Open and bind what ``host`` and ``port`` stand for, to be listened on; raises CannotListen.

    ``::`` takes IPv4, too. With port 0 all addresses of a name get the same free port.
    """
    try:
        if host.startswith(UNIX):
            return [UnixSocket(host.removeprefix(UNIX))]
        if host == "::":
            return [_bound(socket.AF_INET6, (host, port), both=socket.has_dualstack_ipv6())]
        return _of_name(host, port)
    except OSError as error:
        where = address_of(host, port)
        raise CannotListen(f"cannot listen on {where}: {reason_of(error)}") from None


def address_of(host: str, port: int) -> str:
    """Name what is listened on, as it stands in a URL: a zone of IPv6 behind %25 (RFC 6874)."""
    if host.startswith(UNIX):
        return host
    return f"[{host.replace('%', '%25')}]:{port}" if ":" in host else f"{host}:{port}"


def named(sock: socket.socket) -> str:
    """Name a socket likewise."""
    if sock.family == socket.AF_UNIX:
        return UNIX + os.fsdecode(sock.getsockname())
    host, port, *_ = sock.getsockname()
    return address_of(host, port)


def _of_name(host: str, port: int) -> list[socket.socket]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, address) for family, *_, address in found))
    for attempt in range(1, ATTEMPTS + 1):
        sockets: list[socket.socket] = []
        failed: OSError | None = None
        chosen = port
        for family, address in addresses:
            try:
                sock = _bound(family, (address[0], chosen, *address[2:]))
            except OSError as error:
                failed = failed or error
                if error.errno in _ELSEWHERE:
                    continue
                failed = error
                break
            sockets.append(sock)
            chosen = sock.getsockname()[1]
        else:
            if sockets:
                return sockets
        for sock in sockets:
            sock.close()
        assert failed is not None
        # A port that is free at one address may be taken at another.
        if port or failed.errno != errno.EADDRINUSE or attempt == ATTEMPTS:
            raise failed
    raise AssertionError("not reached")


def _bound(family: int, address: tuple[object, ...], *, both: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Or nobody could listen there for minutes after a restart.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


class UnixSocket(socket.socket):
    """A socket in the file system that is removed when it is closed, if it still is the same."""

    def __init__(self, path: str) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        # Of the file, device and number; None while there is none of ours.
        self._file: tuple[int, int] | None = None
        try:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK(os.stat(path).st_mode) and not _somebody_listens(path):
                    os.unlink(path)  # a server that was killed has left it
            self.bind(path)
            self._file = _file_at(path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it, and remove its file."""
        with contextlib.suppress(OSError):
            if self._file is not None and self._file == _file_at(path := self.getsockname()):
                os.unlink(path)
        self._file = None
        super().close()


def _file_at(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _somebody_listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True  # its queue is full, or it is not ours to ask
        return True
