"""What a fault leaves behind in this process: descriptors, tasks, streams, connections, bytes.

A fault is brought about once, so that whatever is made lazily is made; then what the process holds
is noted, the fault comes again, as often as it is to be tried, and everything must be as it was.
What is kept on purpose, and within a limit, is limited to so little meanwhile that it is full.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import aiohttp_sse
import pytest
from aiohttp.web_protocol import RequestHandler
from attrs import frozen

import cameleer_registry
from cameleer_registry.node.streams.outgoing import OutgoingStream, Streams
from cameleer_registry.node.telling import meters

from ..support import Served, eventually

WATCHED: Final = tuple(
    str(Path(str(package.__file__)).parent) + os.sep
    for package in (cameleer_registry, aiohttp, aiohttp_sse)
)
"""Where what is allocated counts."""

ROUNDS: Final = 3
"""Rounds, at least, in which a fault is tried, with a look at the heap after each."""

MOST_ROUNDS: Final = 12
"""Rounds after which caches are full, however long they take to fill."""

NOISE: Final = 8192
"""Bytes by which the heap may grow in a round for reasons of its own: a table that is resized."""

NOISE_EACH: Final = 16
"""Bytes for each time that the fault is tried: less than the smallest object that could stay."""


@frozen
class Holdings:
    """What this process holds at a moment, of things that can be counted."""

    descriptors: Counter[str]
    """By what they are of."""
    tasks: Counter[str]
    """By their names, or what they run."""
    registry: Counter[str]
    """What the node keeps of connections and of those who wait."""
    objects: Counter[str]
    """Objects of a connection that exist, whoever holds them."""

    @classmethod
    def of(cls, served: Served) -> Holdings:
        """Look at what is held now."""
        node = served.node
        kinds: dict[str, Streams[Any]] = {
            "agents'": node.streams,
            "followers'": node.feed.streams,
        }
        registry = Counter({"waiters": len(node._waiters)})
        for kind, streams in kinds.items():
            registry[f"{kind} streams"] = len(streams)
            registry[f"{kind} connections"] = len(streams._connections)
            registry[f"{kind} streams, kept alive"] = len(streams._keepalive_due)
            registry[f"{kind} streams, stalled"] = len(streams._stalled)
            registry[f"{kind} streams, ending"] = len(streams._ending)
        connected = [agent.agent_id for agent in node.agents() if agent.connected]
        registry["connected agents"] = len(connected)
        kinds_of_objects = (RequestHandler, OutgoingStream, aiohttp.web.BaseRequest)
        return cls(
            _descriptors(),
            Counter(_described(task) for task in asyncio.all_tasks()),
            +registry,
            Counter(
                type(one).__name__ for one in gc.get_objects() if isinstance(one, kinds_of_objects)
            ),
        )

    def beyond(self, before: Holdings) -> dict[str, int]:
        """Return what there is more of than before."""
        return dict(
            (self.descriptors - before.descriptors)
            + (self.tasks - before.tasks)
            + (self.registry - before.registry)
            + (self.objects - before.objects)
        )


def _descriptors() -> Counter[str]:
    """Return what this process has open, as the kernel calls it, without the numbers."""
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the one by which they are listed
            continue
        found[f"descriptor of {target.partition(':')[0]}"] += 1
    return found


def _described(task: asyncio.Task[object]) -> str:
    name = task.get_name()
    return f"task {getattr(task.get_coro(), '__qualname__', '?') if '-' in name else name}"


@asynccontextmanager
async def nothing_left(served: Served) -> AsyncIterator[None]:
    """See that at the end there is nothing that was not there at the beginning.

    What does not go away within some seconds is left behind: an AssertionError names it.
    """
    await _settled()
    before = Holdings.of(served)
    yield
    left: dict[str, int] = {}

    def as_before() -> bool:
        gc.collect()
        left.clear()
        left.update(Holdings.of(served).beyond(before))
        return not left

    try:
        await eventually(as_before)
    except TimeoutError:
        raise AssertionError(f"left behind: {left}") from None


async def leaves_nothing(
    served: Served,
    fault: Callable[[], Awaitable[object]],
    *,
    times: int,
    events: int = 10,
    tell: Callable[[str, object], None],
) -> int:
    """Bring a fault about some ``times``, and see that nothing of it is left, no byte of heap.

    The heap is looked at in rounds, since caches fill for a while: what is left behind each time
    makes it grow in every one of them. If it grew in each so far, there are more rounds.
    ``events`` is how many the feed remembers meanwhile, and ``tell`` is given what was measured.
    Returns how often the fault was brought about.
    """
    each = max(1, times // ROUNDS)
    growths: list[Counter[str]] = []
    with limited_memories(served, events), _no_logs_kept(), _looking_at_new(), _tracing():
        async with nothing_left(served):
            await fault()
        before = Holdings.of(served)
        for _ in range(MOST_ROUNDS):
            heap = _heap()
            async with nothing_left(served):
                for _ in range(each):
                    await fault()
            await _settled()
            growths.append(_heap())
            growths[-1].subtract(heap)
            least = min(growths, key=Counter.total)
            if len(growths) >= ROUNDS and least.total() <= NOISE + NOISE_EACH * each:
                break
        after = Holdings.of(served)
    tell("times", len(growths) * each)
    tell("descriptors before and after", (before.descriptors.total(), after.descriptors.total()))
    tell("tasks before and after", (before.tasks.total(), after.tasks.total()))
    tell("bytes retained, by round", [growth.total() for growth in growths])
    assert least.total() <= NOISE + NOISE_EACH * each, "\n".join(
        f"{size:8} bytes at {where}" for where, size in least.most_common(10)
    )
    return 1 + len(growths) * each


@contextmanager
def limited_memories(served: Served, events: int) -> Iterator[None]:
    """Have the node remember little of what has happened, so that its memory is full at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served.node.feed._ring, "limit", events)
        patch.setattr(meters, "FINISHED_REMEMBERED", 10)
        yield


@contextmanager
def _looking_at_new() -> Iterator[None]:
    """Have the garbage collector, and who asks it, look at nothing that was there before."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _tracing() -> Iterator[None]:
    """Have Python note who asks for memory, unless it does so already."""
    if tracemalloc.is_tracing():
        yield
        return
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


@contextmanager
def _no_logs_kept() -> Iterator[None]:
    """Keep what is logged from those who collect it, pytest above all: they keep all of it."""
    logger, nowhere = logging.getLogger("cameleer_registry"), logging.NullHandler()
    propagated = logger.propagate
    logger.addHandler(nowhere)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagated
        logger.removeHandler(nowhere)


async def _settled() -> None:
    """Let pass what is under way: callbacks that were asked for, and what refers to itself."""
    for _ in range(5):
        await asyncio.sleep(0)
    while gc.collect():  # noqa: ASYNC110 - not waiting: giving way
        await asyncio.sleep(0)


def _heap() -> Counter[str]:
    """Return how many bytes there are, by the line that asked for them."""
    statistics = tracemalloc.take_snapshot().statistics("lineno")
    return Counter(
        {
            f"{frame.filename}:{frame.lineno}": entry.size
            for entry in statistics
            if (frame := entry.traceback[0]).filename.startswith(WATCHED)
        }
    )
