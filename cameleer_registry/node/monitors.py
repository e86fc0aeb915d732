"""The guarded tasks: what a node does without being asked.

They tell of what time has brought about; they do not decide it. A status or a deadline is judged
by the clock whenever somebody looks, also while none of these runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from ..core.instant import NANOSECONDS, nanoseconds
from ..core.selection import LapsedAgents
from ..errors import NotInContact, OutcomeUnknown, StorageUnavailable
from ..logs import get_logger
from .streams.outgoing import BATCH

if TYPE_CHECKING:
    from .node import Node

log = get_logger(__name__)

LONGEST_SLEEP: Final = NANOSECONDS // 2
"""How long a monitor sleeps if nothing is due before. The loop's timers stand still while the
host is suspended, and deadlines do not: it is noticed so soon after that."""


LONGEST_WAIT_TO_FORGET: Final = 10 * NANOSECONDS
"""How much longer than it has to a DEAD agent is known, at most; less if that time is short."""


async def heartbeat_monitor(node: Node) -> None:
    """Tell of agents that went STALE or DEAD; and look at the clock often enough."""
    while True:
        now = node.clock.now()
        due = node.registry.next_lease_end()
        if due is not None and due <= now.lease:
            node.carry_out(node.registry.sweep_leases(now=now))
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(_seconds_to(due, now.lease, most=node.clock.tick))


async def command_expiry(node: Node) -> None:
    """Tell of commands that expired, and forget those that are too many."""
    while True:
        now = node.clock.now()
        due = node.registry.next_command_sweep()
        if due is not None and due <= now.steady:
            node.carry_out(node.registry.sweep_commands(now=now))
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(_seconds_to(due, now.steady, most=LONGEST_SLEEP))


async def forget_dead(node: Node) -> None:
    """Forget agents that have been DEAD for ``forget_dead_after``, by the clock of leases."""
    after = nanoseconds(node.settings.forget_dead_after or 0)
    agents = LapsedAgents(dead_for=after)
    pause = min(LONGEST_WAIT_TO_FORGET, after // 10) / NANOSECONDS
    while True:
        # While nothing can be stored nobody is forgotten: it can wait. Of many nodes one does it.
        with contextlib.suppress(StorageUnavailable, NotInContact, OutcomeUnknown):
            if node.shared is not None and not node.shared.is_first:
                pass
            elif removed := await node.remove_lapsed(agents):
                log.info("agents deleted that had been DEAD for long", agents=removed)
        await asyncio.sleep(pause)


async def loop_monitor(node: Node) -> None:
    """Measure how late the loop wakes whoever sleeps, twice a second."""
    while True:
        due = node.clock.now().steady + LONGEST_SLEEP
        await asyncio.sleep(LONGEST_SLEEP / NANOSECONDS)
        node.meters.loop_lag.observe(max(0, node.clock.now().steady - due) / NANOSECONDS)


async def stream_keeper(node: Node) -> None:
    """Write keepalives, and cut off readers that do not read."""
    kinds = (node.streams, node.feed.streams)
    while True:
        await asyncio.sleep(min(streams.next_wake() for streams in kinds))
        for streams in kinds:
            while streams.keep_alive(BATCH):  # noqa: ASYNC110 - not waiting: giving way
                await asyncio.sleep(0)
            streams.abort_overdue()


def _seconds_to(due: int | None, now: int, *, most: int) -> float:
    """Return how long to sleep: until something is due, and ``most`` nanoseconds at most."""
    return (most if due is None else min(most, due - now)) / NANOSECONDS
