"""The JSON boundary: one strict cattrs converter structures what arrives, or refuses it.

Strict means that nothing is coerced (``"false"`` is not a boolean, ``null`` is not a string,
``3.9`` is not an integer) and nothing is changed: an integer that JSON libraries would round is
refused rather than rounded. A field that has a default may be left out of a request, but not set to
null. Unknown fields are ignored. If an object has the same key twice the last one counts, as in
nearly every JSON library (RFC 8259, section 4).

Bodies are structured fast; only if that fails they are structured a second time in detail, to name
every fault.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import orjson

from ..core import model
from ..errors import InvalidRequest
from ..security import model as auth
from .converter import make_converter
from .faults import faults_of, named
from .parsing import parse

T = TypeVar("T")

REQUESTS: Final = (
    model.Registration,
    model.Order,
    model.Ack,
    auth.TokenRequest,
    auth.SessionRequest,
    auth.ChallengeRequest,
)
"""What clients send. In these, what is optional may be absent but not null."""

VALUE: Final = 64
"""Bytes that a value takes in memory beyond those it is written with: an empty list, or a list's
place for it."""

_fast: Final = make_converter(requests=REQUESTS)
_detailed: Final = make_converter(detailed=True, requests=REQUESTS)
_reading: Final = make_converter(detailed=True)
_sending: Final = make_converter(sending=True)


def decode(raw: bytes, shape: type[T]) -> T:
    """Structure a request body.

    Raises MalformedJson if it is not JSON, and InvalidRequest, which names every fault, if it is
    not of that shape.
    """
    value, rounded = parse(raw)
    try:
        structured = _fast.structure(value, shape)
    except Exception:
        raise InvalidRequest(named([*faults_of(value, shape, _detailed), *rounded])) from None
    if rounded:
        raise InvalidRequest(named(rounded))
    return structured


def decode_object(raw: bytes) -> model.JsonObject:
    """Structure a JSON object that is to become part of a request; raises like :func:`decode`."""
    return decode(raw, model.JsonObject)  # type: ignore[type-abstract]


def decode_answer(raw: bytes | str, shape: type[T]) -> T:
    """Structure what a server has sent: a body, or the data of an event.

    It may be a list of models (``list[Agent]``), and what is optional may be null. Raises
    ValueError with one line that says what is wrong with it.
    """
    value = orjson.loads(raw)
    try:
        return _reading.structure(value, shape)
    except Exception:
        fault = faults_of(value, shape, _reading)[0]
        raise ValueError(f"{fault.path}: {fault.message}") from None


def encode(value: Any) -> bytes:
    """Return the JSON of a model, or of a list of them, in UTF-8 on one line."""
    return orjson.dumps(_fast.unstructure(value))


def length_of(document: Any) -> int:
    """Return how many bytes the JSON of a document has that was JSON before."""
    return len(orjson.dumps(document))


def encode_sorted(value: Any) -> bytes:
    """Return the same with the keys of all objects in order: equal for equal values.

    Raises TypeError if JSON cannot express a value.
    """
    return orjson.dumps(_fast.unstructure(value), option=orjson.OPT_SORT_KEYS)


def encode_request(value: Any) -> bytes:
    """Return the JSON that a client sends, without fields that have their defaults.

    Raises TypeError if JSON cannot express a value.
    """
    unstructured = _sending.unstructure(value)
    raw = orjson.dumps(unstructured)
    # orjson writes the numbers that JSON does not have as null, which would change them unseen.
    if b"null" in raw and not all(map(math.isfinite, _floats_in(unstructured))):
        raise TypeError("NaN and Infinity are not JSON serializable")
    return raw


def _floats_in(value: Any) -> Iterator[float]:
    """Return the floats in what has been written as JSON, and so is no deeper than that takes."""
    match value:
        case float():
            yield value
        case dict():
            for inner in value.values():
                yield from _floats_in(inner)
        case list() | tuple():
            for inner in value:
                yield from _floats_in(inner)


def encode_line(value: Any) -> bytes:
    """Return the same for a line-based protocol.

    U+0085, U+2028 and U+2029 are escaped: they are no line ends in an event stream (WHATWG HTML,
    section 9.2.6), but are for clients that split lines with the tools of their language.
    """
    line = encode(value)
    if line.isascii():
        return line
    for raw, escaped in _LINE_ENDS_OF_UNICODE:
        line = line.replace(raw, escaped)
    return line


_LINE_ENDS_OF_UNICODE: Final = tuple(
    (char.encode(), f"\\u{ord(char):04x}".encode()) for char in "\x85\u2028\u2029"
)


def footprint(document: bytes) -> int:
    """Return about how many bytes of memory a document takes once it has been read.

    A megabyte of empty arrays takes 22 of them, and one of arrays in arrays 33.
    """
    values = document.count(b",") + document.count(b"[") + document.count(b"{")
    return len(document) + VALUE * values


def footprint_of(ack: model.Ack) -> int:
    """Return the same for an answer; raises TypeError if JSON cannot express it."""
    if ack.message is None and ack.data is None:
        return 0
    return footprint(encode(ack))
