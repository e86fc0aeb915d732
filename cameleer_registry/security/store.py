"""The credentials of a registry, and what can happen to them.

Each of these methods decides which facts a call causes, applies them to itself, and returns them,
as :class:`~cameleer_registry.core.registry.Registry` does. The same facts applied to an empty
store in the same order rebuild it; :mod:`.table` says how.

**Agents' credentials** are not listed: they are verified by their signature. What is kept is one
number for each agent that was revoked. A credential carries the number of the moment in which it
was made, and is good if that is not below the present one. The number grows by at least one, or to
the time of day in milliseconds if that is more. So it depends on no clock: an agent can be revoked
and enrolled within one second, and a clock may be set back. And if a registry is restored from last
week's copy, a revocation is still above every number that was given out in the lost week. The
number outlives the deletion of its agent until no credential with a lower one can be renewed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..core.events import Event
from ..core.instant import Instant
from ..errors import CredentialRevoked, NotFound, TokenExpired
from . import facts
from .principals import CREATABLE, Reclaim, Role, Scope
from .table import SessionRecord, Table, TokenRecord
from .tokens import is_outside

LONGEST_NOTE: Final = 256
MOST_USES: Final = 100_000
"""New agents that a token with a limit may register. Their ids are kept with it."""
LONGEST_LIFE_MS: Final = 100 * 365 * 86_400_000
"""Milliseconds after which a token may expire at the latest: moments that are centuries away can
neither be stored nor shown."""

_MILLISECOND: Final = 1_000_000

Facts = tuple[Event, ...]


class Credentials(Table):
    """Tokens, sessions and agents' revocations, and the tokens that files hold."""

    def __init__(self) -> None:
        super().__init__()
        # What files hold, or have held since this process began, by digest and by id.
        self._outside: dict[str, TokenRecord] = {}
        self._outside_by_id: dict[str, TokenRecord] = {}

    # Asking

    @property
    def ever(self) -> bool:
        """Whether there has ever been a token or a key set, those that are gone included."""
        return self.began is not None or bool(self._outside)

    def tokens(self) -> list[TokenRecord]:
        """Return every token that is known, in order of creation; those of files come last."""
        return [*self._tokens.values(), *self._outside.values()]

    def token(self, token_id: str) -> TokenRecord:
        """Return the token of that id; raises NotFound."""
        record = self._tokens.get(token_id) or self._outside_by_id.get(token_id)
        if record is None:
            raise no_token(token_id)
        return record

    def token_of(self, digest: str) -> TokenRecord | None:
        """Return the token of that digest, good or not; None if there is none."""
        return self._tokens_by_digest.get(digest) or self._outside.get(digest)

    def session_of(self, digest: str) -> SessionRecord | None:
        """Return the session of that digest, open or not; None if there is none."""
        return self._sessions_by_digest.get(digest)

    def session(self, session_id: str) -> SessionRecord | None:
        """Return the session of that id, open or not; None if there is none."""
        return self._sessions.get(session_id)

    def check_session(self, record: SessionRecord, now: Instant) -> TokenRecord:
        """Let a session pass while it and its token are good, and return that.

        Raises CredentialRevoked or TokenExpired.
        """
        record.check(now)
        try:
            token = self.token(record.opened.token_id)
        except NotFound:  # forgotten, or of a file that is not here
            raise CredentialRevoked from None
        token.check(now)
        return token

    def is_revoked_outside(self, token_id: str) -> bool:
        """Tell whether a token that files may hold was revoked."""
        return token_id in self._outside_revoked

    def start_over(self) -> None:
        """Forget everything but what files hold."""
        revocations = self.revocations
        Table.__init__(self)
        # Who has looked before has to look again.
        self.revocations = revocations + 1

    # Deciding: tokens

    def create_token(
        self,
        token_id: str,
        digest: str,
        role: Role,
        *,
        now: Instant,
        groups: Iterable[str] = ("*",),
        expires_in: int | None = None,
        note: str | None = None,
        uses: int | None = None,
        reclaim: Reclaim = Reclaim.ALWAYS,
        by: str | None = None,
    ) -> Facts:
        """Enter a token whose secret the caller has made; ``expires_in`` is nanoseconds.

        Raises ValueError if one of these is invalid, or the token exists already.
        """
        if role not in CREATABLE:
            raise ValueError(f"role: tokens cannot be made for {role}s")
        if role is not Role.ENROL:
            given = [*(["uses"] if uses is not None else [])]
            given += ["reclaim"] if reclaim is not Reclaim.ALWAYS else []
            if given:
                raise ValueError(f"{', '.join(given)}: only for enrolment tokens")
        if uses is not None and not 1 <= uses <= MOST_USES:
            raise ValueError(f"uses: expected 1 to {MOST_USES}, got {uses}")
        if expires_in is not None and not 0 < expires_in <= LONGEST_LIFE_MS * _MILLISECOND:
            raise ValueError(f"expiresInMs: expected 1 to {LONGEST_LIFE_MS}")
        if note is not None and len(note) > LONGEST_NOTE:
            raise ValueError(f"note: expected at most {LONGEST_NOTE} characters, got {len(note)}")
        if token_id in self._tokens or digest in self._tokens_by_digest:
            raise ValueError(f"there already is a token {token_id!r}")
        return self._commit_first(
            facts.TokenCreated(
                at=now,
                token_id=token_id,
                digest=digest,
                role=role,
                groups=Scope(tuple(groups)).globs,
                expires=None if expires_in is None else now.after(expires_in),
                note=note,
                uses=uses,
                reclaim=reclaim,
                counter=self.revocation_of_all,
                by=by,
            )
        )

    def use_token(self, token_id: str, agent_id: str, *, known: bool, now: Instant) -> Facts:
        """Count the registration of an agent against the token that lets it in.

        An agent that the registry knows, or that this token has registered before, is no new one.
        Raises NotFound, and TokenExpired if the token has registered as many as it may.
        """
        if not self.would_use(token_id, agent_id, known=known):
            return ()
        return self._commit(facts.TokenUsed(at=now, token_id=token_id, agent_id=agent_id))

    def would_use(self, token_id: str, agent_id: str, *, known: bool) -> bool:
        """Tell whether a registration counts against its token; raises as :meth:`use_token`."""
        record = self.token(token_id)
        uses = record.made.uses
        if uses is None or known or agent_id in record.used_for:
            return False
        if len(record.used_for) >= uses:
            raise TokenExpired(f"the token has already registered {uses} new agents")
        return True

    def revoke_token(self, token_id: str, *, now: Instant, by: str | None = None) -> Facts:
        """Have a token be void; raises NotFound. Again, it changes nothing.

        One that a file holds need not be known here: the file may be another node's.
        """
        if is_outside(token_id):
            if self.is_revoked_outside(token_id):
                return ()
        elif self.token(token_id).revoked is not None:
            return ()
        return self._commit(facts.TokenRevoked(at=now, token_id=token_id, by=by))

    # Deciding: agents' credentials

    def revoke_agent(
        self, agent_id: str, *, now: Instant, group: str | None = None, by: str | None = None
    ) -> Facts:
        """Have every credential of an agent be void, whether or not it is known."""
        counter = _above(self.revocation(agent_id), now)
        return self._commit(
            facts.AgentCredentialsRevoked(
                at=now, agent_id=agent_id, counter=counter, group=group, by=by
            )
        )

    def revoke_all(self, *, now: Instant, by: str | None = None) -> Facts:
        """Have every token, session and agent's credential that there is be void.

        Tokens of files are as good as before: they are taken away by changing the file.
        """
        highest = max(map(self.revocation, self._counters), default=self.revocation_of_all)
        counter = _above(highest, now)
        return self._commit(facts.AllCredentialsRevoked(at=now, counter=counter, by=by))

    # Deciding: sessions and key sets

    def open_session(
        self, session_id: str, digest: str, token_id: str, *, lasts: int, now: Instant
    ) -> Facts:
        """Make a session that depends on a token, for this many nanoseconds at most.

        Raises NotFound, CredentialRevoked and TokenExpired, each of the token. One that a file
        holds need not be known here.
        """
        if not is_outside(token_id):
            self.token(token_id).check(now)
        elif self.is_revoked_outside(token_id):
            raise CredentialRevoked
        return self._commit(
            facts.SessionOpened(
                at=now,
                session_id=session_id,
                digest=digest,
                token_id=token_id,
                expires=now.after(lasts),
                counter=self.revocation_of_all,
            )
        )

    def close_session(self, session_id: str, *, now: Instant) -> Facts:
        """End a session; nothing happens if there is none, or it has ended."""
        record = self._sessions.get(session_id)
        if record is None or record.closed is not None:
            return ()
        return self._commit(facts.SessionClosed(at=now, session_id=session_id))

    def publish(self, version: int, line: bytes, *, now: Instant) -> Facts:
        """Note which key set is the registry's; nothing happens if it is not a newer one."""
        if self.key_set is not None and version <= self.key_set.version:
            return ()
        published = facts.KeySetPublished(at=now, version=version, line=line.decode())
        return self._commit_first(published)

    def _commit_first(self, fact: Event) -> Facts:
        if self.began is not None:
            return self._commit(fact)
        return self._commit(facts.AuthBegan(at=fact.at), fact)

    def _commit(self, *told: Event) -> Facts:
        self.apply(told)
        return told

    # What files hold

    def hold_outside(self, made: Iterable[facts.TokenCreated], *, now: Instant) -> Facts:
        """Use the tokens that files contain now, instead of those that they contained before.

        These changes are not facts, because every node reads the files itself. A token that has
        gone from them is answered as revoked until this process ends, and a token that was revoked
        stays so although a file contains it. Returns the change, for effects only: that tokens were
        revoked.
        """
        held = {one.digest: one for one in made}
        gone: list[Event] = []
        for record in self._outside.values():
            if record.made.digest not in held and record.revoked is None:
                record.revoked = facts.TokenRevoked(at=now, token_id=record.token_id)
                gone.append(record.revoked)
        for digest, one in held.items():
            revoked = self._outside_revoked.get(one.token_id)
            record = TokenRecord(one, Scope(one.groups), revoked=revoked)
            self._outside[digest] = self._outside_by_id[one.token_id] = record
        return tuple(gone)

    def _revoked(self, fact: facts.TokenRevoked) -> None:
        super()._revoked(fact)
        record = self._outside_by_id.get(fact.token_id)
        if record is not None and record.revoked is None:
            record.revoked = fact


def no_token(token_id: str) -> NotFound:
    """Return what says that a token is not known, or does not exist for whoever asks."""
    return NotFound(f"there is no token {token_id!r}")


def _above(counter: int, now: Instant) -> int:
    return max(counter + 1, now.wall // _MILLISECOND)
