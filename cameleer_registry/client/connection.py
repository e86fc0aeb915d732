"""The way to a registry: requests go out as models, answers come back as models.

A problem is raised as the exception that the server raised; whatever else goes wrong between here
and there is :class:`~cameleer_registry.errors.ServerUnreachable`. Where the registry has several
addresses, the next one is asked when one does not answer, or says 503.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
from aiohttp import hdrs
from attrs import frozen

from .. import wire
from ..errors import AgentNotRegistered, RegistryError, ServerUnreachable, UnexpectedAnswer
from ..version import __version__
from . import problems
from .addresses import Address, Addresses
from .instances import Instances
from .position import Position
from .proxies import Proxies
from .reaching import Broken, reaching
from .server_clock import ServerClock
from .sessions import Sessions

T = TypeVar("T")

TIMEOUT: Final = 15.0
"""Seconds within which an answer has to begin, from connecting to its head, and for which it may
then be silent."""

SLOWEST: Final = 500
"""Bytes a second that an answer has to bring on average, once it has begun: as Apache's
``RequestReadTimeout`` has it for requests. So a list may take as long as it needs on a slow link,
and what only drips ends."""

LONGEST_ANSWER: Final = 2**29
"""Bytes: a hundred commands of the largest size that is usual, several times over."""

CONNECT_TIMEOUT: Final = 10.0
"""Seconds in which a connection must be there."""

STALE_CONNECTIONS: Final = 100
"""Connections of a given session that may turn out to be dead, one after the other: as many as
aiohttp keeps by default."""

SECOND_LOOK: Final = (0.1, 0.5)
"""Seconds before a gateway that had no answer is asked again, at least and at most."""

_GATEWAY: Final = frozenset({502, 503, 504})

HEADERS: Final = {
    "X-Cameleer-Protocol-Version": "1",
    hdrs.USER_AGENT: f"cameleer-registry/{__version__}",
    hdrs.ACCEPT: "application/json",
}

VERSION_HEADER: Final = "X-Cameleer-Protocol-Version"
KEY_HEADER: Final = "Idempotency-Key"

Query = Iterable[tuple[str, str]]


@frozen
class Request:
    """What is asked, wherever it is sent."""

    method: str
    path: tuple[str, ...]
    """The parts of the address below ``/api/v1``."""
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    timeout: float = TIMEOUT


@frozen
class Answer:
    """What a server has answered, and at which address it was asked."""

    raw: bytes
    headers: Mapping[str, str]
    address: Address


class Connection:
    """How to reach one registry; to be entered as an async context manager.

    ``url`` is where the server is, with the prefix under which it is mounted, or several such
    addresses; it begins with the first, or ``anywhere`` among them. ``session``, where given, is
    used as it is and left open; it needs a connection for each stream that is held. ``proxy`` is
    the address of an HTTP proxy, or "" for none; by default it is as the environment says, or as
    the given session has it. Raises ValueError where one of them is no address.
    """

    def __init__(
        self,
        url: str | Iterable[str],
        *,
        session: aiohttp.ClientSession | None = None,
        proxy: str | Proxies | None = None,
        anywhere: bool = False,
        clock: ServerClock | None = None,
    ) -> None:
        self.addresses = Addresses(url, anywhere=anywhere)
        self.clock = clock or ServerClock()
        # Returns the value of the header Authorization; None if there is nothing to show.
        self.authorization: Callable[[], str | None] = lambda: None
        self._position = Position()
        self._instances = Instances()
        self._sessions = Sessions(session)
        if session is not None and proxy is None:
            proxy = ""  # as the session has it
        self._proxies = proxy if isinstance(proxy, Proxies) else Proxies(proxy)

    async def __aenter__(self) -> Self:
        self._sessions.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._sessions.close()

    async def ask(
        self,
        shape: type[T],
        method: str,
        *path: str,
        body: Any = None,
        query: Query = (),
        timeout: float = TIMEOUT,
        key: str | None = None,
        looks: int = 1,
    ) -> T:
        """Send a request and return the answer as a ``shape``: a model, or ``list[model]``.

        With a ``key`` the server can tell the request when it is repeated. Raises like
        :meth:`send`.
        """
        headers = {} if key is None else {KEY_HEADER: _quoted(key)}
        answer = await self.send(
            method, *path, body=body, query=query, timeout=timeout, headers=headers, looks=looks
        )
        return self.read(answer, shape)

    def read(self, answer: Answer, shape: type[T]) -> T:
        """Read the body of an answer; raises UnexpectedAnswer where it is something else."""
        try:
            return wire.decode_answer(answer.raw, shape)
        except ValueError as error:
            raise UnexpectedAnswer(f"{answer.address} answered {error}") from None

    async def tell(self, method: str, *path: str, timeout: float = TIMEOUT, looks: int = 1) -> None:
        """Send a request that is answered with no body; raises like :meth:`send`."""
        answer = await self.send(method, *path, timeout=timeout, looks=looks)
        if answer.raw:
            raise UnexpectedAnswer(f"{answer.address} answered with something: no registry's")

    async def send(
        self,
        method: str,
        *path: str,
        body: Any = None,
        query: Query = (),
        timeout: float = TIMEOUT,
        headers: Mapping[str, str] = MappingProxyType({}),
        looks: int = 1,
    ) -> Answer:
        """Send a request and return the answer.

        ``path`` holds the parts of the address below ``/api/v1``. The answer has to begin within
        ``timeout`` seconds. Where a connection breaks, the request is sent once more: none that is
        sent from here does anything twice. Where a gateway has no answer (502, 503, 504), it is
        asked up to ``looks`` times. Raises RegistryError where the server refuses, and
        ServerUnreachable.
        """
        data = None if body is None else wire.encode_request(body)
        request = Request(method, path, tuple(query), data, headers, timeout)
        for look in range(1, looks + 1):
            try:
                return await self._at_one_of(partial(self._asked, request))
            except AgentNotRegistered:
                if look == 1 or method != hdrs.METH_DELETE:
                    raise
                return Answer(b"", {}, self.addresses.current)  # an earlier one was heard
            except UnexpectedAnswer as error:
                if error.status not in _GATEWAY or look == looks:
                    raise
            await asyncio.sleep(random.uniform(*SECOND_LOOK))
        raise AssertionError("looked at least once")

    async def stream(
        self, endpoint: str, *path: str, home: Address | None = None, silence: float
    ) -> aiohttp.ClientResponse:
        """Open an event stream; the caller closes it.

        ``endpoint`` is where ``home``, the address at which the server was asked, has sent us. By
        another address the stream is opened at its ``path`` there. Reading it raises TimeoutError
        when nothing has come for ``silence`` seconds. Raises like :meth:`send`.
        """
        home = home or self.addresses.current

        async def opened(address: Address) -> aiohttp.ClientResponse:
            there = Address(address.api(path), address.credentials)
            if address == home:
                with reaching(address):
                    there = address.join(endpoint)
            return await self._on_a_connection_that_holds(
                lambda session: self._open_stream(address, there, silence, session), TIMEOUT
            )

        return await self._at_one_of(opened)

    async def _at_one_of(self, ask: Callable[[Address], Awaitable[T]]) -> T:
        """Ask at the address in use, then at the others, until one has an answer."""
        *others, last = self.addresses.in_turn()
        for address in others:
            try:
                answer = await ask(address)
            except ServerUnreachable:
                continue
            except RegistryError as error:
                if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
                    continue
                self.addresses.use(address)
                raise
            self.addresses.use(address)
            return answer
        answer = await ask(last)
        self.addresses.use(last)
        return answer

    async def _asked(self, request: Request, address: Address) -> Answer:
        """Ask at one address; where the connection breaks, once more."""

        async def asked_again(session: aiohttp.ClientSession) -> Answer:
            try:
                return await self._asked_once(request, address, session)
            except AgentNotRegistered:
                if request.method != hdrs.METH_DELETE:
                    raise
                return Answer(b"", {}, address)  # it had been heard the first time

        try:
            return await self._asked_once(request, address, self._sessions.pooled)
        except Broken:
            return await self._on_a_connection_that_holds(asked_again, request.timeout)

    async def _on_a_connection_that_holds(
        self, ask: Callable[[aiohttp.ClientSession], Awaitable[T]], seconds: float
    ) -> T:
        """Ask where nothing is stale.

        A connection that was kept may have been forgotten on the way, by a NAT or a balancer, and
        so may all others that were kept. Of a session that is given they are tried one after the
        other, for so long.
        """
        if not self._sessions.are_ours:
            until = asyncio.get_running_loop().time() + seconds
            for _ in range(STALE_CONNECTIONS):
                with suppress(Broken):
                    return await ask(self._sessions.fresh)
                if asyncio.get_running_loop().time() > until:
                    break
        return await ask(self._sessions.fresh)

    async def _asked_once(
        self, request: Request, address: Address, session: aiohttp.ClientSession
    ) -> Answer:
        there = Address(address.api(request.path).with_query(request.query), address.credentials)
        limits = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT)
        with reaching(address):
            # Not aiohttp's own limit (3.14): where it passes in the moment in which the task is
            # cancelled, the cancellation is lost.
            async with (
                asyncio.timeout(request.timeout) as limit,
                session.request(
                    request.method,
                    self._sessions.target(there),
                    data=request.body,
                    headers=self._headers(there, request.headers),
                    timeout=limits,
                    allow_redirects=False,
                    raise_for_status=False,
                    auto_decompress=True,
                    proxy=self._proxies.to(there.url),
                ) as response,
            ):
                self._heard(response)
                raw = await _whole(response, limit, min(TIMEOUT, request.timeout))
        if response.status >= 300:
            raise problems.told(response, raw)
        return Answer(raw, response.headers, address)

    async def _open_stream(
        self,
        address: Address,
        there: Address,
        silence: float,
        session: aiohttp.ClientSession,
    ) -> aiohttp.ClientResponse:
        limits = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT, sock_read=silence)
        accept: dict[str, str] = {
            hdrs.ACCEPT: "text/event-stream",
            hdrs.ACCEPT_ENCODING: "identity",
        }
        with reaching(address):
            async with asyncio.timeout(TIMEOUT) as limit:
                response = await session.get(
                    self._sessions.target(there),
                    headers=self._headers(there, accept),
                    timeout=limits,
                    allow_redirects=False,
                    raise_for_status=False,
                    auto_decompress=True,
                    proxy=self._proxies.to(there.url),
                )
                self._heard(response)
                if response.status == 200 and response.content_type == "text/event-stream":
                    return response
                async with response:
                    raw = await _whole(response, limit, TIMEOUT)
        raise problems.told(response, raw)

    def _headers(self, there: Address, more: Mapping[str, str]) -> dict[str, str]:
        headers = {**HEADERS, **self._position.headers(), **more}
        headers |= self._sessions.credentials(there)
        shown = self.authorization()
        return headers if shown is None else {**headers, hdrs.AUTHORIZATION: shown}

    def _heard(self, response: aiohttp.ClientResponse) -> None:
        """Take note of what a head tells, where it is a registry's and not that of a gateway."""
        self._instances.heard(response.headers)
        if VERSION_HEADER in response.headers:
            self.clock.heard(response.headers)
            self._position.heard(response.headers)


async def _whole(response: aiohttp.ClientResponse, limit: asyncio.Timeout, silence: float) -> bytes:
    """Read a body for as long as it goes on coming; raises UnexpectedAnswer where it is endless."""
    loop, raw = asyncio.get_running_loop(), bytearray()
    begun = loop.time()
    limit.reschedule(begun + silence)
    async for piece in response.content.iter_any():
        raw += piece
        if len(raw) > LONGEST_ANSWER:
            raise UnexpectedAnswer(
                f"{problems.asked(response)} was answered with more than {LONGEST_ANSWER} bytes"
            )
        at_this_pace = begun + silence + len(raw) / SLOWEST
        limit.reschedule(min(loop.time() + silence, at_this_pace))
    return bytes(raw)


def _quoted(text: str) -> str:
    """Return a String of RFC 9651: the key is told from what it might look like without quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
