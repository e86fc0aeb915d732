"""Replicas: equal after the same entries, whoever they are and wherever they have begun."""

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

from cameleer_registry.core import copies, inputs
from cameleer_registry.core.copies import Copy, UnknownCopy, copy_of, to_replica
from cameleer_registry.core.digest import digest, digest_of_replica
from cameleer_registry.core.events import (
    AgentRegistered,
    AgentWentStale,
    CloseReason,
    CommandFinished,
    StreamClosed,
    StreamOpened,
)
from cameleer_registry.core.inputs import Acknowledge, Barrier, Entry, Hear, Issue, Register
from cameleer_registry.core.model import Ack, AgentStatus, CommandStatus, NodeStatus, Target
from cameleer_registry.core.replica import OutOfOrder, Replica
from cameleer_registry.errors import AgentNotRegistered, AtCapacity, NodeNameInUse

from .conversations import ORDER, registration
from .entries import Log, replica, run
from .invariants import check

SMALL = {"max_agents": 10, "max_pending_per_agent": 2, "command_history": 6, "idempotency_keys": 3}


def entered(*agents: str) -> list[Register]:
    """Return wishes of agents to be entered."""
    return [Register(registration=registration(agent_id)) for agent_id in agents]


def through_json(copy: Copy) -> Copy:
    """Return a copy that has been text in between."""
    about, rows = orjson.loads(orjson.dumps([copy.about, copy.rows]))
    return Copy(about=about, rows=[tuple(row) for row in rows])


def status(of: Replica, agent_id: str) -> AgentStatus:
    """Return the status of an agent at the newest entry."""
    return of.registry.agent(agent_id, now=of.time.now).status


# Equal everywhere


async def test_processes_with_other_hash_seeds_are_equal() -> None:
    """No order in which a set or a dictionary happens to be has a say in what comes about."""

    async def digests(seed: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.core.entries",
            "400",
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        out, _ = await process.communicate()
        assert 0 == process.returncode
        return out

    first, *others = [await digests(seed) for seed in ("0", "1", "4242")]
    assert 3 == len(set(first.split()))
    assert [first, first] == others


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**9), st.integers(1, 120), st.integers(0, 120))
def test_whoever_begins_with_a_copy_stays_equal(seed: int, count: int, more: int) -> None:
    """A copy made anywhere leads to the same as all entries from the first on."""
    log = run(seed, count, replica(**SMALL))
    [first] = log.replicas
    second = to_replica(through_json(copy_of(first)))
    assert digest_of_replica(first) == digest_of_replica(second)
    check(second.registry, second.time.now)
    log.replicas.append(second)
    draw = random.Random(seed + 1)
    for _ in range(more):
        boot = draw.choice([*first.members.live, "unheard-of"])
        after = draw.choice([0, 0.1, 1.0, 3.0, 61.0])
        log.put(boot, *entered(f"agent-{draw.randint(0, 14)}"), after=after)
        log.put(boot, Hear(agent_ids=(f"agent-{draw.randint(0, 14)}",)))
        log.put(boot, Issue(command_id=f"d-{log.position}", order=ORDER, target=Target.all()))
    assert digest_of_replica(first) == digest_of_replica(second)
    check(first.registry, first.time.now)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**9))
def test_facts_are_derived_in_one_order(seed: int) -> None:
    """Also by who begins with a copy: the feed tells them in that order."""
    log = run(seed, 60, replica(**SMALL))
    log.replicas.append(to_replica(through_json(copy_of(log.replicas[0]))))
    facts: list[list[object]] = [[], []]
    for boot in list(log.replicas[0].members.live):
        for after in (1.0, 1.9, 62.0):
            log.stamp += round(after * 1e9)
            log.position += 1
            entry = Entry(boot=boot, no=10_000 + log.position, inputs=[Barrier()])
            for told, each in zip(facts, log.replicas, strict=True):
                told += each.apply(log.position, log.stamp, entry).facts
    assert facts[0] == facts[1]


def test_the_digest_tells_registries_apart() -> None:
    """One heartbeat is enough."""
    one, other = Log(replica()), Log(replica())
    for log in (one, other):
        log.join("a")
        log.put("a", *entered("x"), after=1)
    assert digest(one.replicas[0].registry) == digest(other.replicas[0].registry)
    one.put("a", Hear(agent_ids=("x",)), after=1)
    other.put("a", Barrier(), after=1)
    assert digest(one.replicas[0].registry) != digest(other.replicas[0].registry)


# Entries


def test_an_entry_must_follow_the_one_before() -> None:
    """What is missing in between would never be noticed later."""
    of = replica()
    with pytest.raises(OutOfOrder):
        of.apply(2, 0, Entry(boot="a", no=1, inputs=[]))


def test_an_entry_that_comes_twice_counts_once() -> None:
    """A log may store it again when it has forgotten that it has."""
    log = Log()
    log.join("a")
    log.put("a", *entered("x"))
    again = log.put("a", *entered("y"), no=2)
    assert (None, [], []) == (again.by, again.outcomes, again.facts)
    assert 1 == len(log.replicas[0].registry)


def test_an_entry_of_somebody_who_has_not_joined_does_not_count() -> None:
    """Nobody would notice when that node is lost."""
    log = Log()
    assert [] == log.put("a", *entered("x")).outcomes
    assert 0 == len(log.replicas[0].registry)


def test_outcomes_and_refusals_are_those_of_the_registry() -> None:
    """The second of two that are too many is refused, wherever it has come in."""
    log = Log(replica(max_agents=1))
    log.join("a")
    log.join("b")
    first = log.put("a", *entered("x"))
    second = log.put("b", *entered("y"), *entered("x"), _ack("y", "c"))
    assert [False] == [each.value for each in first.outcomes]
    full, known, unknown = second.outcomes
    assert isinstance(full.refusal, AtCapacity)
    assert known.value is True
    assert isinstance(unknown.refusal, AgentNotRegistered)
    assert [AgentRegistered] == [type(fact) for fact in first.facts]


def _ack(agent_id: str, command_id: str) -> Acknowledge:
    return Acknowledge(agent_id=agent_id, command_id=command_id, ack=Ack())


def test_acknowledged_at_two_nodes_a_command_finishes_once() -> None:
    """Each alone would think that the other's was pending."""
    log = Log()
    for boot in "ab":
        log.join(boot)
        log.put(boot, *entered(boot))
    log.put("a", Issue(command_id="c", order=ORDER, target=Target.all()))
    facts = [
        *log.put("a", _ack("a", "c")).facts,
        *log.put("b", _ack("b", "c")).facts,
    ]
    finished = [fact for fact in facts if isinstance(fact, CommandFinished)]
    assert [CommandStatus.ACKNOWLEDGED] == [fact.status for fact in finished]


# Time


def test_an_outage_makes_nobody_stale() -> None:
    """Between two entries no more than two seconds of a lease pass."""
    log = Log()
    log.join("a")
    log.put("a", *entered("x"))
    log.put("a", Barrier(), after=3600)
    assert AgentStatus.LIVE is status(log.replicas[0], "x")


def test_a_clock_that_goes_back_makes_nobody_stale_or_young() -> None:
    """It stands still, and goes on from there."""
    log = Log()
    log.join("a")
    log.put("a", *entered("x"))
    steady = log.replicas[0].time.now.steady
    log.put("a", Barrier(), after=-3600)
    assert steady == log.replicas[0].time.now.steady
    for _ in range(100):
        told = log.put("a", Barrier(), after=1).facts
    assert AgentStatus.STALE is status(log.replicas[0], "x")
    assert [] == told
    assert steady + 100_000_000_000 == log.replicas[0].time.now.steady


def test_who_is_silent_is_told_so_in_time() -> None:
    """Exactly when the lease ran out, though nobody looked then."""
    log = Log()
    log.join("a")
    begin = log.put("a", *entered("x")).now
    facts = [fact for _ in range(61) for fact in log.put("a", Barrier(), after=1.5).facts]
    [stale] = facts
    assert isinstance(stale, AgentWentStale)
    assert begin.after(90_000_000_000) == stale.at


# Nodes


def test_a_node_that_says_nothing_is_lost() -> None:
    """Its streams end, and who was heard there has one whole lease to go elsewhere."""
    log = Log()
    for boot in "ab":
        log.join(boot)
    log.put("a", *entered("x", "y"))
    log.put("b", *entered("z"))
    log.put("a", inputs.OpenStream(agent_id="x", stream_id=(1 << 32) + 1))
    log.put("b", inputs.OpenStream(agent_id="z", stream_id=(2 << 32) + 1))
    for _ in range(4):
        assert [] == log.put("b", Barrier(), after=1.2).lost
    applied = log.put("b", Barrier(), after=1.2)
    assert ["a"] == [member.name for member in applied.lost]
    assert [("x", CloseReason.NODE_LOST)] == [
        (fact.agent_id, fact.reason) for fact in applied.facts if isinstance(fact, StreamClosed)
    ]
    for _ in range(88):
        log.put("b", Barrier(), after=1)
    [one] = log.replicas
    assert [AgentStatus.LIVE, AgentStatus.STALE] == [status(one, each) for each in "xz"]
    assert {"a": NodeStatus.LOST, "b": NodeStatus.LIVE} == {
        member.name: member.status for member in one.members
    }


def test_an_election_loses_no_node() -> None:
    """Nobody could be heard meanwhile."""
    log = Log()
    for boot in "ab":
        log.join(boot)
    for after in (9, 0, 9, 0):
        assert [] == log.put("b", Barrier(), after=after).lost
        assert [] == log.put("a", Barrier()).lost


def test_who_comes_back_from_a_pause_does_not_win() -> None:
    """What a node that is lost had yet to say does not count any more; it has to join again."""
    log = Log()
    for boot in "ab":
        log.join(boot)
    log.put("b", *entered("x"))
    for _ in range(6):
        log.put("b", Barrier(), after=1.5)
    log.put("b", inputs.OpenStream(agent_id="x", stream_id=(2 << 32) + 1))
    late = log.put("a", inputs.OpenStream(agent_id="x", stream_id=(1 << 32) + 1))
    assert ([], []) == (late.outcomes, late.facts)
    again = log.put("a", inputs.Join(name="a", version="1"))
    assert [] == again.joined
    assert ["a"] == [member.name for member in log.join("a-2", "a").joined]


def test_two_nodes_of_one_name_cannot_take_part() -> None:
    """But for one that has left, or is lost."""
    log = Log()
    log.join("a", "same")
    [refused] = log.join("b", "same").outcomes
    assert isinstance(refused.refusal, NodeNameInUse)
    log.put("a", inputs.Leave())
    assert [] != log.join("c", "same").joined
    for _ in range(3):
        log.put("x", Barrier(), after=1.9)
    assert [] != log.join("d", "same").joined


def test_who_leaves_takes_streams_along() -> None:
    """At once, and all that waits to be told is told before."""
    log = Log()
    log.join("a")
    log.put("a", *entered("x"), inputs.OpenStream(agent_id="x", stream_id=(1 << 32) + 1))
    applied = log.put("a", inputs.Leave())
    assert applied.cut
    assert [CloseReason.SHUTDOWN] == [
        fact.reason for fact in applied.facts if isinstance(fact, StreamClosed)
    ]


def test_the_newest_stream_wins_over_nodes() -> None:
    """And the end of an older one does not end the newer."""
    log = Log()
    for boot in "ab":
        log.join(boot)
    log.put("a", *entered("x"), inputs.OpenStream(agent_id="x", stream_id=(1 << 32) + 1))
    taken = log.put("b", inputs.OpenStream(agent_id="x", stream_id=(2 << 32) + 1))
    assert [StreamClosed, StreamOpened] == [type(fact) for fact in taken.facts]
    gone = inputs.CloseStream(agent_id="x", stream_id=(1 << 32) + 1, reason=CloseReason.CLIENT_GONE)
    assert [] == log.put("a", gone).facts
    assert log.replicas[0].registry.agent("x", now=log.replicas[0].time.now).connected


def test_who_derives_something_else_is_noticed() -> None:
    """Each tick carries what its node has come to."""
    log = Log()
    log.join("a")
    applied = log.put("a", *entered("x"))
    [one] = log.replicas
    right = inputs.Tick(position=applied.position, checksum=one.checksum, streams=1)
    wrong = inputs.Tick(position=applied.position, checksum=one.checksum ^ 1, streams=1)
    assert [True] == [agrees for _, agrees in log.put("a", right).compared]
    assert [False] == [agrees for _, agrees in log.put("a", wrong).compared]


def test_a_fault_of_ours_does_not_stop_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked is told; all others go on."""
    log = Log()
    log.join("a")
    monkeypatch.setattr(log.replicas[0].registry, "register", lambda *_, **__: 1 // 0)
    applied = log.put("a", *entered("x"), Barrier())
    assert [ZeroDivisionError, type(None)] == [type(each.refusal) for each in applied.outcomes]


# Copies


def test_a_copy_keeps_the_order_of_what_happened_at_once() -> None:
    """Who was heard first is told first, and what finished first is forgotten first."""
    log = Log()
    log.join("a")
    log.put("a", *entered("y", "x"))
    for command_id in ("c-1", "c-2"):
        log.put("a", Issue(command_id=command_id, order=ORDER, target=Target.agent("x")))
    acks = [Acknowledge(agent_id="x", command_id=each, ack=Ack()) for each in ("c-2", "c-1")]
    log.put("a", *acks, Hear(agent_ids=("y", "x")))
    [first] = log.replicas
    second = to_replica(through_json(copy_of(first)))
    assert digest_of_replica(first) == digest_of_replica(second)
    log.replicas.append(second)
    for after in [1.5] * 60:
        told = log.put("a", Barrier(), after=after).facts
    assert ["y", "x"] == [fact.agent_id for fact in told if isinstance(fact, AgentWentStale)]
    assert digest_of_replica(first) == digest_of_replica(second)


def test_a_copy_of_another_format_is_refused() -> None:
    """As is one in which something is missing."""
    copy = copy_of(replica())
    copy.about["format"] = copies.FORMAT + 1
    with pytest.raises(UnknownCopy):
        to_replica(copy)
    copy = copy_of(replica())
    del copy.about["members"]
    with pytest.raises(UnknownCopy):
        to_replica(copy)
