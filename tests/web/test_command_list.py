"""``GET /commands``: what was commanded, newest first."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from aiohttp import web

from cameleer_registry import NODE, Order, Settings, Target, create_app
from cameleer_registry.core.model import CommandType
from cameleer_registry.web import commands

from ..support import Served, running, serving

REPLAY = Order(type=CommandType.REPLAY)


async def issue(served: Served, count: int) -> list[str]:
    """Issue so many commands and return their ids, newest first."""
    await served.register("a")
    issued = [await served.node.issue(REPLAY, Target.agent("a")) for _ in range(count)]
    return [command.command_id for command in reversed(issued)]


async def listed(served: Served, query: str = "") -> list[str]:
    """Return the ids of a list."""
    answer = await served.request("GET", f"/commands{query}")
    assert 200 == answer.status
    return [command["commandId"] for command in answer.json()]


async def test_commands_are_listed_as_they_are_shown(served: Served) -> None:
    """Newest first, each in the form in which it is shown alone."""
    assert [] == (await served.request("GET", "/commands")).json()
    await served.register("a", "g")
    first = (await served.issue("/agents/a", "replay", {"exchange": "e-1"})).json()
    second = (await served.issue("/agents/groups/g", "deep-trace")).json()
    await served.ack("a", first["commandId"], {"status": "FAILURE"})
    answer = await served.request("GET", "/commands")
    shown = [
        (await served.request("GET", f"/commands/{command['commandId']}")).json()
        for command in (second, first)
    ]
    assert shown == answer.json()
    assert {"SUCCESS": 0, "FAILURE": 1} == answer.json()[1]["outcomes"]


async def test_a_long_payload_is_left_out(served: Served) -> None:
    """More than 4 KiB of JSON; the command itself has it."""
    await served.register("a")
    for size in (4096, 4097):
        payload = {"x": "é" * ((size - 8) // 2) + "y" * (size % 2)}
        await served.issue("/agents/a", "replay", payload)
    longer, shorter = (await served.request("GET", "/commands")).json()
    assert "payloadTruncated" not in shorter
    assert 4088 // 2 == len(shorter["payload"]["x"])
    assert True is longer["payloadTruncated"]
    assert "payload" not in longer
    alone = (await served.request("GET", f"/commands/{longer['commandId']}")).json()
    assert 4088 // 2 + 1 == len(alone["payload"]["x"])
    assert "payloadTruncated" not in alone


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=pending", "cb"),
        ("status=PENDING,UNDELIVERABLE", "dcb"),
        ("status=Acknowledged&status=UNDELIVERABLE", "da"),
        ("type=replay", "ba"),
        ("type=REPLAY,deep-trace", "cba"),
        ("agentId=x", "ba"),
        ("agentId=x,y", "cba"),
        ("agentId=nobody", ""),
        ("group=g", "ba"),
        ("group=h", "dc"),
        ("group=g,h&status=pending&type=replay", "b"),
        ("group=never", ""),
        ("limit=2", "dc"),
        ("limit=2&group=g", "ba"),
        ("nonsense=1", "dcba"),
    ],
)
async def test_filters(served: Served, query: str, expected: str) -> None:
    """Repeated, comma-separated, in any case, and all at once."""
    await served.register("x", "g")
    await served.register("y", "h")
    a = (await served.issue("/agents/x", "replay")).json()
    await served.ack("x", a["commandId"])
    b = (await served.issue("/agents/x", "replay")).json()
    c = (await served.issue("/agents/groups/h", "deep-trace")).json()
    await served.request("DELETE", "/agents/y")
    await served.register("y", "moved")
    d = (await served.issue("/agents/groups/h")).json()
    names = {command["commandId"]: name for command, name in zip((a, b, c, d), "abcd", strict=True)}
    # What was pending for y has expired with it.
    expected = expected.replace("c", "") if "pending" in query.lower() else expected
    assert expected == "".join(names[found] for found in await listed(served, f"?{query}"))


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("status=DONE", "?status"),
        ("status=", "?status"),
        ("type=reboot", "?type"),
        ("agentId=x%20y", "?agentId"),
        ("agentId=", "?agentId"),
        ("agentId=register", "?agentId"),
        ("group=-", "?group"),
        ("limit=0", "?limit"),
        ("limit=x", "?limit"),
        ("before=x", "?before"),
        ("before=", "?before"),
        ("before=01a2090e-3fdd-751c-a875-3287a4af105", "?before"),
    ],
)
async def test_values_that_are_none(served: Served, query: str, path: str) -> None:
    """400, with the parameter that is wrong."""
    answer = await served.request("GET", f"/commands?{query}")
    assert (400, path) == (answer.status, answer.json()["errors"][0]["path"])
    assert answer.json()["type"].endswith(":invalid-request")


async def follow(served: Served, path: str) -> list[list[str]]:
    """Return the ids of a page and of all that follow, by their links."""
    pages = []
    while path:
        answer = await served.request("GET", f"/{path}")
        pages.append([command["commandId"] for command in answer.json()])
        link = re.fullmatch('<([^>]+)>; rel="next"', answer.headers.get("link", ""))
        path = link[1] if link else ""
    return pages


@pytest.mark.parametrize("prefix", ["", "/registry"])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
async def test_pages_lead_to_each_other(prefix: str, count: int) -> None:
    """Under any prefix, with the filters kept, and no further than there are commands."""
    registry = parent = create_app()
    if prefix:
        parent = web.Application()
        parent.add_subapp(prefix, registry)
    async with running(parent) as (host, port):
        served = Served(registry[NODE], host, port, prefix)
        ids = await issue(served, count)
        for query in ("limit=3", "limit=3&type=replay&status=pending"):
            pages = await follow(served, f"{prefix}/api/v1/commands?{query}")
            assert [ids[n : n + 3] for n in range(0, max(1, count), 3)] == pages


async def test_the_link_is_absolute_with_a_public_url() -> None:
    """As the address of a stream is."""
    async with serving(Settings(public_url="https://registry.example/x")) as served:
        ids = await issue(served, 2)
        answer = await served.request("GET", "/commands?limit=1")
        assert (
            f'<https://registry.example/x/api/v1/commands?limit=1&before={ids[0]}>; rel="next"'
            == answer.headers["link"]
        )


async def test_a_page_may_begin_behind_a_command_that_is_forgotten() -> None:
    """Its id says where it stood."""
    async with serving(Settings(command_history=1)) as served:
        newest, middle, oldest = await issue(served, 3)
        await served.ack("a", middle)
        await served.ack("a", newest)
        assert [newest, oldest] == await listed(served)
        assert [oldest] == await listed(served, f"?before={middle}")
        assert [] == await listed(served, f"?before={oldest}")


async def test_head(served: Served) -> None:
    """The head of the same answer, with its link."""
    await issue(served, 2)
    whole = await served.request("GET", "/commands?limit=1")
    head = await served.request("HEAD", "/commands?limit=1")
    assert (200, b"") == (head.status, head.body)
    for name in ("content-length", "link", "content-type"):
        assert whole.headers[name] == head.headers[name]


@pytest.mark.parametrize("query", ["?type=deep-trace", "?type=deep-trace&limit=1"])
async def test_few_among_many_are_looked_for_in_turns(
    served: Served, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    """Others get a turn after so many commands, whether or not any of them is shown."""
    monkeypatch.setattr(commands, "LOOKED_AT", 10)
    monkeypatch.setattr(commands, "SLICE", 10)
    await issue(served, 5)
    found = await served.node.issue(Order(type=CommandType.DEEP_TRACE), Target.agent("a"))
    await issue(served, 90)
    order, looks = [], served.node.registry.commands

    def look(*args: Any, **more: Any) -> Any:
        order.append("look")
        return looks(*args, **more)

    async def others() -> None:
        while True:
            order.append("others")
            await asyncio.sleep(0)

    monkeypatch.setattr(served.node.registry, "commands", look)
    ticker = asyncio.create_task(others())
    assert [found.command_id] == await listed(served, query)
    ticker.cancel()
    spans = "".join("L" if what == "look" else "o" for what in order)
    assert spans.count("L") >= 10
    assert "LL" not in spans
