"""From a problem (RFC 9457) back to the exception that the server raised."""

from __future__ import annotations

import contextlib
import math
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import hdrs

from ..errors import Fault, RegistryError, UnexpectedAnswer
from .addresses import redacted

PREFIX: Final = "urn:cameleer:problem:"


def told(response: aiohttp.ClientResponse, raw: bytes) -> RegistryError | UnexpectedAnswer:
    """Return what to raise for a response: the RegistryError of a problem, if it is one."""
    try:
        problem = orjson.loads(raw)
        code = problem["type"].removeprefix(PREFIX)
        if code == problem["type"]:
            raise ValueError("some other problem")
        return RegistryError.told(
            code=code,
            status=response.status,
            title=_text(problem["title"]),
            detail=_text(problem["detail"]),
            errors=[
                Fault(_text(fault["path"]), _text(fault["message"]))
                for fault in problem.get("errors", ())
            ],
            retry_after=_retry_after(response),
            command_id=_text(problem["commandId"]) if "commandId" in problem else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return UnexpectedAnswer(_described(response), status=response.status)


def asked(response: aiohttp.ClientResponse) -> str:
    """Return what was asked for, as people and logs may see it."""
    return f"{response.method} {_without_secrets(str(response.url))}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("not text, as in every problem of a registry")


def _described(response: aiohttp.ClientResponse) -> str:
    where = response.headers.get(hdrs.LOCATION)
    redirects = f", redirecting to {_without_secrets(where)}" if where else ""
    status = f"{response.status} {response.reason}{redirects}"
    return f"{asked(response)} was answered {status}, not by a registry"


def _without_secrets(address: str) -> str:
    """Return an address without password and query: who signs somebody in has tokens there."""
    return redacted(address.partition("?")[0].partition("#")[0])


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    value: Any = response.headers.get(hdrs.RETRY_AFTER)
    with contextlib.suppress(TypeError, ValueError):  # absent, or a date, which ours never sends
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    return None
