from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from cameleer_registry.core.events import (
    CommandFinished,
    CommandIssued,
    DeliveryAcknowledged,
    Event,
    LateAckReceived,
)
from cameleer_registry.core.ledger import MANY
from cameleer_registry.core.model import (
    Ack,
    Command,
    CommandStatus,
    CommandType,
    Delivery,
    DeliveryState,
    Outcome,
    Target,
)
from cameleer_registry.core.targets import Targets
from cameleer_registry.core.views import time_of_day
from cameleer_registry.errors import (
    AgentNotRegistered,
    CommandNotFound,
    GroupNotFound,
    TooManyPending,
)

from .conversations import ACK, DEAD, NS, ORDER, STALE, TTL, Talk, Talking, deadline, registration

FAILURE = Ack(status=Outcome.FAILURE)

PENDING, ACKNOWLEDGED, EXPIRED = DeliveryState


def issued(
    talk: Talk,
    command_id: str,
    target: Target,
    agent_ids: tuple[str, ...],
    *,
    groups: frozenset[str] = frozenset({"g"}),
    connected: int = 0,
    skipped: tuple[str, ...] = (),
) -> CommandIssued:
    """Return the fact that a command was issued now."""
    return CommandIssued(
        at=talk.now,
        command_id=command_id,
        order=ORDER,
        target=target,
        expires=talk.now.after(60_000_000_000),
        agent_ids=Targets(agent_ids),
        groups=groups if agent_ids else frozenset(),
        connected_count=connected,
        skipped=skipped,
        number=talk.registry._ledger.issued + 1,
    )


def acknowledged(talk: Talk, agent_id: str, command_id: str, ack: Ack = ACK) -> Event:
    return DeliveryAcknowledged(at=talk.now, agent_id=agent_id, command_id=command_id, result=ack)


# Issuing


def test_targets_are_those_that_are_live(talk: Talk) -> None:
    """A group and all mean LIVE agents, judged at that moment; an agent is meant whatever it is."""
    talk.register("dead", "g")
    talk.at(DEAD - STALE).register("stale", "g")
    talk.at(DEAD).register("live", "g")
    talk.register("other", "h")
    talk.open("other", 1)
    talk.open("stale", 2)
    group, everyone = Target.of_group("g"), Target.all()
    assert [issued(talk, "c1", group, ("live",))] == talk.issue("c1", group)
    both = frozenset({"g", "h"})
    assert [
        issued(talk, "c2", everyone, ("live", "other"), groups=both, connected=1)
    ] == talk.issue("c2", everyone)
    for agent_id, connected in (("dead", 0), ("stale", 1), ("live", 0)):
        target = Target.agent(agent_id)
        assert [issued(talk, agent_id, target, (agent_id,), connected=connected)] == talk.issue(
            agent_id, target
        )


def test_targets_are_frozen_when_issued(talk: Talk) -> None:
    """Who comes, goes or moves later neither joins nor leaves a command."""
    talk.register("a")
    talk.register("b")
    talk.issue("c", Target.of_group("g"))
    talk.register("late")
    talk.register("b", "h")
    talk.remove("a")
    deliveries = list(talk.registry.deliveries("c", now=talk.now))
    assert [("a", EXPIRED), ("b", PENDING)] == [(d.agent_id, d.status) for d in deliveries]
    assert 2 == talk.command("c").target_count


def test_command_as_shown(talk: Talk) -> None:
    """All of it can be seen at once."""
    talk.register("a")
    talk.register("b")
    talk.open("b", 1)
    talk.at(1).issue("c", Target.of_group("g"))
    talk.ack("a", "c")
    assert Command(
        command_id="c",
        type=CommandType.CONFIG_UPDATE,
        payload={"sampling": 0.5},
        target=Target.of_group("g"),
        status=CommandStatus.PENDING,
        created_at=time_of_day(talk.moment(1)),
        expires_at=time_of_day(talk.moment(1 + TTL)),
        target_count=2,
        connected_count=1,
        skipped=(),
        counts={PENDING: 1, ACKNOWLEDGED: 1, EXPIRED: 0},
        outcomes={Outcome.SUCCESS: 1, Outcome.FAILURE: 0},
        issued_by=None,
    ) == talk.command("c")


def test_outcomes_are_those_of_acknowledgements_in_time(talk: Talk) -> None:
    """They add up to them; a second answer and a late one count for nothing."""
    for agent_id in "abcd":
        talk.register(agent_id)
    talk.issue("c", Target.all())
    talk.ack("a", "c", FAILURE)
    talk.ack("b", "c", FAILURE)
    talk.ack("c", "c")
    talk.ack("a", "c")
    talk.ack("c", "c", FAILURE)
    talk.at(TTL).ack("d", "c", FAILURE)
    assert {Outcome.SUCCESS: 1, Outcome.FAILURE: 2} == talk.command("c").outcomes
    assert 3 == talk.command("c").counts[ACKNOWLEDGED]


def test_who_issued_it_is_kept(talk: Talk) -> None:
    """It is shown with the command, and every fact of what somebody asked for names who it was."""
    talk.register("a")
    _, facts = talk.registry.issue("c", ORDER, Target.agent("a"), now=talk.now, by="t-1")
    talk.facts += facts
    assert ["t-1"] == [fact.by for fact in facts if isinstance(fact, CommandIssued)]
    assert "t-1" == talk.command("c").issued_by
    declared = registration("b")
    asked = {
        "register": talk.registry.register(declared, now=talk.now, by="t-2"),
        "acknowledge": talk.registry.acknowledge("a", "c", Ack(), now=talk.now, by="t-3")[1],
        "remove": talk.registry.remove("a", now=talk.now, by="t-4"),
    }
    talk.facts += [fact for facts in asked.values() for fact in facts]
    assert {"register": ["t-2"], "acknowledge": ["t-3"], "remove": ["t-4"]} == {
        what: [fact.by for fact in facts if hasattr(fact, "by")] for what, facts in asked.items()
    }


@pytest.mark.parametrize("target", [Target.of_group("g"), Target.all()])
def test_nobody_to_target(talk: Talk, target: Target) -> None:
    """A command without targets is UNDELIVERABLE from the beginning, and stays so."""
    talk.register("a", "g")
    talk.at(STALE)
    assert [
        issued(talk, "c", target, ()),
        CommandFinished(at=talk.now, command_id="c", status=CommandStatus.UNDELIVERABLE),
    ] == talk.issue("c", target)
    assert [] == talk.at(STALE + TTL).sweep_commands()
    assert CommandStatus.UNDELIVERABLE == talk.command("c").status
    assert (0, 0, 0) == talk.counts("c")


def test_too_many_pending(talking: Talking) -> None:
    """Such an agent refuses a command of its own and is left out of a group's or all agents'."""
    talk = talking(max_pending_per_agent=2)
    for agent_id in ("a", "z", "b"):
        talk.register(agent_id)
    for number, agent_id in enumerate("aazz"):
        talk.issue(f"{agent_id}{number}", Target.agent(agent_id))
    with pytest.raises(TooManyPending):
        talk.issue("one", Target.agent("a"))
    group = Target.of_group("g")
    assert [issued(talk, "c", group, ("b",), skipped=("a", "z"))] == talk.issue("c", group)
    assert ("a", "z") == talk.command("c").skipped
    talk.ack("a", "a0")
    assert [issued(talk, "d", Target.all(), ("a", "b"), skipped=("z",))] == talk.issue(
        "d", Target.all()
    )


class Unread(Counter[str]):
    """Counts of which one at a time may be asked for."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("all of them were looked at")

    def items(self) -> Any:
        return iter(self)

    keys = values = items


def test_whether_an_agent_is_full_costs_nobody_else(talking: Talking) -> None:
    """However many agents have something pending, those of the target are looked at alone."""
    talk = talking(max_pending_per_agent=2)
    for number in range(MANY + 1):
        talk.register(f"a{number}")
    for command_id in ("c0", "c1"):
        talk.issue(command_id, Target.agent("a0"))
    talk.issue("c2", Target.all())
    ledger = talk.registry._ledger
    counted = ledger._pending
    ledger._pending = Unread(counted)
    talk.issue("c3", Target.agent("a1"))  # and c2, which is not counted yet
    assert ["c2"] == list(ledger._uncounted)
    for agent_id in ("a0", "a1"):
        with pytest.raises(TooManyPending):
            talk.issue("c4", Target.agent(agent_id))
    ledger._pending = Counter(counted) + Counter(["a1"])


def test_all_skipped_is_undeliverable(talking: Talking) -> None:
    """Where everybody is skipped there is nobody left to wait for."""
    talk = talking(max_pending_per_agent=1)
    talk.register("a")
    talk.issue("c", Target.agent("a"))
    talk.issue("d", Target.all())
    assert (CommandStatus.UNDELIVERABLE, ("a",)) == (
        talk.command("d").status,
        talk.command("d").skipped,
    )


def test_issuing_tells_of_deadlines_first(talking: Talking) -> None:
    """What has expired does not count as pending, whether or not it was told."""
    talk = talking(max_pending_per_agent=1)
    talk.register("a")
    target = Target.agent("a")
    talk.issue("c", target)
    talk.at(TTL - NS)
    with pytest.raises(TooManyPending):
        talk.issue("d", target)
    talk.at(TTL)
    assert [*deadline(talk, TTL, "c", "a"), issued(talk, "d", target, ("a",))] == talk.issue(
        "d", target
    )


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        (Target.agent("nobody"), AgentNotRegistered),
        (Target.of_group("nothing"), GroupNotFound),
        (Target.agent("a"), TooManyPending),
    ],
)
def test_a_refused_command_changes_nothing(
    talking: Talking, target: Target, refusal: type[Exception]
) -> None:
    """No fact is lost with the refusal: a deadline before it is still told afterwards."""
    talk = talking(max_pending_per_agent=1)
    for agent_id in "ab":
        talk.register(agent_id)
    talk.issue("c", Target.agent("b"))
    talk.at(1).issue("d", Target.agent("a"))
    talk.at(TTL)
    with pytest.raises(refusal):
        talk.issue("e", target)
    assert deadline(talk, TTL, "c", "b") == talk.sweep_commands()


# Acknowledging


def test_ack_in_time(talk: Talk) -> None:
    """It is told, and the last one finishes the command."""
    for agent_id in "ab":
        talk.register(agent_id)
    talk.issue("c", Target.all())
    talk.at(1)
    ack = Ack(status=Outcome.FAILURE, message="no such route", data={"route": "r9"})
    assert [acknowledged(talk, "a", "c", ack)] == talk.ack("a", "c", ack)
    assert Delivery(
        agent_id="a",
        status=ACKNOWLEDGED,
        delivered_at=None,
        acknowledged_at=time_of_day(talk.now),
        late_ack_at=None,
        result=ack,
    ) == talk.delivery("a", "c")
    talk.at(TTL - NS)
    finished = CommandFinished(at=talk.now, command_id="c", status=CommandStatus.ACKNOWLEDGED)
    assert [acknowledged(talk, "b", "c"), finished] == talk.ack("b", "c")
    assert [] == talk.at(TTL).sweep_commands()
    assert CommandStatus.ACKNOWLEDGED == talk.command("c").status


@pytest.mark.parametrize("seconds", [1, TTL - NS, TTL, 10 * TTL])
def test_the_first_result_stands(talk: Talk, seconds: float) -> None:
    """The same again, or something else, at any time: no fact, and nothing changes."""
    talk.register("a")
    talk.issue("c", Target.agent("a"))
    first = Ack(message="first")
    talk.ack("a", "c", first)
    before = talk.delivery("a", "c")
    assert [] == talk.at(seconds).ack("a", "c", Ack(status=Outcome.FAILURE, message="second"))
    assert (before, first) == (talk.delivery("a", "c"), before.result)


@pytest.mark.parametrize("late", [0, NS, 5, 1000])
@pytest.mark.parametrize("swept", [False, True])
def test_late_ack(talk: Talk, late: float, swept: bool) -> None:
    """From the deadline on, swept or not, it is noted and changes no state; the first is kept."""
    for agent_id in "ab":
        talk.register(agent_id)
    talk.issue("c", Target.all())
    talk.at(TTL + late)
    told = deadline(talk, TTL, "c", "a", "b")
    assert (told if swept else []) == (talk.sweep_commands() if swept else [])
    first = talk.now
    noted = LateAckReceived(at=talk.now, agent_id="a", command_id="c")
    assert ([noted] if swept else [*told, noted]) == talk.ack("a", "c")
    talk.at(TTL + late + 1)
    again = LateAckReceived(at=talk.now, agent_id="a", command_id="c")
    assert [again] == talk.ack("a", "c")
    assert Delivery(
        agent_id="a",
        status=EXPIRED,
        delivered_at=None,
        acknowledged_at=None,
        late_ack_at=time_of_day(first),
        result=None,
    ) == talk.delivery("a", "c")
    assert [] == talk.sweep_commands()


def test_acks_of_what_is_not_ones_own(talk: Talk) -> None:
    """A command to others, and one that never was, are not found; a stranger is told so first."""
    for agent_id in "ab":
        talk.register(agent_id)
    talk.issue("c", Target.agent("a"))
    for agent_id, command_id in (("b", "c"), ("a", "d")):
        with pytest.raises(CommandNotFound):
            talk.ack(agent_id, command_id)
    with pytest.raises(AgentNotRegistered):
        talk.ack("stranger", "c")
    assert (1, 0, 0) == talk.counts("c")
