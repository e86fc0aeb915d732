"""What setup.cfg asks for: with a version from which on, and with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from configparser import ConfigParser

import pytest
from packaging.requirements import Requirement

from .pages import DECISIONS, ROOT, rows


def parsed() -> ConfigParser:
    """Return setup.cfg, in which a comment may stand between two requirements."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    return setup


def listed(lines: str) -> list[Requirement]:
    return [Requirement(line) for line in lines.splitlines() if line.strip()]


def requirements() -> Iterator[tuple[str, Requirement]]:
    """Find every requirement, with the extra that has it."""
    setup = parsed()
    for requirement in listed(setup["options"]["install_requires"]):
        yield "", requirement
    for extra, lines in setup["options.extras_require"].items():
        for requirement in listed(lines):
            yield extra, requirement


ALL = list(requirements())


@pytest.mark.parametrize(("extra", "requirement"), ALL, ids=lambda value: str(value))
def test_a_version_from_which_on(extra: str, requirement: Requirement) -> None:
    """Or `tox -e lowest` would try one that nobody has."""
    assert ">=" in {specifier.operator for specifier in requirement.specifier}


def test_each_dependency_has_its_reason() -> None:
    """In docs/decisions.md; and no reason is given for what is not there any more."""
    needed = {requirement.name for extra, requirement in ALL if not extra}
    assert needed == {name.partition(",")[0] for name, *_ in rows(DECISIONS, "library")}
