"""How large the file becomes, and how long it takes to be read."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cameleer_registry import Node
from cameleer_registry.core.model import Ack, Order, Target
from cameleer_registry.node.journal.sqlite import folding

from ..faults.figures import tell
from ..faults.scale import IS_LONG
from ..support import eventually
from . import nodes

COMMANDS = 1_000_000 if IS_LONG else 12_000
AGENTS = 100_000 if IS_LONG else 10_000
AT_ONCE = 100


async def test_the_file_is_flat_over_many_commands(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """When the history is full, whatever comes takes the place of what goes."""
    if not IS_LONG:
        monkeypatch.setattr(folding, "TOLD_AGAIN", 1000)
    history = 20_000 if IS_LONG else 500
    path = tmp_path / "registry.db"
    sizes = []
    async with nodes.running(path, command_history=history, idempotency_keys=500) as node:
        for number in range(AT_ONCE):
            await node.register(nodes.agent(f"agent-{number}"))
        journal = nodes.journal_of(node)
        for start in range(0, COMMANDS, AT_ONCE):
            await asyncio.gather(*(once(node, start, number) for number in range(AT_ONCE)))
            if start and start % (COMMANDS // 6) < AT_ONCE:
                await eventually(lambda: not len(journal.touched), 120)
                await asyncio.sleep(1.2)  # what is in rows is dropped once a second
                sizes.append(sum(journal.sizes))
    tell(record_property, **{f"bytes_{number}": size for number, size in enumerate(sizes)})
    assert max(sizes[2:]) <= 1.5 * sizes[1], sizes


async def once(node: Node, start: int, number: int) -> None:
    """Issue a command and acknowledge it, with a payload, a key and a result."""
    agent_id = f"agent-{number}"
    order = Order(type="replay", payload={"text": "x" * 100})
    key = f"key-{start}-{number}"
    command = await node.issue(order, Target.agent(agent_id), idempotency_key=key)
    await node.acknowledge(agent_id, command.command_id, Ack(message="done"))


async def test_how_long_agents_take_to_load(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A figure to look at; that all of them are there is what is tested."""
    path = tmp_path / "registry.db"
    async with nodes.running(path) as node:
        for start in range(0, AGENTS, 1000):
            await asyncio.gather(
                *(
                    node.register(
                        nodes.agent(
                            f"agent-{number}",
                            f"group-{number % 50}",
                            route_ids=("one", "two"),
                            capabilities={"replay": True, "tracing": False},
                        )
                    )
                    for number in range(start, start + 1000)
                )
            )
        await eventually(lambda: not len(nodes.journal_of(node).touched), 300)
        await asyncio.sleep(1.2)
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    node = nodes.start(path)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert len(node.registry) == AGENTS
    await nodes.end(node)
    tell(
        record_property,
        agents=AGENTS,
        seconds=round(seconds, 3),
        cpu_seconds=round(cpu, 3),
        bytes_an_agent=path.stat().st_size // AGENTS,
    )
