"""Notices that this process is one of several workers, each of which has a registry of its own.

A server such as gunicorn forks its workers, and the kernel distributes connections among them: an
agent that has registered with one is unknown to the next. Nothing fails at the start, so it has to
be noticed. A forked worker has the command line of its parent; the first of its siblings takes a
name in the kernel's abstract namespace, and the second one finds it taken.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from .instance import instance
from .logs import get_logger

log = get_logger(__name__)

# The process that has looked, and the descriptor that holds its name until it ends; None before.
_held: tuple[int, int | None] | None = None


def warn_of_siblings() -> None:
    """Log a warning if another worker of the same server has a registry, too. Only on Linux."""
    global _held
    if _held is not None and _held[0] == os.getpid():
        return  # several applications of one process are the host's own will
    _held = (os.getpid(), None)
    parent = os.getppid()
    if not _is_fork_of(parent):
        return
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.bind(f"\0cameleer-registry.{parent}")
    except OSError:
        sock.close()
        log.warning(
            "another worker of this server has a registry, too, and each knows only some of the "
            "agents: run one worker",
            instance=instance(),
            pid=os.getpid(),
            server=parent,
        )
    else:
        _held = (os.getpid(), sock.detach())


def _is_fork_of(parent: int) -> bool:
    """Tell whether this process has been forked without becoming another program."""
    try:
        return _command_line(parent) == _command_line(os.getpid()) != b""
    except OSError:  # no Linux, or not ours to read
        return False


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
