"""What any page mentions is there, and no link is dead."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import attrs
import pytest

from cameleer_registry.cli import help as words
from cameleer_registry.cli.main import COMMANDS
from cameleer_registry.cli.serve import serve_command
from cameleer_registry.client.trust import ROOT_VARIABLE
from cameleer_registry.settings import Settings, environment_variable_of

from ..cli.support import command, parent_context
from .actual import leads_somewhere, problems
from .pages import CLI, CLUSTER, HTTP_API, OPERATIONS, PAGES, PROTOCOL, ROOT, SETTINGS, prose, rows

REFERENCE: Final = [HTTP_API, PROTOCOL, SETTINGS]
OPTIONS_OF_CLICK: Final = {"--help", "--version"}

LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_request_that_is_mentioned_has_a_route(page: Path) -> None:
    """In examples, too, where the ids are filled in."""
    mentioned = re.findall(
        r"\b(GET|POST|PUT|PATCH|DELETE) (/(?:api/|healthz|readyz|metrics)[^\s?`)]*)",
        page.read_text("utf-8"),
    )
    assert page not in (HTTP_API, PROTOCOL) or mentioned
    assert [] == [request for request in mentioned if not leads_somewhere(*request)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_problem_that_is_mentioned_exists(page: Path) -> None:
    """By its type, or by its status and code: 404 `agent-not-registered`."""
    text = page.read_text("utf-8")
    types = set(re.findall(r"urn:cameleer:problem:([a-z-]+)", text))
    assert set() == types - problems().keys()
    mentioned = re.findall(r"\b([45]\d\d)\**\s+`([a-z]+(?:-[a-z]+)+)`", text)
    assert [] == [pair for pair in mentioned if problems().get(pair[1]) != int(pair[0])]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_and_variables_that_are_mentioned_exist(page: Path) -> None:
    """In prose as in examples of our own command line."""
    text = page.read_text("utf-8")
    names = {setting.name for setting in attrs.fields(Settings)}
    options = {option.opts[0]: option.envvar for option in serve_command.params}
    variables = {
        *map(environment_variable_of, names),
        *filter(None, options.values()),
        *(value for name, value in vars(words).items() if name.endswith("_VARIABLE")),
        ROOT_VARIABLE,
    }
    assert set() == set(re.findall(r"\bCAMELEER_[A-Z][A-Z_]*", text)) - {*map(str, variables)}
    if page in REFERENCE:
        flags = set(re.findall(r"(?<![\w|-])--[a-z][a-z-]+", text))
        assert set() == flags - options.keys() - OPTIONS_OF_CLICK


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_metric_that_is_mentioned_is_in_the_table(page: Path) -> None:
    """In prose, and in the rules of somebody else's alerts."""
    documented = {name for name, *_ in rows(OPERATIONS, "Metric")}
    documented |= {name for name, *_ in rows(CLUSTER, "Metric of a cluster")}
    text = page.read_text("utf-8")
    mentioned = set(re.findall(r"\bcameleer_(?!registry\b)\w+", text))
    assert set() == {re.sub("_bucket$", "", name) for name in mentioned} - documented


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_that_are_shown_can_be_used(page: Path) -> None:
    """They are understood as they stand there."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?:\$ |\.venv/bin/)(?:cameleer-registry) ([^|\n]+)", text, re.MULTILINE)
    assert page != CLI or len(lines) >= len(COMMANDS)
    for line in lines:
        name, *args = shlex.split(line)
        with command(name).make_context(name, args, parent=parent_context()):
            pass


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading that is there."""
    dead = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        found = target.resolve().is_relative_to(ROOT) and target.exists()
        if not found or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(link)
    assert [] == dead
