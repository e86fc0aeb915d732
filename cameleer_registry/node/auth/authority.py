"""Who somebody is by what was sent, and the credentials that are given out.

The store of credentials decides and applies; what has happened is carried out by the node, as it
is for agents and commands. Nothing here waits.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uuid_utils
from attrs import frozen

from ...core.instant import NANOSECONDS, Instant
from ...errors import AuthOff, CredentialRevoked, InvalidToken, NotFound
from ...security import tokens
from ...security.attempts import Attempts
from ...security.codes import Codes
from ...security.jwt import Credential, Issuer, Lifetimes
from ...security.keyring import KeyRing
from ...security.keys import Use
from ...security.principals import Permission, Principal, Reclaim, Role
from ...security.store import Credentials, Facts
from ...security.table import SessionRecord
from ...security.token_files import TokenFiles
from ...security.tokens import Token, TokenKind
from ...security.verify import Verifier
from .mode import Mode

if TYPE_CHECKING:
    from .beginning import Beginning

SESSION_SECONDS: Final = 12 * 3600
"""How long a browser session lasts: a working day."""

ALWAYS_CREDENTIALED: Final = frozenset({Permission.TOKENS, Permission.KEYS, Permission.REVOKE})
"""What nobody may do without a credential, although others are served without one."""


@frozen
class NewToken:
    """A token that was just made, with its secret, which is shown this once."""

    token_id: str
    token: Token
    facts: Facts


class Authority:
    """The credentials of one node."""

    def __init__(
        self,
        mode: Mode = Mode.OFF,
        *,
        credentials: Credentials | None = None,
        ring: KeyRing | None = None,
        lifetimes: Lifetimes | None = None,
        by_default: bool = False,
        beginning: Beginning | None = None,
        new_id: Callable[[], str] = lambda: str(uuid_utils.uuid7()),
    ) -> None:
        self.mode = mode
        # True if nobody has said that everybody shall be served: there is no credential, and only
        # this machine reaches the server.
        self.by_default = by_default
        self._beginning = beginning
        self.credentials = credentials or Credentials()
        self.verifier = Verifier(self.credentials)
        self.attempts = Attempts()
        self.codes = Codes()
        # The keys of the registry; None until there are some.
        self.ring: KeyRing | None = None
        self._lifetimes = lifetimes or Lifetimes()
        # Makes the tokens of agents; None until there are keys.
        self._issuer: Issuer | None = None
        self._new_id = new_id
        # The files of tokens that were named; None if there are none.
        self.files: TokenFiles | None = None
        # Where the keys stand, to be changed there; None if they end with the process.
        self.keys_path: Path | None = None
        if ring is not None:
            self.use(ring)

    def begin(self, *, durable: bool, now: Instant) -> Facts:
        """Decide whether credentials are needed, by what the database holds, and by files.

        Returns what has to be kept of that. Raises SettingsError, with one line.
        """
        if self._beginning is None:
            return ()
        return self._beginning.begin(self, durable=durable, now=now)

    def use(self, ring: KeyRing) -> None:
        """Go by these keys from now on."""
        self.ring = ring
        self.verifier.use_keys(ring.keys)
        key = ring.signing(Use.TOKEN)
        self._issuer = None if key is None else Issuer(ring.registry, key, self._lifetimes)

    @property
    def is_on(self) -> bool:
        """Whether credentials are looked at."""
        return self.mode is not Mode.OFF

    @property
    def registry(self) -> str | None:
        """The registry's id; None until there are keys."""
        return None if self.ring is None else self.ring.registry

    def session_of(self, secret: str) -> SessionRecord | None:
        """Return the session of that secret; None if there is none."""
        return self.credentials.session_of(tokens.digest_of(secret)) if secret.isascii() else None

    def check_on(self) -> None:
        """Raise AuthOff if credentials are not looked at."""
        if not self.is_on:
            raise AuthOff

    # Agents

    def credential(
        self, agent_id: str, group: str, *, now: Instant
    ) -> tuple[Credential, Principal] | None:
        """Give an agent a token; return it with whoever shows it. None if there is no key."""
        if self._issuer is None or self.ring is None:
            return None
        token_id = self._new_id()
        revocation = self.credentials.revocation(agent_id)
        made = self._issuer.issue(token_id, agent_id, group, revocation=revocation, now=now)
        principal = self.verifier.remember(made, token_id, agent_id, group, revocation, now=now)
        return made, principal

    # Tokens

    def create_token(
        self,
        role: Role,
        *,
        now: Instant,
        groups: Iterable[str] = ("*",),
        expires_in_ms: int | None = None,
        note: str | None = None,
        uses: int | None = None,
        reclaim: Reclaim = Reclaim.ALWAYS,
        by: str | None = None,
    ) -> NewToken:
        """Make a token; raises ValueError if something about it makes no sense."""
        enrols = role is Role.ENROL
        root = self.ring.root_id if enrols and self.ring is not None else None
        token = tokens.generate(TokenKind.ENROLMENT if enrols else TokenKind.OPERATOR, root=root)
        token_id = self._new_id()
        facts = self.credentials.create_token(
            token_id,
            token.digest,
            role,
            now=now,
            groups=groups,
            expires_in=None if expires_in_ms is None else expires_in_ms * (NANOSECONDS // 1000),
            note=note,
            uses=uses,
            reclaim=reclaim,
            by=by,
        )
        return NewToken(token_id, token, facts)

    # Sessions

    def sign_in(self, token: str, source: str, *, now: Instant) -> tuple[str, Facts]:
        """Open a session on a token; return its secret.

        Raises TooManyAttempts if too many from that source have failed of late, and what
        :meth:`Verifier.of_token` does. An agent's token opens none.
        """
        self.attempts.check(source, now)
        try:
            principal = self.verifier.of_token(token, now=now)
            if principal.role is Role.AGENT:  # it would outlive its renewal and its revocation
                raise InvalidToken("an agent's token does not sign anybody in")
        except Exception:
            self.attempts.failed(source, now)
            raise
        return self._open_session(principal.token_id, now=now)

    def sign_in_by_code(self, code: str, source: str, *, now: Instant) -> tuple[str, Facts]:
        """Open a session by a one-time code; return its secret.

        Raises TooManyAttempts, and InvalidToken, TokenExpired or CredentialRevoked, of the code or
        of the token that it stands for.
        """
        self.attempts.check(source, now)
        try:
            token_id = self.codes.spend(code, now)
            try:
                return self._open_session(token_id, now=now)
            except NotFound:  # a token that was forgotten meanwhile
                raise CredentialRevoked from None
        except Exception:
            self.attempts.failed(source, now)
            raise

    def _open_session(self, token_id: str, *, now: Instant) -> tuple[str, Facts]:
        secret = secrets.token_urlsafe(32)
        facts = self.credentials.open_session(
            self._new_id(),
            tokens.digest_of(secret),
            token_id,
            lasts=SESSION_SECONDS * NANOSECONDS,
            now=now,
        )
        return secret, facts
