"""Lists of commands: all that are remembered, or some of them, in turns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from cameleer_registry.core.model import (
    Ack,
    CommandStatus,
    CommandType,
    ListedCommand,
    Order,
    Target,
)
from cameleer_registry.core.selection import CommandSelection

from .conversations import ORDER, TTL, Talk, Talking


def ids(talk: Talk, *, before: str | None = None, limit: int = 1000, **wanted: Any) -> str:
    """Return the commands of a selection, called by one letter each."""
    selection = CommandSelection(**wanted)
    number = None if before is None else talk.registry.command_number(before)
    found, _ = talk.registry.commands(selection, now=talk.now, before=number, limit=limit)
    return "".join(command.command_id for command in found)


def say(talk: Talk) -> None:
    """Issue one command of every kind that matters; ``a`` is the oldest."""
    talk.register("x", "g")
    talk.register("y", "h")
    deep, replay = (Order(type=kind) for kind in (CommandType.DEEP_TRACE, CommandType.REPLAY))
    talk.issue("a", Target.agent("x"))
    talk.issue("b", Target.of_group("h"), deep)
    talk.issue("c", Target.all(), replay)
    talk.ack("x", "a")
    talk.ack("y", "b", Ack())
    talk.at(TTL).issue("d", Target.agent("y"))  # c has expired by now, which nobody was told
    talk.remove("x")
    talk.issue("e", Target.of_group("g"))  # of which nobody is left
    talk.register("y", "moved")
    talk.register("x", "h")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "edcba"),
        ({"statuses": [CommandStatus.PENDING]}, "d"),
        ({"statuses": [CommandStatus.EXPIRED]}, "c"),
        ({"statuses": [CommandStatus.ACKNOWLEDGED]}, "ba"),
        ({"statuses": [CommandStatus.UNDELIVERABLE, CommandStatus.EXPIRED]}, "ec"),
        ({"types": [CommandType.DEEP_TRACE]}, "b"),
        ({"types": [CommandType.DEEP_TRACE, CommandType.REPLAY]}, "cb"),
        ({"agent_ids": ["x"]}, "ca"),  # also those of before it was deleted
        ({"agent_ids": ["y"]}, "dcb"),
        ({"agent_ids": ["x", "y"]}, "dcba"),
        ({"agent_ids": ["nobody"]}, ""),
        ({"groups": ["g"]}, "eca"),  # meant for it, or for an agent that was in it
        ({"groups": ["h"]}, "dcb"),
        ({"groups": ["moved"]}, ""),
        ({"groups": ["g", "h"], "types": [CommandType.CONFIG_UPDATE]}, "eda"),
        ({"agent_ids": ["y"], "statuses": [CommandStatus.PENDING], "groups": ["h"]}, "d"),
    ],
)
def test_selections(talk: Talk, wanted: dict[str, Any], expected: str) -> None:
    """Newest first, as they are at this moment."""
    say(talk)
    assert expected == ids(talk, **wanted)


def test_pages_are_what_cutting_the_whole_gives(talk: Talk) -> None:
    """From behind any command, also one that is forgotten, up to any number."""
    say(talk)
    for before, limit in product([None, *"abcde"], [1, 2, 4, 5, 6]):
        whole = "edcba" if before is None else "edcba".partition(before)[2]
        assert whole[:limit] == ids(talk, before=before, limit=limit)


def test_a_page_goes_on_where_its_command_is_forgotten(talking: Talking) -> None:
    """Its id says when it was issued, and so where it stood."""
    talk = talking(command_history=2)
    talk.register("x")
    for command_id in "abcd":
        talk.issue(command_id, Target.agent("x"))
    for command_id in "cbd":  # c finishes first, and is forgotten first
        talk.ack("x", command_id)
    assert "dba" == ids(talk)
    assert ("ba", "", "dba") == tuple(ids(talk, before=before) for before in ("c", "Z", "z"))


def turns(talk: Talk, selection: CommandSelection, look_at: int) -> Iterator[list[ListedCommand]]:
    """Look through all commands, so many in each turn."""
    before: int | None = None
    while True:
        found, before = talk.registry.commands(
            selection, now=talk.now, before=before, limit=2, look_at=look_at
        )
        yield found
        if before is None:
            return


@pytest.mark.parametrize("look_at", [1, 2, 3, 100])
def test_in_turns(talk: Talk, look_at: int) -> None:
    """No turn looks at more than it may; together they show all, also of few among many."""
    talk.register("x")
    for number in range(10):
        kind = CommandType.REPLAY if number % 4 == 0 else CommandType.CONFIG_UPDATE
        talk.issue(f"{number}", Target.agent("x"), Order(type=kind))
    for kind, expected in ((CommandType.REPLAY, "840"), (CommandType.CONFIG_UPDATE, "9765321")):
        found = list(turns(talk, CommandSelection(types=[kind]), look_at))
        assert expected == "".join(command.command_id for turn in found for command in turn)
        assert len(found) >= 10 / look_at
        assert max(map(len, found)) <= 2


@pytest.mark.parametrize(("size", "shown"), [(0, True), (4096, True), (4097, False)])
def test_long_payloads_are_left_out(talk: Talk, size: int, shown: bool) -> None:
    """A list says so; the command itself has it."""
    talk.register("x")
    _, facts = talk.registry.issue("c", ORDER, Target.agent("x"), now=talk.now, payload_size=size)
    talk.facts += facts
    [listed], _ = talk.registry.commands(CommandSelection(), now=talk.now, limit=1)
    assert (ORDER.payload if shown else {}, not shown) == (listed.payload, listed.payload_truncated)
    assert ORDER.payload == talk.command("c").payload
