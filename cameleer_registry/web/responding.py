"""What a handler is here, and what aiohttp is given in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from aiohttp import web

from .answers import Answer

Handler = Callable[[web.Request], Awaitable[Answer | web.StreamResponse]]
"""Handles a request: returns what is to be answered, or a response that it has begun itself."""


Responder = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""A handler as aiohttp wants it, and the middleware of hosts: it returns a response."""


def responding(handler: Handler) -> Responder:
    """Return what aiohttp is given in place of a handler."""

    @wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = await handler(request)
        return answer.response() if isinstance(answer, Answer) else answer

    return handle


def handler_of(responder: Callable[..., Awaitable[web.StreamResponse]]) -> Handler:
    """Return the handler in whose place aiohttp was given this one."""
    handler: Handler = getattr(responder, "__wrapped__", responder)
    return handler
