"""The examples, run as programs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from ..processes import environment, free_port, server
from ..support import within

EXAMPLES = Path(__file__).parents[2] / "examples"


@asynccontextmanager
async def program(name: str, *args: str) -> AsyncIterator[Process]:
    """Run an example, and kill it at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / name),
        *args,
        env=environment(),
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def says(process: Process, part: str) -> None:
    """Read what a program prints up to a line that holds this.

    An agent may take half a minute until it looks again for a server that was away.
    """
    assert process.stdout is not None
    while line := (await within(process.stdout.readline(), 60)).decode():
        if part in line:
            return
    raise AssertionError(f"it never said {part!r}")


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("01_minimal_agent.py", [], "usage: python 01_minimal_agent.py ADDRESS AGENT_ID GROUP"),
        ("01_minimal_agent.py", ["http://x"], "usage: "),
        ("03_rollout.py", [], "usage: python 03_rollout.py ADDRESS GROUP CONFIGURATION"),
        ("03_rollout.py", ["http://x", "g", "{"], "the configuration is no JSON"),
        ("03_rollout.py", ["http://127.0.0.1:1", "g", "{}"], "cannot reach http://127.0.0.1:1"),
    ],
)
async def test_an_example_that_is_run_wrongly(name: str, args: list[str], words: str) -> None:
    """It says how it is run, on one line and without a traceback."""
    async with program(name, *args) as process:
        assert process.stdout is not None
        said = (await within(process.stdout.read())).decode()
        assert 1 == await within(process.wait())
    assert words in said
    assert 1 == said.count("\n")


async def test_minimal_agent() -> None:
    """It registers, listens, acknowledges; comes back when forgotten; and ends upon SIGTERM."""
    async with server() as served, served.client() as client:
        minimal_agent = program("01_minimal_agent.py", served.url, "order-1", "orders")
        async with minimal_agent as agent:
            await says(agent, "registered")
            await says(agent, "stream opened")
            order = {"type": "config-update", "payload": {"revision": 7}}
            command = (await client.post("/agents/groups/orders/commands", json=order)).json()
            assert (1, 1) == (command["targetCount"], command["connectedCount"])
            await says(agent, "told to take {'revision': 7}")
            path = f"/commands/{command['commandId']}"
            assert "ACKNOWLEDGED" == (await client.get(f"{path}?wait=10")).json()["status"]
            [delivery] = (await client.get(f"{path}/deliveries")).json()
            assert {"applied": 7} == delivery["result"]["data"]
            await client.delete("/agents/order-1")
            await says(agent, "registered")
            await says(agent, "stream opened")
            agent.terminate()
            assert 0 == await within(agent.wait())


async def test_minimal_agent_outlives_its_server() -> None:
    """Killed and started again empty, it finds it LIVE and connected, and obedient once."""
    port = str(free_port())
    async with contextlib.AsyncExitStack() as stack:
        async with server("--port", port) as served:
            minimal_agent = program("01_minimal_agent.py", served.url, "order-1", "orders")
            agent = await stack.enter_async_context(minimal_agent)
            await says(agent, "stream opened")
            served.process.kill()
        await says(agent, "no stream")
        async with server("--port", port) as again, again.client() as client:
            await says(agent, "registered")
            await says(agent, "stream opened")
            shown = (await client.get("/agents/order-1")).json()
            assert (True, "LIVE") == (shown["connected"], shown["status"])
            order = {"type": "config-update", "payload": {"revision": 8}}
            command = (await client.post("/agents/order-1/commands", json=order)).json()
            path = f"/commands/{command['commandId']}?wait=10"
            assert "ACKNOWLEDGED" == (await client.get(path)).json()["status"]
            agent.terminate()
            rest = (await within(agent.communicate()))[0].decode()
            assert 1 == rest.count("told to take")


async def test_rollout() -> None:
    """To the canary, then to the rest; and no further than to a canary that fails."""
    async with server() as served, contextlib.AsyncExitStack() as stack:
        for number in range(4):
            agent = program("01_minimal_agent.py", served.url, f"order-{number}", "orders")
            await says(await stack.enter_async_context(agent), "stream opened")

        async def roll_out(group: str, config: str) -> tuple[int | None, list[str]]:
            async with program("03_rollout.py", served.url, group, config) as rollout:
                out = (await within(rollout.communicate()))[0].decode()
                return rollout.returncode, out.splitlines()

        assert (
            0,
            [
                "updated: order-0",
                "updated: order-1 order-2 order-3",
                "4 of 4 agents have it",
            ],
        ) == await roll_out("orders", '{"revision": 8}')
        assert (
            1,
            ["stopped: order-0: KeyError('revision')", "0 of 4 agents have it"],
        ) == await roll_out("orders", "{}")
        nobody = ["nobody in others is live and connected"]
        assert (1, nobody) == await roll_out("others", "{}")


async def test_embedded() -> None:
    """The host application issues a command from its own handler, and sees the answer."""
    port = str(free_port())
    host = f"http://127.0.0.1:{port}"
    async with program("02_embedded.py", port) as embedded:
        await says(embedded, "Running on")
        async with program("01_minimal_agent.py", f"{host}/registry", "a", "g") as agent:
            await says(agent, "stream opened")
            async with httpx.AsyncClient(base_url=host) as client:
                assert {"a": "LIVE"} == (await client.get("/")).json()
                answer = (await client.post("/incidents/g")).json()
                # It has no handler for deep-trace, and says so.
                counts = {"PENDING": 0, "ACKNOWLEDGED": 1, "EXPIRED": 0}
                assert {"asked": 1, "answers": counts} == answer
                assert 404 == (await client.post("/incidents/nobody")).status_code


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("http://127.0.0.1:1", "g", "{"), "Expecting property name"),
        (("u:s3cret@h", "g", "{}"), "expected an address such as"),
    ],
)
async def test_a_rollout_of_nonsense(args: tuple[str, ...], said: str) -> None:
    """Likewise."""
    async with program("03_rollout.py", *args) as example:
        out = (await within(example.communicate()))[0].decode()
    assert 1 == example.returncode
    assert said in out
    assert ("Traceback" in out, "s3cret" in out) == (False, False)


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_example_says_how_to_run_it(name: str) -> None:
    """In its first lines."""
    assert f"python examples/{name}" in (EXAMPLES / name).read_text()
