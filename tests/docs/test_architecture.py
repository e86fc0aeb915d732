"""docs/architecture.md draws what the code does."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from cameleer_registry.core import commands, lifecycle

from .pages import ARCHITECTURE, ROOT, blocks

UNSHOWN = ("__init__.py", "__main__.py", "/version.py")
"""Of which a tree need say nothing."""


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


def drawn(tree: str) -> set[str]:
    """Return the paths of the modules that a tree of folders shows, by what each line is below.

    Several modules may share a line; whatever is said of them stands behind two spaces.
    """
    found, above = set(), [(-1, "")]  # the folders that a line is below, and how far in each is
    for line in tree.splitlines():
        place = len(line) - len(line.lstrip())
        while above[-1][0] >= place:
            above.pop()
        names = re.split(r" {2,}", line.strip())[0].split(" ")
        for name in names:
            if name.endswith("/"):
                above.append((place, above[-1][1] + name))
            elif name.endswith(".py"):
                found.add(above[-1][1] + name)
    return found


def test_every_module_has_its_line_in_the_tree() -> None:
    """Whoever opens the page finds each file where it is, and no file that is not there."""
    shown = drawn(next(blocks(ARCHITECTURE, "text")).text)
    modules = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "cameleer_registry").rglob("*.py")
    }
    unshown = {path for path in modules if path.endswith(UNSHOWN)}
    assert modules - unshown == shown - unshown


def test_a_module_that_has_the_name_of_another_is_not_overlooked() -> None:
    """What stands in one folder is not found in another; words behind the names are no names."""
    tree = """
a/          everything
  b.py      as in c.py
  c/        more
    b.py d.py    both
  d.py
"""
    assert {"a/b.py", "a/c/b.py", "a/c/d.py", "a/d.py"} == drawn(tree)
