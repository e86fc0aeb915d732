"""Calls: the form in which most handlers of the API see requests, whichever way these come.

Frequent requests of agents are answered as soon as they are read, when there is no request of
aiohttp's yet (:mod:`~cameleer_registry.web.inline`). Handlers of calls do not know the difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Protocol, TypeVar

from aiohttp import web
from attrs import define, frozen
from multidict import CIMultiDictProxy

from .. import wire
from ..core.scoping import Within
from ..node.node import Node
from ..security.principals import Principal, Scope
from . import body
from .addresses import API
from .aiohttp_internals import HttpVersion10, authority_of, version_of
from .answers import Answer
from .app_keys import NODE

T = TypeVar("T")

PRINCIPAL: Final = web.RequestKey("cameleer_registry.principal", Principal)
"""The sender: set on a request by the gate, or before it by an application's ``authenticate``."""


class Call(Protocol):
    """One request, and the node to which it is addressed."""

    @property
    def node(self) -> Node:
        """The node of the application that is asked."""

    @property
    def address(self) -> Mapping[str, str]:
        """What stands in the variable parts of the path."""

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers of the request."""

    @property
    def method(self) -> str:
        """The method."""

    @property
    def authority(self) -> str | None:
        """Host and port of a target in absolute form; None if it is a path, as nearly always."""

    @property
    def is_http10(self) -> bool:
        """Whether the client speaks HTTP/1.0, which knows no hosts."""

    @property
    def local_address(self) -> str | None:
        """The address to which the client has connected; None for a unix socket."""

    @property
    def transport(self) -> asyncio.BaseTransport | None:
        """The connection; None if it is gone."""

    @property
    def peer(self) -> str | None:
        """The address from which the connection has come; None for a unix socket."""

    @property
    def query(self) -> str:
        """The query of the address, as it was sent."""

    @property
    def prefix(self) -> str:
        """The prefix under which the application is mounted."""

    principal: Principal | None
    """The sender, as soon as the gate knows; None if it is unknown, or nobody was asked."""

    @property
    def agents_path(self) -> str:
        """The path of all agents, with the prefix under which the API is mounted."""

    async def body(self) -> bytes:
        """Return the body, which is empty if there is none.

        Raises MalformedJson, BodyTooLarge, UnsupportedEncoding and RequestTimeout.
        """


@define
class RequestCall:
    """A call that has come as a request of aiohttp's."""

    request: web.Request

    @property
    def node(self) -> Node:
        """The node of the application that is asked."""
        return self.request.app[NODE]

    @property
    def address(self) -> Mapping[str, str]:
        """What stands in the variable parts of the path."""
        return self.request.match_info

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers of the request."""
        return self.request.headers

    @property
    def method(self) -> str:
        """The method."""
        return self.request.method

    @property
    def authority(self) -> str | None:
        """Host and port of a target in absolute form; None if it is a path."""
        return authority_of(self.request)

    @property
    def is_http10(self) -> bool:
        """Whether the client speaks HTTP/1.0."""
        return version_of(self.request) == HttpVersion10

    @property
    def local_address(self) -> str | None:
        """The address to which the client has connected; None for a unix socket."""
        return local_address_of(self.request.transport)

    @property
    def transport(self) -> asyncio.BaseTransport | None:
        """The connection; None if it is gone."""
        return self.request.transport

    @property
    def peer(self) -> str | None:
        """The address from which the connection has come; None for a unix socket."""
        return peer_of(self.request.transport)

    @property
    def query(self) -> str:
        """The query of the address, as it was sent."""
        return self.request.rel_url.raw_query_string

    @property
    def prefix(self) -> str:
        """The prefix under which the application is mounted."""
        return prefix_of(self.agents_path)

    @property
    def principal(self) -> Principal | None:
        """The sender."""
        return self.request.get(PRINCIPAL)

    @principal.setter
    def principal(self, principal: Principal | None) -> None:
        if principal is not None:
            self.request[PRINCIPAL] = principal

    @property
    def agents_path(self) -> str:
        """The path of all agents, with the prefix under which the API is mounted."""
        return self.request.app.router["agents"].canonical

    async def body(self) -> bytes:
        """Wait for the body; raises what :func:`~cameleer_registry.web.body.read` does."""
        return await body.read(self.request)


@frozen(eq=False)
class CallHandler:
    """A handler that is given a call: to aiohttp it is one like any other."""

    answer: Callable[[Call], Coroutine[Any, Any, Answer]]

    async def __call__(self, request: web.Request) -> Answer:
        """Answer a request of aiohttp's."""
        return await self.answer(RequestCall(request))


def prefix_of(agents_path: str) -> str:
    """Return the prefix under which an application is mounted, by the path of its agents."""
    return agents_path.removesuffix(f"{API}/agents")


def peer_of(transport: asyncio.BaseTransport | None) -> str | None:
    """Return the address from which a connection has come; None for a unix socket."""
    name = None if transport is None else transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else None


def local_address_of(transport: asyncio.BaseTransport | None) -> str | None:
    """Return the address to which a client has connected; None for a unix socket."""
    name = None if transport is None else transport.get_extra_info("sockname")
    return str(name[0]) if isinstance(name, tuple) else None


def issuer_of(call: Call) -> str | None:
    """Return the sender's id for facts and commands; None if it is unknown."""
    return None if call.principal is None else call.principal.issuer


def scope_of(call: Call) -> Scope | None:
    """Return the sender's scope; None means everything."""
    principal = call.principal
    return None if principal is None or principal.scope.is_everything else principal.scope


def within_of(call: Call) -> Within | None:
    """Return which groups exist for the sender; None means all."""
    return None if (scope := scope_of(call)) is None else scope.covers


async def read_as(call: Call, shape: type[T], *, empty: T | None = None) -> T:
    """Read a body as JSON, whatever its Content-Type, and structure it.

    ``empty`` is what a missing body stands for; without it a missing body is refused. Raises
    MalformedJson, InvalidRequest, BodyTooLarge, UnsupportedEncoding and RequestTimeout.
    """
    raw = await call.body()
    if empty is not None and not raw:
        return empty
    return wire.decode(raw, shape)
