"""What two requests have in common that ask for the same."""

from __future__ import annotations

from hashlib import blake2b

from .. import wire
from ..core.model import Order, Target


def fingerprint(order: Order, target: Target) -> bytes:
    """Return a digest of what is asked for: equal for equal orders to equal targets.

    Of the order as it was understood and not of the bytes it came in: a client that makes its
    request anew may order keys otherwise, and one in this process sends no bytes. Raises TypeError
    if the payload is nothing that JSON can express.
    """
    return blake2b(wire.encode_sorted([order, target]), digest_size=32).digest()
