"""Who somebody is by what was sent, and the credentials that are given out.

The store of credentials decides and applies; what has happened is carried out by the node, as it
is for agents and commands. Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uuid_utils
from attrs import frozen

from ...core.instant import NANOSECONDS, Instant
from ...errors import AuthOff
from ...security import tokens
from ...security.attempts import Attempts
from ...security.codes import Codes
from ...security.inputs import Given
from ...security.jwt import Credential, Issuer, Lifetimes
from ...security.keyring import KeyRing
from ...security.keys import Use
from ...security.principals import Permission, Reclaim, Role
from ...security.store import Credentials, Facts
from ...security.table import SessionRecord
from ...security.token_files import TokenFiles
from ...security.tokens import Token, TokenKind
from ...security.verify import Verifier
from .holding import Holding
from .mode import Mode

if TYPE_CHECKING:
    from .beginning import Beginning

SESSION_SECONDS: Final = 12 * 3600
"""How long a browser session lasts: a working day."""

ALWAYS_CREDENTIALED: Final = frozenset({Permission.TOKENS, Permission.KEYS, Permission.REVOKE})
"""What nobody may do without a credential, although others are served without one."""


@frozen
class MadeToken:
    """A token with its secret, which is shown this once."""

    token_id: str
    token: Token


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
        self.new_id = new_id
        # The files of tokens that were named; None if there are none.
        self.files: TokenFiles | None = None
        # Where the keys stand, to be changed there; None if they end with the process.
        self.keys_path: Path | None = None
        # The keys that this node holds, if many share the registry; else None, or if it has none.
        self.holding: Holding | None = None
        if ring is not None:
            self.use(ring)

    def begin(self, *, durable: bool, now: Instant) -> Facts:
        """Decide whether credentials are needed, by what the database holds, and by files.

        Returns what has to be kept of that. Raises SettingsError, with one line.
        """
        if self._beginning is None:
            return ()
        return self._beginning.begin(self, durable=durable, now=now)

    def check_files(self, *, is_new: bool, now: Instant) -> None:
        """Raise SettingsError if :meth:`begin` would, by what files hold; that changes nothing.

        ``is_new`` says that nothing was stored before.
        """
        if self._beginning is not None:
            self._beginning.check_files(is_new=is_new, now=now)

    def prepare(self, *, now: Instant) -> None:
        """Read the files of keys and tokens, for one of many nodes; raises SettingsError."""
        if self._beginning is not None:
            self._beginning.prepare(self, now=now)
        elif self.ring is not None:
            self.holding = Holding(self.ring)

    def begin_shared(self) -> None:
        """Decide whether credentials are needed, by what all nodes know; raises SettingsError."""
        if self._beginning is not None:
            self._beginning.begin_shared(self)

    def use(self, ring: KeyRing) -> None:
        """Go by these keys from now on."""
        self.ring = ring
        self.verifier.use_keys(ring.keys, ring.private)
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

    def draw_life(self) -> int | None:
        """Return for how many seconds the next token of an agent is good; None without keys."""
        return None if self._issuer is None else self._issuer.draw_life()

    def credential(
        self, agent_id: str, group: str, given: Given, *, revocation: int, now: Instant
    ) -> Credential | None:
        """Give an agent a token; None if there is no key."""
        if self._issuer is None:
            return None
        made = self._issuer.issue(
            given.token_id, agent_id, group, lives=given.lives, revocation=revocation, now=now
        )
        self.verifier.remember(made, given.token_id, agent_id, group, revocation, now=now)
        return made

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
        """Make a token; raises ValueError if something about it makes no sense.

        It is for a registry alone, and its facts are to be carried out.
        """
        made = self.draw_token(role)
        facts = self.credentials.create_token(
            made.token_id,
            made.token.digest,
            role,
            now=now,
            groups=groups,
            expires_in=None if expires_in_ms is None else expires_in_ms * (NANOSECONDS // 1000),
            note=note,
            uses=uses,
            reclaim=reclaim,
            by=by,
        )
        return NewToken(made.token_id, made.token, facts)

    def draw_token(self, role: Role) -> MadeToken:
        """Make the secret of a token, which is worth nothing until it is entered."""
        enrols = role is Role.ENROL
        root = self.ring.root_id if enrols and self.ring is not None else None
        token = tokens.generate(TokenKind.ENROLMENT if enrols else TokenKind.OPERATOR, root=root)
        return MadeToken(self.new_id(), token)
