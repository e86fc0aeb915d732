"""Stores once what thousands of agents declare alike.

The instances of a service have the same routes and capabilities, which are a third of the memory of
each of them. The most recent declarations are remembered, up to some megabytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import orjson

REMEMBERED: Final = 256
"""Lists, and objects, that are remembered."""

MOST_LABELS: Final = 32
"""Labels in a list that is remembered."""

MOST_BYTES: Final = 512
"""Bytes of JSON in an object that is remembered. It may take 30 times that in memory."""


def text(value: str | None) -> str | None:
    """Return a text; the remembered object if it was seen before."""
    return None if value is None else sys.intern(value)


def labels(values: Iterable[str]) -> tuple[str, ...]:
    """Return these labels; the remembered list if there is one."""
    listed = tuple(map(sys.intern, values))
    return _list_of(listed) if len(listed) <= MOST_LABELS else listed


def json_object(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object that was read from JSON; the remembered one if there is one."""
    raw = orjson.dumps(value)
    return _object_of(raw) if len(raw) <= MOST_BYTES else value


@lru_cache(maxsize=REMEMBERED)
def _list_of(listed: tuple[str, ...]) -> tuple[str, ...]:
    return listed


@lru_cache(maxsize=REMEMBERED)
def _object_of(raw: bytes) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(raw)
    return value
