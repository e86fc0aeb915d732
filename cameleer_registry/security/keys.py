"""Key sets: the keys of a registry that readers should trust, signed by its root key.

The root signs key sets and nothing else, so its private half may be kept elsewhere. Agents pin its
thumbprint. Every other key can change without touching them: command keys sign commands and
answers to registrations, and token keys sign agents' tokens. These are separate, so that revoking
a command key ends no agent's token.

A set never changes: each method returns the next version, and readers never go back to an earlier
one.

A key is *next* (published, so that readers know it before it signs), *active* (it signs; one for
each use), *retired* (what it has signed is still valid) and then gone, or *revoked* (what it has
signed is void). The caller chooses the durations: a retired token key has to verify for as long as
a token can be renewed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import orjson
from attrs import evolve, field, frozen

from . import lines
from .ed25519 import SigningKey, from_jwk, jwk, thumbprint
from .lines import Kind, LineRefused

REVOKED_SHOWN: Final = timedelta(days=30)
"""How long a revoked key stays in the set: until then what it has signed is answered with
``credential-revoked``, and later like a token of an unknown key.
"""

NO_ALGORITHM: Final = "urn:cameleer:revoked"
"""The ``alg`` of a revoked token key. Readers of JWKS know no ``status``, and would go on to verify
with it; but they do not use a key for another algorithm than it names (RFC 7517, section 4.4)."""

_REGISTRY: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Use(StrEnum):
    """What a key signs; ``for`` on the wire."""

    TOKEN = "token"  # noqa: S105
    COMMAND = "command"


class Status(StrEnum):
    """What a key's signatures are worth now."""

    NEXT = "next"
    ACTIVE = "active"
    RETIRED = "retired"
    REVOKED = "revoked"


def _to_the_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class KeySetRefused(LineRefused):
    """A key set is not the one that was looked for, or goes back. ``str()`` of it says why."""


@frozen(kw_only=True)
class Key:
    """The public half of a key that a set names."""

    public: bytes = field(repr=False)
    use: Use
    status: Status
    since: datetime = field(converter=_to_the_millisecond)
    """When it came to have that status."""
    key_id: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "key_id", thumbprint(self.public))

    def jwk(self) -> dict[str, Any]:
        """Return it as it stands in the set."""
        members = {**jwk(self.public), "use": "sig", "for": self.use, "status": self.status}
        if self.use is Use.TOKEN:
            members["alg"] = NO_ALGORITHM if self.status is Status.REVOKED else "EdDSA"
        return {**members, "since": _written(self.since)}


@frozen(kw_only=True)
class KeySet:
    """One version of a registry's keys. Raises ValueError if it makes no sense."""

    registry: str
    """The registry's id, a UUID in lower case."""
    version: int
    issued_at: datetime = field(converter=_to_the_millisecond)
    root: bytes = field(repr=False)
    keys: tuple[Key, ...]
    _by_id: Mapping[str, Key] = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {key.key_id: key for key in self.keys})
        if not _REGISTRY.fullmatch(self.registry):
            raise ValueError("registry: expected a UUID in lower case")
        if self.version < 1:
            raise ValueError("version: expected at least 1")
        if len(self._by_id) != len(self.keys) or self.root_id in self._by_id:
            raise ValueError("keys: a key occurs twice")
        for use in Use:
            statuses = [key.status for key in self.keys if key.use is use]
            if statuses.count(Status.ACTIVE) != bool(statuses) or statuses.count(Status.NEXT) > 1:
                raise ValueError(f"keys: expected one active key for {use}, and one next at most")

    @classmethod
    def first(
        cls, registry: str, root: bytes, keys: Mapping[Use, bytes], *, at: datetime
    ) -> KeySet:
        """Return the first set of a registry, in which each of these keys is active."""
        active = (
            Key(public=public, use=use, status=Status.ACTIVE, since=at)
            for use, public in keys.items()
        )
        return cls(registry=registry, version=1, issued_at=at, root=root, keys=tuple(active))

    # Asking

    @property
    def root_id(self) -> str:
        """The thumbprint of the root key: what agents pin."""
        return thumbprint(self.root)

    def find(self, key_id: str) -> Key | None:
        """Return the key of that name, or None."""
        return self._by_id.get(key_id)

    def active(self, use: Use) -> Key | None:
        """Return the key that signs; None if the set has none for that use."""
        return self._in(use, Status.ACTIVE)

    def next(self, use: Use) -> Key | None:
        """Return the key that is to sign after that; None if there is none yet."""
        return self._in(use, Status.NEXT)

    def verifying(self, key_id: str, use: Use) -> bytes:
        """Return the key to verify a signature with.

        Raises LineRefused if it is revoked or signs something else, and UnknownKey if the
        set does not have it. A key that is next may be active in a set that is newer than this.
        """
        key = self.find(key_id)
        if key is None:
            raise lines.UnknownKey(key_id)
        if key.use is not use:
            raise LineRefused(f"signed by a key that is for {key.use}s, not for {use}s")
        if key.status is Status.REVOKED:
            raise LineRefused("signed by a revoked key")
        return key.public

    def _in(self, use: Use, status: Status) -> Key | None:
        return next((key for key in self.keys if (key.use, key.status) == (use, status)), None)

    # Changing

    def announced(self, use: Use, public: bytes, *, at: datetime) -> KeySet:
        """Return the set with a key that is to sign next.

        Raises ValueError if one waits already, or nothing signs for that use.
        """
        if self.active(use) is None:
            raise ValueError(f"there is no key for {use}s to rotate")
        if (waiting := self.next(use)) is not None:
            raise ValueError(f"{waiting.key_id} is already the next key for {use}s")
        added = Key(public=public, use=use, status=Status.NEXT, since=at)
        return self._changed((*self.keys, added), at)

    def activated(self, use: Use, *, at: datetime) -> KeySet:
        """Return the set in which the next key signs and the active one is retired.

        Raises ValueError if there is no next key.
        """
        if self.next(use) is None:
            raise ValueError(f"there is no next key for {use}s")
        steps = {Status.NEXT: Status.ACTIVE, Status.ACTIVE: Status.RETIRED}
        return self._changed(
            tuple(
                evolve(key, status=steps[key.status], since=at)
                if key.use is use and key.status in steps
                else key
                for key in self.keys
            ),
            at,
        )

    def revoked(self, key_id: str, *, at: datetime, instead: bytes | None = None) -> KeySet:
        """Return the set in which everything that this key has signed is void.

        If the key is the active one the next key signs at once, or ``instead`` if there is none.
        Raises ValueError if there is no such key, or nothing could sign in its place. A key that is
        already revoked changes nothing.
        """
        key = self.find(key_id)
        if key is None:
            raise ValueError(f"there is no key {key_id}")
        if key.status is Status.REVOKED:
            return self
        over = evolve(key, status=Status.REVOKED, since=at)
        keys = [over if other is key else other for other in self.keys]
        if key.status is Status.ACTIVE:
            heir = self.next(key.use)
            if heir is None and instead is None:
                raise ValueError(f"{key_id} is the only key that signs {key.use}s")
            keys = [other for other in keys if other is not heir]
            public = heir.public if heir is not None else instead
            assert public is not None
            keys.append(Key(public=public, use=key.use, status=Status.ACTIVE, since=at))
        return self._changed(tuple(keys), at)

    def without_outdated(self, *, at: datetime, retired_for: Mapping[Use, timedelta]) -> KeySet:
        """Return the set without keys that were retired or revoked this long ago.

        It is this set if there are none.
        """
        shown = {
            key: REVOKED_SHOWN if key.status is Status.REVOKED else retired_for[key.use]
            for key in self.keys
            if key.status in (Status.RETIRED, Status.REVOKED)
        }
        keys = tuple(key for key in self.keys if key not in shown or at - key.since < shown[key])
        return self if len(keys) == len(self.keys) else self._changed(keys, at)

    def _changed(self, keys: tuple[Key, ...], at: datetime) -> KeySet:
        return evolve(self, version=self.version + 1, issued_at=at, keys=keys)

    # Reading and writing

    def signed(self, root: SigningKey) -> bytes:
        """Return the set as the root vouches for it: a JWKS (RFC 7517) and a signed line.

        Raises ValueError if that is not the root of this set.
        """
        if root.public != self.root:
            raise ValueError("another root key cannot sign this set")
        members = {
            "registry": self.registry,
            "version": self.version,
            "issuedAt": _written(self.issued_at),
            "root": jwk(self.root),
            "keys": [key.jwk() for key in self.keys],
        }
        return lines.sign(members, Kind.KEYS, root)

    @classmethod
    def read(cls, line: bytes, *, root: str | None) -> KeySet:
        """Return the set of a signed line, if the root of that thumbprint vouches for it.

        With None any root is believed: on first use. Keys of a use or status that is not known
        here, of a newer server, are left out. Raises LineRefused, by the pin before all else.
        """
        public = b""

        def find_root(key_id: str) -> bytes:
            nonlocal public
            public = _root_of(line)
            if key_id != thumbprint(public) or root not in (None, key_id):
                raise KeySetRefused("the key set is not signed by the root key")
            return public

        members = lines.verify(line, Kind.KEYS, find_root)
        try:
            return cls(
                registry=members["registry"],
                version=_whole_number(members["version"]),
                issued_at=_read_time(members["issuedAt"]),
                root=public,
                keys=tuple(filter(None, map(_read_key, members["keys"]))),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise KeySetRefused(f"the key set cannot be read: {error}") from None


def _root_of(line: bytes) -> bytes:
    try:
        return from_jwk(orjson.loads(lines.split(line).message).get("root"))
    except LineRefused:
        raise
    except ValueError as error:
        raise KeySetRefused(f"the key set names no root key: {error}") from None


def _read_key(members: Any) -> Key | None:
    use, status = members.get("for"), members.get("status")
    if use not in set(Use) or status not in set(Status):
        return None
    since = _read_time(members["since"])
    return Key(public=from_jwk(members), use=Use(use), status=Status(status), since=since)


def _whole_number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("version: expected an integer")
    return value


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_time(text: Any) -> datetime:
    if not isinstance(text, str) or (moment := datetime.fromisoformat(text)).tzinfo is None:
        raise ValueError("expected a time with its offset from UTC")
    return moment
