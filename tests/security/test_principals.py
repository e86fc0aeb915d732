"""Roles, permissions, scopes; and who may register what."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cameleer_registry.errors import (
    AgentIdInUse,
    GroupNotAllowed,
    InsufficientRole,
    NotYourAgent,
)
from cameleer_registry.security.enrolment import Present, check_membership, check_registration
from cameleer_registry.security.principals import (
    EVERYTHING,
    GRANTS,
    MOST_GLOBS,
    Permission,
    Principal,
    Reclaim,
    Role,
    Scope,
    matches,
)

from .support import UNHURRIED


def principal(role: Role, *globs: str, **more: Any) -> Principal:
    return Principal(token_id="t-1", role=role, scope=Scope(globs or ("*",)), **more)


AGENT = principal(Role.AGENT, "g", agent_id="a-1")

MAY = {
    Role.ENROL: "register",
    Role.AGENT: "",
    Role.METRICS: "metrics",
    Role.VIEWER: "read metrics",
    Role.OPERATOR: "read metrics command remove revoke",
    Role.ADMIN: "read metrics command remove revoke tokens keys",
}
"""The contract's table; what an agent may do is below."""


# Roles


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_a_role_may_do_what_the_contract_says(role: Role, permission: Permission) -> None:
    """And nothing else, whichever agent an address names."""
    if role is Role.AGENT:
        assert not GRANTS[role]
        return
    for agent_id in (None, "a-1"):
        if permission in MAY[role].split():
            principal(role).require(permission, agent_id=agent_id)
        else:
            with pytest.raises(InsufficientRole, match=f"'{role}' .* '{permission}'"):
                principal(role).require(permission, agent_id=agent_id)


def test_what_concerns_all_groups_needs_a_scope_of_all() -> None:
    """Metrics have a role for it, whatever its scope."""
    for permission in (Permission.COMMAND, Permission.METRICS, Permission.READ):
        principal(Role.OPERATOR).require(permission, all_groups=True)
        with pytest.raises(InsufficientRole, match="for all groups needs"):
            principal(Role.OPERATOR, "g*").require(permission, all_groups=True)
    principal(Role.METRICS, "g").require(Permission.METRICS, all_groups=True)
    with pytest.raises(InsufficientRole, match="does not have the permission"):
        principal(Role.METRICS).require(Permission.COMMAND, all_groups=True)


def test_an_agent_may_do_what_is_its_own() -> None:
    """Register, be there, look at itself, and leave."""
    own = {Permission.REGISTER, Permission.ACT, Permission.READ, Permission.REMOVE}
    for permission in own:
        AGENT.require(permission, agent_id="a-1")
    for permission in set(Permission) - own:
        with pytest.raises(InsufficientRole):
            AGENT.require(permission, agent_id="a-1")


@pytest.mark.parametrize("permission", Permission)
def test_of_another_agent_an_agent_learns_nothing(permission: Permission) -> None:
    """Whatever it asks for there; and what is nobody's own is for other roles."""
    with pytest.raises(NotYourAgent):
        AGENT.require(permission, agent_id="a-2")
    with pytest.raises(InsufficientRole):
        AGENT.require(permission)


def test_who_issues_is_the_session_or_the_token() -> None:
    """Whichever was shown."""
    assert "t-1" == principal(Role.ADMIN).issuer
    assert "s-1" == principal(Role.ADMIN, session_id="s-1").issuer


# Scopes


@pytest.mark.parametrize(
    ("globs", "inside", "outside"),
    [
        (["*"], ["a", "order-1"], []),
        (["order-*"], ["order-", "order-1", "order-1-2"], ["order", "Order-1", "border-1"]),
        (["*-prod"], ["a-prod", "-prod"], ["a-prod-1", "prod"]),
        (["a*b*c"], ["abc", "axbxc", "abbc"], ["ac", "abcd", "acb"]),
        (["a*a"], ["aa", "aba"], ["a"]),
        (["a**b"], ["ab", "axb"], ["a"]),
        (["a.c"], ["a.c"], ["abc"]),
        (["a", "b-*"], ["a", "b-1"], ["b", "ab"]),
    ],
    ids=str,
)
def test_a_scope_covers_what_its_globs_mean(
    globs: list[str], inside: list[str], outside: list[str]
) -> None:
    """Upper and lower case differ, and a dot is a dot."""
    scope = Scope(tuple(globs))
    assert inside == [group for group in inside if scope.covers(group)]
    assert [] == [group for group in outside if scope.covers(group)]


def test_everything_is_everything() -> None:
    """In whatever way it is said."""
    assert EVERYTHING.is_everything
    for globs in (("*",), ("**",), ("a", "*")):
        assert EVERYTHING == Scope(globs)
    assert not Scope(("a*",)).is_everything


PART = st.text("ab", max_size=6)


@UNHURRIED
@given(st.lists(PART, min_size=1, max_size=5).map("*".join), PART)
def test_globs_mean_what_a_regular_expression_would(glob: str, group: str) -> None:
    """Without its price."""
    pattern = re.escape(glob).replace(r"\*", ".*")
    assert (re.fullmatch(pattern, group) is not None) == matches(glob, group)


def test_many_stars_cost_no_more() -> None:
    """A regular expression would be at it until the timeout of this test."""
    assert not matches("*a" * 60 + "*b", "a" * 128)


@pytest.mark.parametrize(
    ("globs", "why"),
    [
        ("order-*", "expected an array"),
        (None, "expected an array"),
        ([], "expected 1 to 100 globs"),
        (["a"] * (MOST_GLOBS + 1), "expected 1 to 100 globs"),
        ([""], "expected 1 to 128 characters"),
        (["a" * 129], "expected 1 to 128 characters"),
        ([1], "expected a string"),
        (["a b"], "letters, digits"),
        (["a?"], "letters, digits"),
        (["[a]"], "letters, digits"),
        (["a\n"], "letters, digits"),
        (["a", "*", "ä"], "letters, digits"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_scope(globs: Any, why: str) -> None:
    """A glob that can mean no group, and a text that would be taken apart into letters."""
    with pytest.raises(ValueError, match=why):
        Scope(globs)


# Registering


def test_an_enrolment_token_registers_into_its_groups() -> None:
    """New agents, and those that are in one of its groups already."""
    enrol = principal(Role.ENROL, "g*")
    for present in (None, Present("g2", is_live=True), Present("g1", is_live=False)):
        check_registration(enrol, "a-1", "g1", present)


def test_an_enrolment_token_takes_nobody_out_of_another_group() -> None:
    """Neither into its own, nor from there."""
    enrol = principal(Role.ENROL, "g*")
    for group, present in (("h", None), ("g", Present("h", False)), ("h", Present("g", False))):
        with pytest.raises(GroupNotAllowed, match="'a-1'"):
            check_registration(enrol, "a-1", group, present)


def test_an_agent_stays_in_its_group() -> None:
    """By its own token, which is for nobody else."""
    check_registration(AGENT, "a-1", "g", None)
    check_registration(AGENT, "a-1", "g", Present("g", is_live=True))
    for group, present in (("h", None), ("h", Present("g", True)), ("g", Present("h", True))):
        with pytest.raises(GroupNotAllowed):
            check_registration(AGENT, "a-1", group, present)
    with pytest.raises(NotYourAgent):
        check_registration(AGENT, "a-2", "g", None)


def test_a_token_may_take_over_only_what_has_lapsed() -> None:
    """By default it takes over whatever is there: a pod that was started anew."""
    enrol = principal(Role.ENROL, reclaim=Reclaim.LAPSED)
    check_registration(enrol, "a-1", "g", None)
    check_registration(enrol, "a-1", "g", Present("g", is_live=False))
    with pytest.raises(AgentIdInUse, match="'a-1' is LIVE"):
        check_registration(enrol, "a-1", "g", Present("g", is_live=True))


def test_a_certificate_registers_the_agent_that_it_names() -> None:
    """And no other."""
    certificate = principal(Role.ENROL, agent_id="a-1")
    check_registration(certificate, "a-1", "g", None)
    with pytest.raises(NotYourAgent):
        check_registration(certificate, "a-2", "g", None)


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.ENROL, Role.AGENT}))
def test_nobody_else_registers(role: Role) -> None:
    """Not even an admin, who can make a token for it."""
    with pytest.raises(InsufficientRole):
        check_registration(principal(role), "a-1", "g", None)


def test_a_token_of_an_agents_former_group_opens_nothing() -> None:
    """Its holder would hear what is sent to the new one. Others are judged by their scope."""
    check_membership(AGENT, "a-1", "g")
    with pytest.raises(GroupNotAllowed):
        check_membership(AGENT, "a-1", "h")
    check_membership(principal(Role.OPERATOR, "g"), "a-1", "h")
