"""What a handler is here, and what aiohttp is given in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from aiohttp import web

from .answers import Answer

Handler = Callable[[web.Request], Awaitable[Answer | web.StreamResponse]]
"""Handles a request: returns what is to be answered, or a response that it has begun itself."""


def responding(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return a handler as aiohttp wants it, and the middleware of hosts: with a response."""

    @wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        return response_of(await handler(request))

    return handle


def response_of(answer: Answer | web.StreamResponse) -> web.StreamResponse:
    """Return an answer as a response, and what is one already as it is."""
    return answer.response() if isinstance(answer, Answer) else answer


def handler_of(given: Callable[..., Awaitable[web.StreamResponse]]) -> Handler:
    """Return the handler in whose place aiohttp was given this one."""
    handler: Handler = getattr(given, "__wrapped__", given)
    return handler
