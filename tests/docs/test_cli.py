"""docs/cli.md says what operators can type."""

from __future__ import annotations

import re

import pytest

from cameleer_registry.cli import exits
from cameleer_registry.cli.main import COMMANDS

from ..cli.support import command
from .pages import CLI, prose, rows


def of_command(name: str) -> set[str]:
    """Return the options of a command, without those that all have."""
    return {option for param in command(name).params for option in param.opts if "--" in option}


def section(name: str) -> str:
    """Return what the page says of a command."""
    return CLI.read_text("utf-8").partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_every_command_has_its_section_and_every_section_its_command() -> None:
    """And its line in the overview, in the same order as in the help."""
    headings = re.findall(r"^## (.+)$", prose(CLI), re.MULTILINE)
    assert ["What they have in common", *COMMANDS, "Completion and man pages"] == headings
    overview = [re.sub(r"\W", " ", row[0]).split()[0] for row in rows(CLI, "Command")]
    assert list(COMMANDS) == overview


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("serve", "auth")])
def test_every_option_of_a_command_is_in_its_section_and_no_other(name: str) -> None:
    """Those that all have stand in a section of their own."""
    in_common = re.findall(r"^\| `(--[a-z-]+)` \|", section("What they have in common"), re.M)
    assert {"--url", "--cacert", "--header", "--json"} == set(in_common)
    documented = re.findall(r"^\| `(--[a-z-]+)` \|", section(name), re.MULTILINE)
    if name in ("backup", "restore"):
        in_common = ["--json"]  # they ask no server
    assert of_command(name) == {*documented, *in_common}
    assert len(documented) == len(set(documented))


def test_defaults_of_the_simulation_are_those_of_its_options() -> None:
    """And of its help."""
    options = {param.opts[0]: param for param in command("simulate").params}
    for flag, default, *_ in rows(CLI, "Option | Default"):
        option = options[flag]
        if default:
            assert default == str(option.default)
            assert f"[default: {default}]" in str(getattr(option, "help", ""))


def test_every_exit_status_is_documented() -> None:
    """And no other."""
    used = {value for name, value in vars(exits).items() if name.isupper()}
    assert {0, *used} == {int(row[0]) for row in rows(CLI, "Status")}
