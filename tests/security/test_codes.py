"""Codes with which a browser signs in, once."""

from __future__ import annotations

import pytest

from cameleer_registry.core.instant import Instant
from cameleer_registry.errors import InvalidToken, TokenExpired
from cameleer_registry.security.codes import LIFETIME, MOST, Codes, digest_of, generate

from .support import SECOND, instant


def make(codes: Codes, now: Instant) -> str:
    code = generate()
    codes.keep(digest_of(code), "t", now)
    return code


def test_a_code_is_good_once() -> None:
    codes, now = Codes(), instant()
    code = make(codes, now)
    assert "t" == codes.spend(digest_of(code), now)
    with pytest.raises(InvalidToken):
        codes.spend(digest_of(code), now)


def test_a_code_ends() -> None:
    codes, now = Codes(), instant()
    code, other = make(codes, now), make(codes, now)
    assert "t" == codes.spend(digest_of(code), now.after(LIFETIME * SECOND - 1))
    with pytest.raises(TokenExpired):
        codes.spend(digest_of(other), now.after(LIFETIME * SECOND))


@pytest.mark.parametrize("code", ["", "x", "\u00e4", "x" * 100_000])
def test_what_is_no_code(code: str) -> None:
    with pytest.raises(InvalidToken):
        Codes().spend(digest_of(code), instant())


def test_no_more_wait_than_a_bound() -> None:
    codes, now = Codes(), instant()
    first, second = make(codes, now), make(codes, now)
    for _ in range(MOST - 1):
        make(codes, now)
    with pytest.raises(InvalidToken):
        codes.spend(digest_of(first), now)
    assert "t" == codes.spend(digest_of(second), now)


def test_another_node_knows_the_same_codes() -> None:
    codes, other, now = Codes(), Codes(), instant()
    spent, code = make(codes, now), make(codes, now)
    codes.spend(digest_of(spent), now)
    make(other, now)
    other.start_over(codes.value())
    assert codes.value() == other.value()
    assert "t" == other.spend(digest_of(code), now)
