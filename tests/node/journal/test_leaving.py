"""Whoever waits for a commit may leave; the others who wait for it do not notice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from cameleer_registry import NODE, Settings, create_app
from cameleer_registry.node.journal.shared import Shared

from ...durability import nodes
from ...support import within


async def test_one_of_many_is_cancelled(tmp_path: Path) -> None:
    """As a middleware with a limit of time does, or aiohttp with ``handler_cancellation``."""
    async with nodes.running(tmp_path / "registry.db") as node:
        tasks = [
            asyncio.create_task(node.register(nodes.agent(f"agent-{number}")))
            for number in range(10)
        ]
        reading = asyncio.create_task(node.settled())
        await asyncio.sleep(0)
        tasks[3].cancel()
        reading.cancel()
        others = tasks[:3] + tasks[4:]
        assert 9 == len(await within(asyncio.gather(*others)))
        with pytest.raises(asyncio.CancelledError):
            await tasks[3]
        assert 10 == len(node.agents())  # what was begun is not taken back


async def test_a_client_of_a_host_leaves(tmp_path: Path) -> None:
    """Everybody else is answered."""
    app = create_app(Settings(database=str(tmp_path / "registry.db")))
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        [address] = runner.addresses
        connections = [await asyncio.open_connection(*address[:2]) for _ in range(8)]
        for round_ in range(5):
            for number, (_, writer) in enumerate(connections):
                body = b'{"agentId":"a-%d-%d","group":"g"}' % (round_, number)
                writer.write(
                    b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )
            for _ in range(3):  # until the requests are there, and wait
                await asyncio.sleep(0)
            connections.pop()[1].transport.abort()
            for reader, _ in connections:
                head = await within(reader.readuntil(b"\r\n\r\n"))
                assert head.startswith(b"HTTP/1.1 201"), head
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await within(reader.readexactly(length))
        assert not app[NODE].ailments
        for _, writer in connections:
            writer.close()
    finally:
        await runner.cleanup()


async def test_a_failure_after_everybody_has_left() -> None:
    """Nobody is told that nobody took notice of it."""

    async def wait(shared: Shared) -> None:
        await shared

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    shared = Shared()
    task = asyncio.create_task(wait(shared))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    shared.finish(OSError("x"))
    del shared
    await asyncio.sleep(0)
    assert [] == told
