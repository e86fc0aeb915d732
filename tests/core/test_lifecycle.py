from __future__ import annotations

import pytest

from cameleer_registry.core.events import (
    AgentRegistered,
    AgentRevived,
    AgentWentDead,
    AgentWentStale,
    Event,
    HeartbeatReceived,
)
from cameleer_registry.core.lifecycle import TRANSITIONS, Lease, LeaseTrigger
from cameleer_registry.core.model import AgentStatus, DeliveryState, Target
from cameleer_registry.core.views import time_of_day

from .conversations import DEAD, NS, STALE, TTL, Talk, Talking, registration

SILENCE = {AgentStatus.LIVE: 0.0, AgentStatus.STALE: STALE, AgentStatus.DEAD: DEAD}
"""After so many seconds an agent has just become this."""


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        (0, AgentStatus.LIVE),
        (89.999, AgentStatus.LIVE),
        (STALE - NS, AgentStatus.LIVE),
        (STALE, AgentStatus.STALE),
        (STALE + NS, AgentStatus.STALE),
        (389.999, AgentStatus.STALE),
        (DEAD - NS, AgentStatus.STALE),
        (DEAD, AgentStatus.DEAD),
        (1e6, AgentStatus.DEAD),
    ],
)
@pytest.mark.parametrize("swept", [False, True])
def test_boundaries_are_exact(talk: Talk, seconds: float, status: AgentStatus, swept: bool) -> None:
    """A boundary belongs to what follows, to the nanosecond, whether or not a sweep has run."""
    talk.register("a")
    talk.at(seconds)
    if swept:
        talk.sweep_leases()
    assert status == talk.status("a")
    assert ["a"] == talk.ids(status)
    assert [] == talk.ids(*(set(AgentStatus) - {status}))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(STALE - NS, 0), (STALE, 1), (DEAD - NS, 1), (DEAD, 2)],
)
def test_sweep_tells_of_the_boundaries_that_were_crossed(
    talk: Talk, seconds: float, told: int
) -> None:
    """A sweep tells each transition once, and at its own moment however late it comes."""
    talk.register("a")
    transitions: list[Event] = [
        AgentWentStale(at=talk.moment(STALE), agent_id="a", group="g", heard=talk.moment(0)),
        AgentWentDead(at=talk.moment(DEAD), agent_id="a", group="g"),
    ]
    talk.at(seconds)
    assert transitions[:told] == talk.sweep_leases()
    assert [] == talk.sweep_leases()


def test_sweep_after_each_boundary(talk: Talk) -> None:
    """An agent that is swept in time is told STALE, then DEAD, then nothing more."""
    talk.register("a")
    talk.at(STALE + 1)
    assert [
        AgentWentStale(at=talk.moment(STALE), agent_id="a", group="g", heard=talk.moment(0))
    ] == talk.sweep_leases()
    talk.at(DEAD + 1)
    assert [AgentWentDead(at=talk.moment(DEAD), agent_id="a", group="g")] == talk.sweep_leases()
    talk.at(10 * DEAD)
    assert [] == talk.sweep_leases()


def test_next_lease_end_follows_the_next_boundary(talk: Talk) -> None:
    """It is the first agent's next boundary, and None once nobody has one left."""
    assert talk.registry.next_lease_end() is None
    talk.register("a")
    talk.at(10).register("b")
    assert talk.moment(STALE).lease == talk.registry.next_lease_end()
    talk.at(20).heartbeat("a")
    assert talk.moment(10 + STALE).lease == talk.registry.next_lease_end()
    talk.at(20 + STALE).sweep_leases()
    assert talk.moment(10 + DEAD).lease == talk.registry.next_lease_end()
    talk.at(20 + DEAD).sweep_leases()
    assert talk.registry.next_lease_end() is None


@pytest.mark.parametrize(("status", "sign"), list(TRANSITIONS))
@pytest.mark.parametrize("swept", [False, True])
def test_transitions_are_what_the_registry_does(
    talk: Talk, status: AgentStatus, sign: LeaseTrigger, swept: bool
) -> None:
    """Each transition in the table happens; that no other does is checked after every test."""
    talk.register("a")
    talk.at(SILENCE[status])
    if swept:
        talk.sweep_leases()
    match sign:
        case LeaseTrigger.HEARD:
            talk.heartbeat("a")
        case LeaseTrigger.LEASE_RAN_OUT:
            talk.at(STALE)
        case LeaseTrigger.GRACE_RAN_OUT:
            talk.at(DEAD)
    assert TRANSITIONS[status, sign] == talk.status("a")


def test_the_table_agrees_with_the_judge() -> None:
    """The boundaries of a lease lead through the table and end where nothing follows."""
    lease = Lease(stale_after=90, dead_after=300)
    stale = TRANSITIONS[lease.status_at(0, 89), LeaseTrigger.LEASE_RAN_OUT]
    assert stale == lease.status_at(0, 90)
    assert TRANSITIONS[stale, LeaseTrigger.GRACE_RAN_OUT] == lease.status_at(0, 390)
    assert {by for status, by in TRANSITIONS if status is AgentStatus.DEAD} == {LeaseTrigger.HEARD}
    assert {status for status, by in TRANSITIONS if by is LeaseTrigger.HEARD} == set(AgentStatus)


@pytest.mark.parametrize("how", ["heartbeat", "register"])
@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("status", AgentStatus)
def test_revival(talk: Talk, how: str, swept: bool, status: AgentStatus) -> None:
    """A sign of life makes an agent LIVE, after all that was untold and before it is told so."""
    talk.register("a")
    talk.at(SILENCE[status])
    crossed = talk.sweep_leases() if swept else []
    past: list[Event] = [
        AgentWentStale(at=talk.moment(STALE), agent_id="a", group="g", heard=talk.moment(0)),
        AgentWentDead(at=talk.moment(DEAD), agent_id="a", group="g"),
    ]
    sign: Event = HeartbeatReceived(at=talk.now, agent_id="a")
    if how == "register":
        sign = AgentRegistered(
            at=talk.now, agent_id="a", registration=registration("a"), resumed=True
        )
    expected = [*past[: list(AgentStatus).index(status)], sign]
    if status is not AgentStatus.LIVE:
        expected.append(AgentRevived(at=talk.now, agent_id="a", group="g", previous=status))
    got = talk.heartbeat("a") if how == "heartbeat" else talk.register("a")
    assert expected == crossed + got
    assert AgentStatus.LIVE == talk.status("a")


@pytest.mark.parametrize("how", ["heartbeat", "register"])
def test_a_sign_of_life_renews_the_whole_lease(talk: Talk, how: str) -> None:
    """The lease runs from the last sign, not from the first."""
    talk.register("a")
    talk.at(STALE - NS)
    if how == "heartbeat":
        assert [HeartbeatReceived(at=talk.now, agent_id="a")] == talk.heartbeat("a")
    else:
        talk.register("a")
    assert time_of_day(talk.now) == talk.agent("a").last_heartbeat_at
    assert AgentStatus.LIVE == talk.at(2 * STALE - 2 * NS).status("a")
    assert AgentStatus.STALE == talk.at(2 * STALE - NS).status("a")
    assert AgentStatus.DEAD == talk.at(STALE + DEAD - NS).status("a")


def test_dead_agents_stay_listed(talk: Talk) -> None:
    """Nobody is forgotten for being silent, however long."""
    talk.register("a")
    talk.at(1e7).sweep_leases()
    assert ["a"] == talk.ids()
    assert {"g": (0, 0, 1, 0)} == talk.summaries()
    assert "a" in talk.registry


def test_streams_and_acks_are_no_signs_of_life(talk: Talk) -> None:
    """Neither an open stream nor an acknowledgement renews a lease."""
    talk.register("a")
    talk.at(80).open("a", 1)
    talk.issue("c", Target.agent("a"))
    talk.at(85).ack("a", "c")
    talk.at(STALE)
    assert (AgentStatus.STALE, True) == (talk.status("a"), talk.agent("a").connected)


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("late", [0, NS, 0.7, 250])
@pytest.mark.parametrize("status", [AgentStatus.STALE, AgentStatus.DEAD])
def test_status_changed_at_is_the_boundary(
    talk: Talk, swept: bool, late: float, status: AgentStatus
) -> None:
    """It is the moment of the transition, not the one at which somebody looked or swept."""
    talk.register("a")
    talk.at(SILENCE[status] + late)
    if swept:
        talk.sweep_leases()
    assert time_of_day(talk.moment(SILENCE[status])) == talk.agent("a").status_changed_at


def test_status_changed_at_of_a_live_agent(talk: Talk) -> None:
    """Heartbeats and registrations of a LIVE agent leave it alone; a revival sets it."""
    talk.register("a")
    talk.at(30).heartbeat("a")
    talk.at(60).register("a")
    assert time_of_day(talk.moment(0)) == talk.agent("a").status_changed_at
    talk.at(500).heartbeat("a")
    talk.at(501).heartbeat("a")
    assert time_of_day(talk.moment(500)) == talk.agent("a").status_changed_at
    assert time_of_day(talk.moment(0)) == talk.agent("a").registered_at


@pytest.mark.parametrize("step", [-1e9, -3600, 3600, 1e8])
def test_steps_of_the_wall_clock_change_nobodys_status(talk: Talk, step: float) -> None:
    """Leases and deadlines do not look at the time of day."""
    talk.register("a")
    talk.issue("c", Target.agent("a"))
    talk.at(TTL - NS).set_wall_clock(step)
    assert AgentStatus.LIVE == talk.status("a")
    assert DeliveryState.PENDING == talk.delivery("a", "c").status
    assert [] == talk.sweep_leases() + talk.sweep_commands()
    assert AgentStatus.STALE == talk.at(STALE).status("a")
    assert time_of_day(talk.moment(STALE)) == talk.agent("a").status_changed_at


@pytest.mark.parametrize("pause", [1, STALE, 10 * DEAD])
def test_pauses_extend_leases(talk: Talk, pause: float) -> None:
    """The time in which the server was away counts against no lease."""
    talk.register("a")
    begun = talk.now
    talk.at(50).pause(pause)
    assert AgentStatus.LIVE == talk.at(STALE + pause - NS).status("a")
    assert [
        AgentWentStale(at=talk.at(STALE + pause).now, agent_id="a", group="g", heard=begun)
    ] == talk.sweep_leases()
    assert AgentStatus.STALE == talk.at(DEAD + pause - NS).status("a")
    assert AgentStatus.DEAD == talk.at(DEAD + pause).status("a")


def test_pauses_do_not_extend_deadlines(talking: Talking) -> None:
    """A command expires in real time, whatever the server was doing."""
    talk = talking()
    talk.register("a")
    talk.issue("c", Target.agent("a"))
    talk.at(TTL - 1).pause(1 - NS)
    assert DeliveryState.PENDING == talk.delivery("a", "c").status
    talk.pause(NS)
    assert DeliveryState.EXPIRED == talk.delivery("a", "c").status
