"""How credentials begin, and what has to agree afterwards."""

from __future__ import annotations

import itertools

import attrs
import pytest

from cameleer_registry.errors import SettingsError
from cameleer_registry.security import founding, tokens
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import Use
from cameleer_registry.security.principals import Role
from cameleer_registry.security.store import Credentials
from cameleer_registry.security.verify import Verifier

from .support import NOON, day, instant, ring

NOW = instant()


def found(credentials: Credentials, keys: KeyRing | None = None) -> founding.Founding:
    numbers = itertools.count(len(credentials.tokens()))
    return founding.found(credentials, keys, now=NOW, new_id=lambda: f"t-{next(numbers)}")


def test_a_registry_begins_with_keys_and_two_tokens() -> None:
    """By which an admin and agents are let in, and agents know the server."""
    credentials = Credentials()
    begun = found(credentials)
    verifier = Verifier(credentials, begun.ring.keys)
    assert Role.ADMIN is verifier.of_token(begun.admin.text, now=NOW).role
    assert Role.ENROL is verifier.of_token(begun.enrolment.text, now=NOW).role
    assert begun.ring.root_id == tokens.parse(begun.enrolment.text).root
    assert credentials.ever
    assert NOON == begun.ring.keys.issued_at
    again = Credentials()
    again.apply(begun.facts)
    assert list(credentials.as_facts()) == list(again.as_facts())
    assert [] == [
        fact
        for fact in begun.facts
        if begun.admin.text in str(fact) or begun.enrolment.text in str(fact)
    ]


def test_it_may_begin_with_keys_that_are_there() -> None:
    """And once more: two tokens more, and the same keys."""
    credentials = Credentials()
    for _ in range(2):
        assert ring() is found(credentials, ring()).ring
    assert 4 == len(credentials.tokens())


def test_the_newest_key_set_counts() -> None:
    """That of the file, or that which was published since."""
    credentials, older = Credentials(), ring()
    newer = older.announced(Use.COMMAND, at=day(1))
    _, told = founding.adopt(credentials, older, now=NOW)
    assert 2 == len(told)
    adopted, told = founding.adopt(credentials, newer, now=NOW)
    assert newer is adopted
    assert 1 == len(told)
    holder = attrs.evolve(newer, line=older.line)
    adopted, told = founding.adopt(credentials, holder, now=NOW)
    assert newer.keys == adopted.keys
    assert () == told


def test_keys_of_another_registry_are_refused() -> None:
    """In one line, whether the root is another or only the registry is."""
    credentials = Credentials()
    founding.adopt(credentials, ring(), now=NOW)
    other_root = KeyRing.generate(at=NOON)
    root = ring().root
    assert root is not None
    keys = attrs.evolve(ring().keys, registry=other_root.registry)
    other_registry = attrs.evolve(ring(), line=keys.signed(root))
    for other in (other_root, other_registry):
        with pytest.raises(SettingsError, match="the database is another registry's") as refused:
            founding.adopt(credentials, other, now=NOW)
        assert "\n" not in str(refused.value)
        with pytest.raises(SettingsError):
            found(credentials, other)


def test_keys_that_are_gone_are_not_made_anew() -> None:
    """Every agent has pinned the root."""
    credentials = Credentials()
    with pytest.raises(SettingsError, match=r"^there are no keys$"):
        founding.adopt(credentials, None, now=NOW)
    founding.adopt(credentials, ring(), now=NOW)
    with pytest.raises(SettingsError, match=r"put its keys\.json back"):
        founding.adopt(credentials, None, now=NOW)
    with pytest.raises(SettingsError, match="another registry's"):
        found(credentials)  # with keys of its own


def test_keys_of_an_older_copy_are_refused_if_they_cannot_sign() -> None:
    """The key that signs now was made after the copy."""
    credentials, older = Credentials(), ring()
    newer = older.announced(Use.COMMAND, at=day(1)).activated(Use.COMMAND, at=day(2))
    founding.adopt(credentials, newer, now=NOW)
    with pytest.raises(SettingsError, match="older than the database, which knows version 3"):
        founding.adopt(credentials, older, now=NOW)
