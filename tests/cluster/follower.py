"""Somebody who follows the feed, and goes on at another node when one has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
import orjson
from attrs import define, field

from .nodes import NodeProcess


@define(eq=False)
class Follower:
    """What was told, by whom, from the first event on."""

    nodes: Sequence[NodeProcess]
    ids: list[int] = field(factory=list)
    # Of each event: its type, and its data.
    events: list[tuple[str, dict[str, object]]] = field(factory=list)
    # How often it went on somewhere.
    moves: int = -1
    resets: int = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        place = 0
        while True:
            node = self.nodes[place % len(self.nodes)]
            try:
                await self._follow(node)
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
            place += 1

    async def reached(self, event_id: int) -> None:
        """Wait until that event has been told."""
        async with asyncio.timeout(60):
            while not self.ids or self.ids[-1] < event_id:  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.05)

    async def _follow(self, node: NodeProcess) -> None:
        headers = {"Last-Event-ID": str(self.ids[-1])} if self.ids else {}
        async with (
            httpx.AsyncClient(timeout=30) as client,
            client.stream("GET", f"{node.url}/api/v1/events", headers=headers) as answer,
        ):
            if answer.status_code != 200:
                return
            self.moves += 1
            event: dict[str, str] = {}
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if line:
                    event[name] = value
                elif "id" in event:
                    self._take(event)
                    event = {}
                else:
                    event = {}

    def _take(self, event: dict[str, str]) -> None:
        if event["event"] == "reset":
            self.resets += 1
        if event["event"] == "position" and self.ids:
            return
        self.ids.append(int(event["id"]))
        self.events.append((event["event"], orjson.loads(event["data"])))
