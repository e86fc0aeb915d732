"""How long it takes until a registry is there again that was kept."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cameleer_registry import Ack, CommandType, Node, Order, Registration, Settings, Target
from cameleer_registry.core.rules import AgentId, GroupName, Note
from cameleer_registry.node.journal.sqlite.journal import SqliteJournal

from .. import disks, servers
from ..disks import Disk
from ..figures import Aim, Figures, Row
from ..scale import Scale

TRIMMED: Final = 1.0
"""Seconds within which the facts that are in rows are dropped from the log."""

FULL: Final = 100_000
"""Agents, and commands in the history, of which the aims for loading speak."""

LOADING: Final = """
import sys, time
from pathlib import Path
from cameleer_registry import Settings
from cameleer_registry.node.clock import Clock
from cameleer_registry.node.journal.sqlite.journal import SqliteJournal
from cameleer_registry.node.node import Node

node = Node(Settings(), journal=SqliteJournal(Path(sys.argv[1])))
began = time.process_time()
opened = node.journal.open(node.registry, node.clock)
print(opened.agents, opened.commands, time.process_time() - began)
"""


def measure(scale: Scale) -> Iterator[Row]:
    """Make databases, and load each in new processes."""
    with disks.disks() as found:
        yield from _loads(found[0], scale)


def _loads(disk: Disk, scale: Scale) -> Iterator[Row]:
    kept = scale.kept
    for commands in (0, kept):
        path = disk.folder / f"{commands}.db"
        asyncio.run(_fill(path, kept, commands))
        seconds = []
        for _ in range(scale.turns):
            loading = [sys.executable, "-c", LOADING, str(path)]
            told = subprocess.check_output(loading, env=servers.ENVIRONMENT, text=True).split()
            assert [str(kept), str(commands)] == told[:2], told
            seconds.append(float(told[2]))
        history = f" and {commands:,} commands to one each, acknowledged" if commands else ""
        aim = Aim(2.5 if commands else 1.0)
        yield Row(
            measure=f"CPU time to load {kept:,} agents{history} ({path.stat().st_size / 2**20:.0f} "
            "MiB)",
            unit="s",
            product=Figures(seconds),
            aim=aim if kept == FULL else None,
        )


async def _fill(path: Path, count: int, commands: int) -> None:
    """Make a database of so many agents and commands, as a server does that has been up a while."""
    journal = SqliteJournal(path)
    node = Node(Settings(database=str(path)), journal=journal)
    node.start()

    async def command(number: int) -> None:
        agent_id = f"agent-{number:07}"
        order = Order(type=CommandType.CONFIG_UPDATE, payload={"revision": number})
        issued = await node.issue(order, Target.agent(agent_id))
        await node.acknowledge(agent_id, issued.command_id, Ack(data={"applied": 7}))

    for start in range(0, count, 500):
        await asyncio.gather(
            *(node.register(_registration(n)) for n in range(start, min(start + 500, count)))
        )
    for start in range(0, commands, 500):
        await asyncio.gather(*map(command, range(start, min(start + 500, commands))))
    while len(journal.touched):  # noqa: ASYNC110 - nothing tells when it is through
        await asyncio.sleep(0.1)
    await asyncio.sleep(2 * TRIMMED)
    await node.shut_down()
    await node.stop()


def _registration(number: int) -> Registration:
    return Registration(
        agent_id=AgentId(f"agent-{number:07}"),
        group=GroupName(f"group-{number % 100}"),
        version=Note("2.4.1"),
        route_ids=("orders-in", "orders-out"),
        capabilities={"replay": True, "deep-trace": {"levels": 3}},
        instance_id=Note(f"agent-{number:07}-0193f1"),
    )
