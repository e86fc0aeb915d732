"""Which server it is that answers."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cameleer_registry import AgentStatus, Settings, __version__, create_app
from cameleer_registry.instance import instance
from cameleer_registry.web.server import describe

from ..support import Served, connected, eventually, serving, virtual_clock


async def test_a_server_says_which_it_is(served: Served) -> None:
    """By its release and its process; it has no name unless it is given one."""
    told = (await served.request("GET", "/server")).json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("startedAt"))
    assert told.pop("uptimeMs") >= 0
    expected = {"name": None, "color": None, "version": __version__, "instance": instance()}
    assert {**expected, "resumed": None} == told


async def test_a_server_has_a_name_and_a_colour() -> None:
    """As they are set."""
    async with serving(Settings(name="Production", name_color="#F00")) as served:
        told = (await served.request("GET", "/server")).json()
    assert ("Production", "#f00") == (told["name"], told["color"])


@pytest.mark.looptime(start=1000)
async def test_a_server_says_for_how_long_it_has_been_up() -> None:
    """In milliseconds, from when it was made."""
    app = create_app(clock=virtual_clock())
    first = describe(app)
    await asyncio.sleep(90.5)
    later = describe(app)
    assert (0, 90_500) == (first.uptime_ms, later.uptime_ms)
    assert first.started_at == later.started_at


async def test_a_server_says_what_it_found_and_who_has_not_come_back(tmp_path: Path) -> None:
    """Of those that were LIVE or STALE; whoever is heard of has come back, also by registering."""
    settings = Settings(database=str(tmp_path / "registry.db"))
    async with serving(settings) as served:
        assert (await served.request("GET", "/server")).json()["resumed"] is None, "it is new"
        for agent_id in ("a", "b", "c", "d"):
            await served.register(agent_id)
    async with serving(settings) as served:

        async def resumed() -> Any:
            return (await served.request("GET", "/server")).json()["resumed"]

        told = await resumed()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["awayFrom"])
        assert told["awayFrom"] <= told["awayUntil"]
        assert (4, 4) == (told["agents"], told["notBack"])
        for change in (
            ("POST", "/agents/a/heartbeat"),
            ("POST", "/agents/a/heartbeat"),
            ("DELETE", "/agents/b"),
        ):
            await served.request(*change)
        assert {**told, "notBack": 2} == await resumed()
        await served.register("c")
        await served.register("new")
        assert {**told, "notBack": 1} == await resumed()
        await served.request("POST", "/agents/d/heartbeat")
        await served.request("POST", "/agents/d/heartbeat")
        assert {**told, "notBack": 0} == await resumed()


async def test_who_was_dead_before_is_not_expected_back(tmp_path: Path) -> None:
    """It was gone already."""
    settings = Settings(
        database=str(tmp_path / "registry.db"),
        heartbeat_interval=0.05,
        stale_after=0.05,
        dead_after=0.05,
    )
    async with serving(settings) as served:
        await served.register("a")
        await eventually(lambda: 1 == served.node.registry.count_agents()[AgentStatus.DEAD])
    async with serving(settings) as served:
        told = (await served.request("GET", "/server")).json()["resumed"]
    assert (1, 0) == (told["agents"], told["notBack"])


async def test_every_answer_says_which_process_it_is_from(served: Served) -> None:
    """Whichever way it was written: answers, refusals, pages, streams, and what is no HTTP."""
    await served.register("a")
    answers = [
        await served.request("POST", "/agents/a/heartbeat"),
        await served.request("POST", "/agents/nobody/heartbeat"),
        await served.request("GET", "/agents"),
        await served.request("GET", "/nothing"),
        await served.request("GET", "//healthz"),
        await served.request("GET", "//docs"),
    ]
    assert [instance()] * len(answers) == [a.headers["x-cameleer-instance"] for a in answers]
    async with connected(served) as connection:
        connection.writer.write(b"GARBAGE\r\n\r\n")
        assert instance() == (await connection.answer()).headers["x-cameleer-instance"]
    for path in ("/agents/a/events", "/events"):
        async with connected(served) as connection:
            connection.writer.write(
                f"GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
            head = await connection.head()
            assert instance() == head.headers["x-cameleer-instance"]


def test_a_process_that_was_forked_is_another_one() -> None:
    """Though it has imported nothing anew: two workers of one server are told apart."""
    program = (
        "import os, sys; from cameleer_registry.instance import instance;"
        "child = os.fork(); child and os.wait(); print(instance(), flush=True)"
    )
    told = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert 2 == len(set(told))
    assert all(re.fullmatch("[0-9a-f]{8}", each) for each in told)
