"""aiohttp's sessions: two of our own, or one that the program has given us."""

from __future__ import annotations

import aiohttp
from aiohttp import hdrs
from yarl import URL

from .addresses import Address
from .names import Resolver


class Sessions:
    """Where requests are sent from.

    On a session that is given nothing can be relied on: it may raise for status, have credentials
    of its own, or read them from a file. What matters is therefore said with each request.
    """

    def __init__(self, given: aiohttp.ClientSession | None) -> None:
        self._given = given
        # None while not open.
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    @property
    def are_ours(self) -> bool:
        """Whether it is certain that :attr:`fresh` keeps no connection."""
        return self._given is None

    @property
    def pooled(self) -> aiohttp.ClientSession:
        """One that keeps connections for the next request."""
        return _open(self._pooled)

    @property
    def fresh(self) -> aiohttp.ClientSession:
        """One that connects anew for each request, where it is ours."""
        return _open(self._fresh)

    def open(self) -> None:
        """Make what is ours; to be called on a loop."""
        self._pooled = self._given or _session(force_close=False)
        self._fresh = self._given or _session(force_close=True)

    async def close(self) -> None:
        """Close what is ours."""
        open_ones = [self._pooled, self._fresh]
        self._pooled = self._fresh = None
        for session in open_ones:
            if session is not None and session is not self._given:
                await session.close()

    def target(self, there: Address) -> URL:
        """Return the address to ask aiohttp for: with its credentials where it wants them so.

        A session that has some of its own, or reads them from a file, takes a header of ours for
        a contradiction, and those in an address for ours.
        """
        if there.credentials is None or not self._has_others:
            return there.url
        name, password = there.credentials
        return there.url.with_user(name).with_password(password)

    def credentials(self, there: Address) -> dict[str, str]:
        """Return what to send along as a header."""
        if there.credentials is None or self._has_others:
            return {}
        return {hdrs.AUTHORIZATION: aiohttp.encode_basic_auth(*there.credentials)}

    @property
    def _has_others(self) -> bool:
        given = self._given
        return given is not None and (given.auth is not None or given.trust_env)


def _session(*, force_close: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, force_close=force_close, resolver=Resolver())
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector)


def _open(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
    if session is None:
        raise RuntimeError("not open: enter it with 'async with'")
    return session
