"""For tests of programs that embed a registry: a node on a clock that the test moves.

::

    async with running_node(Settings(stale_after=90)) as (node, clock):
        await node.register(Registration(agent_id="a", group="orders"))
        await clock.advance(91)
        assert node.agent("a").status == "STALE"

Nothing waits and nothing sleeps: ``advance`` moves the clock and reports whatever the passing of
time has caused by then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from .core.instant import NANOSECONDS, nanoseconds
from .node.clock import Clock
from .node.node import Node
from .settings import Settings

__all__ = ["VirtualClock", "running_node"]

BEGINNING: Final = 1_795_000_000 * NANOSECONDS
"""The time of day at which a virtual clock begins: 2026-11-18T11:06:40Z."""


class VirtualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        # Nanoseconds since the beginning.
        self._passed = 0
        # The nodes that are told of what time brings about.
        self._nodes: list[Node] = []

    def clock(self) -> Clock:
        """Return the clock of one node, which reads this one."""
        return Clock(
            # However far it is moved at once: that is no pause of the process.
            tick=2**62,
            steady=lambda: NANOSECONDS + self._passed,
            wall=lambda: BEGINNING + self._passed,
        )

    async def advance(self, seconds: float) -> None:
        """Move the clock, and report what that causes: agents that are STALE, commands that
        expire.
        """
        self._passed += nanoseconds(seconds)
        for node in self._nodes:
            await node.catch_up()


@asynccontextmanager
async def running_node(
    settings: Settings | None = None, *, clock: VirtualClock | None = None
) -> AsyncIterator[tuple[Node, VirtualClock]]:
    """Run a node on a virtual clock, in memory; several may share one."""
    clock = clock or VirtualClock()
    node = Node(settings or Settings(), clock=clock.clock())
    node.start()
    clock._nodes.append(node)
    try:
        yield node, clock
    finally:
        clock._nodes.remove(node)
        await node.shut_down()
        await node.stop()
