"""What is asked of credentials, as values: they come out of a log as they were put in."""

from __future__ import annotations

from typing import Final

import orjson
import pytest

from cameleer_registry.core.inputs import Input, UnknownInput
from cameleer_registry.core.model import Registration
from cameleer_registry.security import inputs
from cameleer_registry.security.inputs import Given, decode, encode, to_entry
from cameleer_registry.security.principals import Principal, Reclaim, Role, Scope

WHO: Final = Principal(
    token_id="t",
    role=Role.ENROL,
    scope=Scope(("order-*", "g")),
    session_id="s",
    reclaim=Reclaim.LAPSED,
)
AGENT: Final = Principal(token_id="j", role=Role.AGENT, agent_id="a", revocation=7)
EACH: Final[tuple[Input, ...]] = (
    inputs.Enrol(
        registration=Registration(agent_id="a", group="g"),  # type: ignore[arg-type]
        principal=WHO,
        given=Given(token_id="j", lives=3601),
    ),
    inputs.Enrol(
        registration=Registration(agent_id="a", group="g"),  # type: ignore[arg-type]
        principal=AGENT,
        given=None,
    ),
    inputs.Renew(agent_id="a", principal=AGENT, given=Given(token_id="k", lives=9)),
    inputs.CreateToken(token_id="t", digest="d", role=Role.ADMIN),
    inputs.CreateToken(
        token_id="t",
        digest="d",
        role=Role.ENROL,
        groups=("a", "b-*"),
        expires_in=7,
        note="for people",
        uses=3,
        reclaim=Reclaim.LAPSED,
        by="x",
    ),
    inputs.RevokeToken(token_id="t", by="x"),
    inputs.RevokeAgent(agent_id="a", by=None),
    inputs.OpenSession(session_id="s", digest="d", token_id="t", lasts=5),
    inputs.MakeCode(digest="d", token_id="t"),
    inputs.SpendCode(code="c", session_id="s", digest="d", lasts=5),
    inputs.CloseSession(session_id="s"),
    inputs.PublishKeys(line="{}"),
)


def test_each_comes_out_as_it_went_in() -> None:
    """Also when it has been JSON in between."""
    kinds = {kind for kind in Input.__subclasses__() if kind.__module__ == inputs.__name__}
    assert kinds == set(map(type, EACH))
    for each in EACH:
        assert each == decode(orjson.loads(orjson.dumps(encode(each))))


@pytest.mark.parametrize(
    "value",
    [
        ["dance"],
        [],
        None,
        ["enrol"],
        ["enrol", ["a"], ["t"], None],
        ["create-token", "t", "d", "emperor", ["*"], None, None, None, "always", None],
        ["revoke-token", "t"],
        ["renew", "a", ["t", "enrol", ["*"], None, None, "always", 0, False]],
        ["publish-keys"],
    ],
)
def test_what_is_not_known_is_refused(value: object) -> None:
    """It is never left out: the others may know it."""
    with pytest.raises(UnknownInput):
        decode(value)  # type: ignore[arg-type]
    with pytest.raises(UnknownInput):
        to_entry([1, "b", 1, [value]])
