"""Whose attempts are counted, behind proxies and without them."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen
from multidict import CIMultiDict

from cameleer_registry import Settings
from cameleer_registry.setting_values import Networks
from cameleer_registry.web.forwarded import HERE, source_of

from ..closed import closed
from ..support import Served

TRUSTED = ("127.0.0.0/8", "10.0.0.0/8", "fd00::/8")


@frozen
class _Settings:
    trusted_proxies: tuple[str, ...] = TRUSTED


@frozen
class _Node:
    settings: _Settings = _Settings()


@frozen
class _Call:
    """As much of a call as tells where it comes from."""

    peer: str | None
    headers: CIMultiDict[str]
    node: _Node = _Node()


def source(peer: str | None, *headers: tuple[str, str]) -> str:
    call: Any = _Call(peer, CIMultiDict(headers))
    return source_of(call)


@pytest.mark.parametrize(
    ("told", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("198.51.100.1,203.0.113.9 ,10.1.2.3, 10.9.9.9", "203.0.113.9"),
        ("10.1.2.3", "10.1.2.3"),
        ("198.51.100.1, unknown", "127.0.0.1"),
        ("198.51.100.1, unknown, 10.1.2.3", "10.1.2.3"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::7]:4711", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::7]", "2001:db8:1:2::/64"),
        ("203.0.113.9, fd00::1", "203.0.113.9"),
        ("x" * 5000, "127.0.0.1"),
        ("", "127.0.0.1"),
        (",,", "127.0.0.1"),
    ],
)
def test_a_trusted_proxy_names_the_client(told: str, client: str) -> None:
    """The last address that is no trusted proxy's; what stands before it, anybody can write."""
    assert client == source("127.0.0.1", ("X-Forwarded-For", told))


@pytest.mark.parametrize(
    ("told", "client"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ('For="[2001:db8:1:2::7]:4711";proto=https', "2001:db8:1:2::/64"),
        ('by=10.0.0.1; for="203.0.113.9:80" ;proto=https', "203.0.113.9"),
        ("for=198.51.100.1, for=203.0.113.9, for=10.1.2.3", "203.0.113.9"),
        ('for="198.51.100.1, for=203.0.113.9', "203.0.113.9"),
        ("for=198.51.100.1, for=_hidden", "127.0.0.1"),
        ("for=198.51.100.1, proto=https", "127.0.0.1"),
    ],
)
def test_a_proxy_may_speak_the_standard(told: str, client: str) -> None:
    """RFC 7239; a quote that is left open hides nothing."""
    assert client == source("127.0.0.1", ("Forwarded", told))


def test_headers_that_are_repeated_are_one_list() -> None:
    """RFC 9110, section 5.3."""
    told = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.9")]
    assert "203.0.113.9" == source("127.0.0.1", *told)


def test_two_headers_that_differ_say_nothing() -> None:
    """One of them is what the client has sent, and nobody knows which."""
    said = ("X-Forwarded-For", "203.0.113.9")
    assert "127.0.0.1" == source("127.0.0.1", said, ("Forwarded", "for=203.0.113.8"))
    assert "203.0.113.9" == source("127.0.0.1", said, ("Forwarded", "for=203.0.113.9"))


def test_others_are_taken_for_what_they_are() -> None:
    """Whoever is no trusted proxy says nothing about the source."""
    told = ("X-Forwarded-For", "203.0.113.9")
    assert "192.0.2.1" == source("192.0.2.1", told)
    assert "2001:db8:1:2::/64" == source("2001:db8:1:2:a:b:c:d%eth0", told)
    assert HERE == source(None, told)


async def test_clients_behind_a_proxy_are_counted_apart() -> None:
    """Who tries tokens is refused, and the next client of the same proxy signs in."""

    async def sign_in(served: Served, client: str, token: str = "camo_x") -> str | None:
        headers = {"X-Forwarded-For": f"198.51.100.{len(token) % 9}, {client}"}
        answer = await served.request("POST", "/auth/session", {"token": token}, headers=headers)
        return answer.code if answer.status >= 400 else None

    async with closed(settings=Settings(trusted_proxies=Networks(["127.0.0.1"]))) as served:
        codes = [await sign_in(served, "203.0.113.9") for _ in range(11)]
        assert "too-many-attempts" == codes[-1]
        assert await sign_in(served, "203.0.113.8", served.tokens["viewer"]) is None
    async with closed() as served:
        codes = [await sign_in(served, f"203.0.113.{n}") for n in range(11)]
        assert "too-many-attempts" == codes[-1], "anybody can say that"
