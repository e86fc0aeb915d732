"""Reading a request's query: each parameter strictly, each fault named."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeVar

from aiohttp import web

from ..core import rules
from ..core.rules import AgentId, GroupName
from ..errors import Fault, InvalidRequest

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

LONGEST_WAIT: Final = 60.0
LARGEST_NUMBER: Final = 999_999_999

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
# What JSON and programming languages write for a number of seconds, 1e-05 included.
_SECONDS: Final = re.compile(r"[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]{1,3})?")


def words(request: web.Request, name: str) -> list[str]:
    """Return the values of a parameter that may be repeated, or comma-separated, or both."""
    return [word.strip() for value in request.query.getall(name, ()) for word in value.split(",")]


def members(request: web.Request, name: str, enum: type[E]) -> frozenset[E]:
    """Return the values of a parameter that names members of an enumeration, in any case.

    Raises InvalidRequest if a value is not among them.
    """
    choices = {member.lower(): member for member in enum}
    asked = words(request, name)
    faults = [
        Fault(f"?{name}", f"expected one of {', '.join(enum)}, got {word[:64]!r}")
        for word in asked
        if word.lower() not in choices
    ]
    if faults:
        raise InvalidRequest(faults)
    return frozenset(choices[word.lower()] for word in asked)


def group_names(request: web.Request, name: str) -> frozenset[GroupName]:
    """Return the values of a parameter that names groups, whether or not there are such.

    Raises InvalidRequest if a value cannot be a group.
    """
    return _each_by(rules.group_name, request, name)


def agent_ids(request: web.Request, name: str) -> frozenset[AgentId]:
    """Return the values of a parameter that names agents likewise; raises InvalidRequest."""
    return _each_by(rules.agent_id, request, name)


def _each_by(rule: Callable[[str], T], request: web.Request, name: str) -> frozenset[T]:
    names, faults = set(), []
    for word in words(request, name):
        try:
            names.add(rule(word))
        except ValueError as error:
            faults.append(Fault(f"?{name}", f"{error}, got {word[:64]!r}"))
    if faults:
        raise InvalidRequest(faults)
    return frozenset(names)


def command_id(request: web.Request, name: str) -> str | None:
    """Return the id of a command, or None if it is not given.

    The command need not be remembered. Raises InvalidRequest if it cannot be an id.
    """
    value = request.query.get(name)
    if value is None or _UUID.fullmatch(value):
        return value
    raise InvalidRequest([Fault(f"?{name}", f"expected the id of a command, got {value[:64]!r}")])


def positive(request: web.Request, name: str) -> int | None:
    """Return a whole number above 0, or None if it is not given; raises InvalidRequest."""
    value = request.query.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value) or int(value) == 0:
        raise InvalidRequest(
            [Fault(f"?{name}", f"expected 1 to {LARGEST_NUMBER}, got {value[:64]!r}")]
        )
    return int(value)


def wait_seconds(request: web.Request) -> float | None:
    """Return ``?wait=``, or None if it is not given; raises InvalidRequest."""
    value = request.query.get("wait")
    if value is None:
        return None
    try:
        usable = len(value) <= 32 and _SECONDS.fullmatch(value)
        seconds = float(value) if usable else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_WAIT:
        raise InvalidRequest(
            [Fault("?wait", f"expected 0 to {LONGEST_WAIT:g} seconds, got {value[:64]!r}")]
        )
    return seconds
