"""Signed lines: a JSON object on one line that carries its own signature.

::

    {"signs":"command/1", …, "keyId":"…","signature":"<86 characters of base64url>"}

The signature is the very last member. What is signed are the bytes before ``,"signature":"``,
followed by ``}``. These are JSON too, and a reader uses nothing else. So two programs need not
write JSON alike (as RFC 8785 demands), and a shell can check a line.

A command's payload may have members of any name. If ``"signature"`` follows a comma there, its
``s`` is written as an escape, which means the same. So the mark occurs once in a line, and a reader
may look for it from the left or from the right.

``signs`` says what a line is, and is part of what is signed: a line that was signed as one thing
cannot be passed off as another. ``keyId`` is the thumbprint of the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

import orjson
from attrs import frozen

from . import base64url
from .ed25519 import SIGNATURE_BYTES, SigningKey, verifies

MARK: Final = b',"signature":"'
"""What stands between the last member that is signed and the signature."""

_ESCAPED_MARK: Final = rb',"\u0073ignature":"'
_END: Final = b'"}'
_SIGNATURE: Final = 86
"""Characters of 64 bytes in base64url."""
_TAIL: Final = len(MARK) + _SIGNATURE + len(_END)


class Kind(StrEnum):
    """What a line is signed as, and the version of that."""

    COMMAND = "command/1"
    REGISTRATION = "registration/1"
    KEYS = "keys/1"


class LineRefused(ValueError):
    """A line is not what it should be. ``str()`` of it says why, in a few words for people."""


class NotSigned(LineRefused):
    """There is no signature at the end of the line."""


class UnknownKey(LineRefused):
    """The line is signed by a key that its reader does not know: a newer set may have it."""

    def __init__(self, key_id: str) -> None:
        super().__init__("signed by an unknown key")
        self.key_id = key_id


class WrongSignature(LineRefused):
    """The signature is not that key's, or not of these bytes."""


class WrongKind(LineRefused):
    """The line was signed as something else."""


@frozen
class Line:
    """A line taken apart; nothing is known of it yet."""

    message: bytes
    """What is signed."""
    signature: bytes


FindKey = Callable[[str], bytes]
"""From the name of a key to the key; raises a LineRefused if there is none to go by."""


def sign(members: Mapping[str, Any], kind: Kind, key: SigningKey) -> bytes:
    """Return a signed line with these members, and ``signs`` and ``keyId`` behind them.

    Raises ValueError if they have a ``signature`` already, and TypeError if one of them is
    nothing that JSON can express.
    """
    if "signature" in members:
        raise ValueError("these members have a signature already")
    message = orjson.dumps({**members, "signs": kind, "keyId": key.key_id})
    return sealed(message, key.sign)


def seal(message: bytes, signature_of: Callable[[bytes], bytes]) -> bytes:
    """Return a message as a signed line.

    Raises ValueError if the message is no JSON object on one line, is empty, or has a
    ``signature`` already.
    """
    if b"\n" in message or b"\r" in message or not message.startswith(b"{"):
        raise ValueError("a message is a JSON object on one line")
    if not message.endswith(b"}") or not (members := _read(message)) or "signature" in members:
        raise ValueError("a message is a JSON object with members, and without a signature")
    return sealed(message, signature_of)


def sealed(message: bytes, signature_of: Callable[[bytes], bytes]) -> bytes:
    """Return a message as a signed line, as :func:`seal` does but without a look at it.

    The caller has made it: a JSON object on one line, with members, and without a signature.
    """
    if MARK in message:
        message = message.replace(MARK, _ESCAPED_MARK)
    signature = base64url.encode(signature_of(message)).encode("ascii")
    return b"".join((message[:-1], MARK, signature, _END))


def split(line: bytes) -> Line:
    """Take a line apart; raises NotSigned if it does not end in a signature.

    The signature is expected at its fixed place, the end, so nothing in the message can be mistaken
    for it. Nothing may follow it, not even a line end.
    """
    if not line.endswith(_END) or line[-_TAIL : -_TAIL + len(MARK)] != MARK:
        raise NotSigned("not signed")
    try:
        signature = base64url.decode(line[-_SIGNATURE - len(_END) : -len(_END)])
    except ValueError:
        raise NotSigned("not signed: the signature is no base64url") from None
    assert len(signature) == SIGNATURE_BYTES
    return Line(line[:-_TAIL] + b"}", signature)


def verify(line: bytes, kind: Kind, find_key: FindKey) -> dict[str, Any]:
    """Return the members of a line that is genuine, and signed as what it is read as.

    Raises NotSigned, WrongSignature or WrongKind, and what ``find_key`` raises.
    """
    taken = split(line)
    # Parsed before it is verified for its keyId; nothing else is looked at until then.
    members = _read(taken.message)
    key_id = members.get("keyId")
    if not isinstance(key_id, str):
        raise NotSigned("not signed: it names no key")
    if not verifies(find_key(key_id), taken.signature, taken.message):
        raise WrongSignature("the signature is wrong")
    if members.get("signs") != kind:
        raise WrongKind(f"not signed as {kind}")
    if "signature" in members:  # a reader of the whole line would take one for the other
        raise WrongSignature("it has two signatures")
    return members


def _read(message: bytes) -> dict[str, Any]:
    try:
        members = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise NotSigned("not signed: it is no JSON") from None
    if not isinstance(members, dict):
        raise NotSigned("not signed: it is no JSON object")
    return members
