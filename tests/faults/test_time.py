"""Clocks that step, a process that is stopped, a loop that is held.

Leases wait meanwhile, and deadlines do not.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import signal
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from glob import glob
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cameleer_registry import NODE, Settings, create_app
from cameleer_registry.client import Agent
from cameleer_registry.node.clock import Clock

from ..processes import free_port, required, run, server
from ..support import Connection, Served, eventually, running, serving, virtual_clock, within
from .figures import tell

DAY = 86_400
SECOND = 1_000_000_000

virtual_time = pytest.mark.looptime(start=1000)


# Clocks that step


@virtual_time
@pytest.mark.parametrize("step", [DAY, -DAY])
async def test_a_step_of_the_clock_moves_no_lease_and_no_deadline(step: int) -> None:
    """To the millisecond, it is as if the clock had not stepped; what is shown steps along."""
    steps = 0
    usual = virtual_clock()
    clock = Clock(steady=usual._steady, wall=lambda: usual._wall() + steps * SECOND)
    loop = asyncio.get_running_loop()
    async with serving(clock=clock) as served:
        await served.register("a")
        await served.register("b")
        command = (await served.issue("/agents")).json()
        path = f"/commands/{command['commandId']}"
        waiting = asyncio.create_task(served.node.wait(command["commandId"], 3600))
        await asyncio.sleep(1030 - loop.time())
        steps = step
        await served.request("POST", "/agents/b/heartbeat")
        assert ["LIVE", "LIVE"] == [str(agent.status) for agent in served.node.agents()]
        assert 200 == (await served.ack("a", command["commandId"])).status
        assert {"PENDING": 1, "ACKNOWLEDGED": 1, "EXPIRED": 0} == await counts(served, path)
        shown = (await served.request("GET", "/agents/b")).json()["lastHeartbeatAt"]
        assert shown.startswith({DAY: "2026-11-19", -DAY: "2026-11-17"}[step])
        await asyncio.sleep(1059.999 - loop.time())
        assert not waiting.done()
        assert {"PENDING": 1, "ACKNOWLEDGED": 1, "EXPIRED": 0} == await counts(served, path)
        await asyncio.sleep(1060 - loop.time())
        assert {"PENDING": 0, "ACKNOWLEDGED": 1, "EXPIRED": 1} == await counts(served, path)
        assert "EXPIRED" == (await waiting).status
        for moment, expected in (
            (1089.999, ["LIVE", "LIVE"]),
            (1090, ["STALE", "LIVE"]),
            (1119.999, ["STALE", "LIVE"]),
            (1120, ["STALE", "STALE"]),
            (1390, ["DEAD", "STALE"]),
        ):
            await asyncio.sleep(moment - loop.time())
            assert expected == [str(agent.status) for agent in served.node.agents()]


async def counts(served: Served, path: str) -> dict[str, int]:
    found: dict[str, int] = (await served.request("GET", path)).json()["counts"]
    return found


async def test_the_clock_of_the_host_steps(tmp_path: Path) -> None:
    """By a day in both directions, below a process that knows nothing of it (libfaketime)."""
    step = tmp_path / "step"
    step.write_text("+0")
    env = stepped_by(step)
    settings = ("--heartbeat-interval", "1", "--stale-after", "60", "--command-ttl", "60")
    async with server("--port", "0", *settings, env=env) as served, served.client() as client:
        for agent_id in "ab":
            await client.post("/agents/register", json={"agentId": agent_id, "group": "g"})
        before = (await client.get("/agents/a")).json()
        order = {"type": "replay"}
        command = (await client.post("/agents/commands", json=order)).json()
        days = {command["createdAt"][:10]}
        for days_off in ("+1d", "-1d"):
            step.write_text(days_off)
            assert 204 == (await client.post("/agents/b/heartbeat")).status_code
            now = (await client.get("/agents")).json()
            assert ["LIVE", "LIVE"] == [agent["status"] for agent in now]
            assert before["statusChangedAt"] == now[0]["statusChangedAt"]
            assert (
                2
                == (await client.get(f"/commands/{command['commandId']}")).json()["counts"][
                    "PENDING"
                ]
            )
            days.add(now[1]["lastHeartbeatAt"][:10])
        assert 3 == len(days), "the process did see it"
        path = f"/agents/a/commands/{command['commandId']}/ack"
        assert 200 == (await client.post(path)).status_code


async def test_configurations_are_taken_whatever_the_time_of_day(tmp_path: Path) -> None:
    """An agent refuses one that is older than the last; which that is no clock decides.

    The host's steps by a day in both directions, under a server that signs, and also while that is
    stopped: ids of commands begin with the time of day.
    """
    database, step = tmp_path / "r.db", tmp_path / "step"
    status, out, err = await run("auth", "init", "--database", str(database))
    assert 0 == status, err
    made = {line[:17].strip(): line[17:] for line in out.splitlines()}
    step.write_text("+0")
    args = ("--database", str(database), "--heartbeat-interval", "1", "--command-ttl", "30d")
    taken: list[int] = []
    lines: list[dict[str, Any]] = []
    port = free_port()
    agent = Agent(
        f"http://127.0.0.1:{port}", agent_id="n", group="g", token=made["enrolment token"]
    )
    agent.on("config-update")(lambda command: taken.append(command.payload["n"]))
    task = asyncio.create_task(agent.run())
    headers = {"Authorization": f"Bearer {made['admin token']}"}
    try:
        for days in ("+0", "-2d"):
            step.write_text(days)  # for the start; and back, and forth, while it runs
            async with (
                server("--port", str(port), *args, env=stepped_by(step)) as served,
                served.client(headers=headers) as client,
            ):
                await eventually(lambda: agent.connected, 60)
                for off in (days, "-3d", "+3d", "-3d"):
                    step.write_text(off)
                    order = {"type": "config-update", "payload": {"n": len(lines)}}
                    issued = (await client.post("/agents/n/commands", json=order)).json()
                    path = f"/commands/{issued['commandId']}"
                    done = (await client.get(f"{path}?wait=15")).json()
                    [delivery] = (await client.get(f"{path}/deliveries")).json()
                    assert {"SUCCESS": 1, "FAILURE": 0} == done["outcomes"], delivery
                    lines.append(issued)
                assert 0 == await served.terminate()
    finally:
        agent.stop()
        await asyncio.wait_for(task, 20)
    assert list(range(8)) == taken
    assert sorted(one["createdAt"] for one in lines) != [one["createdAt"] for one in lines]


def stepped_by(file: Path) -> dict[str, str]:
    """Return the environment of a process whose time of day is off by what stands in a file."""
    required("faketime")
    [library] = glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",  # which no clock that is set moves
    }


# A process that is stopped


async def test_a_process_that_is_stopped(record_property: Any) -> None:
    """For longer than a lease and a deadline: nobody is STALE, and what was pending is EXPIRED.

    What was said to it meanwhile is heard at once, and judged by the time at which it is heard.
    """
    settings = ("--heartbeat-interval", "0.5", "--stale-after", "3", "--dead-after", "1")
    args = ("--port", "0", *settings, "--command-ttl", "1.2")
    async with server(*args, stderr=PIPE) as served, served.client() as client:
        await client.post("/agents/register", json={"agentId": "a", "group": "g"})
        before = (await client.get("/agents/a")).json()
        command = (await client.post("/agents/a/commands", json={"type": "replay"})).json()
        path = f"/commands/{command['commandId']}"
        waiting = asyncio.create_task(client.get(f"{path}?wait=60"))
        meanwhile = [await asyncio.open_connection("127.0.0.1", port_of(served.url)) for _ in "ha"]
        assert 200 == (await client.get(f"{served.url}/healthz")).status_code
        stopped = time.monotonic()
        served.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(3.3)
        for (_, writer), target in zip(meanwhile, ("heartbeat", f"{path[1:]}/ack"), strict=True):
            head = f"POST /api/v1/agents/a/{target} HTTP/1.1\r\n"
            head += "Host: localhost\r\nContent-Length: 0\r\n\r\n"
            writer.write(head.encode())
        served.process.send_signal(signal.SIGCONT)
        away = time.monotonic() - stopped
        answers = [await Connection(reader, writer).answer() for reader, writer in meanwhile]
        assert [204, 410] == [answer.status for answer in answers]
        assert "EXPIRED" == (await within(waiting)).json()["status"]
        [delivery] = (await client.get(f"{path}/deliveries")).json()
        assert ("EXPIRED", None) == (delivery["status"], delivery["acknowledgedAt"])
        assert delivery["lateAckAt"] > command["expiresAt"]
        after = (await client.get("/agents/a")).json()
        assert ("LIVE", before["statusChangedAt"]) == (after["status"], after["statusChangedAt"])
        metrics = (await client.get(f"{served.url}/metrics")).text
        for _, writer in meanwhile:
            writer.close()
        assert 0 == await served.terminate()
        assert served.process.stderr is not None
        assert b"went STALE" not in await served.process.stderr.read()
    [told] = re.findall(r"^cameleer_clock_paused_seconds_total (.*)$", metrics, re.M)
    tell(record_property, seconds_stopped=round(away, 3), seconds_left_out=round(float(told), 3))
    assert float(told) > 3


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


@virtual_time
async def test_a_host_that_is_suspended() -> None:
    """Its timers stand still and its steady clock does not: who waits is told soon after."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        await asyncio.sleep(50)
        command_id = (await served.issue("/agents/a")).json()["commandId"]
        path = f"/commands/{command_id}"
        waiting = asyncio.create_task(served.request("GET", f"{path}?wait=60"))
        await eventually(lambda: served.node._waiters)
        clock, loop = served.node.clock, asyncio.get_running_loop()
        steady, began = clock._steady, loop.time()
        clock._steady = lambda: steady() + 3600 * SECOND
        assert "EXPIRED" == (await waiting).json()["status"]
        assert loop.time() - began <= 0.51
        assert 410 == (await served.ack("a", command_id)).status
        await asyncio.sleep(1089 - loop.time())
        assert "LIVE" == served.node.agent("a").status
        await asyncio.sleep(1091 - loop.time())
        assert "STALE" == served.node.agent("a").status, "the lease goes on where it was"


# A loop that is held


async def test_a_handler_that_blocks_the_loop() -> None:
    """Of a host application: a heartbeat that comes meanwhile is heard, and nobody is STALE."""
    settings = Settings(heartbeat_interval=0.5, stale_after=1, dead_after=1, command_ttl=1)
    async with embedded(settings) as served, asyncio.timeout(60):
        await served.register("a")
        await served.register("b")
        command_id = (await served.issue("/agents")).json()["commandId"]
        before = served.node.agents()
        beating = asyncio.create_task(asyncio.to_thread(beat, served, 0.4))
        answer = await served.request("GET", "//block?seconds=1.4&times=1")
        assert 204 == await beating
        assert b"LIVE" == answer.body
        assert 410 == (await served.ack("a", command_id)).status
        after = served.node.agents()
        assert [a.status_changed_at for a in before] == [a.status_changed_at for a in after]
        assert ["LIVE", "LIVE"] == [str(agent.status) for agent in after]


async def test_a_loop_that_is_held_again_and_again(record_property: Any) -> None:
    """Each time for less than half a lease: who sends heartbeats as told to is never STALE."""
    settings = Settings(heartbeat_interval=0.3, stale_after=1, dead_after=1)
    async with embedded(settings) as served, asyncio.timeout(60):
        await served.register("a")
        held = asyncio.create_task(served.request("GET", "//block?seconds=0.45&times=5"))
        while not held.done():
            assert 204 == await asyncio.to_thread(beat, served, 0.0)
            await asyncio.sleep(0.3)
        assert b"LIVE" == (await held).body
    left_out = served.node.clock.paused / SECOND
    tell(record_property, seconds_held=5 * 0.45, seconds_left_out=round(left_out, 2))
    assert left_out > 2 * settings.stale_after


@asynccontextmanager
async def embedded(settings: Settings) -> AsyncIterator[Served]:
    """Embed a registry in a host with a handler that holds the loop, and then looks at agents."""

    async def block(request: web.Request) -> web.Response:
        for _ in range(int(request.query["times"])):
            time.sleep(float(request.query["seconds"]))  # noqa: ASYNC251 - that is the fault
            seen.update(str(agent.status) for agent in app[NODE].agents())
            await asyncio.sleep(0)
        return web.Response(text=" ".join(seen))

    seen: set[str] = set()
    host, app = web.Application(), create_app(settings)
    host.router.add_get("/block", block)
    host.add_subapp("/registry", app)
    async with running(host) as (name, port):
        yield Served(app[NODE], name, port, "/registry")


def beat(served: Served, delay: float) -> int:
    """Send a heartbeat on a connection of its own, from a thread that nobody holds up."""
    time.sleep(delay)
    connection = http.client.HTTPConnection(served.host, served.port, timeout=20)
    try:
        connection.request("POST", f"{served.prefix}/api/v1/agents/a/heartbeat")
        return connection.getresponse().status
    finally:
        connection.close()
