"""Everybody else, while somebody is unlucky: agents that get every command, in order, in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from attrs import define

from cameleer_registry import Order, Target

from ..support import Connection, Served, streaming


@define
class Others:
    """Agents of the group ``others``, with a stream each."""

    served: Served
    streams: list[Connection]

    async def get_commands(self, order: Order, *, count: int = 20) -> float:
        """Send commands to all of them, one by one, and see that each gets each, in order.

        Return the 99th percentile of the seconds from the order to its event being read.
        """
        loop = asyncio.get_running_loop()
        issued: list[str] = []
        began: list[float] = []
        seconds: list[float] = []

        async def follow(stream: Connection) -> list[str]:
            got = []
            for number in range(count):
                got.append(str((await stream.event())["id"]))
                seconds.append(loop.time() - began[number])
            return got

        following = [asyncio.create_task(follow(stream)) for stream in self.streams]
        for _ in range(count):
            began.append(loop.time())
            command = await self.served.node.issue(order, Target.of_group("others"))
            issued.append(command.command_id)
            await asyncio.sleep(0.002)
        for got in await asyncio.gather(*following):
            assert issued == got
        for command_id in issued:
            for number in range(len(self.streams)):
                await self.served.ack(f"other-{number}", command_id)
        return sorted(seconds)[len(seconds) * 99 // 100]

    @staticmethod
    def compare(without: float, with_fault: float, tell: Callable[[str, object], None]) -> None:
        """Show how long commands took to others, without somebody unlucky and with."""
        tell("worst p99 of others without the fault, ms", round(1000 * without, 1))
        tell("worst p99 of others with the fault, ms", round(1000 * with_fault, 1))


@asynccontextmanager
async def others(served: Served, *, count: int = 10) -> AsyncIterator[Others]:
    """Register and connect them."""
    async with AsyncExitStack() as stack:
        streams = []
        for number in range(count):
            await served.register(f"other-{number}", "others")
            streams.append(await stack.enter_async_context(streaming(served, f"other-{number}")))
        yield Others(served, streams)
