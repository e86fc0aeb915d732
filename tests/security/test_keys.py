"""Key sets: how they change, what they look like, and which are not believed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import jwt as pyjwt
import orjson
import pytest

from cameleer_registry.security import ed25519, lines
from cameleer_registry.security.keys import (
    NO_ALGORITHM,
    REVOKED_SHOWN,
    Key,
    KeySet,
    KeySetRefused,
    Status,
    Use,
)
from cameleer_registry.security.lines import Kind, LineRefused, UnknownKey, WrongSignature

from .support import NOON, REGISTRY, day, key

ROOT, TOKEN, COMMAND, SECOND_COMMAND, THIRD = (key(number) for number in range(1, 6))
FIRST = KeySet.first(
    REGISTRY, ROOT.public, {Use.TOKEN: TOKEN.public, Use.COMMAND: COMMAND.public}, at=NOON
)
RETIRED_FOR = {Use.COMMAND: timedelta(days=1), Use.TOKEN: timedelta(days=31)}


def statuses(keys: KeySet, use: Use = Use.COMMAND) -> dict[str, str]:
    return {one.key_id: one.status for one in keys.keys if one.use is use}


# Changing


def test_keys_are_rotated_step_by_step() -> None:
    """Next, active, retired and gone; each step is one version."""
    announced = FIRST.announced(Use.COMMAND, SECOND_COMMAND.public, at=day(1))
    first, second = COMMAND.key_id, SECOND_COMMAND.key_id
    assert {first: "active", second: "next"} == statuses(announced)
    activated = announced.activated(Use.COMMAND, at=day(2))
    assert {first: "retired", second: "active"} == statuses(activated)
    assert activated is activated.without_outdated(at=day(2.9), retired_for=RETIRED_FOR)
    without = activated.without_outdated(at=day(3), retired_for=RETIRED_FOR)
    assert {second: "active"} == statuses(without)
    sets = [FIRST, announced, activated, without]
    assert [1, 2, 3, 4] == [one.version for one in sets]
    assert [day(0), day(1), day(2), day(3)] == [one.issued_at for one in sets]
    for one in sets:
        assert {TOKEN.key_id: "active"} == statuses(one, Use.TOKEN)


def test_there_is_one_next_key_at_most() -> None:
    """And none becomes active if none is next."""
    announced = FIRST.announced(Use.TOKEN, THIRD.public, at=day(1))
    with pytest.raises(ValueError, match="is already the next key for tokens"):
        announced.announced(Use.TOKEN, SECOND_COMMAND.public, at=day(1))
    with pytest.raises(ValueError, match="there is no next key for commands"):
        announced.activated(Use.COMMAND, at=day(1))
    bare = KeySet.first(REGISTRY, ROOT.public, {Use.TOKEN: TOKEN.public}, at=NOON)
    with pytest.raises(ValueError, match="no key for commands to rotate"):
        bare.announced(Use.COMMAND, COMMAND.public, at=day(1))


def test_a_key_that_is_revoked_is_replaced_at_once() -> None:
    """By the next one if there is one, and by a new one otherwise."""
    first, second, third = COMMAND.key_id, SECOND_COMMAND.key_id, THIRD.key_id
    with pytest.raises(ValueError, match="is the only key that signs commands"):
        FIRST.revoked(first, at=day(1))
    replaced = FIRST.revoked(first, at=day(1), instead=THIRD.public)
    assert {first: "revoked", third: "active"} == statuses(replaced)
    announced = FIRST.announced(Use.COMMAND, SECOND_COMMAND.public, at=day(1))
    promoted = announced.revoked(first, at=day(2), instead=THIRD.public)
    assert {first: "revoked", second: "active"} == statuses(promoted)
    assert {TOKEN.key_id: "active"} == statuses(promoted, Use.TOKEN)


def test_keys_that_do_not_sign_are_revoked_alone() -> None:
    """The next one, and one that is retired; a second time nothing changes."""
    announced = FIRST.announced(Use.COMMAND, SECOND_COMMAND.public, at=day(1))
    revoked = announced.revoked(SECOND_COMMAND.key_id, at=day(2))
    assert {COMMAND.key_id: "active", SECOND_COMMAND.key_id: "revoked"} == statuses(revoked)
    assert revoked is revoked.revoked(SECOND_COMMAND.key_id, at=day(3))
    retired = announced.activated(Use.COMMAND, at=day(2)).revoked(COMMAND.key_id, at=day(3))
    assert {COMMAND.key_id: "revoked", SECOND_COMMAND.key_id: "active"} == statuses(retired)
    with pytest.raises(ValueError, match="there is no key nobody"):
        FIRST.revoked("nobody", at=day(1))
    with pytest.raises(ValueError, match="there is no key"):
        FIRST.revoked(ROOT.key_id, at=day(1))


def test_a_revoked_key_is_shown_for_30_days() -> None:
    """So that what it has signed is answered as revoked, and not as unknown."""
    revoked = FIRST.revoked(TOKEN.key_id, at=day(1), instead=THIRD.public)
    shown_until = day(1) + REVOKED_SHOWN
    assert revoked is revoked.without_outdated(
        at=shown_until - timedelta(seconds=1), retired_for=RETIRED_FOR
    )
    without = revoked.without_outdated(at=shown_until, retired_for=RETIRED_FOR)
    assert {THIRD.key_id: "active"} == statuses(without, Use.TOKEN)
    assert timedelta(days=30) == REVOKED_SHOWN


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"registry": "REGISTRY"}, "registry: expected a UUID"),
        ({"registry": REGISTRY.upper()}, "registry: expected a UUID"),
        ({"version": 0}, "version: expected at least 1"),
        ({"keys": FIRST.keys * 2}, "twice"),
        ({"root": TOKEN.public}, "twice"),
        (
            {"keys": tuple(attrs.evolve(one, status=Status.NEXT) for one in FIRST.keys)},
            "expected one active key",
        ),
        (
            {
                "keys": (
                    *FIRST.keys,
                    Key(public=THIRD.public, use=Use.TOKEN, status=Status.ACTIVE, since=NOON),
                )
            },
            "expected one active key",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_set_that_makes_no_sense_is_not_made(change: dict[str, Any], why: str) -> None:
    """By whom ever."""
    with pytest.raises(ValueError, match=why):
        attrs.evolve(FIRST, **change)


# Verifying


def test_whatever_is_not_revoked_verifies() -> None:
    """The next key, too: a newer set may have made it active. And each for its own use."""
    keys = FIRST.announced(Use.COMMAND, SECOND_COMMAND.public, at=day(1))
    for one in (COMMAND, SECOND_COMMAND):
        assert one.public == keys.verifying(one.key_id, Use.COMMAND)
    activated = keys.activated(Use.COMMAND, at=day(1))
    assert COMMAND.public == activated.verifying(COMMAND.key_id, Use.COMMAND)
    with pytest.raises(LineRefused, match="signed by a key that is for tokens, not for commands"):
        keys.verifying(TOKEN.key_id, Use.COMMAND)
    with pytest.raises(UnknownKey):
        keys.verifying(ROOT.key_id, Use.COMMAND)
    revoked = keys.revoked(COMMAND.key_id, at=day(2))
    with pytest.raises(LineRefused, match="signed by a revoked key"):
        revoked.verifying(COMMAND.key_id, Use.COMMAND)


# Reading and writing


def test_a_set_is_a_jwks_and_a_signed_line() -> None:
    """As the contract has it."""
    keys = FIRST.announced(Use.COMMAND, SECOND_COMMAND.public, at=day(1))
    line = keys.signed(ROOT)
    told = orjson.loads(line)
    assert ("keys/1", REGISTRY, 2, ROOT.key_id) == (
        told["signs"],
        told["registry"],
        told["version"],
        told["keyId"],
    )
    assert ed25519.jwk(ROOT.public) == told["root"]
    assert [
        (TOKEN.key_id, "sig", "token", "active"),
        (COMMAND.key_id, "sig", "command", "active"),
        (SECOND_COMMAND.key_id, "sig", "command", "next"),
    ] == [(one["kid"], one["use"], one["for"], one["status"]) for one in told["keys"]]
    assert b'"d":' not in line
    assert keys == KeySet.read(line, root=ROOT.key_id) == KeySet.read(line, root=None)


def test_times_are_read_as_they_were() -> None:
    """They are cut to the millisecond, as they are written."""
    at = NOON + timedelta(microseconds=1999)
    keys = FIRST.announced(Use.COMMAND, SECOND_COMMAND.public, at=at)
    assert keys == KeySet.read(keys.signed(ROOT), root=ROOT.key_id)
    assert NOON + timedelta(milliseconds=1) == keys.issued_at


def test_a_library_for_jwks_leaves_revoked_token_keys_alone() -> None:
    """It knows no status; and it can read all the others."""
    revoked = FIRST.revoked(TOKEN.key_id, at=day(1), instead=THIRD.public)
    told = orjson.loads(revoked.signed(ROOT))
    assert [NO_ALGORITHM] == [one["alg"] for one in told["keys"] if one["status"] == "revoked"]
    assert {COMMAND.key_id, THIRD.key_id} == {
        one.key_id for one in pyjwt.PyJWKSet.from_dict(told).keys
    }


def test_only_its_root_signs_a_set() -> None:
    """A mistake of ours otherwise."""
    with pytest.raises(ValueError, match="another root"):
        FIRST.signed(THIRD)


def forged(root: Any = ..., by: ed25519.SigningKey = ROOT, **changes: Any) -> bytes:
    """Return the set's line with other members, which somebody has signed anew."""
    members = orjson.loads(FIRST.signed(ROOT))
    for name in ("signature", "signs", "keyId"):
        del members[name]
    members |= {"root": ed25519.jwk(by.public) if root is ... else root, **changes}
    return lines.sign(members, Kind.KEYS, by)


def test_a_set_that_another_root_signed_is_not_believed() -> None:
    """Under its own name, or under that of the right one."""
    for line in (forged(by=THIRD), forged(root=ed25519.jwk(ROOT.public), by=THIRD)):
        with pytest.raises(KeySetRefused, match="not signed by the root key"):
            KeySet.read(line, root=ROOT.key_id)
    renamed = forged(root={**ed25519.jwk(THIRD.public), "kid": ROOT.key_id}, by=THIRD)
    with pytest.raises(KeySetRefused, match="kid is not the thumbprint"):
        KeySet.read(renamed, root=ROOT.key_id)


def test_a_set_that_only_says_that_it_is_the_roots_is_not_believed() -> None:
    """By the name of the pinned root, with a key beside it that has another."""
    members = orjson.loads(lines.split(forged(by=THIRD)).message)
    del members["root"]["kid"]
    members["keyId"] = ROOT.key_id
    line = lines.seal(orjson.dumps(members), THIRD.sign)
    with pytest.raises(KeySetRefused, match="not signed by the root key"):
        KeySet.read(line, root=ROOT.key_id)


def test_a_set_is_not_believed_when_a_byte_is_another() -> None:
    """Nor a command that the root has signed, which it never does."""
    line = FIRST.signed(ROOT).replace(b'"version":1', b'"version":2')
    with pytest.raises(WrongSignature):
        KeySet.read(line, root=ROOT.key_id)
    other = lines.sign({"root": ed25519.jwk(ROOT.public)}, Kind.COMMAND, ROOT)
    with pytest.raises(LineRefused, match="not signed as keys/1"):
        KeySet.read(other, root=ROOT.key_id)


@pytest.mark.parametrize("root", [None, {}, [], "x", ed25519.jwk(ROOT.public) | {"x": "AA"}])
def test_a_set_names_its_root(root: Any) -> None:
    """As a key."""
    with pytest.raises(KeySetRefused, match="names no root key"):
        KeySet.read(forged(root=root), root=ROOT.key_id)


@pytest.mark.parametrize(
    "changes",
    [
        {"registry": 1},
        {"registry": "x"},
        {"version": "1"},
        {"version": True},
        {"version": 1.0},
        {"issuedAt": None},
        {"issuedAt": "2026-11-26T12:00:00"},
        {"keys": None},
        {"keys": ["x"]},
        {"keys": [{"for": "token", "status": "active"}]},
        {"keys": [{**ed25519.jwk(TOKEN.public), "for": "token", "status": "active"}]},
        {"keys": [FIRST.keys[0].jwk() | {"kid": COMMAND.key_id}]},
        {"keys": [FIRST.keys[0].jwk() | {"status": "next"}]},
    ],
    ids=str,
)
def test_a_set_that_cannot_be_read_is_refused(changes: dict[str, Any]) -> None:
    """Although its root has signed it."""
    with pytest.raises(KeySetRefused, match="the key set cannot be read"):
        KeySet.read(forged(**changes), root=ROOT.key_id)


def test_keys_of_tomorrow_are_left_out() -> None:
    """A server that is newer may have other uses, statuses and kinds of keys."""
    told = [one.jwk() for one in FIRST.keys]
    strange = [{"kty": "AKP", "for": "anchor", "status": "active"}, told[0] | {"status": "asleep"}]
    assert FIRST == KeySet.read(forged(keys=[*strange, *told]), root=ROOT.key_id)
