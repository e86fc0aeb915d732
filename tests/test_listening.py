"""The sockets of a server: an address, both families, a name, a path."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cameleer_registry import listening
from cameleer_registry.errors import CannotListen
from cameleer_registry.listening import UnixSocket, address_of, named, open_sockets


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """Sockets that are closed at the end."""
    sockets: list[socket.socket] = []
    yield sockets
    for sock in sockets:
        sock.close()


def reached(family: int, address: str, port: int) -> bool:
    with socket.socket(family) as probe:
        probe.settimeout(5)
        return probe.connect_ex((address, port)) == 0


def listen(opened: list[socket.socket], host: str, port: int = 0) -> list[socket.socket]:
    found = open_sockets(host, port)
    opened += found
    for sock in found:
        sock.listen()
    return found


def test_both_families_on_one_server(opened: list[socket.socket]) -> None:
    """:: takes IPv4, too, as in most servers."""
    [sock] = listen(opened, "::")
    port = sock.getsockname()[1]
    assert reached(socket.AF_INET6, "::1", port)
    assert reached(socket.AF_INET, "127.0.0.1", port)


def test_an_address_of_ipv6_takes_no_ipv4(opened: list[socket.socket]) -> None:
    """Only the one that stands for all of them does."""
    [sock] = listen(opened, "::1")
    assert not reached(socket.AF_INET, "127.0.0.1", sock.getsockname()[1])


def addresses(monkeypatch: pytest.MonkeyPatch, *found: tuple[int, str]) -> None:
    """Have a name stand for these."""

    def getaddrinfo(_host: str, port: int, **_more: Any) -> list[Any]:
        rest: dict[int, tuple[int, ...]] = {socket.AF_INET: (), socket.AF_INET6: (0, 0)}
        return [(family, 1, 6, "", (address, port, *rest[family])) for family, address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_all_addresses_of_a_name_have_the_same_free_port(
    opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ready line can name only one. An address that is found twice is opened once."""
    addresses(
        monkeypatch,
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET6, "::1"),
        (socket.AF_INET, "127.0.0.1"),
    )
    first, second = listen(opened, "here")
    assert first.getsockname()[1] == second.getsockname()[1]
    assert (socket.AF_INET, socket.AF_INET6) == (first.family, second.family)


def test_a_port_that_is_taken_at_one_of_them_is_not_chosen(
    opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is; but where a port is asked for, it is refused."""
    addresses(monkeypatch, (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
    bound, refusals = listening._bound, [errno.EADDRINUSE]

    def busy(family: int, address: tuple[object, ...], **more: Any) -> socket.socket:
        if family == socket.AF_INET6 and refusals:
            raise OSError(refusals.pop(), "in use")
        return bound(family, address, **more)

    monkeypatch.setattr(listening, "_bound", busy)
    assert 2 == len(listen(opened, "here"))
    refusals.append(errno.EADDRINUSE)
    port = opened[0].getsockname()[1]
    for sock in opened:
        sock.close()
    with pytest.raises(CannotListen, match=f"here:{port}: Address already in use"):
        open_sockets("here", port)


def test_a_family_that_this_machine_does_not_have_is_left_out(
    opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """/etc/hosts says ::1 where there is no IPv6; but something has to be left."""
    addresses(monkeypatch, (socket.AF_INET, "203.0.113.7"), (socket.AF_INET, "127.0.0.1"))
    assert 1 == len(listen(opened, "here"))
    addresses(monkeypatch, (socket.AF_INET, "203.0.113.7"))
    with pytest.raises(CannotListen, match="Cannot assign requested address"):
        open_sockets("here", 0)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1:80"),
        ("::1", "[::1]:80"),
        ("fe80::1%eth0", "[fe80::1%25eth0]:80"),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_addresses_as_they_stand_in_a_url(host: str, address: str) -> None:
    """RFC 3986 has brackets, RFC 6874 the zone."""
    assert address == address_of(host, 80)


def test_a_socket_in_the_file_system(opened: list[socket.socket], tmp_path: Path) -> None:
    """It is there while somebody listens, and removed at the end."""
    path = tmp_path / "a b"
    [sock] = listen(opened, f"unix:{path}")
    assert f"unix:{path}" == named(sock)
    with socket.socket(socket.AF_UNIX) as probe:
        assert 0 == probe.connect_ex(str(path))
    sock.close()
    assert not path.exists()


def test_a_socket_that_was_left_behind_is_replaced(
    opened: list[socket.socket], tmp_path: Path
) -> None:
    """Its server was killed."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    assert path.is_socket()
    listen(opened, f"unix:{path}")


def test_a_socket_that_somebody_listens_on_is_left(
    opened: list[socket.socket], tmp_path: Path
) -> None:
    """And a file that is no socket, and one in a folder that is not there."""
    path = tmp_path / "s"
    listen(opened, f"unix:{path}")
    with pytest.raises(CannotListen, match=f"cannot listen on unix:{path}: Address already in use"):
        open_sockets(f"unix:{path}", 0)
    assert path.is_socket()
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(CannotListen, match="Address already in use"):
        open_sockets(f"unix:{file}", 0)
    assert "precious" == file.read_text()
    with pytest.raises(CannotListen, match="No such file or directory"):
        open_sockets(f"unix:{tmp_path}/none/s", 0)


def test_a_socket_of_another_is_not_removed(tmp_path: Path) -> None:
    """Which has taken its place while it was still open."""
    path = str(tmp_path / "s")
    first = UnixSocket(path)
    os.unlink(path)
    second = UnixSocket(path)
    first.close()
    assert os.path.exists(path)
    second.close()
    assert not os.path.exists(path)
    second.close()  # again, which does nothing
