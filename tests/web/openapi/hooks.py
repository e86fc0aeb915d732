"""What schemathesis is told of this API beyond its document; loaded by asking.py."""

from __future__ import annotations

from typing import Any

import schemathesis


def has_large_double(value: Any) -> bool:
    match value:
        case float():
            return abs(value) >= 2**63
        case dict():
            return any(map(has_large_double, value.values()))
        case list():
            return any(map(has_large_double, value))
        case _:
            return False


@schemathesis.hook
def filter_body(_context: Any, body: Any) -> bool:
    """Leave out doubles beyond 64 bits.

    The server takes 1e300 and refuses the integer that has 300 digits. To JSON Schema both are
    the same number, so the document has to do without both.
    """
    return not has_large_double(body)
