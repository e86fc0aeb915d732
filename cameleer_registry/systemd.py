"""What systemd and a service say to each other: sockets that are there already, and being ready.

Both are a few variables of the environment, and other supervisors use them, too: sd_listen_fds(3)
and sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping
from typing import Final

from .errors import CannotListen

FIRST: Final = 3
"""The first descriptor that is passed (SD_LISTEN_FDS_START)."""

_NO_SOCKET: Final = "descriptor {} was passed with LISTEN_FDS, but is not a listening stream socket"


def passed_sockets(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """Return the listening sockets that were passed to this process, if any were.

    The variables are removed, so that no child uses them. Raises CannotListen if something else was
    passed, such as the connections of ``Accept=yes``.
    """
    count = environment.pop("LISTEN_FDS", "")
    pid = environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    sockets = []
    for number in range(FIRST, FIRST + int(count)):
        try:
            os.set_inheritable(number, False)
            sock = socket.socket(fileno=number)
        except OSError:
            raise CannotListen(_NO_SOCKET.format(number)) from None
        if not _listens(sock):
            sock.close()
            raise CannotListen(_NO_SOCKET.format(number))
        sockets.append(sock)
    return sockets


def _listens(sock: socket.socket) -> bool:
    return (
        sock.type == socket.SOCK_STREAM
        and sock.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
        and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    )


def notify(state: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Notify the process manager of a state, if there is one."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
    ):
        sock.setblocking(False)
        sock.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
