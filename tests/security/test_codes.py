"""Codes with which a browser signs in, once."""

from __future__ import annotations

import pytest

from cameleer_registry.errors import InvalidToken, TokenExpired
from cameleer_registry.security.codes import LIFETIME, MOST, Codes

from .support import SECOND, instant


def test_a_code_is_good_once() -> None:
    codes, now = Codes(), instant()
    code = codes.make("t", now)
    assert "t" == codes.spend(code, now)
    with pytest.raises(InvalidToken):
        codes.spend(code, now)


def test_a_code_ends() -> None:
    codes, now = Codes(), instant()
    code, other = codes.make("t", now), codes.make("t", now)
    assert "t" == codes.spend(code, now.after(LIFETIME * SECOND - 1))
    with pytest.raises(TokenExpired):
        codes.spend(other, now.after(LIFETIME * SECOND))


@pytest.mark.parametrize("code", ["", "x", "\u00e4", "x" * 100_000])
def test_what_is_no_code(code: str) -> None:
    with pytest.raises(InvalidToken):
        Codes().spend(code, instant())


def test_no_more_wait_than_a_bound() -> None:
    codes, now = Codes(), instant()
    first, second = codes.make("t", now), codes.make("t", now)
    for _ in range(MOST - 1):
        codes.make("t", now)
    with pytest.raises(InvalidToken):
        codes.spend(first, now)
    assert "t" == codes.spend(second, now)
