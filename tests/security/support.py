"""Moments, keys and lines that many of these tests need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from hypothesis import settings

from cameleer_registry.core.instant import NANOSECONDS, Instant
from cameleer_registry.security.ed25519 import SigningKey
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import Use

REGISTRY: Final = "8e03978e-40d5-43e8-bc93-6894a57f9324"
NOON: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND: Final = NANOSECONDS
DAY: Final = 86_400 * SECOND

VECTOR_KEY: Final = SigningKey(bytes(range(32)))
VECTOR_SPKI: Final = "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
VECTOR_MESSAGE: Final = b'{"signs":"command/1","commandId":"01","keyId":"1IG2tMH7J2wbJZnO"}'
VECTOR_SIGNATURE: Final = (
    "xauFN9APQqFTVIic5iTWMeEOgAztkRoD3uKUFHVKV2O6NwGC7nbmqiP6GsNOUPnidB1QZqzXyPaskw6ADk7xDA"
)
VECTOR_LINE: Final = VECTOR_MESSAGE[:-1] + b',"signature":"' + VECTOR_SIGNATURE.encode() + b'"}'


UNHURRIED: Final = settings(deadline=None)
"""For tests with signatures: how long they take depends on what else the machine does."""


def instant(seconds: float = 0.0) -> Instant:
    """Return the moment so long after noon, on clocks that began at noon with another value."""
    past = round(seconds * SECOND)
    wall = round(NOON.timestamp()) * SECOND
    return Instant(wall=wall + past, steady=5 * SECOND + past, lease=past)


def day(number: float) -> datetime:
    """Return noon so many days later."""
    return NOON + timedelta(days=number)


@cache
def key(number: int) -> SigningKey:
    """Return a key that is the same each time."""
    return SigningKey(number.to_bytes(32, "big"))


@cache
def ring() -> KeyRing:
    """Return the keys of the registry, as they were made at noon."""
    return KeyRing.generate(at=NOON, registry=REGISTRY, uses=tuple(Use))
