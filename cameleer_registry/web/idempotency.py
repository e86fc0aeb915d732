"""The header that identifies a repeated request."""

from __future__ import annotations

import re
from typing import Final

from multidict import CIMultiDictProxy, istr

from ..core import rules
from ..core.rules import IdempotencyKey
from ..errors import Fault, InvalidRequest

HEADER: Final = "Idempotency-Key"

# Found in headers without a look at its case.
_KEY: Final = istr(HEADER)

_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\["\\])*"')
# Without what lists, parameters and quotes are made of, so that it is a string without its quotes
# or nothing else.
_BARE: Final = re.compile(r'[^",;\\\s]+')


def idempotency_key_of(headers: CIMultiDictProxy[str]) -> IdempotencyKey | None:
    """Return a request's key, or None if it has none; raises InvalidRequest.

    It may be in quotes, as in the draft: a String of RFC 9651, section 3.3.3. Or without them, as
    most clients send it. Both are the same key.
    """
    values = headers.getall(_KEY, ())
    if not values:
        return None
    try:
        if len(values) > 1:
            raise ValueError(f"expected one key, got {len(values)}")
        return rules.idempotency_key(_unquoted(values[0]))
    except ValueError as error:
        raise InvalidRequest([Fault(HEADER, str(error))]) from None


def _unquoted(value: str) -> str:
    if _QUOTED.fullmatch(value):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    if not value or _BARE.fullmatch(value):
        return value
    raise ValueError("expected a key, alone or as a string in double quotes")
