"""What identifiers and names may look like: the grammar of the wire contract, stated once.

Each rule takes any value and returns it, or raises ValueError with a message for people. The JSON
boundary applies them to bodies; the models apply them to what a host application passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NewType, TypeVar

from attrs import Attribute

AgentId = NewType("AgentId", str)
"""1–128 characters of ``A–Z a–z 0–9 . _ : @ -``, first a letter or digit, and not reserved."""

GroupName = NewType("GroupName", str)
"""The grammar of an :data:`AgentId`, without reserved words."""

Label = NewType("Label", str)
"""1–256 characters, any but control characters: a name or a route id."""

Note = NewType("Note", str)
"""At most 256 characters, any but control characters: a version or an instance id."""

IdempotencyKey = NewType("IdempotencyKey", str)
"""1–255 printable characters of ASCII, as Stripe and others have it."""

Nonce = NewType("Nonce", str)
"""1–256 printable characters of ASCII: what a client has made up, to know an answer by."""

T = TypeVar("T")

RESERVED_AGENT_IDS: Final = frozenset({"register", "commands", "groups"})
"""Words that stand where an agent id would in an address."""

MAX_IDENTIFIER: Final = 128
MAX_LABEL: Final = 256
MAX_KEY: Final = 255

IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Unicode's category Cc: the C0 set, DEL, and the C1 set."""


def text(value: Any) -> str:
    """Accept a string and nothing that could be turned into one."""
    if not isinstance(value, str):
        raise ValueError(f"expected a string, got {kind_of(value)}")
    return value


def agent_id(value: Any) -> AgentId:
    """Accept an agent id."""
    if text(value) in RESERVED_AGENT_IDS:
        raise ValueError(f"{value!r} is a reserved word and no agent id")
    return AgentId(_identifier(value))


def group_name(value: Any) -> GroupName:
    """Accept the name of a group."""
    return GroupName(_identifier(text(value)))


def label(value: Any) -> Label:
    """Accept a name for people, or a route id."""
    if not text(value):
        raise ValueError("expected at least 1 character")
    return Label(note(value))


def note(value: Any) -> Note:
    """Accept a short text that may be empty."""
    if len(text(value)) > MAX_LABEL:
        raise ValueError(f"expected at most {MAX_LABEL} characters, got {len(value)}")
    # What is printable has none, and that is told faster than a search for them takes.
    if not value.isprintable() and (found := CONTROL.search(value)):
        raise ValueError(
            f"control characters are not allowed (U+{ord(found[0]):04X} at {found.start()})"
        )
    return Note(value)


def nonce(value: Any) -> Nonce:
    """Accept what a client made up, to see that an answer is new."""
    if not 1 <= len(text(value)) <= MAX_LABEL:
        raise ValueError(f"expected 1 to {MAX_LABEL} characters, got {len(value)}")
    if not value.isascii() or not value.isprintable():
        raise ValueError("expected printable ASCII only")
    return Nonce(value)


def idempotency_key(value: Any) -> IdempotencyKey:
    """Accept a key that tells a repeated request from another one."""
    if not 1 <= len(text(value)) <= MAX_KEY:
        raise ValueError(f"expected 1 to {MAX_KEY} characters, got {len(value)}")
    if found := re.search(r"[^ -~]", value):
        raise ValueError(
            f"expected printable ASCII only, got U+{ord(found[0]):04X} at {found.start()}"
        )
    return IdempotencyKey(value)


def kind_of(value: Any) -> str:
    """Name a value's type in the words of JSON, for error messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "an array"
        case dict():
            return "an object"
        case _:
            return f"a {type(value).__name__}"


def labels(value: Any) -> tuple[Label, ...]:
    """Accept a sequence of names or route ids; a string is not taken apart into its letters."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected an array, got {kind_of(value)}")
    return tuple(value) if _are_labels(value) else tuple(map(label, value))


def _are_labels(values: Sequence[Any]) -> bool:
    """Tell at a glance that all are labels; one after the other takes a megabyte of them 70 ms."""
    return (
        {str}.issuperset(map(type, values))
        and all(values)
        and max(map(len, values), default=0) <= MAX_LABEL
        and not CONTROL.search("".join(values))
    )


def json_object(value: Any) -> Mapping[str, Any]:
    """Accept a JSON object."""
    if not isinstance(value, Mapping):
        raise ValueError(f"expected an object, got {kind_of(value)}")
    return value


def follows(rule: Callable[[Any], Any]) -> Callable[[Any, Attribute[Any], Any], None]:
    """Turn a rule into an attrs validator; the field's name stands in front of its message."""

    def validate(_instance: Any, attribute: Attribute[Any], value: Any) -> None:
        try:
            rule(value)
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None

    return validate


def _identifier(value: str) -> str:
    if IDENTIFIER.fullmatch(value):
        return value
    if not value:
        raise ValueError("expected at least 1 character")
    if len(value) > MAX_IDENTIFIER:
        raise ValueError(f"expected at most {MAX_IDENTIFIER} characters, got {len(value)}")
    raise ValueError(
        "expected letters, digits and . _ : @ - only, beginning with a letter or digit"
    )
