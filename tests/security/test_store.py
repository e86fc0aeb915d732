"""Credentials: what can happen to them, as conversations, and that facts rebuild them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from cameleer_registry.core.events import Event
from cameleer_registry.core.instant import Instant
from cameleer_registry.errors import CredentialRevoked, NotFound, TokenExpired
from cameleer_registry.security import facts, table
from cameleer_registry.security.principals import CREATABLE, Reclaim, Role
from cameleer_registry.security.store import (
    LONGEST_LIFE_MS,
    LONGEST_NOTE,
    MOST_USES,
    Credentials,
)
from cameleer_registry.security.table import COUNTED, REMEMBERED, SESSIONS_PER_TOKEN
from cameleer_registry.security.tokens import id_of_outside

from .support import DAY, SECOND, instant

REMEMBERED_DAYS = REMEMBERED // DAY
MILLISECOND = 1_000_000


@define
class Talk:
    """A store, the time there, and what it has told."""

    store: Credentials = field(factory=Credentials)
    now: Instant = field(factory=instant)
    told: list[Event] = field(factory=list)

    def passes(self, days: float = 0, seconds: float = 0) -> None:
        self.now = self.now.after(round(days * DAY + seconds * SECOND))

    def says(self, method: str, *args: Any, **more: Any) -> tuple[Event, ...]:
        answer: tuple[Event, ...] = getattr(self.store, method)(*args, now=self.now, **more)
        self.told += answer
        return answer

    def create(self, token_id: str = "t", role: Role = Role.VIEWER, **more: Any) -> None:
        self.says("create_token", token_id, f"digest-{token_id}", role, **more)

    def check(self, token_id: str = "t") -> None:
        """Let a token pass; raises AssertionError if it is unknown."""
        record = self.store.token_of(f"digest-{token_id}")
        assert record is not None
        record.check(self.now)

    def check_session(self, session_id: str = "s") -> str:
        record = self.store.session_of(f"digest-{session_id}")
        assert record is not None
        return self.store.check_session(record, self.now).token_id

    def sign_in(self, session_id: str = "s", token_id: str = "t", lasts: int = DAY) -> None:
        self.says("open_session", session_id, f"digest-{session_id}", token_id, lasts=lasts)


def state(store: table.Table) -> list[Event]:
    return list(store.as_facts())


def rebuilt(told: list[Event]) -> Credentials:
    store = Credentials()
    store.apply(told)
    return store


def good(store: Credentials, now: Instant) -> set[str]:
    """Return the ids of what is good."""
    passing = set()
    for token in store.tokens():
        with suppress(CredentialRevoked, TokenExpired):
            token.check(now)
            passing.add(token.token_id)
    for session in store._sessions.values():
        with suppress(CredentialRevoked, TokenExpired):
            store.check_session(session, now)
            passing.add(session.session_id)
    return passing


def check_facts(talk: Talk, step: int = 1) -> None:
    """Hold that the facts make the same again, and so does what is kept instead of them."""
    expected = state(talk.store)
    assert expected == state(rebuilt(talk.told))
    assert expected == state(rebuilt(expected))
    for since in range(0, len(talk.told), step):
        twice = rebuilt(talk.told)
        twice.apply(talk.told[since:])
        if talk.now.steady - talk.told[since].at.steady < REMEMBERED:
            assert expected == state(twice)
        held = [one.made for one in talk.store._outside.values() if one.revoked is None]
        twice.hold_outside(held, now=talk.now)
        # What was forgotten is known again for a while, and as little good as before.
        assert good(talk.store, talk.now) == good(twice, talk.now)


@pytest.fixture
def talk() -> Iterator[Talk]:
    talk = Talk()
    yield talk
    check_facts(talk)


# Tokens


def test_a_token_is_found_by_its_digest(talk: Talk) -> None:
    """With all that was said of it; nobody else's is."""
    talk.create(role=Role.ENROL, groups=["g*"], note="n", uses=3, reclaim=Reclaim.LAPSED, by="x")
    record = talk.store.token_of("digest-t")
    assert record is talk.store.token("t")
    assert record is not None
    assert [
        facts.AuthBegan(at=talk.now),
        facts.TokenCreated(
            at=talk.now,
            token_id="t",
            digest="digest-t",
            role=Role.ENROL,
            groups=("g*",),
            note="n",
            uses=3,
            reclaim=Reclaim.LAPSED,
            by="x",
        ),
    ] == talk.told
    assert (Role.ENROL, ("g*",)) == (record.principal.role, record.principal.scope.globs)
    assert talk.store.token_of("digest-x") is None
    assert [record] == talk.store.tokens()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"role": Role.AGENT}, "tokens cannot be made for agents"),
        ({"uses": 1}, "for enrolment tokens"),
        ({"reclaim": Reclaim.LAPSED}, "for enrolment tokens"),
        ({"role": Role.ENROL, "uses": 0}, "uses: expected 1"),
        ({"role": Role.ENROL, "uses": MOST_USES + 1}, "uses: expected 1"),
        ({"expires_in": 0}, "expiresInMs: expected 1"),
        ({"expires_in": LONGEST_LIFE_MS * 1_000_000 + 1}, "expiresInMs: expected 1"),
        ({"note": "n" * (LONGEST_NOTE + 1)}, "note: expected at most"),
        ({"groups": []}, "globs"),
        ({"groups": ["a b"]}, "letters"),
        ({"token_id": "there"}, "there already is a token 'there'"),
    ],
    ids=str,
)
def test_a_token_that_makes_no_sense_is_not_made(
    talk: Talk, more: dict[str, Any], why: str
) -> None:
    """And leaves nothing."""
    talk.create("there")
    before = state(talk.store)
    with pytest.raises(ValueError, match=why):
        talk.create(**more)
    assert before == state(talk.store)


def test_a_token_is_good_until_it_expires(talk: Talk) -> None:
    """To the nanosecond. By the steady clock: who sets the time of day back gains nothing."""
    talk.create(expires_in=DAY)
    talk.passes(days=1)
    talk.now = evolve(talk.now, steady=talk.now.steady - 1)
    talk.check()
    talk.now = evolve(talk.now, steady=talk.now.steady + 1, wall=0)
    with pytest.raises(TokenExpired):
        talk.check()


def test_a_revoked_token_is_answered_as_such_for_30_days(talk: Talk) -> None:
    """At least: what is older is forgotten when the next fact comes. Then it is nobody's."""
    assert REMEMBERED_DAYS >= 30
    talk.create()
    talk.says("revoke_token", "t", by="x")
    assert () == talk.says("revoke_token", "t")
    talk.passes(days=REMEMBERED_DAYS, seconds=-1)
    talk.create("another")
    with pytest.raises(CredentialRevoked):
        talk.check()
    talk.passes(seconds=1)
    with pytest.raises(CredentialRevoked):
        talk.check()
    talk.create("third")
    assert talk.store.token_of("digest-t") is None
    with pytest.raises(NotFound):
        talk.says("revoke_token", "t")


def test_an_expired_token_is_forgotten_likewise(talk: Talk) -> None:
    """And that there was one is not."""
    talk.create(expires_in=DAY)
    talk.passes(days=1 + REMEMBERED_DAYS)
    assert not [*filter(lambda one: isinstance(one, facts.TokenCreated), state(talk.store))][1:]
    talk.says("revoke_agent", "a-1")
    assert [] == talk.store.tokens()
    assert talk.store.ever
    assert rebuilt(state(talk.store)).ever


@pytest.mark.parametrize("revoked_on", [0.5, 20])
def test_30_days_are_counted_from_the_revocation(talk: Talk, revoked_on: float) -> None:
    """Whether the token would have expired before or has expired before."""
    talk.create(expires_in=DAY)
    talk.passes(days=revoked_on)
    talk.says("revoke_token", "t")
    talk.passes(days=REMEMBERED_DAYS, seconds=-1)
    talk.create("t2")
    with pytest.raises(CredentialRevoked):
        talk.check()
    talk.passes(seconds=1)
    talk.create("t3")
    assert talk.store.token_of("digest-t") is None


def test_what_is_unknown_is_not_found(talk: Talk) -> None:
    """By each of the methods."""
    for method, args in (("revoke_token", ["x"]), ("token", ["x"])):
        with pytest.raises(NotFound, match="there is no token 'x'"):
            talk.says(method, *args) if method != "token" else talk.store.token(*args)
    with pytest.raises(NotFound):
        talk.says("use_token", "x", "a-1", known=False)
    with pytest.raises(NotFound):
        talk.sign_in(token_id="x")
    assert () == talk.says("close_session", "x")
    assert not talk.store.ever


def test_uses_count_new_agents_only(talk: Talk) -> None:
    """Neither one that comes again, known or deleted meanwhile, nor one that is known."""
    talk.create(role=Role.ENROL, uses=2)
    assert (facts.TokenUsed(at=talk.now, token_id="t", agent_id="a-1"),) == talk.says(
        "use_token", "t", "a-1", known=False
    )
    for agent_id, known in (("a-1", True), ("a-1", False), ("a-9", True)):
        assert () == talk.says("use_token", "t", agent_id, known=known)
    talk.says("use_token", "t", "a-2", known=False)
    with pytest.raises(TokenExpired, match="already registered 2 new agents"):
        talk.says("use_token", "t", "a-3", known=False)
    assert () == talk.says("use_token", "t", "a-2", known=False)


def test_a_token_without_a_limit_counts_nothing(talk: Talk) -> None:
    """A fleet that registers makes no facts of it."""
    talk.create(role=Role.ENROL)
    assert () == talk.says("use_token", "t", "a-1", known=False)


# Agents


def test_an_agents_revocation_is_above_all_that_was_given_out(talk: Talk) -> None:
    """Within one moment, and with a clock that was set back."""
    assert 0 == talk.store.revocation("a-1")
    talk.says("revoke_agent", "a-1", by="x")
    first = talk.store.revocation("a-1")
    assert talk.now.wall // MILLISECOND == first
    talk.says("revoke_agent", "a-1")
    assert first + 1 == talk.store.revocation("a-1")
    talk.now = evolve(talk.now, wall=0)
    talk.says("revoke_agent", "a-1")
    assert first + 2 == talk.store.revocation("a-1")
    assert 0 == talk.store.revocation("a-2")


def test_a_registry_that_was_restored_revokes_what_it_does_not_know(talk: Talk) -> None:
    """What was given out in the week that was lost is below what is revoked then."""
    other = Talk()
    other.says("revoke_agent", "a-1")
    given_out = other.store.revocation("a-1")
    talk.passes(days=7)
    talk.says("revoke_agent", "a-1")
    assert given_out < talk.store.revocation("a-1")


def test_a_revocation_is_known_until_nothing_can_be_renewed(talk: Talk) -> None:
    """Whether or not the agent has been deleted; and no longer, so that nothing grows."""
    talk.says("revoke_agent", "a-1")
    talk.passes(seconds=COUNTED / SECOND - 1)
    talk.says("revoke_agent", "a-2")
    assert talk.store.revocation("a-1") > 0
    talk.passes(seconds=1)
    talk.says("revoke_agent", "a-2")
    assert 0 == talk.store.revocation("a-1")
    talk.passes(seconds=COUNTED / SECOND - 1)
    talk.create()
    assert talk.store.revocation("a-2") > 0  # counted from the last time


def test_what_was_revoked_with_all_stays_so_when_it_is_told_again(talk: Talk) -> None:
    """After it has been forgotten, in a log that is read from further back."""
    talk.create()
    talk.sign_in(lasts=SECOND)
    talk.says("revoke_all")
    talk.passes(days=REMEMBERED_DAYS, seconds=2)
    talk.create("t2")
    assert ["t2"] == [record.token_id for record in talk.store.tokens()]
    talk.store.apply(talk.told[:3])
    with pytest.raises(CredentialRevoked):
        talk.check()
    with pytest.raises(CredentialRevoked):
        talk.check_session()
    talk.store.apply(talk.told[3:])


def test_all_can_be_revoked_at_once(talk: Talk) -> None:
    """Tokens, sessions and agents, those that nobody knows; what comes after is good."""
    talk.create()
    talk.sign_in()
    talk.says("revoke_agent", "a-1")
    talk.says("revoke_agent", "a-1")
    before = talk.store.revocation("a-1")
    talk.says("revoke_all", by="x")
    assert before < talk.store.revocation("a-1") == talk.store.revocation("a-2")
    with pytest.raises(CredentialRevoked):
        talk.check()
    with pytest.raises(CredentialRevoked):
        talk.check_session()
    talk.create("t2")
    talk.check("t2")
    talk.sign_in("s2", "t2")
    assert "t2" == talk.check_session("s2")
    talk.says("revoke_agent", "a-1")
    assert talk.store.revocation("a-2") < talk.store.revocation("a-1")
    talk.says("revoke_all")
    with pytest.raises(CredentialRevoked):
        talk.check("t2")


# Sessions


def test_a_session_is_good_while_its_token_is(talk: Talk) -> None:
    """Revoked or expired, as that is."""
    for token_id in ("t", "u"):
        talk.create(token_id, expires_in=DAY // 2)
        talk.sign_in(f"s-{token_id}", token_id)
        assert token_id == talk.check_session(f"s-{token_id}")
    talk.says("revoke_token", "t")
    with pytest.raises(CredentialRevoked):
        talk.check_session("s-t")
    with pytest.raises(CredentialRevoked):
        talk.sign_in("s-2", "t")
    talk.passes(days=0.5)
    with pytest.raises(TokenExpired):
        talk.check_session("s-u")
    with pytest.raises(TokenExpired):
        talk.sign_in("s-2", "u")


def test_a_session_ends_by_itself_and_by_signing_out(talk: Talk) -> None:
    """The token goes on."""
    talk.create()
    talk.sign_in("s")
    talk.sign_in("s-2")
    assert (facts.SessionClosed(at=talk.now, session_id="s"),) == talk.says("close_session", "s")
    assert () == talk.says("close_session", "s")
    with pytest.raises(CredentialRevoked, match="signed out"):
        talk.check_session("s")
    talk.passes(days=1)
    with pytest.raises(TokenExpired, match="this session has expired"):
        talk.check_session("s-2")
    talk.check()
    talk.passes(days=REMEMBERED_DAYS)
    talk.create("t2")
    assert talk.store.session_of("digest-s") is None
    assert talk.store.session("s-2") is None


def test_sessions_of_a_token_are_bounded(talk: Talk) -> None:
    """The oldest goes; those of other tokens stay."""
    talk.create("u")
    talk.sign_in("other", "u")
    talk.create()
    for number in range(SESSIONS_PER_TOKEN + 1):
        talk.sign_in(f"s-{number}")
    assert talk.store.session_of("digest-s-0") is None
    assert "t" == talk.check_session("s-1")
    assert "u" == talk.check_session("other")


def test_a_session_without_its_token_is_over(talk: Talk) -> None:
    """That was forgotten, or is in a file that is not here."""
    talk.create(expires_in=DAY)
    talk.sign_in(lasts=100 * DAY)
    talk.passes(days=1 + REMEMBERED_DAYS)
    talk.create("t2")
    with pytest.raises(CredentialRevoked):
        talk.check_session()


# Key sets


def test_key_sets_do_not_go_back(talk: Talk) -> None:
    """Whatever a file says that was restored."""
    talk.says("publish", 2, b"two")
    assert () == talk.says("publish", 2, b"another")
    assert () == talk.says("publish", 1, b"one")
    talk.says("publish", 3, b"three")
    newest = facts.KeySetPublished(at=talk.now, version=3, line="three")
    assert newest == talk.store.key_set
    talk.store.apply([facts.KeySetPublished(at=talk.now, version=2, line="told again")])
    assert newest == talk.store.key_set
    assert talk.store.ever


# Files


def outside(token_id: str = "x", role: Role = Role.ADMIN) -> facts.TokenCreated:
    return facts.TokenCreated(
        at=instant(), token_id=id_of_outside(token_id), digest=f"digest-{token_id}", role=role
    )


def test_tokens_of_files_are_no_facts(talk: Talk) -> None:
    """But they are found, listed and used like others, and there has been one."""
    assert () == talk.store.hold_outside([outside()], now=talk.now)
    talk.check("x")
    assert [outside()] == [record.made for record in talk.store.tokens()]
    assert talk.store.ever
    assert [] == state(talk.store)
    talk.sign_in(token_id=outside().token_id)
    assert outside().token_id == talk.check_session()
    assert [facts.SessionOpened] == [type(fact) for fact in state(talk.store)]


def test_what_a_file_holds_no_more_is_revoked(talk: Talk) -> None:
    """And good again when it holds it again."""
    talk.store.hold_outside([outside()], now=talk.now)
    gone = talk.store.hold_outside([outside("y")], now=talk.now)
    assert (facts.TokenRevoked(at=talk.now, token_id=outside().token_id),) == gone
    with pytest.raises(CredentialRevoked):
        talk.check("x")
    talk.check("y")
    assert () == talk.store.hold_outside([outside("y")], now=talk.now)
    talk.store.hold_outside([outside(), outside("y")], now=talk.now)
    talk.check("x")


def test_a_token_of_a_file_that_was_revoked_stays_so(talk: Talk) -> None:
    """Whenever the file is read again, in another process as well, and however late."""
    talk.store.hold_outside([outside()], now=talk.now)
    talk.says("revoke_token", outside().token_id)
    assert () == talk.says("revoke_token", outside().token_id)
    with pytest.raises(CredentialRevoked):
        talk.check("x")
    talk.passes(days=1000)
    talk.create()
    for store in (talk.store, rebuilt(talk.told), rebuilt(state(talk.store))):
        store.hold_outside([outside()], now=talk.now)
        other = Talk(store, talk.now)
        with pytest.raises(CredentialRevoked):
            other.check("x")


# Whatever happens

OPERATIONS = st.one_of(
    st.tuples(
        st.just("create"),
        st.sampled_from("tuvw"),
        st.sampled_from(sorted(CREATABLE)),
        st.sampled_from([None, DAY, 40 * DAY]),
    ),
    st.tuples(st.just("revoke_token"), st.sampled_from("tuvw")),
    st.tuples(st.just("use"), st.sampled_from("tuvw"), st.sampled_from("abc"), st.booleans()),
    st.tuples(st.just("revoke_agent"), st.sampled_from("abc")),
    st.tuples(st.just("revoke_all")),
    st.tuples(st.just("sign_in"), st.sampled_from("pqrs"), st.sampled_from("tuvw")),
    st.tuples(st.just("close_session"), st.sampled_from("pqrs")),
    st.tuples(st.just("publish"), st.integers(1, 5)),
    st.tuples(st.just("days"), st.sampled_from([0, 0.5, 29, 31, 32])),
    st.tuples(st.just("clock"), st.integers(-100, 100)),
)


def carry_out(talk: Talk, operation: tuple[Any, ...]) -> None:
    name, *args = operation
    with suppress(ValueError, NotFound, TokenExpired, CredentialRevoked):
        match name, args:
            case "create", (token_id, role, expires_in):
                uses = 2 if role is Role.ENROL else None
                talk.create(token_id, role, expires_in=expires_in, uses=uses)
            case "use", (token_id, agent_id, known):
                talk.says("use_token", token_id, agent_id, known=known)
            case "sign_in", (session_id, token_id):
                talk.sign_in(session_id, token_id)
            case "publish", (version,):
                talk.says("publish", version, b"line")
            case "days", (days,):
                talk.passes(days)
            case "clock", (days,):
                talk.now = evolve(talk.now, wall=max(0, talk.now.wall + days * DAY))
            case _:
                talk.says(name, *args)


@settings(max_examples=300, deadline=None)
@given(st.lists(OPERATIONS, max_size=40))
def test_whatever_happens_its_facts_rebuild_it(operations: list[tuple[Any, ...]]) -> None:
    """From the beginning, from what is kept instead, and when the last are told twice.

    A revocation only grows while it is known, and what was revoked is not good again.
    """
    talk = Talk()
    last_revoked: dict[str, int] = {}
    seen: list[table.TokenRecord] = []
    with patch.object(table, "SESSIONS_PER_TOKEN", 2):
        for operation in operations:
            before = {agent: talk.store.revocation(agent) for agent in "abc"}
            carry_out(talk, operation)
            for agent, counter in before.items():
                if talk.now.steady - last_revoked.get(agent, 0) < COUNTED:
                    assert talk.store.revocation(agent) >= counter
            if operation[0] in ("revoke_agent", "revoke_all"):
                named = operation[1:] or ("a", "b", "c")
                last_revoked |= dict.fromkeys(named, talk.now.steady)
            for record in seen:
                assert record.revoked is not None
            seen = [record for record in talk.store.tokens() if record.revoked is not None]
        check_facts(talk, 7)
