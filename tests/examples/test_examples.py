"""The examples, run as programs."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from ..processes import environment, server
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
    """Read what a program prints up to a line that holds this."""
    assert process.stdout is not None
    while line := (await within(process.stdout.readline())).decode():
        if part in line:
            return
    raise AssertionError(f"it never said {part!r}")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


async def test_minimal_agent() -> None:
    """It registers, listens, acknowledges, sends heartbeats; and comes back when forgotten."""
    settings = ("--heartbeat-interval", "0.2", "--stale-after", "60")
    async with server("--port", "0", *settings) as served, served.client() as client:
        minimal_agent = program("01_minimal_agent.py", served.url, "order-1", "orders")
        async with minimal_agent as agent:
            await says(agent, "registered as order-1")
            await says(agent, "listening")
            order = {"type": "config-update", "payload": {"revision": 7}}
            command = (await client.post("/agents/groups/orders/commands", json=order)).json()
            assert (1, 1) == (command["targetCount"], command["connectedCount"])
            await says(agent, 'told to config-update {"revision": 7}')
            await says(agent, "acknowledged: 200")
            path = f"/commands/{command['commandId']}"
            assert "ACKNOWLEDGED" == (await client.get(f"{path}?wait=10")).json()["status"]
            agent_at_first = (await client.get("/agents/order-1")).json()
            async with asyncio.timeout(10):
                while agent_at_first == (await client.get("/agents/order-1")).json():
                    pass  # until a heartbeat shows
            await client.delete("/agents/order-1")
            await says(agent, "starting over")
            await says(agent, "registered as order-1")
            await says(agent, "listening")


async def test_minimal_agent_outlives_its_server() -> None:
    """It finds the next one at the same address, where nobody knows it."""
    port = str(free_port())
    async with server("--port", port) as served:
        agent_of_it = program("01_minimal_agent.py", served.url, "order-1", "orders")
        agent = await agent_of_it.__aenter__()
        await says(agent, "listening")
        served.process.kill()
    try:
        await says(agent, "starting over")
        async with server("--port", port) as again, again.client() as client:
            await says(agent, "registered as order-1")
            await says(agent, "listening")
            assert (await client.get("/agents/order-1")).json()["connected"]
    finally:
        await agent_of_it.__aexit__(None, None, None)


async def test_embedded() -> None:
    """The host application issues a command from its own handler, and sees the answer."""
    port = str(free_port())
    host = f"http://127.0.0.1:{port}"
    async with program("02_embedded.py", port) as embedded:
        await says(embedded, "Running on")
        async with program("01_minimal_agent.py", f"{host}/registry", "a", "g") as agent:
            await says(agent, "listening")
            async with httpx.AsyncClient(base_url=host) as client:
                assert {"a": "LIVE"} == (await client.get("/")).json()
                answer = (await client.post("/incidents/g")).json()
                counts = {"PENDING": 0, "ACKNOWLEDGED": 1, "EXPIRED": 0}
                assert {"asked": 1, "answers": counts} == answer
                assert 404 == (await client.post("/incidents/nobody")).status_code


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_example_says_how_to_run_it(name: str) -> None:
    """In its first lines."""
    assert f"python examples/{name}" in (EXAMPLES / name).read_text()
