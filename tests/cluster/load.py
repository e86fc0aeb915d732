"""A client that counts: what it was promised, and what has come of it.

Commands are issued at whichever node answers, each under a key of its own and until it is answered.
Agents that know both nodes carry them out, and what they carry out is counted.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import uuid4

import httpx
from attrs import define, field

from cameleer_registry.client import Agent
from cameleer_registry.core.model import CommandEvent

from .nodes import NodeProcess

GROUP = "load"
PATIENCE = 60.0
"""Seconds after which a request that has not been answered is a fault: a node has ten."""


@define(eq=False)
class Crew:
    """Agents, and how often each has carried out which command."""

    agents: list[Agent]
    done: Counter[tuple[str, str]] = field(factory=Counter)

    @property
    def connected(self) -> int:
        """How many hold a stream."""
        return sum(agent.connected for agent in self.agents)

    async def carry_out(self, agent_id: str, command: CommandEvent) -> None:
        """Be what an agent does."""
        self.done[agent_id, command.command_id] += 1

    def twice(self) -> list[tuple[str, str]]:
        """Return what was carried out more than once."""
        return [what for what, times in self.done.items() if times > 1]


@asynccontextmanager
async def crew(nodes: Sequence[NodeProcess], count: int) -> AsyncIterator[Crew]:
    """Run so many agents, each of which knows all nodes."""
    urls = [node.url for node in nodes]
    running = Crew([Agent(urls, agent_id=f"load-{number}", group=GROUP) for number in range(count)])
    for agent in running.agents:
        agent.on("replay")(partial(running.carry_out, agent.agent_id))
    tasks = [asyncio.create_task(agent.run()) for agent in running.agents]
    try:
        async with asyncio.timeout(60):
            while running.connected < count:  # noqa: ASYNC110 - nothing tells when they are
                await asyncio.sleep(0.05)
        yield running
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@define(eq=False)
class Load:
    """Issues commands at whichever node answers."""

    nodes: Sequence[NodeProcess]
    agents: Sequence[str]
    # The share of commands that are broadcasts, and the seconds between two of one who issues.
    broadcasts: float = 0.1
    pace: float = 0.05
    # Key of each command that was answered with 202, and its id.
    accepted: dict[str, str] = field(factory=dict)
    # Seconds that the longest answer took, by its status; "away" is a node that did not answer.
    longest: dict[str, float] = field(factory=dict)
    # How often each was answered.
    answers: Counter[str] = field(factory=Counter)
    # Seconds from the first try of a command to its 202, the longest of all.
    until_accepted: float = 0.0
    strange: list[str] = field(factory=list)
    # What its keys begin with: no other load has them, nor one that had its place in memory.
    _run: str = field(factory=lambda: uuid4().hex[:8])
    _keys: itertools.count[int] = field(factory=itertools.count)
    _stopped: asyncio.Event = field(factory=asyncio.Event)

    def stop(self) -> None:
        """Begin nothing new; what has begun is asked for until it is answered."""
        self._stopped.set()

    async def run(self, number: int) -> None:
        """Issue one command after the other."""
        loop = asyncio.get_running_loop()
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            while not self._stopped.is_set():
                key = f"{self._run}-{number}-{next(self._keys)}"
                broadcast = random.random() < self.broadcasts
                target = "/agents" if broadcast else f"/agents/{random.choice(self.agents)}"
                began = loop.time()
                command_id = await self._insist(client, f"{target}/commands", key)
                self.until_accepted = max(self.until_accepted, loop.time() - began)
                self.accepted[key] = command_id
                await asyncio.sleep(self.pace)

    async def _insist(self, client: httpx.AsyncClient, path: str, key: str) -> str:
        """Ask again, at any node, until it is done; return the id of the command.

        Twice where that is quick, since the second answer must be the first.
        """
        loop = asyncio.get_running_loop()
        body = {"type": "replay", "payload": {"key": key}}
        ids: set[str] = set()
        while True:
            node = random.choice(self.nodes)
            began, status = loop.time(), "away"
            try:
                answer = await client.post(
                    f"{node.url}/api/v1{path}",
                    json=body,
                    headers={"Idempotency-Key": f'"{key}"'},
                )
                status = str(answer.status_code)
            except httpx.TimeoutException as error:
                self.strange.append(f"{path}: {error!r}")
            except httpx.HTTPError:
                pass
            self.answers[status] += 1
            self.longest[status] = max(self.longest.get(status, 0.0), loop.time() - began)
            if status == "202":
                ids.add(answer.json()["commandId"])
                if len(ids) > 1:
                    self.strange.append(f"{key}: {sorted(ids)}")
                if len(ids) > 1 or random.random() < 0.5:
                    return ids.pop()
                continue
            if status not in ("503", "away"):
                self.strange.append(f"{path}: {status} {answer.text[:200]}")
            await asyncio.sleep(0.1)

    def longest_shown(self) -> str:
        """Return how long answers took at most, in a line."""
        each = (f"{status} {seconds:.2f} s" for status, seconds in sorted(self.longest.items()))
        return ", ".join(each)
