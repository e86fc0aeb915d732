"""What a node shows of everything, as one digest."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

import httpx
import orjson

from .nodes import NodeProcess

QUIET = 0.5
"""Seconds without an event after which a feed has told all that there was."""


async def told(
    node: NodeProcess, after: str, until: str | None = None
) -> list[tuple[str, str, str]]:
    """Return id, type and data of the events that a node tells behind one, up to another or all."""
    events: list[tuple[str, str, str]] = []
    async with httpx.AsyncClient(timeout=30) as client:
        url, headers = f"{node.api}/events", {"Last-Event-ID": after}
        async with client.stream("GET", url, headers=headers) as answer:
            lines = answer.aiter_lines()
            event: dict[str, str] = {}
            while True:
                try:
                    async with asyncio.timeout(QUIET):
                        line = await anext(lines)
                except (TimeoutError, StopAsyncIteration):
                    return events
                if not line and "id" in event:
                    events.append((event["id"], event.get("event", ""), event.get("data", "")))
                    if event["id"] == until:
                        return events
                    event = {}
                field, _, value = line.partition(": ")
                if field:
                    event[field] = value


async def all_kept(node: NodeProcess, until: str) -> list[tuple[str, str, str]]:
    """Return all events that a node has kept, up to one."""
    [(_, name, data), *_] = await told(node, "0")  # an id that no node has told
    assert "reset" == name
    return await told(node, str(orjson.loads(data)["oldestId"] - 1), until)


async def newest_event(node: NodeProcess) -> str:
    """Return the id of the newest event."""
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", f"{node.api}/events") as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                return line.removeprefix("id: ")
    raise AssertionError("the feed has told no position")


async def digest(node: NodeProcess, after: str) -> str:
    """Return a digest of agents, commands, deliveries, and what the feed tells behind an id."""
    hashed = hashlib.sha256()
    commands: list[dict[str, Any]] = (await node.ask("GET", "/commands")).json()
    hashed.update((await node.ask("GET", "/agents")).content)
    hashed.update(orjson.dumps(commands))
    async with httpx.AsyncClient(base_url=node.api, timeout=30) as client:
        for command in commands[:20]:  # the newest
            answer = await client.get(f"/commands/{command['commandId']}/deliveries")
            hashed.update(answer.content)
    hashed.update(orjson.dumps(await told(node, after)))
    return hashed.hexdigest()[:16]


async def same_digest(running: Sequence[NodeProcess], after: str) -> str:
    """Wait until all nodes have the same digest; return it."""
    async with asyncio.timeout(90):
        while True:
            found = {await digest(node, after) for node in running}
            if len(found) == 1:
                return found.pop()
            await asyncio.sleep(0.3)


async def divergences(node: NodeProcess) -> int:
    """Return how often a node has found that another derives something else from the log."""
    async with httpx.AsyncClient(timeout=30) as client:
        text = (await client.get(f"{node.url}/metrics")).text
    [line] = [x for x in text.splitlines() if x.startswith("cameleer_cluster_divergences_total ")]
    return int(float(line.split()[1]))
