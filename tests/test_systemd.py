"""Sockets that systemd passes, and what it is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cameleer_registry import systemd
from cameleer_registry.errors import CannotListen
from cameleer_registry.systemd import notify, passed_sockets


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The number of two descriptors in a row, as if they were 3 and 4: both listen."""
    number = 200
    kept = []
    for which in (number, number + 1):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            os.dup2(sock.fileno(), which)
            kept.append(which)
    monkeypatch.setattr(systemd, "FIRST", number)
    yield number
    for which in kept:
        with suppress(OSError):
            os.close(which)


def passed(count: int, pid: int | None = None) -> dict[str, str]:
    return {
        "LISTEN_FDS": str(count),
        "LISTEN_PID": str(os.getpid() if pid is None else pid),
        "LISTEN_FDNAMES": "a:b",
        "PATH": "/bin",
    }


def test_sockets_that_are_there_already(first: int) -> None:
    """All of them; and no child takes them for its own."""
    environment = passed(2)
    sockets = passed_sockets(environment)
    assert [first, first + 1] == [sock.fileno() for sock in sockets]
    assert {"PATH": "/bin"} == environment
    assert not any(os.get_inheritable(sock.fileno()) for sock in sockets)
    for sock in sockets:
        sock.close()


def test_sockets_for_another_process() -> None:
    """Variables that were inherited from somebody who forgot to remove them."""
    assert [] == passed_sockets(passed(1, pid=1))
    assert [] == passed_sockets({})
    assert [] == passed_sockets({**passed(1), "LISTEN_FDS": "x"})


def test_what_is_no_socket_that_listens(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a connection of Accept=yes, a descriptor that is closed: one clear line."""
    left, right = socket.socketpair()
    with left, right, open(os.devnull) as file:
        for sock in (left, file):
            # It is closed by whoever refuses it.
            monkeypatch.setattr(systemd, "FIRST", os.dup(sock.fileno()))
            with pytest.raises(CannotListen, match="not a listening stream socket"):
                passed_sockets(passed(1))
    monkeypatch.setattr(systemd, "FIRST", 999)
    with pytest.raises(CannotListen, match="descriptor 999 was passed with LISTEN_FDS"):
        passed_sockets(passed(1))


@pytest.mark.parametrize("abstract", [False, True])
def test_telling_systemd(abstract: bool, tmp_path: Path) -> None:
    """A datagram to where it says; an @ stands for the abstract namespace."""
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + path if abstract else path)
        notify("READY=1", {"NOTIFY_SOCKET": "@" + path if abstract else path})
        listener.settimeout(5)
        assert b"READY=1" == listener.recv(100)


def test_nobody_to_be_told(tmp_path: Path) -> None:
    """Is no error, nor one who has gone, nor an address that is none."""
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "none")}, {"NOTIFY_SOCKET": "x"}):
        notify("READY=1", environment)
