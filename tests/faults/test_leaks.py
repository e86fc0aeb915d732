"""The check for what a fault leaves behind: it finds what it is there to find."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from cameleer_registry.node.streams import frames
from cameleer_registry.node.streams import outgoing as streams
from cameleer_registry.node.streams.frames import Frame

from ..support import Served, connected, eventually, open_stream, streaming
from . import leaks
from .leaks import leaves_nothing, nothing_left

Tell = Callable[[str, object], None]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked for here does not go away by itself."""
    monkeypatch.setattr(leaks, "eventually", lambda condition: eventually(condition, 0.2))


async def test_nothing_is_found_where_nothing_is_left(served: Served, tell: Tell) -> None:
    """Requests and a stream that is closed leave nothing."""
    await served.register("a")

    async def fault() -> None:
        async with streaming(served, "a"):
            await served.request("GET", "/agents")

    await leaves_nothing(served, fault, times=20, tell=tell)


@pytest.mark.usefixtures("impatient")
async def test_a_stream_that_stays_is_found(served: Served) -> None:
    """Whoever still knows of it."""
    await served.register("a")
    async with connected(served) as connection:
        with pytest.raises(AssertionError, match="agents' streams\": 1"):
            async with nothing_left(served):
                await open_stream(served, connection, "a")


@pytest.mark.usefixtures("impatient")
async def test_a_descriptor_and_a_task_that_stay_are_found(served: Served) -> None:
    """Whatever they belong to."""
    with socket.socket() as sock, pytest.raises(AssertionError, match=r"descriptor of socket': 1"):
        async with nothing_left(served):
            sock = sock.dup()
    sock.close()
    with pytest.raises(AssertionError, match="task a straggler': 1"):
        async with nothing_left(served):
            straggler = asyncio.create_task(asyncio.sleep(60), name="a straggler")
    straggler.cancel()


async def test_a_few_bytes_for_each_stream_are_found(
    served: Served, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    """The line that asked for them is named."""
    await served.register("a")
    kept = []

    def keeping() -> Frame:
        kept.append(frames.opening())
        return kept[-1]

    monkeypatch.setattr(streams, "opening", keeping)

    async def fault() -> None:
        async with streaming(served, "a"):
            pass

    with pytest.raises(AssertionError, match=r"bytes at .*frames\.py"):
        await leaves_nothing(served, fault, times=400, tell=tell)
