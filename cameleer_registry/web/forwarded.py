"""What proxies before a server say of where requests come from, and which of them are believed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from multidict import istr

from .calls import Call

FORWARDED: Final = (istr("Forwarded"), istr("X-Forwarded-For"))

HERE: Final = "here"
"""The source of what comes through a unix socket."""

SITE_BITS: Final = 64
"""Bits of an IPv6 address that one site has: within them everybody chooses an address at will
(RFC 4291, section 2.5.4)."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_FOR: Final = re.compile(r'(?:^|;)[ \t]*for="?([^";]*)"?[ \t]*(?:;|$)', re.IGNORECASE)
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::\d+)?|([0-9.]+):\d+")


class Peers:
    """The proxies before a server that are trusted."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(one) for one in networks]

    def __contains__(self, address: object) -> bool:
        if not self._networks or not isinstance(address, str):
            return False
        peer = _address(address)
        return peer is not None and any(peer in network for network in self._networks)


def source_of(call: Call) -> str:
    """Return what to count attempts by: the address of the client, or its network under IPv6.

    A trusted proxy says which that is, and of a row of proxies each adds the one before it: the
    last one that is not trusted is the client. What stands before that, anybody can have written.
    """
    peer = call.peer
    if peer is None:
        return HERE
    peers = Peers(call.node.settings.trusted_proxies)
    if peer not in peers:
        return _site(peer)
    headers = call.headers
    told = {
        _client(addresses, peer, peers)
        for name, read in zip(FORWARDED, (_forwarded, _listed), strict=True)
        if (addresses := read(",".join(headers.getall(name, ()))))
    }
    # A proxy adds to one of the two headers, and passes on what a client says in the other.
    return _site(told.pop() if len(told) == 1 else peer)


def _forwarded(value: str) -> list[str]:
    """Return the addresses in the header ``Forwarded`` (RFC 7239).

    Commas divide it, also within quotes: no address has any, and a quote that a client leaves open
    must not take in what the proxy has added.
    """
    found = [_FOR.search(element) for element in value.split(",")] if value else []
    return ["" if one is None else one[1] for one in found]


def _listed(value: str) -> list[str]:
    return value.split(",") if value else []


def _client(addresses: list[str], peer: str, peers: Peers) -> str:
    """Return the last address that is not a trusted proxy's, or the last one that can be read."""
    client = peer
    for one in reversed(addresses):
        text = one.strip(" \t")
        if (with_port := _WITH_PORT.fullmatch(text)) is not None:
            text = with_port[1] or with_port[2] or ""
        address = _address(text)
        if address is None:  # "unknown", or a name that a proxy has made up
            break
        client = str(address)
        if client not in peers:
            break
    return client


def _site(text: str) -> str:
    address = _address(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, SITE_BITS), strict=False))
    return text if address is None else str(address)


def _address(text: str) -> _Address | None:
    """Return the address that a literal stands for, whatever its zone; None if it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
