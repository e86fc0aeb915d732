"""Commands that are asked for again."""

from __future__ import annotations

import pytest
from attrs import evolve

from cameleer_registry.core import idempotency
from cameleer_registry.core.events import CommandIssued
from cameleer_registry.core.model import CommandStatus, DeliveryState, Order, Outcome, Target
from cameleer_registry.errors import (
    AgentNotRegistered,
    GroupNotFound,
    IdempotencyKeyReused,
    TooManyPending,
)

from .conversations import HOUR, NS, ORDER, TTL, Talk, Talking

A = Target.agent("a")


def test_the_same_request_again_is_the_same_command(talk: Talk) -> None:
    """Issued once, and shown as it is by then."""
    talk.register("a")
    issued, facts = talk.issue_once("x", A, "key")
    assert [CommandIssued] == [type(fact) for fact in facts]
    talk.at(1).ack("a", "x")
    again, none = talk.issue_once("y", A, "key")
    assert [] == none
    assert again == talk.command("x")
    assert (CommandStatus.PENDING, CommandStatus.ACKNOWLEDGED) == (issued.status, again.status)
    assert ["x"] == talk.inbox("a")


def test_another_key_or_none_is_another_command(talk: Talk) -> None:
    """However much the requests are alike."""
    talk.register("a")
    for command_id, key in (("w", "one"), ("x", "two")):
        command, _ = talk.issue_once(command_id, A, key)
        assert command_id == command.command_id
    talk.issue("y", A)
    talk.issue("z", A)
    assert ["z", "y", "x", "w"] == talk.inbox("a")


@pytest.mark.parametrize(
    ("order", "target"),
    [
        (evolve(ORDER, payload={}), A),
        (evolve(ORDER, type="replay"), A),
        (ORDER, Target.agent("b")),
        (ORDER, Target.of_group("g")),
        (ORDER, Target.of_group("never")),
        (ORDER, Target.agent("nobody")),
        (ORDER, Target.all()),
    ],
)
def test_something_else_under_the_same_key(talk: Talk, order: Order, target: Target) -> None:
    """It is refused, and nothing is issued."""
    talk.register("a")
    talk.register("b")
    talk.issue_once("x", A, "key")
    with pytest.raises(IdempotencyKeyReused, match="'key'"):
        talk.issue_once("y", target, "key", order)
    assert ["x"] == talk.inbox("a")
    assert [] == talk.inbox("b")


def test_what_was_refused_can_be_asked_for_again(talking: Talking) -> None:
    """Under the same key: nothing was issued under it."""
    talk = talking(max_pending_per_agent=1)
    for refusal, target in ((AgentNotRegistered, A), (GroupNotFound, Target.of_group("g"))):
        with pytest.raises(refusal):
            talk.issue_once("w", target, "key")
    talk.register("a")
    talk.issue("x", A)
    with pytest.raises(TooManyPending):
        talk.issue_once("y", A, "key")
    talk.ack("a", "x")
    issued, _ = talk.issue_once("z", A, "key")
    assert "z" == issued.command_id


def test_it_is_the_same_command_whatever_has_become_of_its_targets(talking: Talking) -> None:
    """Deleted, or with too much pending for another command."""
    talk = talking(max_pending_per_agent=1)
    talk.register("a")
    talk.issue_once("x", A, "key")
    full, _ = talk.issue_once("y", A, "key")
    assert ("x", (1, 0, 0)) == (full.command_id, talk.counts("x"))
    talk.remove("a")
    gone, _ = talk.issue_once("z", A, "key")
    assert ("x", CommandStatus.EXPIRED) == (gone.command_id, gone.status)


def test_a_key_is_remembered_for_an_hour(talk: Talk) -> None:
    """Of the steady clock: a pause counts, and a wall clock that is set does not."""
    talk.register("a")
    talk.issue_once("x", A, "key")
    talk.set_wall_clock(2 * HOUR).pause(HOUR - NS)
    again, _ = talk.issue_once("y", A, "key")
    assert "x" == again.command_id
    talk.at(HOUR)
    issued, _ = talk.issue_once("z", A, "key", evolve(ORDER, payload={}))
    assert "z" == issued.command_id
    assert 1 == len(talk.registry._ledger.keys._commands)


def test_keys_are_forgotten_when_their_time_is_over(talk: Talk) -> None:
    """Not only when the same one comes again."""
    for second, command_id in enumerate("wxyz"):
        talk.at(second).issue_once(command_id, Target.all(), command_id)
    talk.at(HOUR + 1).issue("more", Target.all())
    assert ["y", "z"] == list(talk.registry._ledger.keys._commands)


def test_so_many_keys_are_remembered(talking: Talking) -> None:
    """The oldest is forgotten first, and then the same request is another command."""
    talk = talking(idempotency_keys=2)
    for command_id in "xyz":
        talk.issue_once(command_id, Target.all(), command_id)
    found = [talk.issue_once(f"{key}2", Target.all(), key)[0].command_id for key in "zyx"]
    assert ["z", "y", "x2"] == found


@pytest.mark.parametrize("history", [0, 1, 10])
def test_a_command_that_has_been_forgotten(talking: Talking, history: int) -> None:
    """All that was shown of it still is, without its being kept."""
    talk = talking(command_history=history, max_pending_per_agent=2)
    for agent_id in "abc":
        talk.register(agent_id)
    talk.open("a", 1)
    for _ in range(2):
        talk.issue(f"full{_}", Target.agent("c"))
    order = evolve(ORDER, payload={"large": "x" * 100})
    first, _ = talk.issue_once("x", Target.of_group("g"), "key", order)
    talk.ack("a", "x")
    talk.at(TTL).sweep_commands()
    assert (history == 10) == ("x" in talk.registry._ledger.commands)
    again, _ = talk.issue_once("y", Target.of_group("g"), "key", order)
    counts = {DeliveryState.PENDING: 0, DeliveryState.ACKNOWLEDGED: 1, DeliveryState.EXPIRED: 1}
    said = {Outcome.SUCCESS: counts[DeliveryState.ACKNOWLEDGED], Outcome.FAILURE: 0}
    assert evolve(first, status=CommandStatus.EXPIRED, counts=counts, outcomes=said) == again
    assert (2, 1, ("c",)) == (again.target_count, again.connected_count, again.skipped)


def test_agents_left_out_are_bounded_too(talking: Talking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their ids are kept for an answer; the newest key is, however many they are."""
    monkeypatch.setattr(idempotency, "SKIPPED_REMEMBERED", 3)
    talk = talking(max_pending_per_agent=1)
    for agent_id in "ab":
        talk.register(agent_id)
    talk.issue("full", Target.all())
    keys = talk.registry._ledger.keys
    for command_id in "xyz":
        talk.issue_once(command_id, Target.all(), command_id)
        assert (1, 2) == (len(keys._commands), keys.skipped)
    for agent_id in "cd":
        talk.register(agent_id)
    talk.issue("fuller", Target.all())
    talk.issue_once("last", Target.all(), "last")
    assert (["last"], 4) == (list(keys._commands), keys.skipped)
