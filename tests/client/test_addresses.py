"""Where servers are, and what of it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from cameleer_registry.client.addresses import Address, Addresses, redacted, shown

A, B, C = "http://a:1", "https://b", "http://c/registry"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (A, [A]),
        (f"{A},{B}", [A, B]),
        (f" {A} , {B}\n{C}/ ", [A, B, C]),
        ([A, B], [A, B]),
        ((f"{A},{B}", C), [A, B, C]),
        ([A, A + "/", A], [A]),
        ("http://a/x,y", ["http://a/x,y"]),
    ],
)
def test_one_or_several(given: Any, expected: list[str]) -> None:
    """In a list or in one text; each once, in order, from the first."""
    addresses = Addresses(given)
    assert expected == list(map(str, addresses.in_turn()))
    assert (expected[0], len(expected)) == (str(addresses.current), len(addresses))
    assert ", ".join(expected) == shown(given)


@pytest.mark.parametrize("given", [[], "", [""], "a", f"{A},b", [A, "ftp://x"]])
def test_what_is_none_is_refused(given: Any) -> None:
    """Also among others."""
    with pytest.raises(ValueError, match=r"expected an address such as http://127\.0\.0\.1:8081"):
        Addresses(given)


def test_moving_on() -> None:
    """The one that has answered is used, and those behind it come next."""
    addresses = Addresses([A, B, C])
    addresses.use(Address.parse(B))
    assert [B, C, A] == list(map(str, addresses.in_turn()))


def test_a_fleet_does_not_begin_at_one() -> None:
    """Each of those that are given the same addresses draws where it begins."""
    begun = {str(Addresses([A, B, C], anywhere=True).current) for _ in range(200)}
    assert {A, B, C} == begun


@pytest.mark.parametrize(
    ("url", "credentials", "without"),
    [
        ("http://u:s3cret@h:1/x/", ("u", "s3cret"), "http://h:1/x"),
        ("https://u:s%40%2F@h", ("u", "s@/"), "https://h"),
        ("http://u@h", ("u", ""), "http://h"),
        ("http://:s3cret@h", ("", "s3cret"), "http://h"),
        ("http://h", None, "http://h"),
    ],
)
def test_credentials(url: str, credentials: Any, without: str) -> None:
    """They are kept for their use, and shown by nothing."""
    address = Address.parse(url)
    assert (credentials, without) == (address.credentials, str(address))
    assert "s3cret" not in repr(address) + str(address) + str(Addresses(url))


@pytest.mark.parametrize(
    "wrong",
    [
        "ftp://u:s3cret@h",
        "u:s3cret@h:8081",
        "http://u:s3cret@",
        "http://u:s3cret@h/?x",
        "http://u:s3cret@h#x",
        "http://u:s3cret@h:99999",
        "http://u:s3/cr@et@[",
        "http://u%3A:s3cret@h",
        "http://u:s3?cr@et@h",
        "http://h?token=s3cret",
        "h:8081/?token=s3cret",
        "http://h#s3cret",
    ],
)
def test_an_address_that_is_refused_shows_no_password(wrong: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(ValueError, match="expected an address") as caught:
        Address.parse(wrong)
    assert "s3" not in str(caught.value)
    assert "et" not in str(caught.value).partition("got")[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://u:p@h/x", "http://h/x"),
        ("see 'http://u:p/w@x@h' and https://v@w", "see 'http://h' and https://w"),
        ("u:p@h", "h"),
        ("nothing of that", "nothing of that"),
    ],
)
def test_redacted(text: str, expected: str) -> None:
    """More than necessary, rather than less."""
    assert expected == redacted(text)


@pytest.mark.parametrize(
    ("url", "endpoint", "there", "credentials"),
    [
        ("http://u:p@h:1/x", "/x/api/v1/agents/a/events", "http://h:1/x/api/v1/agents/a/events", 1),
        ("http://u:p@h", "http://h/e", "http://h/e", 1),
        ("http://u:p@h", "https://public/e", "https://public/e", 1),
        ("https://u:p@h", "https://public/e", "https://public/e", 1),
        # Not where others could read them.
        ("https://u:p@h", "http://public/e", "http://public/e", 0),
        ("http://h", "http://public/e", "http://public/e", 0),
        ("http://h", "http://u:p@public/e", "http://public/e", 1),
    ],
)
def test_where_a_server_sends_us(url: str, endpoint: str, there: str, credentials: int) -> None:
    """With the credentials, as a public address is often that of the proxy which wants them."""
    joined = Address.parse(url).join(endpoint)
    assert there == str(joined.url)
    assert (("u", "p") if credentials else None) == joined.credentials


@pytest.mark.parametrize("zone", ["http://[fe80::1%25eth0]:1", "http://[fe80::1%eth0]:1"])
def test_the_zone_of_an_address(zone: str) -> None:
    """As RFC 6874 writes it in an address, a socket takes it without the 25."""
    assert "fe80::1%eth0" == Address.parse(zone).url.raw_host


def test_the_path_of_the_api() -> None:
    """Its parts become no other address."""
    url = Address.parse("http://h/x y/").api(("agents", "a/b", "é"))
    assert "http://h/x%20y/api/v1/agents/a%2Fb/%C3%A9" == str(url)
