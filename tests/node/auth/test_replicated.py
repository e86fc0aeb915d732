"""The credentials of many nodes: whoever has followed one log knows, and signs, the same."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cameleer_registry.core import inputs as of_core
from cameleer_registry.core.model import CommandType, Order, Target
from cameleer_registry.core.slices import at_once
from cameleer_registry.errors import (
    AgentIdInUse,
    CannotJoin,
    CredentialRevoked,
    InvalidToken,
    NotFound,
    SettingsError,
    TokenExpired,
)
from cameleer_registry.security import inputs
from cameleer_registry.security.ed25519 import SigningKey
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import Use
from cameleer_registry.security.principals import Principal, Reclaim, Role
from cameleer_registry.security.tokens import id_of_outside

from ...core.conversations import registration
from ...security.support import NOON
from .replicas import Follower, Log, ring, run, step


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**9), st.integers(1, 60), st.integers(0, 60))
def test_whoever_begins_with_a_copy_stays_equal(seed: int, count: int, more: int) -> None:
    """A copy made anywhere leads to the same as all entries from the first on."""
    log = run(seed, count, Follower(), Follower())
    first, second = log.followers
    assert first.digest == second.digest
    log.followers.append(Follower(first.copy()))
    assert first.digest == log.followers[-1].digest
    draw = random.Random(seed + 1)
    for _ in range(more):
        step(log, draw)
        assert 1 == len({each.digest for each in log.followers})


async def test_processes_with_other_hash_seeds_are_equal() -> None:
    """No order of a set or a dict decides anything."""

    async def digests(seed: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.node.auth.replicas", "150"),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        out, _ = await process.communicate()
        assert 0 == process.returncode
        return out

    first, *others = [await digests(seed) for seed in ("0", "1", "4242")]
    assert 3 == len(set(first.split()))
    assert [first, first] == others


@pytest.fixture
def log() -> Log:
    """A node that has published its keys, and another one."""
    made = Log(Follower(), Follower())
    made.join("a")
    made.put("a", inputs.PublishKeys(line=ring().line.decode()))
    made.join("b")
    return made


def refusal(log: Log, *asked: of_core.Input, boot: str = "a", after: float = 0.0) -> object:
    """Return what the last of these is refused with."""
    return log.put(boot, *asked, after=after).outcomes[-1].refusal


ENROL = Principal(token_id="t", role=Role.ENROL)


def enrol(agent_id: str, by: Principal = ENROL) -> inputs.Enrol:
    return inputs.Enrol(registration=registration(agent_id), principal=by, given=None)


def create(token_id: str = "t", **more: object) -> inputs.CreateToken:
    return inputs.CreateToken(
        token_id=token_id,
        digest=f"d-{token_id}",
        role=Role.ENROL,
        **more,  # type: ignore[arg-type]
    )


def test_a_token_that_was_revoked_before_registers_nobody(log: Log) -> None:
    """Although it was good when it was looked at, at a node that did not know yet."""
    log.put("a", create())
    assert refusal(log, enrol("x")) is None
    log.put("b", inputs.RevokeToken(token_id="t"))
    assert isinstance(refusal(log, enrol("y")), CredentialRevoked)
    log.put("a", create("short", expires_in=10**9))
    late = Principal(token_id="short", role=Role.ENROL)
    assert isinstance(refusal(log, enrol("y", late), after=2), TokenExpired)
    own = Principal(token_id="j", role=Role.AGENT, agent_id="x", revocation=0)
    log.put("b", inputs.RevokeAgent(agent_id="x"))
    assert isinstance(refusal(log, enrol("x", own)), CredentialRevoked)


def test_a_token_of_a_file_is_good_until_it_is_revoked_anywhere(log: Log) -> None:
    """Whether or not a node has that file."""
    of_file = id_of_outside("secret")
    shown = Principal(token_id=of_file, role=Role.ENROL)
    opened = inputs.OpenSession(session_id="s", digest="d", token_id=of_file, lasts=10)
    assert refusal(log, enrol("x", shown)) is None
    assert refusal(log, opened) is None
    assert refusal(log, inputs.RevokeToken(token_id=of_file)) is None
    assert isinstance(refusal(log, enrol("y", shown)), CredentialRevoked)
    assert isinstance(refusal(log, opened), CredentialRevoked)


def test_of_two_uses_the_first_counts(log: Log) -> None:
    """And who is refused an id is told of nevertheless."""
    log.put("a", create(uses=1))
    assert refusal(log, enrol("x")) is None
    assert isinstance(refusal(log, enrol("y"), boot="b"), TokenExpired)
    careful = Principal(token_id="t", role=Role.ENROL, reclaim=Reclaim.LAPSED)
    applied = log.put("b", enrol("x", careful))
    assert isinstance(applied.outcomes[0].refusal, AgentIdInUse)
    assert ["CredentialConflict"] == [type(fact).__name__ for fact in applied.facts]


def test_a_code_is_spent_once(log: Log) -> None:
    """By whichever entry comes first."""
    log.put("a", create(), inputs.MakeCode(digest="c", token_id="t"))
    spend = inputs.SpendCode(code="c", session_id="s", digest="d", lasts=10)
    assert refusal(log, spend, boot="b") is None
    assert isinstance(refusal(log, spend), InvalidToken)
    log.put("a", inputs.MakeCode(digest="late", token_id="t"))
    late = inputs.SpendCode(code="late", session_id="r", digest="e", lasts=10)
    assert isinstance(refusal(log, late, after=61), TokenExpired)
    assert isinstance(refusal(log, inputs.RevokeToken(token_id="nobody's")), NotFound)


def test_every_node_makes_the_same_line(log: Log) -> None:
    """Its order grows with the log, also where stamps go back."""
    orders = []
    for place, after in enumerate([0.0, 0.0, 5.0, -3600.0]):
        issue = of_core.Issue(
            command_id=f"c-{place}", order=Order(type=CommandType.REPLAY), target=Target.all()
        )
        record = log.put("a", issue, after=after).outcomes[0].value
        assert 1 == len({each.replica.registry.newest_line() for each in log.followers})
        orders.append(orjson.loads(record.line)["order"])
    assert orders == sorted(set(orders))


def test_keys_count_when_each_node_holds_them(log: Log) -> None:
    """Not before; not twice; not of another registry; and a node without them does not join."""
    new = ring().announced(Use.COMMAND, at=NOON)
    assert refusal(log, inputs.PublishKeys(line=new.line.decode())) is None
    active = new.activated(Use.COMMAND, at=NOON)
    publish = inputs.PublishKeys(line=active.line.decode())
    assert "a, b does not" in str(refusal(log, publish))
    for boot in "ab":
        for each in log.followers:
            assert each.authority.holding is not None
            each.authority.holding._private |= new.private
        log.put(boot, of_core.Hold(holds=tuple(new.private)))
    assert refusal(log, publish, boot="b") is None
    assert "changed meanwhile" in str(refusal(log, publish))
    other = KeyRing.generate(at=NOON)
    assert isinstance(refusal(log, inputs.PublishKeys(line=other.line.decode())), ValueError)
    applied = log.join("c")
    assert isinstance(applied.outcomes[0].refusal, CannotJoin)
    assert "older than those of the other nodes" in str(applied.outcomes[0].refusal)
    assert applied.outcomes[0].refusal is not None
    without = log.join("d", registry=None, root=None, holds=())
    assert "keys_file" in str(without.outcomes[0].refusal)
    another = log.join("e", registry=other.registry, root=other.root_id)
    assert "another one" in str(another.outcomes[0].refusal) or "has those of" in str(
        another.outcomes[0].refusal
    )


def test_a_follower_without_the_keys_does_not_begin(log: Log) -> None:
    """Nor with those of another registry, or with older ones."""
    copied = log.followers[0].copy()
    about, rows, beside = orjson.loads(copied)
    assert about
    assert isinstance(rows, list)
    follower = Follower()
    follower.authority.holding = None
    with pytest.raises(SettingsError, match="keys_file"):
        at_once(follower.beside.start_over(beside))
    other = Follower()
    assert other.authority.holding is not None
    other.authority.holding.ring = KeyRing.generate(at=NOON)
    other.authority.holding._private = dict(other.authority.holding.ring.private)
    with pytest.raises(SettingsError, match="another"):
        at_once(other.beside.start_over(beside))
    older = Follower()
    assert older.authority.holding is not None
    older.authority.holding._private = {"none": SigningKey.generate()}
    with pytest.raises(SettingsError, match="older than those of the other nodes"):
        at_once(older.beside.start_over(beside))
