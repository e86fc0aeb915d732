from __future__ import annotations

import pytest

from cameleer_registry.core.events import (
    CommandFinished,
    CommandForgotten,
    DeliveryAcknowledged,
    LateAckReceived,
)
from cameleer_registry.core.model import CommandStatus, Target
from cameleer_registry.core.registry import SWEEP_LIMIT
from cameleer_registry.errors import CommandNotFound

from .conversations import ACK, ORDER, TTL, Talk, Talking


def known(talk: Talk, *command_ids: str) -> str:
    """Return those of these commands, called by one letter each, that are not forgotten."""
    return "".join(c for c in command_ids if c in talk.registry._ledger.commands)


def test_finished_commands_are_kept_up_to_a_number_of_deliveries(talking: Talking) -> None:
    """The first to finish is forgotten first, whichever was issued first."""
    talk = talking(command_history=2)
    talk.register("a")
    for command_id in "wxyz":
        talk.issue(command_id, Target.agent("a"))
    for finish, kept in (("y", "wxyz"), ("w", "wxyz"), ("z", "wxz"), ("x", "xz")):
        talk.ack("a", finish)
        assert kept == known(talk, *"wxyz")
    assert ["z", "x"] == talk.inbox("a")
    for ask in (talk.command, lambda command_id: talk.ack("a", command_id)):
        with pytest.raises(CommandNotFound):
            ask("w")
    with pytest.raises(CommandNotFound):
        talk.registry.deliveries("w", now=talk.now)


def test_forgetting_is_told(talking: Talking) -> None:
    """What makes the history grow over its limits is told first, then what is forgotten for it."""
    talk = talking(command_history=2)
    for agent_id in "ab":
        talk.register(agent_id)
    for command_id in "xy":
        talk.issue(command_id, Target.agent("a"))
        talk.ack("a", command_id)
    talk.issue("z", Target.all())
    talk.ack("a", "z")
    assert [
        DeliveryAcknowledged(at=talk.now, agent_id="b", command_id="z", result=ACK),
        CommandFinished(at=talk.now, command_id="z", status=CommandStatus.ACKNOWLEDGED),
        CommandForgotten(at=talk.now, command_id="x"),
        CommandForgotten(at=talk.now, command_id="y"),
    ] == talk.ack("b", "z")


@pytest.mark.parametrize("swept", [False, True], ids=["with what happens", "by a sweep"])
def test_limits_that_have_become_smaller_hold_soon(talking: Talking, swept: bool) -> None:
    """What was kept under larger ones is taken in as it was, and forgotten after that."""
    before, after = talking(), talking(command_history=1)
    before.register("a")
    for command_id in "xyz":
        before.issue(command_id, Target.agent("a"))
        before.ack("a", command_id)
    after.registry.apply(before.facts)
    after.facts += before.facts
    assert "xyz" == known(after, *"xyz")
    facts = after.sweep_commands() if swept else after.register("a")[1:]
    assert [CommandForgotten(at=after.now, command_id=command_id) for command_id in "xy"] == facts
    assert "z" == known(after, *"xyz")


def test_open_commands_are_not_history(talking: Talking) -> None:
    """Nothing that is pending is forgotten, however much of it there is."""
    talk = talking(command_history=1)
    talk.register("a")
    for command_id in "wxyz":
        talk.issue(command_id, Target.agent("a"))
    assert "wxyz" == known(talk, *"wxyz")
    talk.at(TTL).sweep_commands()
    assert "z" == known(talk, *"wxyz")


def test_a_broadcast_counts_as_its_deliveries(talking: Talking) -> None:
    """It leaves room for as many fewer others."""
    talk = talking(command_history=4)
    for agent_id in "abc":
        talk.register(agent_id)
    for command_id in "xyz":
        talk.issue(command_id, Target.agent("a"))
        talk.ack("a", command_id)
    talk.issue("w", Target.all())
    for agent_id in "abc":
        talk.ack(agent_id, "w")
    assert "zw" == known(talk, *"xyzw")


def test_a_broadcast_larger_than_the_history(talking: Talking) -> None:
    """It is kept while it is open, and forgotten with all before it when it has finished."""
    talk = talking(command_history=2)
    for agent_id in "abc":
        talk.register(agent_id)
    talk.issue("x", Target.agent("a"))
    talk.ack("a", "x")
    talk.issue("y", Target.all())
    talk.ack("a", "y")
    assert "xy" == known(talk, *"xy")
    talk.at(TTL).sweep_commands()
    assert "" == known(talk, *"xy")
    assert [] == talk.inbox("a")


def test_commands_without_targets_count_as_one(talking: Talking) -> None:
    """They cannot pile up for weighing nothing."""
    talk = talking(command_history=2)
    for command_id in "xyz":
        talk.issue(command_id, Target.all())
    assert "yz" == known(talk, *"xyz")


def test_without_history_what_is_finished_is_gone(talking: Talking) -> None:
    """With a history of 0 a command lives as long as something of it is pending."""
    talk = talking(command_history=0)
    talk.register("a")
    talk.issue("x", Target.agent("a"))
    assert "x" == known(talk, "x")
    talk.ack("a", "x")
    assert "" == known(talk, "x")
    talk.issue("y", Target.agent("a"))
    talk.at(TTL)
    assert LateAckReceived(at=talk.now, agent_id="a", command_id="y") == talk.ack("a", "y")[-1]
    assert "" == known(talk, "y")
    assert [] == talk.inbox("a")


def test_handles_outlive_being_forgotten(talking: Talking) -> None:
    """Whoever issued or acknowledged it can still see what became of a command."""
    talk = talking(command_history=0)
    command, facts = talk.registry.issue("x", ORDER, Target.all(), now=talk.now)
    talk.facts += facts
    assert (
        CommandFinished(at=talk.now, command_id="x", status=CommandStatus.UNDELIVERABLE),
        CommandForgotten(at=talk.now, command_id="x"),
    ) == facts[-2:]
    assert CommandStatus.UNDELIVERABLE == command.status_at(talk.now)
    talk.register("a")
    command, facts = talk.registry.issue("y", ORDER, Target.all(), now=talk.now)
    talk.facts += facts
    assert command is talk.registry.command_record("y")
    delivery, facts = talk.registry.acknowledge("a", "y", ACK, now=talk.now)
    talk.facts += facts
    assert ACK == delivery.result
    assert CommandStatus.ACKNOWLEDGED == command.status_at(talk.now)
    assert "" == known(talk, "x", "y")


def test_pushed_after_being_forgotten(talking: Talking) -> None:
    """A push that comes after the end of its command changes nothing."""
    talk = talking(command_history=0)
    talk.register("a")
    talk.issue("x", Target.agent("a"))
    talk.ack("a", "x")
    talk.pushed("x", "a")
    assert "" == known(talk, "x")


def test_forgetting_spares_the_inbox_of_a_later_agent(talking: Talking) -> None:
    """Of an agent that was deleted and came back, only the old commands are forgotten."""
    talk = talking(command_history=1)
    talk.register("a")
    talk.issue("x", Target.agent("a"))
    talk.remove("a")
    talk.register("a")
    talk.issue("y", Target.agent("a"))
    talk.ack("a", "y")
    assert "y" == known(talk, "x", "y")
    assert ["y"] == talk.inbox("a")


@pytest.mark.parametrize(
    ("limit", "batches"),
    [(1, [3, 1, 2, 0]), (3, [3, 3, 0]), (4, [4, 2, 0]), (500, [6, 0]), (None, [6, 0])],
)
def test_sweep_of_commands_keeps_to_its_limit(
    talk: Talk, limit: int | None, batches: list[int]
) -> None:
    """It stops after the command with which so many deliveries were looked at."""
    for agent_id in "abc":
        talk.register(agent_id)
    talk.issue("x", Target.all())
    talk.at(1).issue("y", Target.agent("a"))
    talk.remove("c")
    talk.at(2).issue("z", Target.all())
    talk.at(TTL + 2)
    # Three deliveries of x, of which one has expired with its agent, one of y and two of z.
    sizes = {"x": 3, "y": 1, "z": 2}
    swept = [talk.sweep_commands(limit) for _ in batches]
    assert batches == [
        sum(sizes[fact.command_id] for fact in facts if isinstance(fact, CommandFinished))
        for facts in swept
    ]


def test_room_for_a_command_to_many_is_made_bit_by_bit(talking: Talking) -> None:
    """Nobody is held up for as long as it takes to forget as many others."""
    count = SWEEP_LIMIT + 50
    talk = talking(command_history=count)
    for number in range(count):
        talk.register(f"a{number}")
        talk.issue(f"x{number}", Target.agent("a0"))
        talk.ack("a0", f"x{number}")
    talk.issue("y", Target.all())
    for number in range(count - 1):
        talk.ack(f"a{number}", "y")
    facts = talk.ack(f"a{count - 1}", "y")
    assert SWEEP_LIMIT == sum(isinstance(fact, CommandForgotten) for fact in facts)
    assert 51 == len(talk.registry._ledger.commands)
    assert talk.registry.next_command_sweep() == 0, "there is something to sweep at any time"
    facts = talk.sweep_commands()
    assert [f"x{number}" for number in range(SWEEP_LIMIT, count)] == [
        fact.command_id for fact in facts if isinstance(fact, CommandForgotten)
    ]
    assert ["y"] == list(talk.registry._ledger.commands)
    assert talk.registry.next_command_sweep() is None
    assert [] == talk.sweep_commands()
