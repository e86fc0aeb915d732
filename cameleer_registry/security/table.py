"""The state of credentials, derived from their facts.

A token or a session that has ended is remembered for REMEMBERED, so that its holder gets the reason
of a refusal. After that it is forgotten when the next fact is applied, by the time of that fact:
the same facts always lead to the same table.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from attrs import define, field, frozen

from ..core.events import Event
from ..core.instant import NANOSECONDS, Instant
from ..errors import CredentialRevoked, TokenExpired
from . import facts
from .jwt import LONGEST_RENEWABLE
from .principals import Principal, Scope
from .tokens import is_outside

DAY: Final = 86_400 * NANOSECONDS

REMEMBERED: Final = 30 * DAY
"""How long a token is remembered, at least, after it was revoked or has expired."""

COUNTED: Final = LONGEST_RENEWABLE * NANOSECONDS + DAY
"""How long an agent's revocation is remembered: longer than any credential can be renewed."""

SESSIONS_PER_TOKEN: Final = 100
"""Sessions that may stand on one token; the oldest is forgotten if there is one more."""


@define
class TokenRecord:
    """One token."""

    made: facts.TokenCreated
    scope: Scope
    used_for: set[str] = field(factory=set)
    """The agents that count against ``uses``."""
    revoked: facts.TokenRevoked | None = None
    """None while it is good."""
    principal: Principal = field(init=False, repr=False, eq=False)
    """Its holder, while it is valid."""

    def __attrs_post_init__(self) -> None:
        self.principal = Principal(
            token_id=self.made.token_id,
            role=self.made.role,
            scope=self.scope,
            expires=self.made.expires,
            reclaim=self.made.reclaim,
        )

    @property
    def token_id(self) -> str:
        """Its id, which is no secret."""
        return self.made.token_id

    def check(self, now: Instant) -> None:
        """Let it pass while it is good; raises CredentialRevoked or TokenExpired."""
        if self.revoked is not None:
            raise CredentialRevoked
        if self.made.expires is not None and now.steady >= self.made.expires.steady:
            raise TokenExpired

    def forgotten_at(self) -> int | None:
        """Return when it may be forgotten, in steady time; None while it is good for ever."""
        end = self.revoked.at if self.revoked is not None else self.made.expires
        return None if end is None else end.steady + REMEMBERED


@define
class SessionRecord:
    """One browser session. It is good while its token is."""

    opened: facts.SessionOpened
    closed: facts.SessionClosed | None = None

    @property
    def session_id(self) -> str:
        """Its id, which is no secret."""
        return self.opened.session_id

    def check(self, now: Instant) -> None:
        """Let it pass while it is good; raises CredentialRevoked or TokenExpired."""
        if self.closed is not None:
            raise CredentialRevoked("this session was signed out")
        if now.steady >= self.opened.expires.steady:
            raise TokenExpired("this session has expired")

    def forgotten_at(self) -> int:
        """Return when it may be forgotten, in steady time."""
        return self.opened.expires.steady + REMEMBERED


@frozen
class Counter:
    """What an agent's credentials must say at least, and the fact that made it so."""

    told: facts.AgentCredentialsRevoked

    def forgotten_at(self) -> int:
        """Return when no credential that it revokes can be renewed any more."""
        return self.told.at.steady + COUNTED


Record = TokenRecord | SessionRecord | Counter


class Table:
    """Tokens, sessions, agents' revocations, and the key set that was published last."""

    def __init__(self) -> None:
        self._tokens: dict[str, TokenRecord] = {}
        self._sessions: dict[str, SessionRecord] = {}
        self._tokens_by_digest: dict[str, TokenRecord] = {}
        self._sessions_by_digest: dict[str, SessionRecord] = {}
        # The revocation counters of agents that have one of their own, and that of all.
        self._counters: dict[str, Counter] = {}
        self._of_all: facts.AllCredentialsRevoked | None = None
        # How often agents' credentials were revoked since this table was made: who has seen none
        # since it looked need not look again.
        self.revocations = 0
        # Tokens of files that were revoked, by id. They are kept for good: a file may be read
        # again at any time.
        self._outside_revoked: dict[str, facts.TokenRevoked] = {}
        # Since when credentials are required; None until there has been one.
        self.began: facts.AuthBegan | None = None
        # The key set that was published last; None until there is one.
        self.key_set: facts.KeySetPublished | None = None
        # When what may be forgotten, in steady time; with a number, so that no two are compared.
        self._outdated: list[tuple[int, int, Record]] = []
        self._pushed = 0
        self._appliers: Mapping[type[Event], Callable[[Any], None]] = {
            facts.AuthBegan: self._began,
            facts.TokenCreated: self._created,
            facts.TokenUsed: self._used,
            facts.TokenRevoked: self._revoked,
            facts.AgentCredentialsRevoked: self._agent_revoked,
            facts.AllCredentialsRevoked: self._all_revoked,
            facts.SessionOpened: self._opened,
            facts.SessionClosed: self._closed,
            facts.KeySetPublished: self._published,
        }

    def revocation(self, agent_id: str) -> int:
        """Return the number that an agent's credential must say at least; 0 at first."""
        own = self._counters.get(agent_id)
        of_all = self.revocation_of_all
        return of_all if own is None else max(own.told.counter, of_all)

    @property
    def revocation_of_all(self) -> int:
        """The number that any credential must say at least; 0 at first."""
        return self._of_all.counter if self._of_all is not None else 0

    def apply(self, told: Iterable[Event]) -> None:
        """Apply facts that were reported before, to reach the state of another table.

        Facts that have been applied before, the last ones or all from some point on, change
        nothing.
        """
        for fact in told:
            self._appliers[type(fact)](fact)
            self._forget_outdated(fact.at)

    def as_facts(self) -> Iterator[Event]:
        """Return facts that make the same of an empty table, and none that make no difference."""
        if self.began is not None:
            yield self.began
        if self.key_set is not None:
            yield self.key_set
        yield from (counter.told for counter in self._counters.values())
        yield from self._outside_revoked.values()
        for token in self._tokens.values():
            yield from _facts_of_token(token)
        for session in self._sessions.values():
            yield from _facts_of_session(session)
        if self._of_all is not None:
            yield self._of_all

    def facts_of(self, key: str) -> list[Event]:
        """Return those of these facts that are about one thing: see :mod:`.kept`."""
        kind, _, name = key.partition(":")
        match kind:
            case "began":
                return [] if self.began is None else [self.began]
            case "keys":
                return [] if self.key_set is None else [self.key_set]
            case "all":
                return [] if self._of_all is None else [self._of_all]
            case "agent":
                counter = self._counters.get(name)
                return [] if counter is None else [counter.told]
            case "outside":
                revoked = self._outside_revoked.get(name)
                return [] if revoked is None else [revoked]
            case "session":
                session = self._sessions.get(name)
                return [] if session is None else _facts_of_session(session)
            case _:
                token = self._tokens.get(name)
                return [] if token is None else _facts_of_token(token)

    # Appliers

    def _began(self, fact: facts.AuthBegan) -> None:
        self.began = self.began or fact

    def _created(self, fact: facts.TokenCreated) -> None:
        if fact.token_id not in self._tokens:
            record = TokenRecord(fact, Scope(fact.groups))
            self._tokens[fact.token_id] = self._tokens_by_digest[fact.digest] = record
            if self._of_all is not None:
                self._revoke_with_all(record, self._of_all)
            self._note_end(record)

    def _used(self, fact: facts.TokenUsed) -> None:
        if (record := self._tokens.get(fact.token_id)) is not None:
            record.used_for.add(fact.agent_id)

    def _revoked(self, fact: facts.TokenRevoked) -> None:
        record = self._tokens.get(fact.token_id)
        if record is not None and record.revoked is None:
            record.revoked = fact
            self._note_end(record)
        elif is_outside(fact.token_id):
            self._outside_revoked.setdefault(fact.token_id, fact)

    def _agent_revoked(self, fact: facts.AgentCredentialsRevoked) -> None:
        if fact.counter > self.revocation(fact.agent_id):
            self._counters[fact.agent_id] = counter = Counter(fact)
            self.revocations += 1
            self._note_end(counter)

    def _all_revoked(self, fact: facts.AllCredentialsRevoked) -> None:
        if self._of_all is not None and fact.counter <= self._of_all.counter:
            return
        self._of_all = fact
        self.revocations += 1
        self._counters = {
            agent_id: counter
            for agent_id, counter in self._counters.items()
            if counter.told.counter > fact.counter
        }
        for session in self._sessions.values():
            self._close_with_all(session, fact)
        for token in self._tokens.values():
            self._revoke_with_all(token, fact)

    def _revoke_with_all(self, token: TokenRecord, fact: facts.AllCredentialsRevoked) -> None:
        if token.made.counter < fact.counter:
            told = facts.TokenRevoked(at=fact.at, token_id=token.token_id, by=fact.by)
            self._revoked(told)

    def _close_with_all(self, session: SessionRecord, fact: facts.AllCredentialsRevoked) -> None:
        if session.opened.counter < fact.counter:
            self._closed(facts.SessionClosed(at=fact.at, session_id=session.session_id))

    def _opened(self, fact: facts.SessionOpened) -> None:
        if fact.session_id in self._sessions:
            return
        record = SessionRecord(fact)
        others = [one for one in self._sessions.values() if one.opened.token_id == fact.token_id]
        if len(others) >= SESSIONS_PER_TOKEN:
            self._forget(others[0])
        self._sessions[fact.session_id] = self._sessions_by_digest[fact.digest] = record
        if self._of_all is not None:
            self._close_with_all(record, self._of_all)
        self._note_end(record)

    def _closed(self, fact: facts.SessionClosed) -> None:
        record = self._sessions.get(fact.session_id)
        if record is not None and record.closed is None:
            record.closed = fact

    def _published(self, fact: facts.KeySetPublished) -> None:
        if self.key_set is None or fact.version > self.key_set.version:
            self.key_set = fact

    # Forgetting

    def _note_end(self, record: Record) -> None:
        if (at := record.forgotten_at()) is not None:
            self._pushed += 1
            heapq.heappush(self._outdated, (at, self._pushed, record))

    def _forget_outdated(self, now: Instant) -> None:
        while self._outdated and self._outdated[0][0] <= now.steady:
            at, _, record = heapq.heappop(self._outdated)
            if record.forgotten_at() == at:  # else it was revoked since, and is noted again
                self._forget(record)

    def _forget(self, record: Record) -> None:
        match record:
            case TokenRecord() if self._tokens.get(record.token_id) is record:
                del self._tokens[record.token_id]
                del self._tokens_by_digest[record.made.digest]
            case SessionRecord() if self._sessions.get(record.session_id) is record:
                del self._sessions[record.session_id]
                del self._sessions_by_digest[record.opened.digest]
            case Counter() if self._counters.get(record.told.agent_id) is record:
                del self._counters[record.told.agent_id]


def _facts_of_token(token: TokenRecord) -> list[Event]:
    made = token.made
    told: list[Event] = [made]
    told += [
        facts.TokenUsed(at=made.at, token_id=token.token_id, agent_id=agent_id)
        for agent_id in sorted(token.used_for)
    ]
    return told if token.revoked is None else [*told, token.revoked]


def _facts_of_session(session: SessionRecord) -> list[Event]:
    return [session.opened] if session.closed is None else [session.opened, session.closed]
