"""Nodes as processes of their own, over real NATS servers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import define, field

from ..nats import NatsServers
from ..processes import Server, free_port, server
from ..support import within

PATIENCE = 60.0
"""Seconds in which a node starts, or ends: one that was killed is given up by others after five."""


@define(eq=False)
class NodeProcess:
    """One node, which may be killed and started again with what it has kept."""

    name: str
    nats: NatsServers
    database: str
    more: tuple[str, ...] = ()
    # The same after each start: an agent knows where to come back to.
    port: int = field(factory=free_port)
    # What it is run by, such as "ip netns exec".
    within_program: tuple[str, ...] = ()
    # Where its log goes; None is to the terminal.
    log: Path | None = None
    served: Server | None = None
    _context: Any = field(default=None, init=False)

    @property
    def args(self) -> tuple[str, ...]:
        return (
            *("--port", str(self.port), "--node-name", self.name, "--database", self.database),
            *("--cluster", ",".join(self.nats.urls)),
            *self.more,
        )

    async def start(self) -> None:
        """Start it, and wait until it takes requests."""
        if self.log is None:
            self._context = server(
                *self.args, within_program=self.within_program, patience=PATIENCE
            )
            self.served = await self._context.__aenter__()
            return
        with self.log.open("ab") as log:
            self._context = server(
                *self.args, stderr=log, within_program=self.within_program, patience=PATIENCE
            )
            self.served = await self._context.__aenter__()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal; return the exit status."""
        assert self.served is not None
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            self.served.process.send_signal(number)
        status: int = await within(self.served.process.wait(), PATIENCE)
        await self._context.__aexit__(None, None, None)
        self.served = None
        return status

    async def kill(self) -> None:
        """Kill it."""
        await self.end(signal.SIGKILL)

    @property
    def url(self) -> str:
        """Where it is, whether it runs or not."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        assert self.served is not None
        return self.served.api

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Ask it something."""
        async with httpx.AsyncClient(base_url=self.api, timeout=30) as client:
            return await client.request(method, path, json=body, headers=headers)

    async def shows(
        self,
        ask: Callable[[], Awaitable[httpx.Response]],
        condition: Callable[[Any], bool],
        seconds: float = 30,
    ) -> None:
        """Wait until what is asked shows something."""
        async with asyncio.timeout(seconds):
            while not condition((await ask()).json()):  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.3)

    async def enter(self, agent_id: str, group: str = "g") -> httpx.Response:
        """Register an agent."""
        body = {"agentId": agent_id, "group": group}
        return await self.ask("POST", "/agents/register", body)


@asynccontextmanager
async def nodes(
    nats: NatsServers,
    directory: Path,
    *names: str,
    more: tuple[str, ...] = (),
    quiet: bool = False,
) -> AsyncIterator[list[NodeProcess]]:
    """Run nodes with databases of their own; quiet ones write their logs beside these."""
    running = [
        NodeProcess(
            name,
            nats,
            str(directory / f"{name}.db"),
            more,
            log=directory / f"{name}.log" if quiet else None,
        )
        for name in names
    ]
    try:
        for node in running:
            await node.start()
        yield running
    finally:
        for node in running:
            if node.served is not None:
                await node.kill()


async def same_everywhere(*running: NodeProcess) -> dict[str, Any]:
    """Wait until all nodes show the same; return it."""
    async with asyncio.timeout(60):
        while True:
            shown = []
            for node in running:
                agents = (await node.ask("GET", "/agents")).json()
                commands = (await node.ask("GET", "/commands")).json()
                shown.append({"agents": agents, "commands": commands})
            if all(shown[0] == each for each in shown):
                return shown[0]
            await asyncio.sleep(0.3)
