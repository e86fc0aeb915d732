"""Nodes that keep what has happened, in this process: started, ended, and killed."""

from __future__ import annotations

import queue
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from attrs import define

from cameleer_registry import Node, Settings
from cameleer_registry.core.instant import NANOSECONDS
from cameleer_registry.core.model import Registration
from cameleer_registry.core.rules import AgentId, GroupName
from cameleer_registry.node.clock import Clock
from cameleer_registry.node.journal.sqlite import writer
from cameleer_registry.node.journal.sqlite.journal import SqliteJournal

HOUR: Final = 3600
DAY: Final = 24 * HOUR


@define
class Host:
    """A host whose clocks a test sets: steady time, which begins with it, and the time of day."""

    steady: int = 1_000 * NANOSECONDS
    wall: int = 1_795_000_000 * NANOSECONDS

    def clock(self) -> Clock:
        # However far it is moved at once: that is no pause of the process.
        return Clock(tick=2**62, steady=lambda: self.steady, wall=lambda: self.wall)

    def passes(self, seconds: float) -> None:
        self.steady += round(seconds * NANOSECONDS)
        self.wall += round(seconds * NANOSECONDS)


def journal_of(node: Node) -> SqliteJournal:
    journal = node.journal
    assert isinstance(journal, SqliteJournal)
    return journal


def start(
    path: Path,
    host: Host | None = None,
    follow: Callable[[SqliteJournal], None] = lambda _: None,
    **settings: Any,
) -> Node:
    """Start a node on a file; ``follow`` may have a look at its journal before."""
    journal = SqliteJournal(path)
    follow(journal)
    clock = None if host is None else host.clock()
    node = Node(Settings(**settings), clock=clock, journal=journal)
    node.start()
    return node


async def end(node: Node) -> None:
    """Have a node end as it should."""
    await node.shut_down()
    await node.stop()


async def kill(node: Node, to: Path | None = None) -> None:
    """Leave a node as SIGKILL does: what waits to be written never is.

    The files are as they were then, and are copied ``to`` another place: this process still has
    the first ones open.
    """
    await node.life.supervisor.stop()
    journal = journal_of(node)
    thread, journal._writer = journal._writer, None
    file, journal._file = journal._file, None
    assert thread is not None
    assert file is not None
    try:
        while True:
            thread._jobs.get_nowait()
    except queue.Empty:
        thread._jobs.put((writer._STOP, lambda: None, 0))
    thread._thread.join()
    for handle in (journal._timer, journal._impatience):
        if handle is not None:
            handle.cancel()
    if to is not None:
        for end_of_name in ("", "-wal"):
            shutil.copy(f"{file.path}{end_of_name}", f"{to}{end_of_name}")
    file.close()


@asynccontextmanager
async def running(path: Path, host: Host | None = None, **settings: Any) -> AsyncIterator[Node]:
    """Run a node on a file, and have it end as it should."""
    node = start(path, host, **settings)
    try:
        yield node
    finally:
        await end(node)


def agent(agent_id: str, group: str = "g", **more: Any) -> Registration:
    return Registration(agent_id=AgentId(agent_id), group=GroupName(group), **more)
