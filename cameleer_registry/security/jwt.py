"""Agents' tokens: JWTs (RFC 7519) of the type ``at+jwt`` (RFC 9068), signed with Ed25519.

``iss`` is the registry's id, ``sub`` the agent's, ``aud`` is ``cameleer-registry``, and ``grp`` the
group in which the agent was enrolled. Other services can verify the sender with the token keys of
``GET /api/v1/keys``.

A token has two expiry times. Until ``exp`` it admits its agent. Until ``rnw`` it can still be
renewed, so that a host that slept for days comes back by itself. ``rev`` is the agent's revocation
counter when the token was made: see :mod:`.store`.

Every token that is read here was written here. So the header is compared and not interpreted: no
token can name another algorithm in it, or bring its own key.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson
from attrs import field, frozen
from attrs.validators import ge, le

from ..core import rules
from ..core.instant import NANOSECONDS, Instant
from ..core.unchanging import unchanging
from ..errors import CredentialRevoked, InvalidToken
from . import base64url
from .ed25519 import SigningKey, verifies
from .keys import KeySet, Status, Use

AUDIENCE: Final = "cameleer-registry"
LONGEST: Final = 1500
"""Characters of a token; with the longest id and group it has 800."""

JITTER: Final = 0.1
"""The part of its lifetime by which a token's end is spread either way: agents that enrolled in
one moment shall not come back in one."""

LONGEST_RENEWABLE: Final = 30 * 86_400
"""Seconds for which a token may be renewable at most, whatever is set. So long a revocation is
remembered, and a retired token key has to verify."""

RENEW_AFTER: Final = 2 / 3
"""The part of its lifetime after which a token should be renewed, as in Nomad."""


@frozen(kw_only=True)
class Lifetimes:
    """For how long a token is good, and can be renewed, in seconds."""

    token: float = field(default=3600, validator=ge(1))
    renewable: float = field(default=7 * 86_400, validator=(ge(1), le(LONGEST_RENEWABLE)))

    def __attrs_post_init__(self) -> None:
        if self.renewable < self.token:
            raise ValueError("renewable: expected at least the lifetime of a token")


@unchanging(kw_only=True)
class Claims:
    """What a token says. Times are seconds since 1970, as JWTs have them."""

    token_id: str
    agent_id: str
    group: str
    issued: int
    expires: int
    renewable_until: int
    revocation: int
    """The agent's revocation counter when the token was made."""
    key_id: str
    """The key that has signed it."""


@unchanging(kw_only=True)
class Credential:
    """What an agent is given. Durations are relative: its own time of day may be wrong."""

    access_token: str = field(repr=False)
    expires_in_ms: int
    renew_after_ms: int
    renewable_for_ms: int


class Issuer:
    """Makes tokens for the agents of a registry."""

    def __init__(
        self,
        registry: str,
        key: SigningKey,
        lifetimes: Lifetimes,
        *,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._registry = registry
        self._key = key
        self._lifetimes = lifetimes
        self._spread = spread
        self._head = header_of(key.key_id)

    def draw_life(self) -> int:
        """Return for how many seconds the next token is good."""
        return round(self._lifetimes.token * self._spread(1 - JITTER, 1 + JITTER))

    def issue(
        self,
        token_id: str,
        agent_id: str,
        group: str,
        *,
        revocation: int,
        now: Instant,
        lives: int | None = None,
    ) -> Credential:
        """Make a token for an agent, which is good for so many seconds if that was drawn before."""
        issued = now.wall // NANOSECONDS
        if lives is None:
            lives = self.draw_life()
        renewable = max(round(self._lifetimes.renewable), lives)
        claims = {
            "iss": self._registry,
            "sub": agent_id,
            "aud": AUDIENCE,
            "grp": group,
            "iat": issued,
            "exp": issued + lives,
            "rnw": issued + renewable,
            "rev": revocation,
            "jti": token_id,
        }
        signed = f"{self._head}.{base64url.encode(orjson.dumps(claims))}"
        signature = self._key.sign(signed.encode("ascii"))
        return Credential(
            access_token=f"{signed}.{base64url.encode(signature)}",
            expires_in_ms=lives * 1000,
            renew_after_ms=round(lives * RENEW_AFTER * 1000),
            renewable_for_ms=renewable * 1000,
        )


class Reader:
    """Verifies tokens of a registry by the token keys of one version of its key set.

    With the private halves of them, as the registry itself has them, that takes half as long.
    """

    def __init__(
        self, keys: KeySet, private: Mapping[str, SigningKey] = MappingProxyType({})
    ) -> None:
        self._registry = keys.registry
        self._private = private
        self._keys = {
            header_of(key.key_id): (
                None if key.status is Status.REVOKED else key.public,
                key.key_id,
            )
            for key in keys.keys
            if key.use is Use.TOKEN
        }

    def read(self, token: str) -> Claims:
        """Return what a token says that this registry has signed; times are left to the caller.

        Raises InvalidToken, and CredentialRevoked if its key is revoked. What is no token of
        ours is refused before there is any cryptography.
        """
        signed, _, signature = token.rpartition(".")
        head, _, body = signed.partition(".")
        if len(token) > LONGEST or (found := self._keys.get(head)) is None:
            raise InvalidToken
        public, key_id = found
        if public is None:
            # Whether it is genuine cannot be told any more, and makes no difference.
            raise CredentialRevoked("the key that has signed the token is revoked")
        # What it says is looked at when it is known to be genuine.
        if not self._is_genuine(signed, signature, public, self._private.get(key_id)):
            raise InvalidToken
        try:
            claims = orjson.loads(base64url.decode(body))
        except ValueError:
            raise InvalidToken from None
        return self._checked(claims, key_id)

    def _is_genuine(
        self, signed: str, signature: str, public: bytes, key: SigningKey | None
    ) -> bool:
        try:
            if key is not None:
                return key.has_signed(signed.encode("ascii"), signature.encode("ascii"))
            return verifies(public, base64url.decode(signature), signed.encode("ascii"))
        except ValueError:
            return False

    def _checked(self, claims: Any, key_id: str) -> Claims:
        """Take claims that are signed; another version of this program may have written others."""
        try:
            if (claims["iss"], claims["aud"]) != (self._registry, AUDIENCE):
                raise InvalidToken
            return Claims(
                token_id=rules.text(claims["jti"]),
                agent_id=rules.agent_id(claims["sub"]),
                group=rules.group_name(claims["grp"]),
                issued=_seconds(claims["iat"]),
                expires=_seconds(claims["exp"]),
                renewable_until=_seconds(claims["rnw"]),
                revocation=_seconds(claims["rev"]),
                key_id=key_id,
            )
        except (KeyError, TypeError, ValueError):
            raise InvalidToken from None


def looks_like_one(token: str) -> bool:
    """Tell at a glance whether a token could be an agent's: three parts, and a JSON header."""
    return token.startswith("eyJ") and token.count(".") == 2


def header_of(key_id: str) -> str:
    """Return the header of the tokens that a key signs, as it stands in them."""
    return base64url.encode(orjson.dumps({"alg": "EdDSA", "typ": "at+jwt", "kid": key_id}))


def _seconds(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("expected an integer")
    return value
