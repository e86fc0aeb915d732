"""Refusals as RFC 9457 problem details."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from ..errors import MethodNotAllowed, NotFound, OutcomeUnknown, RegistryError, Unauthenticated
from .answers import Answer

MEDIA_TYPE: Final = "application/problem+json"

RETRY_AFTER: Final = (5, 30)
"""Bounds, in seconds, of the Retry-After of what is full. Drawn for each response, so that those
who were refused together do not come back together."""


def problem(error: RegistryError, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the answer that tells of a refusal."""
    headers = dict(headers or {})
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers[hdrs.RETRY_AFTER] = str(random.randint(*RETRY_AFTER))
    elif error.retry_after is not None:
        headers[hdrs.RETRY_AFTER] = str(math.ceil(error.retry_after))
    if isinstance(error, Unauthenticated):
        headers[hdrs.WWW_AUTHENTICATE] = error.challenge
    return Answer(
        # What a client sent may be quoted in here: lone surrogates of an address, and whatever
        # could steer the terminal, or turn the text, of whoever reads it.
        orjson.dumps(_printable(details(error))),
        status=error.status,
        content_type=MEDIA_TYPE,
        headers=headers,
    )


def type_of(code: str) -> str:
    """Return the URI by which a problem is known."""
    return f"urn:cameleer:problem:{code}"


def details(error: RegistryError) -> dict[str, Any]:
    """Return what a problem document says of a refusal."""
    body: dict[str, Any] = {
        "type": type_of(error.code),
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
    }
    if error.errors:
        body["errors"] = [{"path": f.path, "message": f.message} for f in error.errors]
    if isinstance(error, OutcomeUnknown) and error.command_id is not None:
        body["commandId"] = error.command_id
    return body


def from_aiohttp(
    error: web.HTTPNotFound | web.HTTPMethodNotAllowed, request: web.Request
) -> Answer:
    """Return the answer for an address that aiohttp did not find among the routes."""
    if isinstance(error, web.HTTPNotFound):
        return problem(NotFound(f"there is nothing at {request.path}"))
    allowed = ", ".join(sorted(error.allowed_methods))
    refusal = MethodNotAllowed(f"{request.path} takes {allowed}, not {error.method}")
    return problem(refusal, {hdrs.ALLOW: allowed})


def _printable(value: Any) -> Any:
    match value:
        case str():
            return value if value.isprintable() else "".join(map(_escaped, value))
        case dict():
            return {key: _printable(inner) for key, inner in value.items()}
        case list():
            return [_printable(inner) for inner in value]
        case _:
            return value


def _escaped(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()
