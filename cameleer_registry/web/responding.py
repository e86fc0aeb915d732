"""What a handler is here, and what aiohttp is given in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from aiohttp import web

from .access import Access, Rests
from .answers import Answer
from .app_keys import NODE
from .sharing import handled

Handler = Callable[[web.Request], Awaitable[Answer | web.StreamResponse]]
"""Handles a request: returns what is to be answered, or a response that it has begun itself."""


Responder = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""A handler as aiohttp wants it, and the middleware of hosts: it returns a response."""


def responding(handler: Handler, access: Access) -> Responder:
    """Return what aiohttp is given in place of a handler.

    An answer that rests on what has been read leaves when that is durable. A handler that begins
    its response itself waits for that before it does.
    """

    @wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        node = request.app[NODE]
        answer = await handled(node, request.headers, access, lambda: handler(request))
        if not isinstance(answer, Answer):
            return answer
        if access.rests is Rests.READ:
            await node.settled()
        return answer.response()

    handle.access = access  # type: ignore[attr-defined]
    return handle


def handler_of(responder: Callable[..., Awaitable[web.StreamResponse]]) -> Handler:
    """Return the handler in whose place aiohttp was given this one."""
    handler: Handler = getattr(responder, "__wrapped__", responder)
    return handler


def access_of(responder: Callable[..., Awaitable[web.StreamResponse]]) -> Access | None:
    """Return what stands before the address of a handler, or None for one that is not ours."""
    access: Access | None = getattr(responder, "access", None)
    return access
