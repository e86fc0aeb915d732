"""The reference pages say what there is: nothing undocumented, nothing made up, no dead link."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
import pytest

from cameleer_registry import wire
from cameleer_registry.cli import exits
from cameleer_registry.cli.help import URL_VARIABLE
from cameleer_registry.cli.main import COMMANDS
from cameleer_registry.cli.serve import serve_command
from cameleer_registry.core import commands, lifecycle
from cameleer_registry.core.feed import FeedType
from cameleer_registry.core.model import Ack, Order, Registration
from cameleer_registry.errors import RegistryError
from cameleer_registry.settings import Settings, environment_variable_of, flag_of, load
from cameleer_registry.web.routes import ROUTES

from .cli.support import command, parent_context
from .exposition import scrape
from .support import Served

ROOT: Final = Path(__file__).parent.parent
HTTP_API: Final = ROOT / "docs" / "http-api.md"
PROTOCOL: Final = ROOT / "docs" / "agent-protocol.md"
ARCHITECTURE: Final = ROOT / "docs" / "architecture.md"
CLI: Final = ROOT / "docs" / "cli.md"
SETTINGS: Final = ROOT / "docs" / "settings.md"
OPERATIONS: Final = ROOT / "docs" / "operations.md"
REFERENCE: Final = [HTTP_API, PROTOCOL, SETTINGS]
PAGES: Final = [
    page
    for page in [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
        *sorted((ROOT / "docs").glob("*.md")),
    ]
    if page.exists()
]
OPTIONS_WITHOUT_A_SETTING: Final = {"--config", "--log-format", "--log-level"}
OPTIONS_OF_CLICK: Final = {"--help", "--version"}

CODE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return CODE.sub("", page.read_text("utf-8"))


def rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the table whose first heading is that, without the backticks."""
    _, _, table = page.read_text("utf-8").partition(f"\n| {heading} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


# Addresses


def address(path: str) -> str:
    """Return a route's path as it is documented: ``{agent_id:…}`` becomes ``{agentId}``."""
    names = {"agent_id": "{agentId}", "command_id": "{commandId}", "group": "{group}"}
    for name, documented in names.items():
        path = re.sub(rf"{{{name}(:[^/]*(?:/[^/{{}}]*)?\[\^/\]\+)?}}", documented, path)
    return path


DOCUMENTABLE: Final = [f"{method} {address(path)}" for method, path, _ in ROUTES]


def leads_somewhere(method: str, path: str) -> bool:
    """Tell whether a request that a page mentions, with its ids filled in or not, has a route."""
    return any(
        method == of_route
        and re.fullmatch(re.sub(r"{\w+}", "[^/]+", address(route)), path) is not None
        for of_route, route, _ in ROUTES
    )


def test_placeholders_are_understood() -> None:
    """Otherwise the tests below would compare nothing."""
    assert "GET /api/v1/agents/{agentId}" in DOCUMENTABLE
    assert not any(sign in route for route in DOCUMENTABLE for sign in "(:_^")


def test_every_route_has_its_section_and_every_section_its_route() -> None:
    """The headings are the addresses, each of which stands once."""
    headings = re.findall(r"^### `([A-Z]+ /\S*)`$", prose(HTTP_API), re.MULTILINE)
    assert sorted(DOCUMENTABLE) == sorted(headings)


def test_the_overview_lists_every_route() -> None:
    """With a link to its section."""
    listed = re.findall(r"^\| \[`([A-Z]+ /\S*)`\]\(#", prose(HTTP_API), re.MULTILINE)
    assert sorted(DOCUMENTABLE) == sorted(listed)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_request_that_is_mentioned_has_a_route(page: Path) -> None:
    """In examples, too, where the ids are filled in."""
    mentioned = re.findall(
        r"\b(GET|POST|PUT|PATCH|DELETE) (/(?:api/|healthz|readyz|metrics)[^\s?`)]*)",
        page.read_text("utf-8"),
    )
    assert page not in (HTTP_API, PROTOCOL) or mentioned
    assert [] == [request for request in mentioned if not leads_somewhere(*request)]


def examples(page: Path) -> list[tuple[str, bytes]]:
    """Return each JSON body of a page's examples with the line that its message begins with."""
    found = []
    for block in CODE.findall(page.read_text("utf-8")):
        start = ""
        for line in block.splitlines():
            if re.match(r"(GET|POST|DELETE) /|HTTP/1.1 ", line):
                start = line
            elif start and line[:1] in ("{", "["):
                found.append((start, line.encode()))
    return found


@pytest.mark.parametrize("page", [HTTP_API, PROTOCOL], ids=lambda page: page.name)
def test_bodies_in_examples_are_what_the_server_takes_and_writes(page: Path) -> None:
    """Requests are decoded as the server would; answers are as compact as it writes them."""
    bodies = examples(page)
    assert bodies
    refused = {b'{"agentId":"x y","routeIds":["a","b",null]}'}
    for start, body in bodies:
        assert body == orjson.dumps(orjson.loads(body))
        if start.startswith("POST") and body not in refused:
            target = start.split()[1]
            shape: type[Any] = Order
            if target.endswith("/register"):
                shape = Registration
            elif target.endswith("/ack"):
                shape = Ack
            assert isinstance(wire.decode(body, shape), shape)


@pytest.mark.parametrize("page", [HTTP_API, PROTOCOL], ids=lambda page: page.name)
def test_lengths_in_examples_are_those_of_the_bodies(page: Path) -> None:
    """Somebody will paste them."""
    text = page.read_text("utf-8")
    for length, body in re.findall(r"^Content-Length: (\d+)\n(?:\n(.+)\n)?", text, re.MULTILINE):
        assert int(length) == len(body.removeprefix("```").encode())


# Problems


def problems(base: type[RegistryError] = RegistryError) -> dict[str, int]:
    """Return the status of each code that goes over the wire."""
    found: dict[str, int] = {}
    for kind in base.__subclasses__():
        if kind.__module__ == RegistryError.__module__:
            found |= {kind.code: kind.status, **problems(kind)}
    return found


def test_every_problem_is_in_the_table_with_its_status_and_no_other() -> None:
    """In order of the statuses."""
    table = [(code, int(status)) for code, status, *_ in rows(HTTP_API, "Code")]
    assert problems() == dict(table)
    assert len(table) == len(dict(table))
    assert table == sorted(table, key=lambda row: row[1])
    assert all(when for _, _, when in rows(HTTP_API, "Code"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_problem_that_is_mentioned_exists(page: Path) -> None:
    """By its type, or by its status and code: 404 `agent-not-registered`."""
    text = page.read_text("utf-8")
    types = set(re.findall(r"urn:cameleer:problem:([a-z-]+)", text))
    assert set() == types - problems().keys()
    mentioned = re.findall(r"\b([45]\d\d)\**\s+`([a-z]+(?:-[a-z]+)+)`", text)
    assert [] == [pair for pair in mentioned if problems().get(pair[1]) != int(pair[0])]


# Events of the feed


def test_every_type_of_event_is_in_the_table_and_no_other() -> None:
    """In the order of the class, with when it comes and what it says."""
    table = rows(HTTP_API, "Event")
    assert [kind.value for kind in FeedType] == [row[0] for row in table]
    assert all(when and says for _, when, says in table)


def test_events_in_the_example_are_what_the_table_says() -> None:
    """As compact as the server writes them, and with no other fields."""
    fields = {kind: re.findall(r"\w+", says) for kind, _, says in rows(HTTP_API, "Event")}
    events = re.findall(r"^event: (.+)\ndata: (.+)$", HTTP_API.read_text("utf-8"), re.MULTILINE)
    assert events
    for kind, data in events:
        told = orjson.loads(data)
        assert data == orjson.dumps(told).decode()
        for part in (told, *told.get("failures", ())):
            assert set() == part.keys() - {"at", *fields[kind]}


# Settings


def shown(default: Any) -> str:
    match default:
        case None:
            return "none"
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case _:
            return str(default)


def test_every_setting_is_in_the_table_and_no_other() -> None:
    """By its name, flag, variable, default and help, in the order of the class."""
    expected = [
        [
            setting.name,
            flag_of(setting.name),
            environment_variable_of(setting.name),
            shown(setting.default),
            setting.metadata["help"],
        ]
        for setting in attrs.fields(Settings)
    ]
    table = [[*row[:4], row[5]] for row in rows(SETTINGS, "Setting")]
    assert expected == table


def test_durations_are_seconds_in_the_table() -> None:
    """And sizes are bytes."""
    units = {row[0]: row[4] for row in rows(SETTINGS, "Setting")}
    durations = {s.name for s in attrs.fields(Settings) if isinstance(s.default, float)}
    assert durations == {name for name, unit in units.items() if unit == "s"}
    assert {"s", "bytes", ""} == set(units.values())


def test_options_that_are_no_settings_are_documented() -> None:
    """By flag, variable and default, as click has them."""
    settings = {flag_of(setting.name) for setting in attrs.fields(Settings)}
    options = {option.opts[0]: option for option in serve_command.params}
    assert OPTIONS_WITHOUT_A_SETTING == options.keys() - settings
    for flag, variable, default, _ in rows(SETTINGS, "Option"):
        option = options.pop(flag)
        assert variable == option.envvar
        assert default == (option.default if isinstance(option.default, str) else "none")
    assert settings == options.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_and_variables_that_are_mentioned_exist(page: Path) -> None:
    """In prose as in examples of our own command line."""
    text = page.read_text("utf-8")
    names = {setting.name for setting in attrs.fields(Settings)}
    options = {option.opts[0]: option.envvar for option in serve_command.params}
    variables = {
        *map(environment_variable_of, names),
        *filter(None, options.values()),
        URL_VARIABLE,
    }
    assert set() == set(re.findall(r"\bCAMELEER_[A-Z][A-Z_]*", text)) - {*map(str, variables)}
    if page in REFERENCE:
        flags = set(re.findall(r"(?<![\w|-])--[a-z][a-z-]+", text))
        assert set() == flags - options.keys() - OPTIONS_OF_CLICK


def test_the_file_in_the_example_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every key in it is a setting."""
    for setting in attrs.fields(Settings):
        monkeypatch.delenv(environment_variable_of(setting.name), raising=False)
    (block,) = re.findall(r"^```toml\n(.*?)^```$", SETTINGS.read_text("utf-8"), re.M | re.S)
    config = tmp_path / "registry.toml"
    config.write_text(block)
    settings = load({}, config)
    assert settings != Settings()
    for name in re.findall(r"^(\w+) =", block, re.MULTILINE):
        assert hasattr(settings, name)


# Metrics


async def test_every_metric_is_in_a_table_and_no_other(served: Served) -> None:
    """By its name, type and labels."""
    await served.register("a")
    exposed = {}
    for family in (await scrape(served)).families:
        name = family.name + "_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        exposed[name] = (family.type, labels)
    tables = rows(OPERATIONS, "Metric") + rows(OPERATIONS, "Metric of the process")
    documented = {name: (kind, {*re.findall(r"\w+", labels)}) for name, kind, labels, _ in tables}
    assert len(tables) == len(documented)
    assert exposed == documented
    assert all(told for *_, told in tables)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_metric_that_is_mentioned_is_in_the_table(page: Path) -> None:
    """In prose, and in the rules of somebody else's alerts."""
    documented = {name for name, *_ in rows(OPERATIONS, "Metric")}
    text = page.read_text("utf-8")
    mentioned = set(re.findall(r"\bcameleer_(?!registry\b)\w+", text))
    assert set() == {re.sub("_bucket$", "", name) for name in mentioned} - documented


def test_every_alert_is_in_the_table_and_no_other() -> None:
    """In the order of the rules."""
    alerts = re.findall(r"- alert: (\w+)", (ROOT / "docs" / "alerts.yml").read_text("utf-8"))
    assert alerts == [name for name, *_ in rows(OPERATIONS, "Alert")]


# The command line


def of_command(name: str) -> set[str]:
    """Return the options of a command, without those that all have."""
    return {option for param in command(name).params for option in param.opts if "--" in option}


def section(name: str) -> str:
    """Return what the page says of a command."""
    return CLI.read_text("utf-8").partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_every_command_has_its_section_and_every_section_its_command() -> None:
    """And its line in the overview, in the same order as in the help."""
    headings = re.findall(r"^## (.+)$", prose(CLI), re.MULTILINE)
    assert ["What they have in common", *COMMANDS] == headings
    overview = [re.sub(r"\W", " ", row[0]).split()[0] for row in rows(CLI, "Command")]
    assert list(COMMANDS) == overview


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "serve"])
def test_every_option_of_a_command_is_in_its_section_and_no_other(name: str) -> None:
    """Those that all have stand in a section of their own."""
    in_common = re.findall(r"^\| `(--[a-z-]+)` \|", section("What they have in common"), re.M)
    assert {"--url", "--json"} == set(in_common)
    documented = re.findall(r"^\| `(--[a-z-]+)` \|", section(name), re.MULTILINE)
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


# Links


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_in_json_are_json(page: Path) -> None:
    """Where they say so."""
    for block in re.findall(r"^```json\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
        json.loads(block)


# The architecture


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
    tree = (
        ARCHITECTURE.read_text("utf-8").partition("```\ncameleer_registry/")[2].partition("```")[0]
    )
    shown = set(re.findall(r"\b(\w+)\.py\b", tree))
    modules = {path.stem for path in (ROOT / "cameleer_registry").rglob("*.py")}
    assert modules - {"__init__", "__main__", "version", "keys"} == shown - {"__init__"}
