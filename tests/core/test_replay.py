"""Facts make another registry, whoever kept them and however often they come."""

from __future__ import annotations

import pytest
from attrs import evolve

from cameleer_registry.core import events
from cameleer_registry.core.events import (
    KINDS,
    AgentEvent,
    AgentRegistered,
    CommandIssued,
    Event,
    HeartbeatReceived,
    MemberEvent,
)
from cameleer_registry.core.model import AgentStatus, Target
from cameleer_registry.core.registry import Registry

from .conversations import DEAD, STALE, TTL, Talk, Talking, limits
from .invariants import check, snapshot

OWN = {"command_history": 4}


def say_everything(talk: Talk) -> None:
    """Have every kind of fact happen, some of them to agents and commands that go."""
    for agent_id in "abc":
        talk.register(agent_id)
        talk.open(agent_id, ord(agent_id))
    for stream_id in (1, 2, 3):  # three takeovers are a conflict
        talk.open("a", stream_id)
    talk.close("b", ord("b"))
    for number, target in enumerate((Target.all(), Target.agent("a"), Target.of_group("g"))):
        talk.issue(f"c{number}", target)
        talk.pushed(f"c{number}", "a", "c")
    talk.ack("a", "c0")
    talk.ack("a", "c2", size=7)
    talk.ack("a", "c1")
    talk.remove("c")
    talk.at(TTL).ack("b", "c2")  # too late
    talk.at(STALE).sweep_leases()
    talk.heartbeat("a")
    talk.at(DEAD).sweep_leases()
    talk.register("b", "h")


def test_every_kind_of_fact_is_listed() -> None:
    """Those that are no base of others."""
    facts = {each for each in vars(events).values() if isinstance(each, type)}
    facts = {each for each in facts if issubclass(each, Event)}
    bases = {base for each in facts for base in each.__mro__[1:]}
    assert facts - bases == set(KINDS)


@pytest.fixture
def everything(talking: Talking) -> Talk:
    """A conversation in which every kind of fact has happened."""
    talk = talking(**OWN)
    say_everything(talk)
    assert set(KINDS) == set(map(type, talk.facts))
    return talk


@pytest.mark.parametrize("kind", sorted(KINDS, key=str))
def test_a_fact_that_comes_twice(everything: Talk, kind: type[Event]) -> None:
    """It is one fact: nothing is counted twice, and nothing goes wrong."""
    talk, replayed = everything, Registry(limits(**OWN))
    for fact in talk.facts:
        replayed.apply([fact] * (2 if isinstance(fact, kind) else 1))
    check(replayed, talk.now)
    assert snapshot(talk.registry, talk.now) == snapshot(replayed, talk.now)


def test_facts_about_what_is_gone(everything: Talk) -> None:
    """Of agents and commands that are not known any more they say nothing."""
    empty = Registry(limits(**OWN))
    for fact in everything.facts:
        if not isinstance(fact, AgentRegistered | CommandIssued):
            empty.apply([fact])
    check(empty, everything.now)
    blank = snapshot(Registry(limits(**OWN)), everything.now)
    assert blank == snapshot(empty, everything.now)


def test_facts_about_agents_that_were_no_targets(everything: Talk) -> None:
    """A delivery that does not exist neither begins nor ends."""
    talk = everything
    replayed = Registry(limits(**OWN))
    for fact in talk.facts:
        replayed.apply([fact])
        if isinstance(fact, AgentEvent) and not isinstance(fact, AgentRegistered | MemberEvent):
            replayed.apply([evolve(fact, agent_id="nobody")])
    check(replayed, talk.now)
    assert snapshot(talk.registry, talk.now) == snapshot(replayed, talk.now)


def test_without_heartbeats_those_due_stand_in_front(talk: Talk) -> None:
    """That an agent is STALE, or LIVE again, says when it was last heard of."""
    talk.register("a")
    talk.at(1).register("b")
    talk.at(50).heartbeat("a")
    talk.at(60 + STALE).sweep_leases()
    talk.at(70 + STALE).register("c")
    talk.heartbeat("b")
    kept = Registry(limits())
    kept.apply(fact for fact in talk.facts if not isinstance(fact, HeartbeatReceived))
    check(kept, talk.now)
    for at in (talk.now, talk.moment(50 + DEAD), talk.moment(70 + 2 * STALE)):
        assert talk.registry.agents(now=at, limit=9) == kept.agents(now=at, limit=9)
    assert [AgentStatus.STALE, AgentStatus.LIVE, AgentStatus.LIVE] == [
        agent.status for agent in kept.agents(now=talk.now, limit=9)
    ]
