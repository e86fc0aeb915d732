"""aiohttp's way through the gate: a middleware around every handler."""

from __future__ import annotations

from inspect import isawaitable

from aiohttp import hdrs, web
from attrs import evolve

from ..errors import Fault, InvalidRequest
from . import gate, sharing
from .aiohttp_internals import HttpVersion10, HttpVersion11, answer_as_http11, version_of
from .app_keys import GATE, NODE
from .calls import PRINCIPAL, RequestCall
from .metrics import arrived
from .problems import from_aiohttp, problem
from .responding import Responder, access_of


@web.middleware
async def guard(request: web.Request, handler: Responder) -> web.StreamResponse:
    """Admit a request, have it handled, and turn every refusal into a problem."""
    arrived(request)
    if reason := no_http(request):
        return refuse_connection(request, reason)
    match, call = request.match_info, RequestCall(request)
    nothing = match.http_exception
    access = None if nothing is not None else access_of(match.handler)
    try:
        if access is None:
            request.app[GATE].check_host(call, None)
        else:
            await ask_host(request)
            await sharing.admit(request.app[GATE], call, access)
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        return from_aiohttp(error, request).response()
    except Exception as error:
        if isinstance(error, ConnectionError) and _is_gone(request):
            return web.Response()  # to nobody: aiohttp drops it
        answer = await gate.refused(
            error, request.app[NODE], access, method=request.method, path=request.path
        )
        if request.writer.output_size > 0 and request.transport is not None:
            request.transport.abort()  # an answer has begun, and no other can follow in it
        return answer.response()


async def ask_host(request: web.Request) -> None:
    """Have the application that embeds the registry say who asks, if it does."""
    authenticate = request.app[GATE].authenticate
    if authenticate is None:
        return
    said = authenticate(request)
    principal = await said if isawaitable(said) else said
    if principal is not None:
        request[PRINCIPAL] = evolve(principal, of_host=True)


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def no_http(request: web.Request) -> str | None:
    """Return what is wrong with a request that aiohttp has accepted, or None.

    aiohttp's parser reads a head of HTTP/0.9 and 2.0 like that of 1.1, and ignores an empty
    Transfer-Encoding (RFC 9112, sections 2.3 and 6.3).
    """
    if version_of(request) not in (HttpVersion11, HttpVersion10):
        return "only HTTP/1.1 and HTTP/1.0 are spoken here"
    if request.headers.get(hdrs.TRANSFER_ENCODING) == "":
        return "Transfer-Encoding is empty"
    return None


def refuse_connection(request: web.Request, reason: str) -> web.Response:
    """Refuse what is no HTTP request, and whatever follows on its connection."""
    # aiohttp answers in the version of the request, which it keeps as soon as anybody has asked.
    answer_as_http11(request)
    response = problem(InvalidRequest([Fault("request", reason)])).response()
    response.force_close()
    return response
