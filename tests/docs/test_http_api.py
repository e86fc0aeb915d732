"""docs/http-api.md says what there is, and so does docs/agent-protocol.md in its examples."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from cameleer_registry import wire
from cameleer_registry.core.feed import FeedType
from cameleer_registry.core.model import Ack, Order, Registration

from .actual import DOCUMENTABLE, problems
from .pages import HTTP_API, PROTOCOL, blocks, prose, rows


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


def examples(page: Path) -> list[tuple[str, bytes]]:
    """Return each JSON body of a page's examples with the line that its message begins with."""
    found = []
    for block in blocks(page, "http"):
        start = ""
        for line in block.text.splitlines():
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
    for block in blocks(page, "http"):
        for length, body in re.findall(r"Content-Length: (\d+)\n(?:\n(.+)\n)?", block.text):
            assert int(length) == len(body.encode())


def test_every_problem_is_in_the_table_with_its_status_and_no_other() -> None:
    """In order of the statuses."""
    table = [(code, int(status)) for code, status, *_ in rows(HTTP_API, "Code")]
    assert problems() == dict(table)
    assert len(table) == len(dict(table))
    assert table == sorted(table, key=lambda row: row[1])
    assert all(when for _, _, when in rows(HTTP_API, "Code"))


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
