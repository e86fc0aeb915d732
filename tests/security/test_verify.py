"""From a credential to its principal, or to the right refusal."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from attrs import define, evolve, field
from hypothesis import example, given
from hypothesis import strategies as st

from cameleer_registry.core.instant import Instant
from cameleer_registry.errors import (
    CredentialRevoked,
    InvalidToken,
    TokenExpired,
    Unauthenticated,
)
from cameleer_registry.security import ed25519, jwt, tokens
from cameleer_registry.security.facts import TokenCreated
from cameleer_registry.security.jwt import Issuer, Lifetimes
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import Use
from cameleer_registry.security.principals import Principal, Reclaim, Role, Scope
from cameleer_registry.security.store import Credentials
from cameleer_registry.security.tokens import TokenKind
from cameleer_registry.security.verify import Verifier

from .support import DAY, SECOND, UNHURRIED, day, instant, ring

HOUR = 3600.0


@define
class World:
    """A registry's credentials, its keys, and the time."""

    credentials: Credentials = field(factory=Credentials)
    ring: KeyRing = field(factory=ring)
    now: Instant = field(factory=instant)
    verifier: Verifier = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.verifier = Verifier(self.credentials, self.ring.keys, remember=3)

    def passes(self, seconds: float) -> None:
        self.now = self.now.after(round(seconds * SECOND))

    def create(self, role: Role = Role.OPERATOR, token_id: str = "t", **more: Any) -> str:
        token = tokens.generate(
            TokenKind.ENROLMENT if role is Role.ENROL else TokenKind.OPERATOR,
            root=self.ring.root_id if role is Role.ENROL else None,
        )
        self.credentials.create_token(token_id, token.digest, role, now=self.now, **more)
        return token.text

    def enrol(self, agent_id: str = "a-1", group: str = "g", **lifetimes: float) -> str:
        key = self.ring.signing(Use.TOKEN)
        assert key is not None
        issuer = Issuer(self.ring.registry, key, Lifetimes(**lifetimes), spread=lambda low, high: 1)
        credential = issuer.issue(
            f"jti-{agent_id}",
            agent_id,
            group,
            revocation=self.credentials.revocation(agent_id),
            now=self.now,
        )
        return credential.access_token

    def sign_in(self, token_id: str = "t", lasts: int = DAY) -> str:
        secret = tokens.generate(TokenKind.OPERATOR)
        self.credentials.open_session("s", secret.digest, token_id, lasts=lasts, now=self.now)
        return secret.text

    def shows(self, token: str, **more: Any) -> Principal:
        return self.verifier.of_token(token, now=self.now, **more)

    def uses(self, changed: KeyRing) -> None:
        self.ring = changed
        self.verifier.use_keys(changed.keys)


@pytest.fixture
def world() -> World:
    return World()


# Headers


@pytest.mark.parametrize("before", ["Bearer ", "bearer ", "BEARER   ", " Bearer ", "\tbeaRer "])
def test_a_bearer_token_is_in_the_header(world: World, before: str) -> None:
    """Its scheme in any case (RFC 9110, section 11.1), with white space around it."""
    token = world.create()
    principal = world.verifier.of_header(f"{before}{token} ", now=world.now)
    assert "t" == principal.token_id


@pytest.mark.parametrize("value", [None, "", "Basic dTpw", "Bearer", "camo_x", "Bearertoken"])
def test_without_a_bearer_token_nobody_is_known(world: World, value: str | None) -> None:
    """Of ``Bearer`` alone it is the token that is wrong."""
    with pytest.raises(Unauthenticated) as refused:
        world.verifier.of_header(value, now=world.now)
    assert (InvalidToken if value == "Bearer" else Unauthenticated) is type(refused.value)


@UNHURRIED
@given(st.text())
@example("eyJ.eyJ.x")
@example("eyJ" + "x" * 3000 + "..")
@example("x" * 5000)
@example("came_" + "0" * 36)
@example("\ud800")
@example("eyJ\ud800..")
def test_garbage_is_an_invalid_token(token: str) -> None:
    """And the answer says nothing of it."""
    world = World()
    for show in (world.shows, lambda text: world.verifier.of_session(text, now=world.now)):
        with pytest.raises(InvalidToken) as refused:
            show(token)
        assert len(token) < 12 or token not in str(refused.value)


def test_garbage_costs_no_cryptography(world: World) -> None:
    """Not even if it looks like an agent's token."""
    good = world.enrol()
    with (
        patch.object(jwt, "verifies", side_effect=AssertionError),
        patch.object(ed25519, "verifies", side_effect=AssertionError),
    ):
        for token in ("x" * 100, "eyJhbGciOiJub25lIn0.e30.", "eyJ" + good[4:], "eyJ..", good + "."):
            with pytest.raises(InvalidToken):
                world.shows(token)


# Operators' tokens and enrolment tokens


def test_a_token_is_its_principal(world: World) -> None:
    """With role, scope, end, and what it may take over."""
    token = world.create(Role.ENROL, groups=["g*"], expires_in=DAY, reclaim=Reclaim.LAPSED)
    assert Principal(
        token_id="t",
        role=Role.ENROL,
        scope=Scope(("g*",)),
        expires=world.now.after(DAY),
        reclaim=Reclaim.LAPSED,
    ) == world.shows(token)


def test_no_character_of_a_token_may_be_another(world: World) -> None:
    """Those of the thumbprint, which is not the server's to look at, among them."""
    token = world.create(Role.ENROL)
    for at in range(len(token)):
        changed = token[:at] + ("x" if token[at] != "x" else "y") + token[at + 1 :]
        with pytest.raises(InvalidToken):
            world.shows(changed)
    with pytest.raises(InvalidToken):
        world.shows(token.partition(".")[0])


def test_expiry_and_revocation_are_looked_at_each_time(world: World) -> None:
    """By the token, and by what stands on it."""
    token, other = world.create(expires_in=DAY), world.create(token_id="u")
    principals = [world.shows(token), world.shows(other)]
    for principal in principals:
        world.verifier.recheck(principal, now=world.now)
    world.credentials.revoke_token("u", now=world.now)
    with pytest.raises(CredentialRevoked):
        world.shows(other)
    with pytest.raises(CredentialRevoked):
        world.verifier.recheck(principals[1], now=world.now)
    world.passes(86_400)
    with pytest.raises(TokenExpired):
        world.shows(token)
    with pytest.raises(TokenExpired):
        world.verifier.recheck(principals[0], now=world.now)


def test_a_file_may_hold_a_token_of_any_form(world: World) -> None:
    """One that looks like a JWT among them."""
    for text in ("eyJ0aGlz.aXM.bm9KV1Q_at_all_but_long", "0123456789" * 4):
        made = TokenCreated(
            at=world.now,
            token_id=f"file-{text}",
            digest=tokens.outside(text).digest,
            role=Role.ADMIN,
        )
        world.credentials.hold_outside([made], now=world.now)
        assert Role.ADMIN is world.shows(text).role
    with pytest.raises(CredentialRevoked):
        world.shows("eyJ0aGlz.aXM.bm9KV1Q_at_all_but_long")


# Sessions


def test_a_session_is_its_tokens_principal(world: World) -> None:
    """Until the earlier end of both."""
    world.create(expires_in=2 * DAY, groups=["g"])
    secret = world.sign_in()
    principal = world.verifier.of_session(secret, now=world.now)
    assert ("t", "s", "s") == (principal.token_id, principal.session_id, principal.issuer)
    assert (Role.OPERATOR, ("g",)) == (principal.role, principal.scope.globs)
    assert world.now.after(DAY) == principal.expires
    world.credentials.close_session("s", now=world.now)
    for again in (
        lambda: world.verifier.of_session(secret, now=world.now),
        lambda: world.verifier.recheck(principal, now=world.now),
    ):
        with pytest.raises(CredentialRevoked):
            again()


def test_a_session_ends_with_its_token(world: World) -> None:
    """When that expires first, and when it is revoked."""
    world.create(expires_in=DAY)
    secret = world.sign_in(lasts=2 * DAY)
    principal = world.verifier.of_session(secret, now=world.now)
    assert world.now.after(DAY) == principal.expires
    world.credentials.revoke_token("t", now=world.now)
    with pytest.raises(CredentialRevoked):
        world.verifier.recheck(principal, now=world.now)
    with pytest.raises(CredentialRevoked):
        world.verifier.recheck(evolve(principal, session_id="gone"), now=world.now)


def test_a_session_is_no_token_and_a_token_no_session(world: World) -> None:
    """Each is taken from where it belongs only."""
    token, secret = world.create(), world.sign_in()
    with pytest.raises(InvalidToken):
        world.shows(secret)
    with pytest.raises(InvalidToken):
        world.verifier.of_session(token, now=world.now)


# Agents


def test_an_agents_token_is_its_principal(world: World) -> None:
    """In its group and no other, until it expires."""
    assert Principal(
        token_id="jti-a-1",
        role=Role.AGENT,
        scope=Scope(("g",)),
        agent_id="a-1",
        expires=world.now.after(3600 * SECOND),
        key_id=getattr(world.ring.signing(Use.TOKEN), "key_id", ""),
    ) == world.shows(world.enrol())


def test_an_agents_token_is_verified_once(world: World) -> None:
    """Then a request is a look-up."""
    token = world.enrol()
    principal = world.shows(token)
    with patch.object(jwt, "verifies", side_effect=AssertionError):
        assert principal is world.shows(token)
        for header in (f"Bearer {token}", f"bearer  {token} "):
            assert principal is world.verifier.of_header(header, now=world.now)
        world.credentials.revoke_agent("a-2", now=world.now)
        assert principal is world.verifier.of_header(f"Bearer {token}", now=world.now)


def test_a_revocation_is_looked_at_once(world: World) -> None:
    """However many requests there are until the next one."""
    tokens = [world.enrol(f"a-{number}") for number in range(2)]
    for token in tokens:
        world.shows(token)
    world.credentials.revoke_agent("a-9", now=world.now)
    with patch.object(world.credentials, "revocation", return_value=0) as looked:
        for _ in range(3):
            for token in tokens:
                world.verifier.of_header(f"Bearer {token}", now=world.now)
    assert 2 == looked.call_count


def test_all_that_was_verified_can_be_revoked_at_once(world: World) -> None:
    """By the short way, too."""
    token, other = world.enrol(), world.create()
    world.verifier.of_header(f"Bearer {token}", now=world.now)
    world.credentials.revoke_all(now=world.now)
    for shown in (token, other):
        with pytest.raises(CredentialRevoked):
            world.verifier.of_header(f"Bearer {shown}", now=world.now)


def test_the_short_way_refuses_what_the_long_way_does(world: World) -> None:
    """Expired and revoked tokens, of a header that is as usual as can be."""
    token, other = world.enrol(), world.enrol("a-2")
    for shown in (token, other):
        world.verifier.of_header(f"Bearer {shown}", now=world.now)
    world.credentials.revoke_agent("a-2", now=world.now)
    with pytest.raises(CredentialRevoked):
        world.verifier.of_header(f"Bearer {other}", now=world.now)
    world.verifier.of_header(f"Bearer {token}", now=world.now)
    world.passes(HOUR)
    with pytest.raises(TokenExpired):
        world.verifier.of_header(f"Bearer {token}", now=world.now)
    world.verifier.of_header(f"Bearer {token}", now=world.now, renewing=True)


@pytest.mark.parametrize("revoked_before", [False, True])
def test_a_token_that_was_just_made_takes_the_short_way(world: World, revoked_before: bool) -> None:
    """From its first request on, unless its agent was revoked between the two."""
    key = world.ring.signing(Use.TOKEN)
    assert key is not None
    world.verifier.use_keys(world.ring.keys, world.ring.private)
    world.credentials.revoke_agent("a-9", now=world.now)
    counter = world.credentials.revocation("a-1")
    made = Issuer(world.ring.registry, key, Lifetimes()).issue(
        "jti", "a-1", "g", revocation=counter, now=world.now
    )
    if revoked_before:
        world.credentials.revoke_agent("a-1", now=world.now)
    principal = world.verifier.remember(made, "jti", "a-1", "g", counter, now=world.now)
    header = f"Bearer {made.access_token}"
    if revoked_before:
        assert world.verifier.known(header, world.now.steady) is None
        with pytest.raises(CredentialRevoked):
            world.verifier.of_header(header, now=world.now)
    else:
        assert principal is world.verifier.known(header, world.now.steady)
        assert world.verifier.known(header, world.now.after(2 * 3600 * SECOND).steady) is None
        world.credentials.revoke_agent("a-1", now=world.now)
        assert world.verifier.known(header, world.now.steady) is None


def test_only_so_many_are_remembered(world: World) -> None:
    """The oldest goes first; and garbage takes nobody's place."""
    shown = [world.enrol(f"a-{number}") for number in range(4)]
    for token in shown:
        world.shows(token)
        with pytest.raises(InvalidToken):
            world.shows(token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:])
    with patch.object(jwt, "verifies", side_effect=AssertionError):
        for token in shown[1:]:
            world.shows(token)
        with pytest.raises(AssertionError):
            world.shows(shown[0])


@pytest.fixture(params=["remembered", "new"])
def seen(request: pytest.FixtureRequest, world: World) -> str:
    """An agent's token, which has been verified before, or has not."""
    token = world.enrol()
    if request.param == "remembered":
        world.shows(token)
    return token


def test_an_expired_token_can_be_renewed_and_nothing_else(world: World, seen: str) -> None:
    """For seven days."""
    world.passes(HOUR - 0.001)
    world.shows(seen)
    world.passes(0.001)
    with pytest.raises(TokenExpired):
        world.shows(seen)
    assert "a-1" == world.shows(seen, renewing=True).agent_id
    world.passes(7 * 86_400 - HOUR - 0.001)
    world.shows(seen, renewing=True)
    world.passes(0.001)
    with pytest.raises(TokenExpired):
        world.shows(seen, renewing=True)


def test_revocation_is_at_once_and_within_one_moment(world: World, seen: str) -> None:
    """And what is given out after it is good. Nor can what was revoked be renewed."""
    principal = world.shows(seen) if world.verifier._verified else None
    world.credentials.revoke_agent("a-1", now=world.now)
    for renewing in (False, True):
        with pytest.raises(CredentialRevoked):
            world.shows(seen, renewing=renewing)
    if principal is not None:
        with pytest.raises(CredentialRevoked):
            world.verifier.recheck(principal, now=world.now)
    again = world.shows(world.enrol())
    world.verifier.recheck(again, now=world.now)
    world.credentials.revoke_all(now=world.now)
    with pytest.raises(CredentialRevoked):
        world.verifier.recheck(again, now=world.now)


def test_a_revocation_is_told_before_an_expiry(world: World, seen: str) -> None:
    """Who is told that its token has expired renews it, in vain."""
    world.credentials.revoke_agent("a-1", now=world.now)
    world.passes(10 * HOUR)
    with pytest.raises(CredentialRevoked):
        world.shows(seen)


def test_a_retired_key_goes_on_and_a_revoked_one_does_not(world: World, seen: str) -> None:
    """At once, for what was verified before as well."""
    key_id = world.shows(seen).key_id
    principal = world.shows(seen)
    world.uses(world.ring.announced(Use.TOKEN, at=day(0)).activated(Use.TOKEN, at=day(0)))
    world.shows(seen)
    world.verifier.recheck(principal, now=world.now)
    world.uses(world.ring.revoked(key_id, at=day(0)))
    with pytest.raises(CredentialRevoked, match="key"):
        world.shows(seen)
    with pytest.raises(CredentialRevoked):
        world.verifier.recheck(principal, now=world.now)
    assert "a-1" == world.shows(world.enrol()).agent_id


def test_a_command_key_ends_no_token(world: World, seen: str) -> None:
    """Revoked or not."""
    command = world.ring.signing(Use.COMMAND)
    assert command is not None
    world.uses(world.ring.revoked(command.key_id, at=day(0)))
    world.shows(seen)


def test_a_key_that_is_gone_is_unknown(world: World, seen: str) -> None:
    """What it has signed is none of this registry's."""
    world.uses(KeyRing.generate(at=day(0)))
    with pytest.raises(InvalidToken):
        world.shows(seen)


@pytest.mark.parametrize("days", [-400, 400])
def test_no_step_of_a_clock_changes_what_was_verified(world: World, days: int) -> None:
    """Neither ends a token, nor makes it good again."""
    token = world.enrol()
    world.shows(token)
    world.now = evolve(world.now, wall=world.now.wall + days * DAY)
    world.shows(token)
    world.passes(HOUR)
    with pytest.raises(TokenExpired):
        world.shows(token)


def test_without_keys_no_agent_is_known(world: World) -> None:
    """And tokens are known all the same."""
    verifier = Verifier(world.credentials)
    with pytest.raises(InvalidToken):
        verifier.of_token(world.enrol(), now=world.now)
    assert "t" == verifier.of_token(world.create(), now=world.now).token_id


def test_a_certificate_stands_for_no_key(world: World) -> None:
    """An agent that showed one is rechecked by its revocation only."""
    principal = Principal(token_id="cert", role=Role.AGENT, agent_id="a-1")
    world.verifier.recheck(principal, now=world.now)
    world.credentials.revoke_agent("a-1", now=world.now)
    with pytest.raises(CredentialRevoked):
        world.verifier.recheck(principal, now=world.now)
