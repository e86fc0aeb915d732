"""Agents that hold their streams and do what they are told, as a test wants them to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from attrs import define, field

from ..support import Connection, Served, connected, open_stream

Obey = Callable[[str], dict[str, Any] | None]
"""What an agent says to a command: the body of its acknowledgement, or None for nothing."""


@define
class Fleet:
    """Agents with open streams."""

    served: Served
    streams: dict[str, Connection] = field(factory=dict)

    async def obey(self, said: Obey) -> None:
        """Read one command from every stream, and acknowledge it."""

        async def one(agent_id: str, stream: Connection) -> None:
            event = await stream.event()
            if (body := said(agent_id)) is not None:
                assert 200 == (await self.served.ack(agent_id, event["id"], body)).status

        await asyncio.gather(*(one(*item) for item in self.streams.items()))


@asynccontextmanager
async def fleet(served: Served, ids: list[str], group: str) -> AsyncIterator[Fleet]:
    """Register agents and open their streams, a hundred at a time."""
    async with AsyncExitStack() as stack:
        agents = Fleet(served)

        async def join(agent_id: str) -> None:
            assert (await served.register(agent_id, group)).status in (200, 201)
            stream = await stack.enter_async_context(connected(served))
            await open_stream(served, stream, agent_id)
            agents.streams[agent_id] = stream

        for start in range(0, len(ids), 100):
            await asyncio.gather(*map(join, ids[start : start + 100]))
        yield agents
