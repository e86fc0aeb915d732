"""Clients that nobody here wrote: curl, Python's httpx-sse, and Node's eventsource."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse

from ..npm import install
from ..processes import Server, required, server
from ..support import within

HERE = Path(__file__).parent
TYPES = ("config-update", "deep-trace", "replay")
MANY = 1000


@pytest.fixture
async def served() -> AsyncIterator[Server]:
    """A server whose keepalives come thick and fast, to stand between events."""
    settings = ("--keepalive-interval", "0.02", "--max-pending-per-agent", str(MANY))
    async with server("--port", "0", *settings) as served:
        yield served


async def issue_many(client: httpx.AsyncClient, agent_id: str) -> list[dict[str, Any]]:
    """Issue commands of all types, one after the other."""
    issued = []
    for number in range(MANY):
        order = {"type": TYPES[number % 3], "payload": {"n": number, "text": "ä\r\n\u2028🐫"}}
        answer = await client.post(f"/agents/{agent_id}/commands", json=order)
        assert 202 == answer.status_code
        issued.append(answer.json())
    return issued


def expected_of(issued: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    names = ("commandId", "type", "payload", "createdAt", "expiresAt")
    return [(c["type"], c["commandId"], {name: c[name] for name in names}) for c in issued]


async def test_httpx_sse(served: Server) -> None:
    """It gets every event once, in order, and nothing in between."""
    async with served.client() as client, served.client() as agent:
        await client.post("/agents/register", json={"agentId": "a", "group": "g"})
        async with aconnect_sse(agent, "GET", f"{served.api}/agents/a/events") as source:
            assert 200 == source.response.status_code
            listening = asyncio.create_task(take(source.aiter_sse(), MANY))
            issued = await issue_many(client, "a")
            events = await within(listening)
        assert expected_of(issued) == [
            (event.event, event.id, json.loads(event.data)) for event in events
        ]
        assert [None] * (MANY - 1) == [event.retry for event in events[1:]]
        pending = (await client.get("/agents/a/commands", params={"status": "PENDING"})).json()
        assert MANY == len(pending)
        assert all(delivery["deliveredAt"] for delivery in pending)


async def take(events: AsyncIterator[ServerSentEvent], count: int) -> list[ServerSentEvent]:
    return [await anext(events) for _ in range(count)]


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Node's eventsource, installed by npm, beside the agent that uses it."""
    folder = install(tmp_path_factory.mktemp("node"), "eventsource@5")
    for program in HERE.glob("*.mjs"):
        shutil.copy(program, folder)
    return folder


async def test_node_eventsource(served: Server, node_modules: Path) -> None:
    """It gets every event once, in order, and nothing in between; and acknowledges them all."""
    agent = await start(required("node"), "agent.mjs", served.api, "n", str(MANY), cwd=node_modules)
    assert agent.stdout is not None
    assert b"open\n" == await within(agent.stdout.readline())
    async with served.client() as client:
        issued = await issue_many(client, "n")
        lines = [json.loads(await within(agent.stdout.readline())) for _ in range(MANY)]
        assert expected_of(issued) == [
            (line["type"], line["id"], json.loads(line["data"])) for line in lines
        ]
        assert 0 == await within(agent.wait())
        last = issued[-1]["commandId"]
        assert "ACKNOWLEDGED" == (await client.get(f"/commands/{last}?wait=10")).json()["status"]
        unanswered = (await client.get("/agents/n/commands", params={"status": "PENDING"})).json()
        assert [] == unanswered
        assert b"" == await agent.stdout.read()


# The operators' feed


async def register_many(client: httpx.AsyncClient, count: int) -> None:
    """Make so many events happen."""
    for _ in range(count):
        await client.post("/agents/register", json={"agentId": "a", "group": "g"})


async def test_httpx_sse_follows_the_feed_and_comes_back(served: Server) -> None:
    """With the id of the last event it saw it goes on behind that, as its documentation has it."""
    async with served.client() as client, served.client() as operator:

        async def follow(count: int, **headers: str) -> list[ServerSentEvent]:
            async with aconnect_sse(operator, "GET", "/events", headers=headers) as source:
                opened.set()
                return list(await within(take(source.aiter_sse(), count)))

        opened = asyncio.Event()
        following = asyncio.create_task(follow(101))
        await within(opened.wait())
        await register_many(client, 150)
        position, *events = await following
        assert ("position", int(events[0].id) - 1) == (position.event, int(position.id))
        events += await follow(50, **{"Last-Event-ID": events[-1].id})
        ids = [int(event.id) for event in events]
        assert list(range(ids[0], ids[0] + 150)) == ids
        assert {"agent-registered"} == {event.event for event in events}
        assert all("a" == event.json()["agentId"] for event in events)


@pytest.mark.parametrize("before", [0, 30])
async def test_node_eventsource_follows_the_feed_and_comes_back_by_itself(
    served: Server, node_modules: Path, before: int
) -> None:
    """Its connection is cut, perhaps before anything has happened; nothing is lost or repeated."""
    port = int(served.url.rsplit(":", 1)[1])
    connections: list[asyncio.StreamWriter] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Be a proxy, so that a connection can be cut without anybody's doing."""
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        connections.extend((writer, to_writer))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while content := await source.read(65_536):
                    sink.write(content)
                    await sink.drain()

        await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer))

    async with await asyncio.start_server(pass_on, "127.0.0.1", 0) as proxy:
        address = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/api/v1/events"
        follower = await start(required("node"), "follower.mjs", address, "90", cwd=node_modules)
        assert follower.stdout is not None

        async def read(count: int) -> list[dict[str, Any]]:
            assert follower.stdout is not None
            return [json.loads(await within(follower.stdout.readline())) for _ in range(count)]

        async with served.client() as client:
            assert b"open\n" == await within(follower.stdout.readline())
            assert b"position\n" == await within(follower.stdout.readline())
            await register_many(client, before)
            events = await read(before)
            for writer in connections:
                writer.transport.abort()
            await register_many(client, 30)
            assert b"open\n" == await within(follower.stdout.readline())
            await register_many(client, 60 - before)
            events += await read(90 - before)
        assert 0 == await within(follower.wait())
        for writer in connections:
            writer.transport.abort()
    ids = [int(event["id"]) for event in events]
    assert list(range(ids[0], ids[0] + 90)) == ids
    assert {"agent-registered"} == {event["type"] for event in events}


async def test_curl(served: Server) -> None:
    """`curl -N` shows the stream byte for byte as the contract has it, and an agent needs no more.

    Everything an agent does is one command line.
    """
    curl = required("curl")

    async def once(*args: str) -> tuple[int, Any]:
        process = await start(curl, "-s", "-w", "\n%{http_code}", *args)
        out, _ = await within(process.communicate())
        body, _, status = out.decode().rpartition("\n")
        return int(status), json.loads(body) if body else None

    declaration = json.dumps({"agentId": "c", "group": "shell"})
    status, registered = await once("-d", declaration, f"{served.api}/agents/register")
    assert 201 == status
    stream = await start(curl, "-siN", f"{served.url}{registered['sseEndpoint']}")
    assert stream.stdout is not None
    head = await within(stream.stdout.readuntil(b"\r\n\r\n"))
    headers = head.decode().split("\r\n")
    assert "HTTP/1.1 200 OK" == headers[0]
    assert {
        "Content-Type: text/event-stream",
        "Cache-Control: no-store, no-transform",
        "X-Accel-Buffering: no",
        "X-Cameleer-Protocol-Version: 1",
    } <= set(headers)
    opening = await within(stream.stdout.readexactly(len("retry: 3000\n: connected\n:\n:\n")))
    assert re.fullmatch(rb"retry: [2-5]\d{3}\n: connected\n:\n:\n", opening)
    order = json.dumps({"type": "config-update", "payload": {"revision": 7}})
    status, command = await once("-d", order, f"{served.api}/agents/groups/shell/commands")
    assert 202 == status
    while (line := await within(stream.stdout.readline())) == b":\n":
        pass
    data = json.dumps(expected_of([command])[0][2], separators=(",", ":"))
    assert [
        f"id: {command['commandId']}\n",
        "event: config-update\n",
        f"data: {data}\n",
        "\n",
        ":\n",
    ] == [line.decode(), *[(await within(stream.stdout.readline())).decode() for _ in range(4)]]
    ack = f"{served.api}/agents/c/commands/{command['commandId']}/ack"
    status, delivery = await once("-X", "POST", ack)
    assert (200, "ACKNOWLEDGED") == (status, delivery["status"])
    assert (204, None) == await once("-X", "POST", f"{served.api}/agents/c/heartbeat")
    stream.terminate()
    await stream.wait()


async def start(*args: str, cwd: Path | None = None) -> Process:
    return await asyncio.create_subprocess_exec(*args, cwd=cwd, stdout=PIPE)
