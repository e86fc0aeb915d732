"""docs/architecture.md draws what the code does."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from cameleer_registry.core import commands, lifecycle

from .pages import ARCHITECTURE, ROOT, blocks


def transitions_shown(heading: str) -> set[tuple[str, str, str]]:
    """Return the arrows of a state diagram, without the one that begins it."""
    text = ARCHITECTURE.read_text("utf-8").partition(f"## {heading}\n")[2]
    diagram = text.partition("```mermaid\n")[2].partition("```")[0]
    return set(re.findall(r"^ +(\w+) --> (\w+): (.+)$", diagram, re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("The life of an agent", lifecycle.TRANSITIONS),
        ("The life of a delivery", commands.TRANSITIONS),
    ],
)
def test_the_diagrams_are_those_of_the_tables(
    heading: str, table: Mapping[tuple[str, str], str]
) -> None:
    """Every transition is drawn, and no other."""
    expected = {(str(before), str(after), str(what)) for (before, what), after in table.items()}
    assert expected == transitions_shown(heading)


def test_every_module_has_its_line_in_the_tree() -> None:
    """Whoever opens the page finds each file, and no file that is not there."""
    tree = next(blocks(ARCHITECTURE, "text")).text
    shown = set(re.findall(r"\b(\w+)\.py\b", tree))
    modules = {path.stem for path in (ROOT / "cameleer_registry").rglob("*.py")}
    assert modules - {"__init__", "__main__", "version"} == shown - {"__init__"}
