"""A client that counts: what it was promised, and what has come of it."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from uuid import uuid4

import httpx
from attrs import define, field

from .nodes import NodeProcess

PATIENCE = 15.0


@define(eq=False)
class Load:
    """Issues commands and acknowledges them at whichever node answers."""

    nodes: Sequence[NodeProcess]
    # Key of each command that was answered with 202, and its id.
    accepted: dict[str, str] = field(factory=dict)
    # Ids of commands whose acknowledgement was answered with 200.
    acknowledged: set[str] = field(factory=set)
    # Seconds that the longest answer took, by what it was.
    longest: dict[int, float] = field(factory=dict)
    # Statuses of all answers, counted.
    statuses: dict[int, int] = field(factory=dict)
    strange: list[str] = field(factory=list)
    _run: str = field(factory=lambda: uuid4().hex[:8])
    _keys: itertools.count[int] = field(factory=itertools.count)
    _stopped: bool = False

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopped = True

    async def run(self, number: int) -> None:
        """Issue one command after the other, each until it is answered, and acknowledge it."""
        agent_id = f"load-{number}"
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            while not self._stopped:
                key = f"{self._run}-{number}-{next(self._keys)}"
                path = f"/agents/{agent_id}/commands"
                headers = {"Idempotency-Key": f'"{key}"'}
                answer = await self._insist(client, path, {"type": "replay"}, headers)
                if answer is None:
                    continue
                command_id = answer.json()["commandId"]
                before = self.accepted.setdefault(key, command_id)
                if before != command_id:
                    self.strange.append(f"{key}: {before} and {command_id}")
                done = await self._insist(client, f"{path}/{command_id}/ack", None, {})
                if done is not None:
                    self.acknowledged.add(command_id)

    async def _insist(
        self,
        client: httpx.AsyncClient,
        path: str,
        body: dict[str, str] | None,
        headers: dict[str, str],
    ) -> httpx.Response | None:
        """Ask again, at any node, until it is done; None at the end of the run."""
        loop = asyncio.get_running_loop()
        while True:
            node = random.choice(self.nodes)
            if node.served is None:
                await asyncio.sleep(0.05)
                continue
            began = loop.time()
            try:
                answer = await client.post(f"{node.api}{path}", json=body, headers=headers)
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
                continue
            status, took = answer.status_code, loop.time() - began
            self.statuses[status] = self.statuses.get(status, 0) + 1
            self.longest[status] = max(self.longest.get(status, 0.0), took)
            if status in (200, 202):
                return answer
            if status not in (503,):
                self.strange.append(f"{path}: {status} {answer.text[:200]}")
                return None
            if self._stopped:
                return None
            await asyncio.sleep(0.1)
