from __future__ import annotations

from itertools import product

import pytest

from cameleer_registry.core import ledger
from cameleer_registry.core.commands import status_of
from cameleer_registry.core.events import (
    CommandFinished,
    CommandPushed,
    Event,
)
from cameleer_registry.core.model import (
    AgentDelivery,
    CommandStatus,
    CommandType,
    Delivery,
    DeliveryState,
    Target,
)
from cameleer_registry.core.views import time_of_day
from cameleer_registry.errors import TooManyPending

from . import invariants
from .conversations import NS, TTL, Talk, Talking, deadline

PENDING, ACKNOWLEDGED, EXPIRED = DeliveryState


@pytest.mark.parametrize("ends", list(product(DeliveryState, repeat=3)))
def test_status_of_all_mixes(talk: Talk, ends: tuple[DeliveryState, ...]) -> None:
    """PENDING while a delivery is, else EXPIRED where any is, else ACKNOWLEDGED."""
    for agent_id in "abc":
        talk.register(agent_id)
    talk.issue("x", Target.all())
    facts: list[Event] = []
    for agent_id, end in zip("abc", ends, strict=True):
        if end is ACKNOWLEDGED:
            facts += talk.ack(agent_id, "x")
        elif end is EXPIRED:
            facts += talk.remove(agent_id)
    deciding = next(state for state in (PENDING, EXPIRED, ACKNOWLEDGED) if state in ends)
    status = CommandStatus[deciding.name]
    assert status == talk.command("x").status
    assert tuple(map(ends.count, DeliveryState)) == talk.counts("x")
    finished = [fact.status for fact in facts if isinstance(fact, CommandFinished)]
    assert ([] if status is CommandStatus.PENDING else [status]) == finished


def test_status_of_nothing() -> None:
    """A command without deliveries is UNDELIVERABLE."""
    assert CommandStatus.UNDELIVERABLE == status_of(pending=0, acknowledged=0, expired=0)


@pytest.mark.parametrize("swept", [False, True])
def test_expiry_spares_what_was_acknowledged(talk: Talk, swept: bool) -> None:
    """At the deadline only what is pending expires, and is seen so before any sweep."""
    for agent_id in "abc":
        talk.register(agent_id)
    talk.issue("x", Target.all())
    talk.ack("b", "x")
    assert talk.moment(TTL).steady == talk.registry.next_deadline()
    assert [] == talk.at(TTL - NS).sweep_commands()
    assert ["a", "c"] == [delivery.agent_id for delivery in _in_state(talk, PENDING)]
    talk.at(TTL)
    if swept:
        assert deadline(talk, TTL, "x", "a", "c") == talk.sweep_commands()
        assert talk.registry.next_deadline() is None
    assert ((0, 1, 2), CommandStatus.EXPIRED) == (talk.counts("x"), talk.command("x").status)
    states = {state: [d.agent_id for d in _in_state(talk, state)] for state in DeliveryState}
    assert {PENDING: [], ACKNOWLEDGED: ["b"], EXPIRED: ["a", "c"]} == states


def _in_state(talk: Talk, state: DeliveryState) -> list[Delivery]:
    return list(talk.registry.deliveries("x", now=talk.now, states=[state]))


def test_pushed_is_seen_and_is_no_state(talk: Talk) -> None:
    """``deliveredAt`` says that bytes were written, and settles nothing."""
    for agent_id in "ab":
        talk.register(agent_id)
    talk.issue("c", Target.all())
    talk.at(1)
    assert [CommandPushed(at=talk.now, command_id="c", agent_ids=("b",))] == talk.pushed("c", "b")
    assert (None, time_of_day(talk.now)) == (
        talk.delivery("a", "c").delivered_at,
        talk.delivery("b", "c").delivered_at,
    )
    assert (2, 0, 0) == talk.counts("c")


def test_agent_deliveries_as_shown(talk: Talk) -> None:
    """They stand newest first, filtered by the state they have at this moment."""
    talk.register("a")
    for second in range(3):
        talk.at(second).issue(f"c{second}", Target.agent("a"))
    talk.ack("a", "c1")
    talk.pushed("c2", "a")
    talk.at(TTL)
    assert ["c2", "c1", "c0"] == talk.inbox("a")
    assert (["c2"], ["c1"], ["c0"]) == tuple(talk.inbox("a", state) for state in DeliveryState)
    assert ["c2", "c0"] == talk.inbox("a", PENDING, EXPIRED)
    assert AgentDelivery(
        command_id="c2",
        type=CommandType.CONFIG_UPDATE,
        payload={"sampling": 0.5},
        created_at=time_of_day(talk.moment(2)),
        expires_at=time_of_day(talk.moment(2 + TTL)),
        agent_id="a",
        status=PENDING,
        delivered_at=time_of_day(talk.moment(2)),
        acknowledged_at=None,
        late_ack_at=None,
        result=None,
    ) == next(talk.registry.agent_deliveries("a", now=talk.now))


def test_those_whose_answer_is_awaited(talk: Talk) -> None:
    """They may still acknowledge: nobody else is written to."""
    agents = ("a", "b", "c", "d")
    for agent_id in agents:
        talk.register(agent_id)

    def awaited(command_id: str = "x") -> list[str]:
        return list(talk.registry.awaited(command_id, agents, now=talk.now))

    assert [] == awaited(), "there is no such command yet"
    talk.issue("x", Target.all())
    assert ["a", "b", "c", "d"] == awaited()
    talk.ack("a", "x")
    talk.remove("c")
    assert ["b", "d"] == awaited()
    talk.at(TTL - NS)
    assert ["b", "d"] == awaited()
    talk.at(TTL)
    assert [] == awaited(), "not even where its end has not been told"


@pytest.mark.parametrize("many", [1, 3, 100])
def test_nobody_can_tell_how_many_a_command_is_for(
    talking: Talking, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands to many are kept in another way than those to few, and all else is the same."""
    monkeypatch.setattr(ledger, "MANY", many)
    monkeypatch.setattr(invariants, "MANY", many)
    talk = talking(max_pending_per_agent=3, command_history=5)
    for agent_id in "abcd":
        talk.register(agent_id)
    talk.issue("x", Target.all())
    talk.at(1).issue("y", Target.agent("d"))
    talk.issue("z", Target.of_group("g"))
    talk.ack("a", "x")
    with pytest.raises(TooManyPending):
        talk.issue("more", Target.agent("d"))
    talk.issue("most", Target.all())
    assert ("d",) == talk.command("most").skipped
    assert ["z", "y", "x"] == talk.inbox("d")
    assert ["most", "z", "x"] == talk.inbox("c")
    talk.remove("c")
    talk.register("c")
    assert [] == talk.inbox("c"), "what was sent before is no command of who came back"
    assert "EXPIRED" == talk.delivery("c", "z").status
    talk.issue("after", Target.all())
    assert ["after"] == talk.inbox("c")
    talk.at(TTL)
    assert [] == talk.inbox("d", PENDING)[2:]
    talk.issue("later", Target.agent("d"))  # x is not pending any more, though not told so
    talk.at(TTL + 1).sweep_commands()
    assert ["later"] == talk.inbox("d", PENDING)
    talk.remove("a")
    talk.at(3 * TTL).sweep_commands()
    talk.register("a")
    assert [] == talk.inbox("a")


@pytest.mark.parametrize("between", [0, 1])
def test_pending_deliveries_are_counted_before_they_matter_and_few_at_a_time(
    talking: Talking, monkeypatch: pytest.MonkeyPatch, between: int
) -> None:
    """Of commands to many: while few are open nobody can have too many pending."""
    monkeypatch.setattr(ledger, "MANY", 2)
    monkeypatch.setattr(invariants, "MANY", 2)
    most = 12
    talk = talking(max_pending_per_agent=most)
    for agent_id in "abc":
        talk.register(agent_id)
    kept = talk.registry._ledger
    uncounted: list[int] = []
    for number in range(most):
        before = len(kept._uncounted)
        talk.issue(f"c{number}", Target.all())
        if between:
            talk.ack("a", f"c{number}")
        assert before + 1 - len(kept._uncounted) <= 2
        uncounted.append(len(kept._uncounted))
        invariants.check(talk.registry, talk.now)
    assert [1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1, 1] == uncounted
    talk.issue("last", Target.all())
    assert ("a", "b", "c")[between:] == talk.command("last").skipped
    talk.at(TTL).sweep_commands()
    invariants.check(talk.registry, talk.now)
    assert not kept._uncounted
    assert not +kept._pending
