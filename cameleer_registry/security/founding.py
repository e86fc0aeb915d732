"""The beginning of a registry's credentials, and what has to agree at each start after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from attrs import frozen

from ..core.instant import NANOSECONDS, Instant
from ..errors import SettingsError
from .keyring import KeyRing
from .keys import KeySet
from .principals import Role
from .store import Credentials, Facts
from .tokens import Token, TokenKind, generate


@frozen
class Founding:
    """What ``auth init`` makes. The tokens are shown once, and only their digests are kept."""

    ring: KeyRing
    admin: Token
    enrolment: Token
    facts: Facts


def found(
    credentials: Credentials,
    ring: KeyRing | None,
    *,
    now: Instant,
    new_id: Callable[[], str],
    by: str | None = None,
) -> Founding:
    """Make an admin's and an enrolment token, and keys if there are none yet.

    The enrolment token carries the thumbprint of the root. Raises SettingsError if keys and
    credentials are not of one registry.
    """
    ring = ring or KeyRing.generate(at=time_of(now))
    ring, told = adopt(credentials, ring, now=now)
    admin = generate(TokenKind.OPERATOR)
    enrolment = generate(TokenKind.ENROLMENT, root=ring.root_id)
    for token, role in ((admin, Role.ADMIN), (enrolment, Role.ENROL)):
        told += credentials.create_token(new_id(), token.digest, role, now=now, by=by)
    return Founding(ring, admin, enrolment, told)


def adopt(credentials: Credentials, ring: KeyRing | None, *, now: Instant) -> tuple[KeyRing, Facts]:
    """Return the keys to use from now on, and the facts to record about them.

    The newest key set counts, whether it is in the file or was published by a server that has
    changed keys since. Raises SettingsError, with one line, if there are no keys although there
    were some, if the two belong to different registries, or if the private half of a signing key is
    missing.
    """
    published = credentials.key_set
    if ring is None:
        raise SettingsError(
            "the database knows the key set of a registry, and there are no keys: put its keys.json"
            " back, or name it by the setting keys_file"
            if published is not None
            else "there are no keys"
        )
    if published is not None:
        try:
            keys = KeySet.read(published.line.encode(), root=ring.root_id)
            if keys.registry != ring.registry:
                raise ValueError("another registry's")
        except ValueError:
            raise SettingsError(
                f"the keys are those of the registry {ring.registry}, and the database is another"
                " registry's"
            ) from None
        try:
            ring = ring.with_line(published.line.encode())
        except ValueError as error:
            raise SettingsError(
                f"the keys are older than the database, which knows version {published.version} of"
                f" the key set: {error}"
            ) from None
    return ring, credentials.publish(ring.keys.version, ring.line, now=now)


def time_of(now: Instant) -> datetime:
    """Return the time of day of a moment."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=now.wall * 10**6 // NANOSECONDS
    )
