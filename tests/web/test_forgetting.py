"""``DELETE /agents``: many agents forgotten at once."""

from __future__ import annotations

import asyncio
import logging

import pytest

from cameleer_registry import Settings
from cameleer_registry.core.events import AgentRemoved, Event
from cameleer_registry.node import removing

from ..support import Served, hear, serving, streaming, virtual_clock, within

pytestmark = pytest.mark.looptime(start=1000)

DEAD, STALE = 390, 90


async def crowd(served: Served) -> None:
    """Register four agents that are DEAD, two that are STALE, and one that is LIVE."""
    for agent_id, group in (("a", "g"), ("b", "h"), ("c", "g"), ("d", "h")):
        await served.register(agent_id, group)
    await asyncio.sleep(DEAD - STALE)
    for agent_id, group in (("e", "g"), ("f", "h")):
        await served.register(agent_id, group)
    await asyncio.sleep(STALE)
    await served.register("live", "g")


async def left(served: Served) -> list[str]:
    return [agent["agentId"] for agent in (await served.request("GET", "/agents")).json()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=DEAD", "abcd"),
        ("status=dead", "abcd"),
        ("status=STALE", "ef"),
        ("status=STALE,DEAD", "abcdef"),
        ("status=stale&status=dead", "abcdef"),
        ("status=DEAD&group=g", "ac"),
        ("status=DEAD&group=g,h", "abcd"),
        ("status=DEAD&group=never", ""),
    ],
)
async def test_many_are_forgotten(query: str, expected: str) -> None:
    """200 with their number; each is told as removed, and the others stay."""
    async with serving(clock=virtual_clock()) as served:
        await crowd(served)
        facts: list[Event] = []
        hear(served.node, facts.append)
        answer = await served.request("DELETE", f"/agents?{query}")
        assert (200, {"removed": len(expected)}) == (answer.status, answer.json())
        assert list(expected) == sorted(f.agent_id for f in facts if isinstance(f, AgentRemoved))
        assert sorted({*"abcdef", "live"} - set(expected)) == await left(served)
        again = await served.request("DELETE", f"/agents?{query}")
        assert {"removed": 0} == again.json()


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("", ["?status"]),
        ("?group=g", ["?status"]),
        ("?status=", ["?status"]),
        ("?status=LIVE", ["?status"]),
        ("?status=DEAD,LIVE", ["?status"]),
        ("?status=GONE", ["?status"]),
        ("?status=DEAD&group=", ["?group"]),
        ("?status=DEAD&group=g,-", ["?group"]),
        ("?status=DEAD&grop=g", ["?grop"]),
        ("?limit=1&agentId=x", ["?status", "?agentId", "?limit"]),
    ],
)
async def test_what_is_not_clear_forgets_nobody(query: str, paths: list[str]) -> None:
    """400: an empty variable in a script, or a word misspelt, must not widen it."""
    async with serving(clock=virtual_clock()) as served:
        await crowd(served)
        answer = await served.request("DELETE", f"/agents{query}")
        assert (400, "invalid-request") == (answer.status, answer.code)
        assert paths == [fault["path"] for fault in answer.json()["errors"]]
        assert 7 == len(await left(served))


async def test_streams_end_with_them() -> None:
    """An agent may be DEAD and connected."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        async with streaming(served, "a") as stream:
            await asyncio.sleep(DEAD)
            assert {"removed": 1} == (await served.request("DELETE", "/agents?status=DEAD")).json()
            assert (await within(stream.reader.read())).endswith(b"\r\n0\r\n\r\n")
        assert 404 == (await served.request("POST", "/agents/a/heartbeat")).status


async def test_others_are_served_in_between(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that is heard of meanwhile stays; and the log has no line for each."""
    monkeypatch.setattr(removing, "LOOKED_AT", 40)
    caplog.set_level(logging.INFO)
    async with serving(clock=virtual_clock()) as served:
        for number in range(100):
            await served.register(f"a{number:02}")
        await asyncio.sleep(DEAD)
        rounds = 0

        async def beat() -> None:
            nonlocal rounds
            while len(served.node.agents()) > 50:
                rounds += 1
                await asyncio.sleep(0)
            last = served.node.registry.lapsed(removing.DEAD_AGENTS, now=served.node.clock.now())[
                -1
            ]
            served.node.heartbeat(last)
            survivors.append(last)

        survivors: list[str] = []
        beating = asyncio.create_task(beat())
        assert 99 == await served.node.remove_lapsed()
        await beating
        assert survivors == await left(served)
        assert rounds > 20
    lines = [r.getMessage() for r in caplog.records if r.getMessage() == "agent removed"]
    assert 20 == len(lines)


@pytest.mark.parametrize("after", [60.0, 600.0])
async def test_dead_agents_are_forgotten_by_themselves(after: float) -> None:
    """After so long, and not before; within a tenth of that, and 10 s."""
    settings = Settings(forget_dead_after=after)
    async with serving(settings, clock=virtual_clock()) as served:
        await served.register("a")
        await asyncio.sleep(DEAD + after - 1)
        await served.register("b")
        assert ["a", "b"] == await left(served)
        await asyncio.sleep(1 + min(10, after / 10))
        assert ["b"] == await left(served)


async def test_dead_agents_are_kept_by_default() -> None:
    """One that is missing is what an operator wants to see."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        await asyncio.sleep(1_200)
        assert ["a"] == await left(served)
