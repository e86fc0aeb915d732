from __future__ import annotations

from itertools import product

import pytest

from cameleer_registry.core import roster
from cameleer_registry.core.events import (
    AgentRegistered,
    AgentRemoved,
    AgentWentStale,
    CloseReason,
    CommandFinished,
    DeliveriesExpired,
    ExpiryReason,
    StreamClosed,
)
from cameleer_registry.core.model import (
    Agent,
    AgentStatus,
    CommandStatus,
    DeliveryState,
    Target,
)
from cameleer_registry.core.views import time_of_day
from cameleer_registry.errors import AgentNotRegistered, AtCapacity, GroupNotFound

from .conversations import DEAD, STALE, TTL, Talk, Talking, registration

# Registering


def test_register_new(talk: Talk) -> None:
    """A new agent is LIVE, is called by its id, and has declared nothing else."""
    assert [
        AgentRegistered(at=talk.now, agent_id="a", registration=registration("a"), resumed=False)
    ] == talk.register("a")
    begun = time_of_day(talk.now)
    assert Agent(
        agent_id="a",
        name="a",
        group="g",
        version=None,
        route_ids=(),
        capabilities={},
        instance_id=None,
        status=AgentStatus.LIVE,
        connected=False,
        registered_at=begun,
        last_heartbeat_at=begun,
        status_changed_at=begun,
    ) == talk.agent("a")
    assert (1, True, False) == (len(talk.registry), "a" in talk.registry, "b" in talk.registry)


def test_register_again_replaces_everything_declared(talk: Talk) -> None:
    """What is left out the second time is gone; the identity and ``registeredAt`` stay."""
    talk.register(
        "a",
        name="Orders",
        version="1.0",
        route_ids=["r1", "r2"],
        capabilities={"deep-trace": True},
        instance_id="p1",
    )
    shown = talk.agent("a")
    assert ("Orders", ("r1", "r2"), "p1") == (shown.name, shown.route_ids, shown.instance_id)
    talk.at(5).register("a", "h", version="1.1")
    assert Agent(
        agent_id="a",
        name="a",
        group="h",
        version="1.1",
        route_ids=(),
        capabilities={},
        instance_id=None,
        status=AgentStatus.LIVE,
        connected=False,
        registered_at=time_of_day(talk.moment(0)),
        last_heartbeat_at=time_of_day(talk.moment(5)),
        status_changed_at=time_of_day(talk.moment(0)),
    ) == talk.agent("a")
    assert 1 == len(talk.registry)


@pytest.mark.parametrize(
    ("seconds", "counts"), [(0, (1, 0, 0)), (STALE, (0, 1, 0)), (DEAD, (0, 0, 1))]
)
def test_change_of_group_moves_all_counts(
    talk: Talk, seconds: float, counts: tuple[int, int, int]
) -> None:
    """The new group has the agent and its stream, the old one has neither."""
    talk.register("a", "g")
    talk.open("a", 1)
    talk.at(seconds)
    assert {"g": (*counts, 1)} == talk.summaries()
    talk.sweep_leases()
    talk.register("a", "h")
    assert {"h": (1, 0, 0, 1)} == talk.summaries()
    assert (["a"], []) == (talk.ids(groups=["h"]), talk.ids(groups=["g"]))


def test_at_capacity_only_new_agents_are_refused(talking: Talking) -> None:
    """A known agent may register again whatever its status; a place that is freed is free."""
    talk = talking(max_agents=2)
    talk.register("a")
    talk.register("b")
    with pytest.raises(AtCapacity):
        talk.register("c")
    assert ["a", "b"] == talk.ids()
    talk.at(DEAD).register("a")
    with pytest.raises(AtCapacity):  # a DEAD agent keeps its place
        talk.register("c")
    talk.remove("b")
    talk.register("c")
    assert ["a", "c"] == talk.ids()


@pytest.mark.parametrize("unknown", ["", "b", "A"])
def test_unknown_agents(talk: Talk, unknown: str) -> None:
    """Whatever is asked of an agent that is not there is refused, and nothing happens."""
    talk.register("a")
    for ask in (
        talk.heartbeat,
        talk.remove,
        talk.agent,
        talk.inbox,
        lambda agent_id: talk.open(agent_id, 1),
        lambda agent_id: talk.ack(agent_id, "c"),
        lambda agent_id: talk.issue("c", Target.agent(agent_id)),
    ):
        with pytest.raises(AgentNotRegistered):
            ask(unknown)
    assert [] == talk.close(unknown, 1)
    assert talk.stream_of(unknown) is None
    assert ["a"] == talk.ids()


# Removing


def test_remove_closes_the_stream_and_expires_what_is_pending(talk: Talk) -> None:
    """Deliveries to others are left alone, and what was settled stays as it was."""
    talk.register("a")
    talk.register("b")
    talk.open("a", 7)
    talk.issue("settled", Target.agent("a"))
    talk.ack("a", "settled")
    talk.issue("shared", Target.all())
    talk.issue("own", Target.agent("a"))
    talk.at(1)
    assert [
        StreamClosed(
            at=talk.now, agent_id="a", group="g", stream_id=7, reason=CloseReason.AGENT_REMOVED
        ),
        DeliveriesExpired(
            at=talk.now, command_id="own", agent_ids=("a",), reason=ExpiryReason.AGENT_REMOVED
        ),
        CommandFinished(at=talk.now, command_id="own", status=CommandStatus.EXPIRED),
        DeliveriesExpired(
            at=talk.now, command_id="shared", agent_ids=("a",), reason=ExpiryReason.AGENT_REMOVED
        ),
        AgentRemoved(at=talk.now, agent_id="a", group="g", commands=talk.registry._ledger.issued),
    ] == talk.remove("a")
    assert ((1, 0, 1), (0, 0, 1)) == (talk.counts("shared"), talk.counts("own"))
    assert (0, 1, 0) == talk.counts("settled")
    assert CommandStatus.PENDING == talk.command("shared").status
    assert {"g": (1, 0, 0, 0)} == talk.summaries()
    assert [] == talk.close("a", 7)


def test_remove_after_an_untold_deadline(talk: Talk) -> None:
    """What had expired by its deadline is told so, for all of its targets."""
    talk.register("a")
    talk.register("b")
    talk.issue("c", Target.all())
    talk.at(TTL)
    assert [
        DeliveriesExpired(
            at=talk.now, command_id="c", agent_ids=("a", "b"), reason=ExpiryReason.DEADLINE
        ),
        CommandFinished(at=talk.now, command_id="c", status=CommandStatus.EXPIRED),
        AgentRemoved(at=talk.now, agent_id="a", group="g", commands=talk.registry._ledger.issued),
    ] == talk.remove("a")


def test_a_later_agent_with_the_same_id_starts_afresh(talk: Talk) -> None:
    """It inherits no stream, no inbox and no pending commands, and is no resumed one."""
    talk.register("a", name="Old")
    talk.open("a", 1)
    talk.issue("c", Target.agent("a"))
    talk.remove("a")
    talk.at(10)
    assert [
        AgentRegistered(at=talk.now, agent_id="a", registration=registration("a"), resumed=False)
    ] == talk.register("a")
    shown = talk.agent("a")
    assert ("a", False, time_of_day(talk.now)) == (shown.name, shown.connected, shown.registered_at)
    assert [] == talk.inbox("a")
    assert not [d for d in talk.registry.deliveries("c", now=talk.now) if d.status == "PENDING"]
    talk.issue("d", Target.agent("a"))
    assert ["d"] == talk.inbox("a", DeliveryState.PENDING)


# Groups


def test_group_summaries_are_exact_without_a_sweep(talk: Talk) -> None:
    """Groups stand in order of their names, each agent under what it is at this moment."""
    talk.register("a", "late")
    talk.register("b", "early")
    talk.at(DEAD - STALE).register("c", "early")
    talk.open("c", 1)
    talk.at(DEAD).register("d", "late")
    assert [("early", (0, 1, 1, 1)), ("late", (1, 0, 1, 0))] == list(talk.summaries().items())
    talk.sweep_leases()
    assert [("early", (0, 1, 1, 1)), ("late", (1, 0, 1, 0))] == list(talk.summaries().items())


def test_vacated_groups_are_known_and_others_are_not(talk: Talk) -> None:
    """A command to a group that lost its agents finds nobody; to one never declared, it fails."""
    talk.register("a", "g")
    talk.register("a", "h")
    talk.issue("c", Target.of_group("g"))
    assert CommandStatus.UNDELIVERABLE == talk.command("c").status
    with pytest.raises(GroupNotFound):
        talk.issue("d", Target.of_group("never"))
    assert ["h"] == list(talk.summaries())


def test_vacated_groups_are_remembered_up_to_a_limit(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group that was vacated longest ago is forgotten first; one in use never is."""
    monkeypatch.setattr(roster, "VACATED_GROUPS", 2)
    for group in ("g1", "g2", "g3"):
        talk.register("a", group)
    talk.register("a", "g1")  # in use again; g2 and g3 are vacated, in this order
    talk.register("b", "g4")
    talk.remove("b")
    with pytest.raises(GroupNotFound):
        talk.issue("c", Target.of_group("g2"))
    for group in ("g1", "g3", "g4"):
        talk.issue(group, Target.of_group(group))


@pytest.mark.parametrize("what", ["register", "go stale", "be heard again"])
def test_a_group_keeps_its_place_while_its_only_agent_stays(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """No change within a group pushes a vacated one out of memory."""
    monkeypatch.setattr(roster, "VACATED_GROUPS", 1)
    talk.register("b", "vacated")
    talk.register("a", "g")
    if what == "be heard again":
        talk.at(STALE).sweep_leases()
    talk.remove("b")
    match what:
        case "register":
            talk.register("a", "g")
        case "go stale":
            talk.at(STALE).sweep_leases()
        case "be heard again":
            talk.heartbeat("a")
    talk.issue("c", Target.of_group("vacated"))
    assert CommandStatus.UNDELIVERABLE == talk.command("c").status


# Pages


def crowd(talk: Talk, size: int) -> dict[str, tuple[AgentStatus, str]]:
    """Register agents of mixed ages and groups, of which some changes were told; return them."""
    ages = [AgentStatus.DEAD, AgentStatus.STALE, AgentStatus.LIVE]
    moments = [0.0, 350.0, 440.0]  # seen from 445 s
    agents: dict[str, tuple[AgentStatus, str]] = {}
    for age, moment in zip(ages, moments, strict=True):
        talk.at(moment)
        for number in range(size):
            # One in ten is neither LIVE nor in the large group, so that few can be asked for.
            if (number % 10 == 0) == (age is not AgentStatus.LIVE):
                group = "few" if number % 20 == 0 else "many"
                agents[f"a{number:03}-{age.lower()}"] = (age, group)
                talk.register(f"a{number:03}-{age.lower()}", group)
        # So that some of the changes are told and some are not.
        talk.sweep_leases(limit=2)
    talk.at(445)
    return agents


FILTERS = list(
    product(
        [(), *((status,) for status in AgentStatus), (AgentStatus.STALE, AgentStatus.DEAD)],
        [(), ("few",), ("many",), ("few", "many"), ("few", "few", "none"), ("none",)],
    )
)


@pytest.mark.parametrize(("statuses", "groups"), FILTERS)
@pytest.mark.parametrize("size", [8, 60])
def test_pages_are_what_filtering_everything_gives(
    talk: Talk, size: int, statuses: tuple[AgentStatus, ...], groups: tuple[str, ...]
) -> None:
    """Filters, beginnings and limits agree with plain filtering, by either way of searching."""
    agents = crowd(talk, size)
    expected = sorted(
        agent_id
        for agent_id, (status, group) in agents.items()
        if (not statuses or status in statuses) and (not groups or group in groups)
    )
    assert expected == talk.ids(*statuses, groups=groups)
    for after in ("", "a000", expected[0] if expected else "b", "a010-stale", "z"):
        following = [agent_id for agent_id in expected if agent_id > after]
        for limit in (0, 1, 3, 1000):
            assert following[:limit] == talk.ids(*statuses, groups=groups, after=after, limit=limit)


# Sweeps


def test_sweep_of_leases_keeps_to_its_limit(talk: Talk) -> None:
    """The longest silent come first, and the rest with the sweeps that follow."""
    for number, agent_id in enumerate("cab"):
        talk.at(number).register(agent_id)
    talk.at(200)
    swept = [talk.sweep_leases(limit=2) for _ in range(3)]
    assert [
        [
            AgentWentStale(at=talk.moment(STALE), agent_id="c", group="g", heard=talk.moment(0)),
            AgentWentStale(
                at=talk.moment(STALE + 1), agent_id="a", group="g", heard=talk.moment(1)
            ),
        ],
        [AgentWentStale(at=talk.moment(STALE + 2), agent_id="b", group="g", heard=talk.moment(2))],
        [],
    ] == swept
