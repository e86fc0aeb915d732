"""Where servers are: one address, or several of the same registry, and what is secret in them.

A password in an address is used wherever the client goes with it, and is shown nowhere.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote

from attrs import field, frozen
from yarl import URL

EXAMPLE: Final = "http://127.0.0.1:8081"

# A comma is allowed in a path: only before another address it is one between two.
_BETWEEN: Final = re.compile(r"[,\s]+(?=https?://)", re.IGNORECASE)

# RFC 6874 writes the zone of an IPv6 address behind %25; sockets want it behind %.
_ZONE: Final = re.compile(r"(\[[^]%]*)%25([^]]*\])")

# Greedy: a password that was not escaped may hold a slash, or an @.
_CREDENTIALS: Final = re.compile(r"(?:(?<=://)|^(?![A-Za-z][A-Za-z0-9+.-]*://))[^\s'\"]*@")


@frozen
class Address:
    """The address of one server, with the name and password in it."""

    url: URL
    """Without them, and without a slash at its end."""
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    """A name and a password, for HTTP's Basic scheme; None if the address has none."""

    @staticmethod
    def parse(text: str) -> Address:
        """Read an address; raises ValueError, without the password in it, if it is invalid."""
        stripped = text.strip().rstrip("/")
        try:
            url = URL(_ZONE.sub(r"\1%\2", stripped))
            parsed = Address._of(url)
        except ValueError:  # of yarl's, which shows what it was given
            url = URL()
        # A query may hold a token, as other servers take them.
        got = re.split("[?#]", redacted(text))[0]
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"expected an address such as {EXAMPLE}, got {got!r}")
        if "?" in stripped or "#" in stripped:
            raise ValueError(
                f"expected an address without a query or fragment, not {got!r} with one"
            )
        return parsed

    @staticmethod
    def _of(url: URL) -> Address:
        if url.raw_user is None and url.raw_password is None:
            return Address(url)
        if ":" in (url.user or ""):  # RFC 7617, section 2
            raise ValueError("a name with a colon in it")
        return Address(url.with_user(None), (url.user or "", url.password or ""))

    def api(self, path: Iterable[str]) -> URL:
        """Return an address of the API, from the parts of its path below ``/api/v1``."""
        parts = (quote(part, safe="") for part in path)
        return URL("/".join((str(self).rstrip("/"), "api/v1", *parts)), encoded=True)

    def join(self, endpoint: str) -> Address:
        """Return the address to which a server refers us: a path of its own, or another address.

        The credentials are kept, because a public address is often that of the proxy that requires
        them; but not from https to http, where others could read them. Raises ValueError if it is
        not an address.
        """
        there = Address._of(self.url.join(URL(endpoint)))
        if there.url.scheme not in ("http", "https"):
            raise ValueError(f"{redacted(endpoint)!r} cannot be the address of a stream")
        in_the_open = self.url.scheme == "https" and there.url.scheme == "http"
        if there.credentials or in_the_open:
            return there
        return Address(there.url, self.credentials)

    def __str__(self) -> str:
        """Return what people and logs may see of it."""
        return str(self.url).rstrip("/")


class Addresses:
    """The addresses of one registry, one of which is in use."""

    def __init__(self, given: str | Iterable[str], *, anywhere: bool = False) -> None:
        """Read one address, or several as a list or as one text with commas between them.

        The first one is used first, or with ``anywhere`` a random one, so that the agents of a
        fleet do not all begin with the same. Raises ValueError if one is invalid.
        """
        texts = [given] if isinstance(given, str) else list(given)
        parsed = [Address.parse(each) for text in texts for each in _BETWEEN.split(text.strip())]
        if not parsed:
            raise ValueError(f"expected an address such as {EXAMPLE}, got none")
        self._all: Final = tuple(dict.fromkeys(parsed))
        self._place = random.randrange(len(self._all)) if anywhere else 0

    @property
    def current(self) -> Address:
        """The one in use."""
        return self._all[self._place]

    def in_turn(self) -> Iterator[Address]:
        """Iterate over all of them, once, from the one in use."""
        place = self._place
        return iter((*self._all[place:], *self._all[:place]))

    def __len__(self) -> int:
        return len(self._all)

    def use(self, address: Address) -> None:
        """Use that one from now on: it has answered."""
        self._place = self._all.index(address)

    def leave(self, address: Address) -> None:
        """Use the next one from now on, unless another than that is in use already."""
        if self.current == address:
            self._place = (self._place + 1) % len(self._all)

    def __str__(self) -> str:
        """Return what people and logs may see of them."""
        return ", ".join(map(str, self._all))


def shown(given: str | Iterable[str]) -> str:
    """Return addresses in a form for people and logs; raises ValueError if one is invalid."""
    return str(Addresses(given))


def redacted(text: str) -> str:
    """Return a text in which an address may stand, without the password that may stand in it."""
    return _CREDENTIALS.sub("", text)
