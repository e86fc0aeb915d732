"""What a node remembers of what it has written: enough, and not for ever."""

from __future__ import annotations

import pytest

from cameleer_registry.node.sharing import written
from cameleer_registry.node.sharing.written import Written


def test_all_parts_of_a_command_are_known() -> None:
    """Also those that come after somebody has asked."""
    of = Written(lambda: 0.0)
    of.note("c", ("x", "y"), 60)
    of.note("c", ["z"], 60)
    assert [True, True, True, False] == [of.has("c", each) for each in "xyza"]
    assert not of.has("d", "x")
    of.note("c", ("a",), 60)
    assert of.has("c", "a")
    assert of.has("c", "x")


def test_what_cannot_be_pending_is_forgotten() -> None:
    """When something is written after that."""
    now = 0.0
    of = Written(lambda: now)
    of.note("c", ("x", "y"), 60)
    now = 61.0
    of.note("d", ("x",), 60)
    assert not of.has("c", "x")
    assert of.has("d", "x")
    assert 1 == len(of)


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, but never the command that is being written."""
    monkeypatch.setattr(written, "MOST", 4)
    of = Written(lambda: 0.0)
    for command_id in "cde":
        of.note(command_id, ("x", "y"), 60)
    assert [False, True, True] == [of.has(each, "x") for each in "cde"]
    of.note("f", tuple("abcdefgh"), 60)
    assert [False, False, True] == [of.has(each, "y") for each in "de"] + [of.has("f", "h")]
    assert 8 == len(of)
