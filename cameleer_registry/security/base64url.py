"""base64url without padding (RFC 4648, section 5), with exactly one spelling for each value.

Python's decoder ignores foreign characters and the bits that are left over at the end, so it reads
several texts as the same bytes. With it, a changed credential or signature could still be good.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def encode(raw: bytes) -> str:
    """Return the text of some bytes."""
    # As base64.urlsafe_b64encode does, in half the time: every token of an agent needs it twice.
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode("ascii")


def decode(text: str | bytes) -> bytes:
    """Return the bytes of a text; raises ValueError unless it is what :func:`encode` writes."""
    try:
        given = text.encode("ascii") if isinstance(text, str) else bytes(text)
        raw = base64.urlsafe_b64decode(given + b"=" * (-len(given) % 4))
    except (UnicodeEncodeError, binascii.Error):
        raise ValueError("this is not base64url") from None
    if encode(raw).encode("ascii") != given:
        raise ValueError("this is not canonical base64url")
    return raw
