"""Under which names a server may be asked: the defence against DNS rebinding.

A page anywhere can have its own name lead to 127.0.0.1 once the browser has loaded it, and then
reach whatever listens there, as its own origin: no preflight stops it, and Sec-Fetch-Site and
Origin agree with Host. What it cannot change is the name that it asks under.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from aiohttp import hdrs

from ..errors import Fault, InvalidRequest, UnknownHost
from .calls import Call

REMEMBERED: Final = 256
"""Values of Host that are known to be right: names in any case, and with any port."""

_AUTHORITY: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%25?[0-9A-Za-z._~-]+)?\]|[^\[\]:/?#@\\\s]+)(?::[0-9]{0,5})?"
)


class Hosts:
    """The names under which one server may be asked."""

    def __init__(self, names: Iterable[str]) -> None:
        plain, below = {"localhost"}, set()
        for name in names:
            lowered = _plain(name)
            if lowered.startswith("*."):
                below.add(lowered[1:])
            else:
                plain.add(lowered)
        self._plain = frozenset(plain)
        self._below = tuple(below)
        self._known: set[str] = set()

    def check(self, call: Call) -> None:
        """Raise UnknownHost if a request names another host, and InvalidRequest if it names none.

        A target in absolute form counts before the header (RFC 9112, section 3.2.2).
        """
        authority = call.authority
        if authority is None:
            named = call.headers.getall(hdrs.HOST, ())
            if len(named) != 1:
                if not named and call.is_http10:
                    return
                raise InvalidRequest([Fault("Host", f"expected one such header, got {len(named)}")])
            authority = named[0]
        if authority in self._known:
            return
        host = _host_in(authority)
        if host is None:
            raise InvalidRequest([Fault("Host", "expected a name or an address")])
        if self._is_known(host):
            if len(self._known) < REMEMBERED:
                self._known.add(authority)
            return
        local = call.local_address
        if local is None or _address(host) == _address(local) is not None:
            return  # a unix socket, or the address that was connected to: no name led there
        raise UnknownHost(host)

    def _is_known(self, host: str) -> bool:
        if host in self._plain or host.endswith(self._below):
            return True
        address = _address(host)
        return address is not None and address.is_loopback


def _plain(name: str) -> str:
    return name.lower().strip("[]").removesuffix(".")


def _host_in(authority: str) -> str | None:
    """Return the host of an authority, without its port, in lower case; None if it is none."""
    found = _AUTHORITY.fullmatch(authority.strip(" \t"))
    return None if found is None else _plain(found["host"])


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a literal stands for, whatever its zone; None if it is none."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
