"""From a credential to its principal, or to the right refusal.

Tokens of operators and for enrolment are looked up by their SHA-256. An agent's token is verified
once and remembered by its SHA-256. Its expiry is checked each time, and its revocation as soon as
anything has been revoked since; if a key is revoked, what it has signed is forgotten. So a request
costs a microsecond, most of it for SHA-256. Only valid tokens are remembered, up to a number, so
garbage displaces nothing.

The time of day in an agent's token is translated to steady time when it is first verified. From
then on no step of a clock makes it valid again, or ends it early.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from attrs import define, evolve

from ..core.instant import NANOSECONDS, Instant
from ..errors import CredentialRevoked, InvalidToken, TokenExpired, Unauthenticated
from . import jwt, tokens
from .ed25519 import SigningKey
from .facts import CredentialIssued
from .jwt import Credential, Reader
from .keys import KeySet, Status, Use
from .principals import Principal, Role, Scope
from .store import Credentials
from .table import TokenRecord

REMEMBERED: Final = 50_000
"""Number of verified agents' tokens to remember, by default: 30 MiB if there are so many."""

_MILLISECOND: Final = NANOSECONDS // 1000

SCHEME: Final = "bearer"
_USUAL: Final = "Bearer eyJ"


@define
class _Verified:
    """An agent's token that is genuine. Times are steady."""

    principal: Principal
    agent_id: str
    expires: int
    renewable_until: int
    seen: int
    """How many revocations there had been when it was looked at last."""


class Verifier:
    """Knows whose a credential is."""

    def __init__(
        self, credentials: Credentials, keys: KeySet | None = None, *, remember: int = REMEMBERED
    ) -> None:
        self._credentials = credentials
        self._limit = remember
        # Agents' tokens that are genuine, by their SHA-256, the oldest in front.
        self._verified: dict[bytes, _Verified] = {}
        self._keys: KeySet | None = None
        self._reader: Reader | None = None
        # The key that signs tokens now; None if there is none.
        self._issuing: str | None = None
        if keys is not None:
            self.use_keys(keys)

    def use_keys(
        self, keys: KeySet, private: Mapping[str, SigningKey] = MappingProxyType({})
    ) -> None:
        """Use this key set from now on, and those of its private halves that are here.

        What was signed by a key that is revoked, or gone, is no longer remembered.
        """
        self._keys = keys
        self._reader = Reader(keys, private)
        active = keys.active(Use.TOKEN)
        self._issuing = None if active is None else active.key_id
        self._verified = {
            digest: one
            for digest, one in self._verified.items()
            if _is_good(keys, one.principal.key_id)
        }

    # By what was sent

    def of_header(self, value: str | None, *, now: Instant, renewing: bool = False) -> Principal:
        """Return who shows the value of an ``Authorization`` header; None if there is none.

        ``renewing`` lets an agent's token pass that has expired and can be renewed. Raises
        Unauthenticated if there is no bearer token, and InvalidToken, TokenExpired or
        CredentialRevoked, whose texts say nothing of what was sent.
        """
        if value is None:
            raise Unauthenticated
        scheme, _, token = value.strip(" \t").partition(" ")
        if scheme.lower() != SCHEME:
            raise Unauthenticated("expected the scheme Bearer in the header Authorization")
        return self.of_token(token.lstrip(" "), now=now, renewing=renewing)

    def known(self, value: str, steady: int) -> Principal | None:
        """Return the agent whose token the value of a header is, if that is known to be good.

        None says nothing: look by :meth:`of_header`.
        """
        if value[:10] != _USUAL or not value.isascii():
            return None
        known = self._verified.get(sha256(value[7:].encode()).digest())
        if known is None or known.seen != self._credentials.revocations or steady >= known.expires:
            return None
        return known.principal

    def of_token(self, token: str, *, now: Instant, renewing: bool = False) -> Principal:
        """Return whose token that is; otherwise as :meth:`of_header`."""
        if not 0 < len(token) <= tokens.LONGEST or not token.isascii():
            raise InvalidToken
        if not jwt.looks_like_one(token):
            return self._of_record(self._credentials.token_of(tokens.digest_of(token)), now)
        digest = sha256(token.encode("ascii")).digest()
        verified = self._verified.get(digest)
        if verified is None:
            if (record := self._credentials.token_of(digest.hex())) is not None:
                return self._of_record(record, now)  # a file may hold anything
            verified = self._verify(token, now)
            self._remember(digest, verified)
        self._check_agent(verified, now, renewing=renewing)
        return verified.principal

    def of_session(self, secret: str, *, now: Instant) -> Principal:
        """Return whose session that is; raises InvalidToken, TokenExpired, CredentialRevoked."""
        if not 0 < len(secret) <= tokens.LONGEST or not secret.isascii():
            raise InvalidToken
        session = self._credentials.session_of(tokens.digest_of(secret))
        if session is None:
            raise InvalidToken("there is no such session")
        principal = self._credentials.check_session(session, now).principal
        ends = [one for one in (principal.expires, session.opened.expires) if one is not None]
        expires = min(ends, key=lambda end: end.steady)
        return evolve(principal, session_id=session.session_id, expires=expires)

    # By what was sent before

    def recheck(self, principal: Principal, *, now: Instant) -> None:
        """Let somebody pass whose credential was good before, for a stream or a feed to go on.

        Raises TokenExpired or CredentialRevoked. An agent's stream whose token was renewed is
        rechecked with the principal of the new one.
        """
        if principal.expires is not None and now.steady >= principal.expires.steady:
            raise TokenExpired
        if principal.role is Role.AGENT:
            assert principal.agent_id is not None
            if principal.revocation < self._credentials.revocation(principal.agent_id):
                raise CredentialRevoked
            if principal.key_id and not _is_good(self._keys, principal.key_id):
                raise CredentialRevoked("the key that has signed the token is revoked")
        elif principal.session_id is not None:
            session = self._credentials.session(principal.session_id)
            if session is None:
                raise CredentialRevoked
            self._credentials.check_session(session, now)
        else:
            self._credentials.token(principal.token_id).check(now)

    def remember(
        self,
        made: Credential,
        token_id: str,
        agent_id: str,
        group: str,
        revocation: int,
        *,
        now: Instant,
    ) -> Principal:
        """Accept a token that was just made here as genuine; return its holder.

        So the first request with it costs no verification, when a whole fleet has enrolled.
        """
        assert self._issuing is not None
        principal = Principal(
            token_id=token_id,
            role=Role.AGENT,
            scope=_scope_of(group),
            agent_id=agent_id,
            expires=now.after(made.expires_in_ms * _MILLISECOND),
            revocation=revocation,
            key_id=self._issuing,
        )
        assert principal.expires is not None
        # Many nodes may know by now of a revocation that comes after it.
        credentials = self._credentials
        is_current = revocation >= credentials.revocation(agent_id)
        self._remember(
            sha256(made.access_token.encode("ascii")).digest(),
            _Verified(
                principal,
                agent_id,
                principal.expires.steady,
                now.steady + made.renewable_for_ms * _MILLISECOND,
                credentials.revocations if is_current else -1,
            ),
        )
        return principal

    def principal_of(self, issued: CredentialIssued) -> Principal:
        """Return who shows a token that an agent was given, at whichever node."""
        return Principal(
            token_id=issued.token_id,
            role=Role.AGENT,
            scope=_scope_of(issued.group),
            agent_id=issued.agent_id,
            expires=issued.expires,
            revocation=issued.revocation,
            key_id=self._issuing or "",
        )

    # Tokens and sessions

    def _of_record(self, record: TokenRecord | None, now: Instant) -> Principal:
        if record is None:
            raise InvalidToken
        record.check(now)
        return record.principal

    # Agents

    def _verify(self, token: str, now: Instant) -> _Verified:
        if self._reader is None:
            raise InvalidToken
        claims = self._reader.read(token)
        expires = _moment(claims.expires, now)
        renewable_until = _moment(claims.renewable_until, now).steady
        principal = Principal(
            token_id=claims.token_id,
            role=Role.AGENT,
            scope=_scope_of(claims.group),
            agent_id=claims.agent_id,
            expires=expires,
            revocation=claims.revocation,
            key_id=claims.key_id,
        )
        return _Verified(principal, claims.agent_id, expires.steady, renewable_until, -1)

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        if len(self._verified) >= self._limit:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = verified

    def _check_agent(self, verified: _Verified, now: Instant, *, renewing: bool) -> None:
        credentials = self._credentials
        if verified.seen != credentials.revocations:
            if verified.principal.revocation < credentials.revocation(verified.agent_id):
                raise CredentialRevoked
            verified.seen = credentials.revocations
        end = verified.renewable_until if renewing else verified.expires
        if now.steady >= end:
            raise TokenExpired


def _is_good(keys: KeySet | None, key_id: str) -> bool:
    key = keys.find(key_id) if keys is not None else None
    return key is not None and key.status is not Status.REVOKED


@lru_cache(maxsize=10_000)
def _scope_of(group: str) -> Scope:
    return Scope((group,))  # of all agents of a group


def _moment(seconds: int, now: Instant) -> Instant:
    return now.after(seconds * NANOSECONDS - now.wall)
