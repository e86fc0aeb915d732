"""What the client's tests need: an agent that runs, a network that fails, and a clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import pytest
from attrs import define, field

from cameleer_registry.client import Agent, CommandEvent
from cameleer_registry.client.server_clock import ServerClock

from ..support import Served, eventually

virtual_time = pytest.mark.looptime(start=1000)
"""Minutes in milliseconds."""


class VirtualServerClock(ServerClock):
    """The time of :func:`~tests.support.virtual_clock`, whatever a Date says."""

    def seconds_until(self, moment: datetime) -> float:
        return moment.timestamp() - 1_795_000_000 - asyncio.get_running_loop().time()


@asynccontextmanager
async def running_agent(agent: Agent) -> AsyncIterator[asyncio.Task[None]]:
    """Run an agent, and cancel it at the end."""
    task = asyncio.create_task(agent.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def echoing(url: str, agent_id: str = "a", **more: Any) -> tuple[Agent, list[CommandEvent]]:
    """Return an agent that answers with the payload, and the list of what it is told to do."""
    agent, told = Agent(url, agent_id=agent_id, group="g", **more), []

    @agent.on("config-update")
    async def echo(command: CommandEvent) -> Any:
        told.append(command)
        return command.payload

    return agent, told


async def connected(served: Served, agent_id: str = "a", seconds: float = 20) -> None:
    """Wait until an agent is LIVE and connected, in the eyes of the server."""

    def is_connected() -> bool:
        if agent_id not in served.node.registry:
            return False
        agent = served.node.agent(agent_id)
        return agent.connected and agent.status == "LIVE"

    await eventually(is_connected, seconds)


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serve bytes on a free port, and leave nothing of it; gives ``HOST:PORT``."""
    tasks: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        writers.add(writer)
        with suppress(asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
            await serve(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
            writer.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@define
class Proxy:
    """A network between a client and a server that fails in the ways that networks do."""

    target: tuple[str, int]
    port: int = 0
    # Cleared while nothing gets through, in either direction, and nobody is told.
    _open: asyncio.Event = field(factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(factory=set)
    _tasks: set[asyncio.Task[None]] = field(factory=set)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def freeze(self) -> None:
        """Drop everything on the connections there are, without a word to either end."""
        self._open.clear()
        self._open = asyncio.Event()

    def stop(self) -> None:
        """Let nothing through until :meth:`go`, as when the server's process is stopped."""
        self._open.clear()

    def go(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """Reset all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        is_open = self._open
        self._writers.add(writer)
        try:
            try:
                far_reader, far_writer = await asyncio.open_connection(*self.target)
            except OSError:
                return
            self._writers.add(far_writer)
            try:
                await asyncio.gather(
                    self._pipe(is_open, reader, far_writer),
                    self._pipe(is_open, far_reader, writer),
                )
            finally:
                self._writers.discard(far_writer)
                far_writer.close()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pipe(
        self, is_open: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await is_open.wait()
                writer.write(data)
                await writer.drain()
        with suppress(ConnectionError, OSError):
            writer.close()


@asynccontextmanager
async def proxy(served: Served) -> AsyncIterator[Proxy]:
    """Put a network between clients and a server."""
    network = Proxy((served.host, served.port))
    network.go()
    handlers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        with suppress(asyncio.CancelledError):
            await network.serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    network.port = server.sockets[0].getsockname()[1]
    try:
        yield network
    finally:
        server.close()
        network.cut()
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
