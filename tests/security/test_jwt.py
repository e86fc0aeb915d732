"""Agents' tokens: what they say, for how long, and whatever is refused as one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import jwt as pyjwt
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cameleer_registry.errors import CredentialRevoked, InvalidToken
from cameleer_registry.security import base64url, jwt
from cameleer_registry.security.ed25519 import SigningKey
from cameleer_registry.security.jwt import Claims, Credential, Issuer, Lifetimes, Reader
from cameleer_registry.security.keys import KeySet, Use
from cameleer_registry.security.lines import Kind, sign

from .support import NOON, REGISTRY, SECOND, UNHURRIED, day, instant, key

ROOT, TOKEN, COMMAND, NEXT = (key(number) for number in range(1, 5))
KEYS = KeySet.first(
    REGISTRY, ROOT.public, {Use.TOKEN: TOKEN.public, Use.COMMAND: COMMAND.public}, at=NOON
)
PRIVATE = {each.key_id: each for each in (ROOT, TOKEN, COMMAND, NEXT)}
SECONDS = round(NOON.timestamp())


@pytest.fixture(scope="module", params=[{}, PRIVATE], ids=["by public keys", "by private keys"])
def private(request: pytest.FixtureRequest) -> Any:
    """What is read here is read by others, and by the registry itself."""
    return request.param


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def issued(
    agent_id: str = "a-1", group: str = "g", *, spread: Any = middle, by: SigningKey = TOKEN
) -> Credential:
    issuer = Issuer(REGISTRY, by, Lifetimes(), spread=spread)
    return issuer.issue("t-1", agent_id, group, revocation=5, now=instant())


GOOD = issued().access_token


def anyhow(claims: Any = ..., *, header: Any = ..., by: SigningKey = TOKEN, **changes: Any) -> str:
    """Sign other claims or another header."""
    head, body, _ = GOOD.split(".")
    if claims is ...:
        claims = orjson.loads(base64url.decode(body)) | changes
    if header is not ...:
        head = base64url.encode(orjson.dumps(header))
    signed = f"{head}.{base64url.encode(orjson.dumps(claims))}"
    return f"{signed}.{base64url.encode(by.sign(signed.encode()))}"


def test_what_is_issued_is_read(private: Any) -> None:
    """Every claim of it."""
    assert Claims(
        token_id="t-1",
        agent_id="a-1",
        group="g",
        issued=SECONDS,
        expires=SECONDS + 3600,
        renewable_until=SECONDS + 7 * 86_400,
        revocation=5,
        key_id=TOKEN.key_id,
    ) == Reader(KEYS, private).read(GOOD)


def test_durations_are_relative() -> None:
    """So no agent's time of day is asked. It should renew when two thirds are over."""
    credential = issued()
    assert (3_600_000, 2_400_000, 604_800_000) == (
        credential.expires_in_ms,
        credential.renew_after_ms,
        credential.renewable_for_ms,
    )
    assert GOOD not in repr(credential)


def test_ends_are_spread() -> None:
    """By a tenth of the lifetime either way, so that a fleet does not come back in one moment."""
    assert (3240, 3960) == (
        issued(spread=min).expires_in_ms // 1000,
        issued(spread=max).expires_in_ms // 1000,
    )
    issuer = Issuer(REGISTRY, TOKEN, Lifetimes())
    ends = {
        issuer.issue("t", "a", "g", revocation=0, now=instant()).expires_in_ms for _ in range(300)
    }
    assert len(ends) > 100
    assert 3_240_000 <= min(ends) < 3_350_000
    assert 3_850_000 < max(ends) <= 3_960_000


@pytest.mark.parametrize(
    ("token", "renewable"), [(0, 60), (60, 59), (60, jwt.LONGEST_RENEWABLE + 1), (60, 0)]
)
def test_lifetimes_make_sense(token: float, renewable: float) -> None:
    """A token is renewable as long as it is good, and no longer than revocations are known."""
    with pytest.raises(ValueError, match=r"renewable|token"):
        Lifetimes(token=token, renewable=renewable)


def test_a_token_is_renewable_until_it_ends_at_least() -> None:
    """However its end was spread."""
    issuer = Issuer(REGISTRY, TOKEN, Lifetimes(token=100, renewable=100), spread=max)
    credential = issuer.issue("t", "a", "g", revocation=0, now=instant())
    assert 110_000 == credential.expires_in_ms == credential.renewable_for_ms


def test_the_longest_token_is_read(private: Any) -> None:
    """With the longest id, group and numbers that there can be."""
    issuer = Issuer(REGISTRY, TOKEN, Lifetimes())
    longest = issuer.issue("0" * 36, "a" * 128, "g" * 128, revocation=2**53, now=instant())
    assert "a" * 128 == Reader(KEYS, private).read(longest.access_token).agent_id
    assert len(longest.access_token) < 900 < jwt.LONGEST


# Others


def test_another_service_verifies_it_by_the_key_set() -> None:
    """With a library of its own; and it finds what RFC 9068 has in it."""
    told = pyjwt.PyJWKSet.from_dict(orjson.loads(KEYS.signed(ROOT)))
    header = pyjwt.get_unverified_header(GOOD)
    assert {"alg": "EdDSA", "typ": "at+jwt", "kid": TOKEN.key_id} == header
    claims = pyjwt.decode(
        GOOD,
        told[header["kid"]],
        algorithms=["EdDSA"],
        audience="cameleer-registry",
        issuer=REGISTRY,
        leeway=timedelta(days=36_500),
    )
    assert ("a-1", "g", "t-1") == (claims["sub"], claims["grp"], claims["jti"])


# Keys


def test_tokens_outlive_the_key_that_signed_them_being_retired() -> None:
    """The next key may have signed in a newer set; and one that is gone, or another's, has not."""
    announced = KEYS.announced(Use.TOKEN, NEXT.public, at=day(1))
    retired = announced.activated(Use.TOKEN, at=day(2))
    for keys in (KEYS, announced, retired):
        assert "a-1" == Reader(keys).read(GOOD).agent_id
    assert "a-1" == Reader(announced).read(issued(by=NEXT).access_token).agent_id
    gone = retired.without_outdated(at=day(9), retired_for=dict.fromkeys(Use, timedelta(days=7)))
    for reader in (Reader(gone), Reader(KeySet.first(REGISTRY, ROOT.public, {}, at=NOON))):
        with pytest.raises(InvalidToken):
            reader.read(GOOD)


def test_a_token_of_a_revoked_key_is_revoked() -> None:
    """And those of the key that signs instead are not."""
    reader = Reader(KEYS.revoked(TOKEN.key_id, at=day(1), instead=NEXT.public))
    with pytest.raises(CredentialRevoked, match="key that has signed the token is revoked"):
        reader.read(GOOD)
    assert "a-1" == reader.read(issued(by=NEXT).access_token).agent_id


def test_a_command_key_signs_no_tokens(private: Any) -> None:
    """Nor does the root, nor is a line that they have signed a token."""
    for signer in (COMMAND, ROOT):
        with pytest.raises(InvalidToken):
            Reader(KEYS, private).read(issued(by=signer).access_token)
        with pytest.raises(InvalidToken):
            Reader(KEYS, private).read(anyhow(by=signer))
    with pytest.raises(InvalidToken):
        Reader(KEYS, private).read(sign({"a": 1}, Kind.COMMAND, TOKEN).decode())


# What is hostile


@UNHURRIED
@given(data=st.data())
def test_no_character_of_a_token_can_be_another(data: st.DataObject, private: Any) -> None:
    """The last one, of which some bits are left over, among them."""
    at = data.draw(st.integers(0, len(GOOD) - 1) | st.just(len(GOOD) - 1))
    char = data.draw(st.characters().filter(lambda char: char != GOOD[at]))
    with pytest.raises(InvalidToken) as refused:
        Reader(KEYS, private).read(GOOD[:at] + char + GOOD[at + 1 :])
    assert "the token is not one of this registry's" == str(refused.value)


@UNHURRIED
@given(token=st.text())
@example(token="")
@example(token="..")
@example(token=GOOD + "=")
@example(token=GOOD + ".")
@example(token="." + GOOD)
@example(token=GOOD.rpartition(".")[0])
@example(token=GOOD.rpartition(".")[0] + ".")
@example(token=GOOD.partition(".")[0] + "..")
@example(token=GOOD.partition(".")[0] + ".bnVsbA." + "A" * 86)
@example(token=GOOD.partition(".")[0] + "." + "A" * 2000)
@example(token=GOOD.partition(".")[0] + "." + "W" * 1000 + "." + "A" * 86)
def test_garbage_is_refused(token: str, private: Any) -> None:
    """By no other exception."""
    with pytest.raises(InvalidToken):
        Reader(KEYS, private).read(token)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "at+jwt", "kid": TOKEN.key_id},
        {"alg": "HS256", "typ": "at+jwt", "kid": TOKEN.key_id},
        {"alg": "EdDSA", "typ": "JWT", "kid": TOKEN.key_id},
        {"alg": "EdDSA", "typ": "at+jwt"},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": NEXT.key_id},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": TOKEN.key_id, "crit": ["b64"], "b64": False},
        {"typ": "at+jwt", "alg": "EdDSA", "kid": TOKEN.key_id},
        {"alg": "EdDSA", "typ": "at+jwt", "kid": TOKEN.key_id, "jwk": {}},
    ],
    ids=str,
)
def test_no_header_but_ours_is_read(header: dict[str, Any], private: Any) -> None:
    """Although the right key has signed it."""
    with pytest.raises(InvalidToken):
        Reader(KEYS, private).read(anyhow(header=header))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "00000000-0000-4000-8000-000000000000"},
        {"aud": "another"},
        {"aud": ["cameleer-registry"]},
        {"sub": ""},
        {"sub": "register"},
        {"sub": 1},
        {"grp": "a b"},
        {"grp": None},
        {"exp": "1"},
        {"exp": 1.5},
        {"iat": True},
        {"rnw": None},
        {"rev": -0.0},
        {"jti": 1},
    ],
    ids=str,
)
def test_claims_of_another_kind_are_refused(changes: dict[str, Any], private: Any) -> None:
    """Another registry's among them, which has the same keys."""
    with pytest.raises(InvalidToken):
        Reader(KEYS, private).read(anyhow(**changes))


@pytest.mark.parametrize("claims", [None, [], "x", 1, {}])
def test_claims_are_an_object(claims: Any, private: Any) -> None:
    """With all of the claims in it."""
    with pytest.raises(InvalidToken):
        Reader(KEYS, private).read(anyhow(claims))


def test_a_token_is_known_at_a_glance() -> None:
    """Without looking into it; no token of another kind looks like that."""
    assert jwt.looks_like_one(GOOD)
    for other in ("", "eyJ", "eyJ.a", "eyJ.a.b.c", "came_x.y", "camo_x", "a.b.c"):
        assert not jwt.looks_like_one(other)
    assert SECOND == 10**9
