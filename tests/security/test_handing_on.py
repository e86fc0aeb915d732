"""A token makes no other one that shows more than it does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cameleer_registry.security.principals import Principal, Role, Scope

GLOBS = st.text("ab*", min_size=1, max_size=6)
NAMES = st.text("ab", max_size=8)


@pytest.mark.parametrize(
    ("outer", "inner", "is_inside"),
    [
        (("*",), ("a", "*"), True),
        (("order-*",), ("order-*",), True),
        (("order-*",), ("order-eu-*", "order-1"), True),
        (("order-*",), ("order-1", "other"), False),
        (("order-*",), ("*",), False),
        (("order-*",), ("orde*",), False),
        (("a*b",), ("a*",), False),
        (("a", "b"), ("a", "b"), True),
        (("a", "b"), ("a*",), False),
    ],
)
def test_a_scope_in_another(
    outer: tuple[str, ...], inner: tuple[str, ...], is_inside: bool
) -> None:
    assert is_inside == Scope(outer).contains(Scope(inner))


@given(st.lists(GLOBS, min_size=1), st.lists(GLOBS, min_size=1), NAMES)
def test_what_is_in_the_inner_one_is_in_the_outer_one(
    outer: list[str], inner: list[str], name: str
) -> None:
    """Whatever the stars of the inner one stand for."""
    if Scope(tuple(outer)).contains(Scope(tuple(inner))) and Scope(tuple(inner)).covers(name):
        assert Scope(tuple(outer)).covers(name)


def test_metrics_are_of_all_groups() -> None:
    """So whoever does not see all groups makes no token for them."""
    narrow = Principal(token_id="n", role=Role.ADMIN, scope=Scope(("g",)))
    assert narrow.may_hand_on(Role.ADMIN, Scope(("g",)))
    assert not narrow.may_hand_on(Role.METRICS, Scope(("g",)))
    assert Principal(token_id="a", role=Role.ADMIN).may_hand_on(Role.METRICS, Scope(("g",)))
