"""Forgetting many agents that nobody has heard of for long."""

from __future__ import annotations

from typing import Any

import pytest

from cameleer_registry.core.events import AgentRemoved, AgentWentDead, AgentWentStale
from cameleer_registry.core.instant import nanoseconds
from cameleer_registry.core.model import AgentStatus, DeliveryState, Target
from cameleer_registry.core.selection import LapsedAgents

from .conversations import DEAD, NS, STALE, Talk

LIVE_, STALE_, DEAD_ = AgentStatus


def forget(talk: Talk, **wanted: Any) -> str:
    """Have agents forgotten; return those that were, in order of their ids."""
    agents = LapsedAgents(**wanted)
    gone = []
    for agent_id in talk.registry.lapsed(agents, now=talk.now):
        facts = talk.registry.remove_lapsed(agent_id, agents, now=talk.now, by="t-1")
        talk.facts += facts
        gone += [fact.agent_id for fact in facts if isinstance(fact, AgentRemoved)]
        assert all(fact.by == "t-1" for fact in facts if isinstance(fact, AgentRemoved))
    return "".join(sorted(gone))


def crowd(talk: Talk) -> None:
    """Register agents of every age in two groups, of which some changes were told."""
    for agent_id, group in (("a", "g"), ("b", "h"), ("c", "g")):
        talk.register(agent_id, group)
    talk.at(DEAD - STALE)
    for agent_id, group in (("d", "g"), ("e", "h")):
        talk.register(agent_id, group)
    talk.at(DEAD)
    talk.register("f", "g")


@pytest.mark.parametrize("swept", [0, 2, 100])
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "abc"),
        ({"statuses": [STALE_]}, "de"),
        ({"statuses": [STALE_, DEAD_]}, "abcde"),
        ({"groups": ["g"]}, "ac"),
        ({"groups": ["g", "h"], "statuses": [STALE_]}, "de"),
        ({"groups": ["never"]}, ""),
    ],
)
def test_those_that_are_meant_and_no_others(
    talk: Talk, wanted: dict[str, Any], expected: str, swept: int
) -> None:
    """Whether or not anybody was told what has become of them."""
    crowd(talk)
    talk.sweep_leases(limit=swept)
    assert expected == forget(talk, **wanted)
    assert sorted(set("abcdef") - set(expected)) == talk.ids()
    assert "" == forget(talk, **wanted)


def test_one_that_comes_back_meanwhile_stays(talk: Talk) -> None:
    """It is judged in the moment in which it would go."""
    crowd(talk)
    agents = LapsedAgents()
    found = talk.registry.lapsed(agents, now=talk.now)
    assert {"a", "b", "c"} <= set(found)
    talk.heartbeat("a")
    talk.register("b", "h")
    talk.remove("c")
    for agent_id in found:
        assert () == talk.registry.remove_lapsed(agent_id, agents, now=talk.now)
    assert ["a", "b", "d", "e", "f"] == talk.ids()


def test_each_is_removed_as_if_alone(talk: Talk) -> None:
    """What is pending for it expires, and its stream closes."""
    talk.register("a")
    talk.open("a", 7)
    talk.at(DEAD - 1).issue("c", Target.agent("a"))
    talk.at(DEAD)
    assert "a" == forget(talk)
    assert DeliveryState.EXPIRED == talk.delivery("a", "c").status
    assert [] == [fact for fact in talk.facts if isinstance(fact, AgentWentStale | AgentWentDead)]


@pytest.mark.parametrize("swept", [False, True])
def test_those_that_have_been_dead_for_long_enough(talk: Talk, swept: bool) -> None:
    """From the moment on at which they became it, by the clock of leases."""
    talk.register("a")
    talk.at(50).pause(1000)  # in which the server was away
    ends = DEAD + 1000 + 60
    talk.at(ends - NS)
    if swept:
        talk.sweep_leases()
    assert "" == forget(talk, dead_for=nanoseconds(60))
    talk.at(ends)
    assert "a" == forget(talk, dead_for=nanoseconds(60))


@pytest.mark.parametrize("statuses", [[], [LIVE_], [LIVE_, DEAD_]])
def test_those_that_are_live_are_not_forgotten_many_at_a_time(statuses: list[AgentStatus]) -> None:
    """Who wants that deletes them one by one."""
    with pytest.raises(ValueError, match="expected STALE, DEAD or both"):
        LapsedAgents(statuses=statuses)
