"""The form of enrolment and operator tokens, and how they are recognised.

::

    came_<secret><checksum>.<thumbprint of the root key>    enrols agents
    camo_<secret><checksum>                                 operators, and everybody else

The secret is 30 characters of base 62, 178 random bits. The checksum, a CRC-32 of everything before
it in 6 characters, is GitHub's idea: a mistyped token is noticed at once, scanners find a leaked
one, and garbage need not be looked up. It protects nothing.

The thumbprint in an enrolment token is for the agent: the string by which the server recognises the
agent also tells the agent which server is the right one. The server treats the token as one string,
and stores only its SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from enum import StrEnum
from typing import Final

from attrs import field, frozen

from .ed25519 import is_thumbprint

BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET_LENGTH: Final = 30
CHECKSUM_LENGTH: Final = 6

SHORTEST_OUTSIDE: Final = 27
"""Characters that a token from elsewhere must have: 160 bits in base64, if they are random."""
LONGEST: Final = 4096
"""Characters that any token may have, an agent's included."""

_FORM: Final = re.compile(
    r"(?P<prefix>came_|camo_)(?P<secret>[0-9A-Za-z]{36})(?:\.(?P<root>[A-Za-z0-9_-]{43}))?"
)
_OUTSIDE: Final = "file-"
_TOKEN68: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class TokenKind(StrEnum):
    """What a token begins with."""

    ENROLMENT = "came_"
    OPERATOR = "camo_"


class NoToken(ValueError):
    """A text is no token. ``str()`` of it says why, and never quotes it."""


@frozen
class Token:
    """A token's parts."""

    text: str = field(repr=False)
    kind: TokenKind
    root: str | None = None
    """The thumbprint in an enrolment token; None if it has none."""

    @property
    def digest(self) -> str:
        """What is kept of it."""
        return digest_of(self.text)


def generate(kind: TokenKind, *, root: str | None = None) -> Token:
    """Make a new token, with the thumbprint of the root key if it is for enrolment."""
    if root is not None and (kind is not TokenKind.ENROLMENT or not is_thumbprint(root)):
        raise ValueError("root: expected a thumbprint, and only for an enrolment token")
    head = kind + "".join(secrets.choice(BASE62) for _ in range(SECRET_LENGTH))
    text = head + checksum(head) + (f".{root}" if root is not None else "")
    return Token(text, kind, root)


def parse(text: str) -> Token:
    """Take a token apart; raises NoToken if it is none of ours, or was mistyped."""
    if (found := _FORM.fullmatch(text)) is None:
        raise NoToken("it is not a token of a registry: these begin with came_ or camo_")
    kind, root = TokenKind(found["prefix"]), found["root"]
    head = found["prefix"] + found["secret"][:SECRET_LENGTH]
    if checksum(head) != found["secret"][SECRET_LENGTH:]:
        raise NoToken("its checksum is wrong: a character was changed or lost")
    if root is not None and (kind is not TokenKind.ENROLMENT or not is_thumbprint(root)):
        raise NoToken("the part after its dot is not the thumbprint of a key")
    return Token(text, kind, root)


def may_be_ours(text: str) -> bool:
    """Tell whether a text may be a token that a registry has made, an agent's included."""
    try:
        parse(text)
    except NoToken:
        return text.startswith("eyJ") and text.count(".") == 2
    return True


@frozen
class Outside:
    """A token that was made elsewhere."""

    digest: str
    warning: str | None = None
    """A line for the log: it looks like a token of ours that was mistyped."""


def outside(text: str) -> Outside:
    """Take a token that a file holds: one of ours, or any that could be random.

    It is taken without the white space around it. Raises NoToken if it is shorter than
    SHORTEST_OUTSIDE, longer than LONGEST, or holds what cannot stand in a header (token68 of
    RFC 9110, section 11.2).
    """
    text = text.strip()
    if len(text) < SHORTEST_OUTSIDE:
        raise NoToken(f"it is shorter than {SHORTEST_OUTSIDE} characters, and could be guessed")
    if len(text) > LONGEST or not _TOKEN68.fullmatch(text):
        raise NoToken("it is too long, or contains a character that a header cannot")
    warning = None
    if text.startswith(tuple(TokenKind)):
        try:
            parse(text)
        except NoToken as error:
            warning = str(error)
    return Outside(digest_of(text), warning)


def digest_of(text: str) -> str:
    """Return the SHA-256 of a token, in hexadecimal."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def id_of_outside(digest: str) -> str:
    """Return the id of a token that a file holds: the same one wherever, and whenever, it is read.

    It tells nothing of the token, since it is a digest of the digest.
    """
    return f"{_OUTSIDE}{hashlib.sha256(digest.encode('ascii')).hexdigest()[:24]}"


def is_outside(token_id: str) -> bool:
    """Tell whether that is the id of a token that a file holds."""
    return token_id.startswith(_OUTSIDE)


def checksum(head: str) -> str:
    """Return the CRC-32 of the text in 6 characters of base 62."""
    rest, digits = zlib.crc32(head.encode("ascii")), []
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
