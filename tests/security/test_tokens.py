"""Enrolment and operator tokens: their form, and what is told from them at a glance."""

from __future__ import annotations

import hashlib
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cameleer_registry.security import tokens
from cameleer_registry.security.tokens import BASE62, NoToken, Token, TokenKind

from .support import UNHURRIED, key

ROOT = key(1).key_id
KINDS = pytest.mark.parametrize(
    ("kind", "root"),
    [(TokenKind.ENROLMENT, ROOT), (TokenKind.ENROLMENT, None), (TokenKind.OPERATOR, None)],
)
ANY = st.builds(
    lambda kind: tokens.generate(kind, root=ROOT if kind is TokenKind.ENROLMENT else None),
    st.sampled_from(TokenKind),
)


@KINDS
def test_a_token_is_what_it_was_made_as(kind: TokenKind, root: str | None) -> None:
    """With and without the root's thumbprint."""
    token = tokens.generate(kind, root=root)
    assert token == tokens.parse(token.text)
    assert (kind, root) == (token.kind, token.root)
    assert hashlib.sha256(token.text.encode()).hexdigest() == token.digest


def test_tokens_have_the_form_of_the_contract() -> None:
    """Letters and digits, for scanners of leaks; and a thumbprint behind a dot."""
    enrolment = tokens.generate(TokenKind.ENROLMENT, root=ROOT).text
    assert re.fullmatch(rf"came_[0-9A-Za-z]+\.{ROOT}", enrolment)
    assert re.fullmatch(r"camo_[0-9A-Za-z]+", tokens.generate(TokenKind.OPERATOR).text)


def test_a_secret_has_at_least_160_random_bits() -> None:
    """And no two are alike; every character of the alphabet may come anywhere."""
    assert tokens.SECRET_LENGTH * math.log2(len(BASE62)) >= 160
    made = {tokens.generate(TokenKind.OPERATOR).text for _ in range(1000)}
    assert 1000 == len(made)
    for place in range(5, 5 + tokens.SECRET_LENGTH):
        assert len({text[place] for text in made}) > 50


def test_the_checksum_is_over_all_that_stands_before_it() -> None:
    """One is written down, so that it stays what it is."""
    assert "18SBci" == tokens.checksum("came_000000000000000000000000000000")
    head = tokens.generate(TokenKind.ENROLMENT).text[:-6]
    with pytest.raises(NoToken, match="checksum"):
        tokens.parse("camo_" + head[5:] + tokens.checksum(head))


@UNHURRIED
@given(ANY, st.data())
def test_a_token_with_another_character_is_no_token(token: Token, data: st.DataObject) -> None:
    """In the prefix, the secret, the checksum, or as bits left over behind the thumbprint."""
    at = data.draw(st.integers(0, 40))
    char = data.draw(st.characters().filter(lambda char: char != token.text[at]))
    with pytest.raises(NoToken) as refused:
        tokens.parse(token.text[:at] + char + token.text[at + 1 :])
    assert token.text[5:35] not in str(refused.value)


@UNHURRIED
@given(ANY, st.data())
def test_a_token_that_lost_something_is_no_token(token: Token, data: st.DataObject) -> None:
    """Or has something twice, or two characters the other way round."""
    text = token.text[:41]
    at = data.draw(st.integers(0, 39))
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    for other in (text[:at] + text[at + 1 :], text[:at] + text[at] + text[at:], swapped):
        if other != text:
            with pytest.raises(NoToken):
                tokens.parse(other)


@pytest.mark.parametrize(
    "text",
    ["", "came_", "came_" + "0" * 35, "x" + "0" * 41, "0" * 41, "came_" + "0" * 36 + "\n",
     " came_" + "0" * 36, "CAME_" + "0" * 36, "came_" + "é" * 36, "came_" + "٣" * 36, "\ud800"],
)  # fmt: skip
def test_garbage_is_no_token(text: str) -> None:
    """And is not quoted."""
    with pytest.raises(NoToken) as refused:
        tokens.parse(text)
    assert len(text) < 6 or text not in str(refused.value)


def test_only_an_enrolment_token_has_a_thumbprint() -> None:
    """Of a key, in its one spelling."""
    operator = tokens.generate(TokenKind.OPERATOR).text
    enrolment = tokens.generate(TokenKind.ENROLMENT).text
    spelled = ROOT[:-1] + next(c for c in "BCDFGHJK" if c != ROOT[-1])  # leaves bits over
    for text in (f"{operator}.{ROOT}", f"{enrolment}.{spelled}"):
        with pytest.raises(NoToken, match="not the thumbprint"):
            tokens.parse(text)
    for text in (f"{enrolment}.", f"{enrolment}.{ROOT}A", f"{enrolment}.{ROOT}.{ROOT}"):
        with pytest.raises(NoToken, match="not a token of a registry"):
            tokens.parse(text)
    with pytest.raises(ValueError, match="only for an enrolment token"):
        tokens.generate(TokenKind.OPERATOR, root=ROOT)
    with pytest.raises(ValueError, match="expected a thumbprint"):
        tokens.generate(TokenKind.ENROLMENT, root="short")


def test_a_token_is_not_shown() -> None:
    """In no log, and no traceback."""
    token = tokens.generate(TokenKind.OPERATOR)
    assert token.text[5:] not in repr(token) + str(token)


# From elsewhere


@pytest.mark.parametrize("text", ["x" * 27, "0a" * 32, "a.b~c-d_e+f/g-012345678901==", "x" * 4096])
def test_a_file_may_hold_what_somebody_else_has_made(text: str) -> None:
    """By ``openssl rand -hex 32``, say, with a line end behind it."""
    taken = tokens.outside(f"{text}\n")
    assert (tokens.digest_of(text), None) == (taken.digest, taken.warning)


def test_one_of_ours_that_was_mistyped_is_taken_with_a_warning() -> None:
    """It may be right, and somebody else's; and whoever reads the log finds out why it is not."""
    text = tokens.generate(TokenKind.ENROLMENT, root=ROOT).text
    assert tokens.outside(text).warning is None
    other = text[:-1] + ("A" if text[-1] != "A" else "Q") + "x"
    assert "not a token of a registry" in str(tokens.outside(other).warning)
    assert tokens.digest_of(other) == tokens.outside(other).digest


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "shorter than 27"),
        ("x" * 26 + "\n", "shorter than 27"),
        ("x" * 4097, "too long"),
        ("two words of more than 27 characters", "that a header cannot"),
        ("x" * 27 + "\x00", "that a header cannot"),
        ("ü" * 27, "that a header cannot"),
        ("=" * 27, "that a header cannot"),
    ],
)
def test_what_could_be_guessed_or_not_be_sent_is_refused(text: str, why: str) -> None:
    """And is not quoted."""
    with pytest.raises(NoToken, match=why) as refused:
        tokens.outside(text)
    assert not text.strip() or text.strip() not in str(refused.value)


def test_a_token_of_a_file_has_the_same_id_wherever_it_is_read() -> None:
    """Which is no part of what is kept of it."""
    digest = tokens.digest_of("x" * 40)
    token_id = tokens.id_of_outside(digest)
    assert token_id == tokens.id_of_outside(digest)
    assert token_id != tokens.id_of_outside(tokens.digest_of("y" * 40))
    assert tokens.is_outside(token_id)
    assert not tokens.is_outside(digest)
    assert token_id.removeprefix("file-") not in digest
