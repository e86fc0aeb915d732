"""From bytes to plain values: JSON of which nothing is changed and nothing is too deep."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final

import orjson

from ..errors import Fault, InvalidRequest, MalformedJson

MAX_DEPTH: Final = 128
"""Levels of nesting a request may have. orjson reads 1,024 and writes 254, and what we were given
is nested deeper in what we send."""

_LONG_INTEGER: Final = re.compile(rb"(?<![\d.])-?\d{19,}(?![\d.eE])")
_LONG: Final = b"0" * 19
_DIGITS: Final = bytes.maketrans(b"123456789", b"0" * 9)
SMALLEST, LARGEST = -(2**63), 2**64 - 1


def parse(raw: bytes) -> tuple[Any, list[Fault]]:
    """Return the value of a document, and the faults of integers that JSON libraries would round.

    Raises MalformedJson, or InvalidRequest if it is nested too deeply.
    """
    if not raw:
        raise MalformedJson("the body is missing")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(_not_utf8(raw) or str(error)) from None
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > MAX_DEPTH and depth_of(raw) > MAX_DEPTH:
        raise InvalidRequest([Fault("$", f"nested more than {MAX_DEPTH} levels deep")])
    # orjson turns integers beyond 64 bits into floats, which would change them unseen.
    rounded = _find_rounded(raw) if _has_long_integer(raw) else []
    return value, [Fault(path, "integers must fit into 64 bits") for path in rounded]


def _not_utf8(raw: bytes) -> str | None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    return None


def depth_of(document: bytes) -> int:
    """Return how deep a JSON document is nested.

    Its brackets are counted, not its values: to walk through a megabyte of empty arrays takes
    ten times as long.
    """
    # What is left of strings, whose quotes are plain then, are all brackets between them.
    unescaped = document.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(unescaped.translate(_STEPS, _NO_STEPS).split(b'"')[::2])
    return max(accumulate(memoryview(outside).cast("b")), default=0)


_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""Brackets as signed bytes: one level down, and one up."""

_NO_STEPS: Final = bytes(byte for byte in range(256) if byte not in b'[{]}"')


def _has_long_integer(raw: bytes) -> bool:
    # The expression alone takes 18 ms for a megabyte, in which mostly no number is that long.
    return _LONG in raw.translate(_DIGITS) and _LONG_INTEGER.search(raw) is not None


def _find_rounded(raw: bytes) -> list[str]:
    """Return the paths of the integers that are out of range."""
    import json  # rarely needed: only where a number has 19 digits

    def walk(exact: Any, path: str) -> Iterator[str]:
        match exact:
            case int() if not SMALLEST <= exact <= LARGEST:
                yield path
            case dict():
                for key, inner in exact.items():
                    yield from walk(inner, f"{path}.{key}")
            case list():
                for index, inner in enumerate(exact):
                    yield from walk(inner, f"{path}[{index}]")

    try:
        return list(walk(json.loads(raw), "$"))
    except ValueError:  # Python refuses to read integers of thousands of digits
        return ["$"]
