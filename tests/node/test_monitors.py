"""Minutes in the life of agents and commands, on a real server and virtual time."""

from __future__ import annotations

import asyncio
import logging

import pytest

from cameleer_registry import Settings

from ..support import Served, serving, streaming, virtual_clock

pytestmark = pytest.mark.looptime(start=1000)


async def status(served: Served, agent_id: str = "a") -> str:
    return str((await served.request("GET", f"/agents/{agent_id}")).json()["status"])


async def until(moment: float) -> None:
    """Let virtual time pass up to a moment, in seconds since the test began."""
    await asyncio.sleep(1000 + moment - asyncio.get_running_loop().time())


async def test_an_agent_that_is_silent_goes_stale_and_dead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """LIVE to 90 s, STALE to 390 s, DEAD and listed ever after; each told once, on time."""
    async with serving(clock=virtual_clock()) as served:
        caplog.set_level(logging.INFO)
        await served.register("a")
        for moment, expected in (
            (89.999, "LIVE"),
            (90, "STALE"),
            (389.999, "STALE"),
            (390, "DEAD"),
            (2000, "DEAD"),
        ):
            await until(moment)
            assert expected == await status(served)
        told = [r.getMessage() for r in caplog.records if r.name.startswith("cameleer")]
        assert ["agent registered", "agent went STALE", "agent went DEAD"] == told
        changed = (await served.request("GET", "/agents/a")).json()
        assert 390 == seconds(changed["registeredAt"], changed["statusChangedAt"])


def seconds(earlier: str, later: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


async def test_heartbeats_keep_an_agent_live() -> None:
    """For as long as they come within the lease, and one revives it from any status."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        for moment in range(80, 1000, 80):
            await until(moment)
            assert "LIVE" == await status(served)
            await served.request("POST", "/agents/a/heartbeat")
        for silence, expected in ((100, "STALE"), (500, "DEAD")):
            await asyncio.sleep(silence)
            assert expected == await status(served)
            await served.request("POST", "/agents/a/heartbeat")
            assert "LIVE" == await status(served)


async def test_a_stream_is_no_sign_of_life() -> None:
    """An agent can be STALE and connected, or LIVE and not; nor is an answer one."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        async with streaming(served, "a") as stream:
            await until(95)
            agent = (await served.request("GET", "/agents/a")).json()
            assert ("STALE", True) == (agent["status"], agent["connected"])
            command_id = (await served.issue("/agents/a")).json()["commandId"]
            assert command_id == (await stream.event())["id"]
            assert 200 == (await served.ack("a", command_id)).status
            assert "STALE" == await status(served)
            await served.request("POST", "/agents/a/heartbeat")
        await until(100)
        agent = (await served.request("GET", "/agents/a")).json()
        assert ("LIVE", False) == (agent["status"], agent["connected"])


async def test_only_live_agents_are_targets_of_a_group_or_of_all() -> None:
    """One by one, an agent is a target whatever its status."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("old")
        await until(50)
        await served.register("new")
        await until(100)
        for path, targets in (("/agents", 1), ("/agents/groups/g", 1), ("/agents/old", 1)):
            assert targets == (await served.issue(path)).json()["targetCount"]
        await until(200)
        assert "UNDELIVERABLE" == (await served.issue("/agents")).json()["status"]
        groups = (await served.request("GET", "/agents/groups")).json()
        assert [{"group": "g", "LIVE": 0, "STALE": 2, "DEAD": 0, "connected": 0}] == groups
        stale = (await served.request("GET", "/agents?status=stale")).json()
        assert ["new", "old"] == [agent["agentId"] for agent in stale]


async def test_a_command_expires(caplog: pytest.LogCaptureFixture) -> None:
    """After 60 s exactly: until then it can be acknowledged, from then on not any more."""
    async with serving(clock=virtual_clock()) as served:
        caplog.set_level(logging.INFO)
        await served.register("a")
        await served.register("b")
        start = asyncio.get_running_loop().time() - 1000
        command_id = (await served.issue("/agents")).json()["commandId"]
        await until(start + 59.999)
        assert 200 == (await served.ack("a", command_id)).status
        await until(start + 60)
        late = await served.ack("b", command_id)
        assert (410, "command-expired") == (late.status, late.code)
        command = (await served.request("GET", f"/commands/{command_id}")).json()
        assert ("EXPIRED", {"PENDING": 0, "ACKNOWLEDGED": 1, "EXPIRED": 1}) == (
            command["status"],
            command["counts"],
        )
        [expired] = [r for r in caplog.records if r.getMessage() == "command expired"]
        assert (command_id, ["b"]) == (
            expired.__dict__["command_id"],
            expired.__dict__["agent_ids"],
        )


async def test_an_expiry_wakes_those_who_wait() -> None:
    """At the deadline, not when their own patience ends."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        command_id = (await served.issue("/agents/a")).json()["commandId"]
        await asyncio.sleep(50)
        before = asyncio.get_running_loop().time()
        answer = await served.request("GET", f"/commands/{command_id}?wait=60")
        assert "EXPIRED" == answer.json()["status"]
        assert pytest.approx(10, abs=0.01) == asyncio.get_running_loop().time() - before


async def test_many_that_are_due_at_once_are_told_of_in_turns() -> None:
    """The loop is not held, and nobody is forgotten."""
    async with serving(clock=virtual_clock()) as served:
        for number in range(1200):
            await served.register(f"a{number}")
        held = []
        sweep = served.node.registry.sweep_leases

        def watched(**arguments: object) -> object:
            facts = sweep(**arguments)  # type: ignore[arg-type]
            held.append(len(facts))
            return facts

        served.node.registry.sweep_leases = watched  # type: ignore[method-assign, assignment]
        await until(95)
        assert 1200 == len((await served.request("GET", "/agents?status=STALE")).json())
        assert 1200 == sum(held)
        assert max(held) <= 500


async def test_a_stalled_loop_declares_nobody_stale() -> None:
    """Heartbeats that could not be heard are not missing; deadlines pass all the same."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        await until(80)
        command_id = (await served.issue("/agents/a")).json()["commandId"]
        clock = served.node.clock
        steady = clock._steady
        clock._steady = lambda: steady() + 200_000_000_000
        assert "LIVE" == await status(served), "judged before any task has run"
        command = (await served.request("GET", f"/commands/{command_id}")).json()
        assert "EXPIRED" == command["status"]
        await until(85)
        assert "LIVE" == await status(served)
        await until(91)
        assert "STALE" == await status(served), "the rest of the lease is as long as it was"


async def test_keepalives_come_every_fifteen_seconds() -> None:
    """To each stream from its own beginning, whatever else is written to it."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        async with streaming(served, "a") as stream:
            start = asyncio.get_running_loop().time()
            times = []
            for _ in range(4):
                assert b":\n" == await asyncio.wait_for(stream.chunk(), 3600)
                times.append(round(asyncio.get_running_loop().time() - start))
        assert [15, 30, 45, 60] == times


async def test_short_leases_are_exact_as_well() -> None:
    """The clock is looked at often enough for leases of a fraction of a second."""
    settings = Settings(heartbeat_interval=0.1, stale_after=0.2, dead_after=0.2)
    async with serving(settings, clock=None) as served:
        assert served.node.clock.tick <= 10_000_000
