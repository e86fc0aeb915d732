"""One pool of connections to one server: requests go out as models, answers come back as models.

A problem is raised as the exception that the server raised; whatever else goes wrong between here
and there is :class:`~cameleer_registry.errors.ServerUnreachable`.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import aiohttp
from aiohttp import hdrs
from yarl import URL

from .. import wire
from ..errors import ServerUnreachable, UnexpectedAnswer, reason_of
from ..version import __version__
from . import problems
from .instances import Instances

T = TypeVar("T")

TIMEOUT: Final = 15.0
"""Seconds that a request may take, from connecting to the last byte of the answer."""

CONNECT_TIMEOUT: Final = 10.0
"""Seconds in which a connection must be there."""

HEADERS: Final = {
    "X-Cameleer-Protocol-Version": "1",
    hdrs.USER_AGENT: f"cameleer-registry/{__version__}",
    hdrs.ACCEPT: "application/json",
}

KEY_HEADER: Final = "Idempotency-Key"

Query = Iterable[tuple[str, str]]


class Broken(ServerUnreachable):
    """The connection was there and broke before the answer: what was asked for may be done."""


class Connection:
    """How to reach one server; to be entered as an async context manager.

    ``url`` is where the server is, with the prefix under which it is mounted. ``session``, where
    given, is used as it is and left open; it needs a connection for each stream that is held.
    Raises ValueError where ``url`` is not an absolute http(s) address.
    """

    def __init__(self, url: str, *, session: aiohttp.ClientSession | None = None) -> None:
        self.url = url.strip().rstrip("/")
        parsed = URL(self.url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(f"expected an address such as http://127.0.0.1:8081, got {url!r}")
        if "?" in self.url or "#" in self.url:
            raise ValueError(f"expected an address without a query or fragment, got {url!r}")
        # As it is told people and logs: without the password that may stand in it.
        self._shown = str(parsed.with_user(None)).rstrip("/")
        self._given = session
        self._instances = Instances()
        # None before it is entered and after it is left.
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = self._given or aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        session, self._session = self._session, None
        if session is not None and session is not self._given:
            await session.close()

    async def ask(
        self,
        shape: type[T],
        method: str,
        *path: str,
        body: Any = None,
        query: Query = (),
        timeout: float = TIMEOUT,
        key: str | None = None,
    ) -> T:
        """Send a request and return the answer as a ``shape``: a model, or ``list[model]``.

        ``path`` holds the parts of the address below ``/api/v1``. With a ``key`` the server can
        tell the request when it is repeated: that is done once, at once, where the connection
        breaks. Raises RegistryError where the server refuses, and ServerUnreachable.
        """
        headers = {} if key is None else {KEY_HEADER: _quoted(key)}
        asked = partial(
            self.send, method, *path, body=body, query=query, timeout=timeout, headers=headers
        )
        try:
            raw, _ = await asked()
        except Broken:
            if key is None:
                raise
            raw, _ = await asked()
        return self.read(raw, shape)

    def read(self, raw: bytes, shape: type[T]) -> T:
        """Read the body of an answer; raises UnexpectedAnswer where it is something else."""
        try:
            return wire.decode_answer(raw, shape)
        except ValueError as error:
            raise UnexpectedAnswer(f"{self._shown} answered {error}") from None

    async def send(
        self,
        method: str,
        *path: str,
        body: Any = None,
        query: Query = (),
        timeout: float = TIMEOUT,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[bytes, Mapping[str, str]]:
        """Send a request and return the body and the headers of the answer; raises likewise."""
        address = "/".join((f"{self.url}/api/v1", *(quote(part, safe="") for part in path)))
        limits = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT)
        with self._reaching():
            # Not aiohttp's own limit (3.14): where it passes in the moment in which the task is
            # cancelled, the cancellation is lost.
            async with (
                asyncio.timeout(timeout),
                self._open().request(
                    method,
                    URL(address, encoded=True).with_query(list(query)),
                    data=None if body is None else wire.encode_request(body),
                    headers={**HEADERS, **headers},
                    timeout=limits,
                    allow_redirects=False,
                ) as response,
            ):
                raw = await response.read()
        self._instances.heard(response.headers)
        if response.status >= 300:
            raise problems.told(response, raw)
        return raw, response.headers

    async def tell(self, method: str, *path: str, timeout: float = TIMEOUT) -> Mapping[str, str]:
        """Send a request that is answered with no body, and return the headers; raises likewise."""
        raw, headers = await self.send(method, *path, timeout=timeout)
        if raw:
            raise UnexpectedAnswer(f"{self._shown} answered with something: no registry's")
        return headers

    async def stream(self, endpoint: str, *, silence: float) -> aiohttp.ClientResponse:
        """Open an event stream, at an address or a path on the server; the caller closes it.

        Reading it raises TimeoutError when nothing has come for ``silence`` seconds. Raises like
        :meth:`send`.
        """
        limits = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT, sock_read=silence)
        with self._reaching():
            response = await self._open().get(
                URL(self.url).join(URL(endpoint)),
                headers={**HEADERS, hdrs.ACCEPT: "text/event-stream"},
                timeout=limits,
                allow_redirects=False,
            )
            self._instances.heard(response.headers)
            if response.status == 200 and response.content_type == "text/event-stream":
                return response
            async with response:
                raw = await asyncio.wait_for(response.read(), TIMEOUT)
        raise problems.told(response, raw)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("not open: enter it with 'async with'")
        return self._session

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Raise whatever goes wrong on the way as ServerUnreachable."""
        try:
            yield
        except TimeoutError:
            raise ServerUnreachable(f"{self._shown} did not answer in time") from None
        except aiohttp.ClientConnectorError as error:
            reason = _tls_reason(error.os_error) or reason_of(error.os_error)
            raise ServerUnreachable(f"cannot reach {self._shown}: {reason}") from None
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise Broken(f"cannot reach {self._shown}: {reason}") from None
        except ValueError as error:  # what was given is no address
            raise ServerUnreachable(f"cannot reach {self._shown}: {error}") from None


def _quoted(text: str) -> str:
    """Return a String of RFC 9651: the key is told from what it might look like without quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _tls_reason(error: OSError) -> str | None:
    """Return why there is no TLS, in OpenSSL's words; its errors have numbers of their own."""
    if not isinstance(error, ssl.SSLError):
        return None
    return "TLS: " + re.sub(r"^\[.*?\] *|\s*\(_ssl\.c:\d+\)", "", error.strerror or str(error))
