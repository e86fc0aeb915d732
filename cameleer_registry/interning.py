"""What thousands of agents declare alike is kept once.

The instances of a service have the same routes and capabilities, which are a third of what each of
them takes in memory. Remembered is what was declared last, and no more than some megabytes of it.
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
    """Return a text; the same as before where it was seen before."""
    return None if value is None else sys.intern(value)


def labels(values: Iterable[str]) -> tuple[str, ...]:
    """Return these labels; the same list as before where they are remembered."""
    listed = tuple(map(sys.intern, values))
    return _list_of(listed) if len(listed) <= MOST_LABELS else listed


def json_object(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object that was read from JSON; the same as before where it is remembered."""
    raw = orjson.dumps(value)
    return _object_of(raw) if len(raw) <= MOST_BYTES else value


@lru_cache(maxsize=REMEMBERED)
def _list_of(listed: tuple[str, ...]) -> tuple[str, ...]:
    return listed


@lru_cache(maxsize=REMEMBERED)
def _object_of(raw: bytes) -> dict[str, Any]:
    value: dict[str, Any] = orjson.loads(raw)
    return value
