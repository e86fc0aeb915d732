"""The life of a node: what is opened and which tasks run at its start, and how it ends.

The node itself says what it does for others meanwhile: :mod:`~cameleer_registry.node.node`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from ..core.events import CloseReason
from ..core.instant import nanoseconds
from ..core.model import AgentStatus
from ..core.registry import Events, Registry
from ..logs import get_logger
from . import monitors
from .auth.changing import drop_outdated_keys, tell_of_keys
from .effects import Effects
from .journal.port import Keeper, Opened
from .resumption import Resumption
from .streams import frames
from .streams.outgoing import BATCH
from .streams.push import Push
from .supervisor import Supervisor
from .waiters import Waiters

if TYPE_CHECKING:
    from .node import Node

log = get_logger(__name__)

SPREAD: Final = 20
"""Streams that are ended at once when many are ended little by little."""

MOVING_SECONDS: Final = 3.0
"""In which the streams of a node that ends move to others."""

DRAIN_SECONDS: Final = 1.0
"""How long streams may take to end at shutdown before they are cut."""


class Life:
    """Starts one node, and ends it."""

    def __init__(self, node: Node, effects: Effects, push: Push, waiters: Waiters) -> None:
        self._node = node
        self._effects = effects
        self._push = push
        self._waiters = waiters
        self.supervisor = Supervisor()
        # True from the beginning of the shutdown on.
        self.shutting_down = False
        # True when it has started: one of many nodes may wait long for the others before that.
        self.has_started = False
        # What is waited for meanwhile; None if whoever runs the node waits for that itself.
        self.beginning: asyncio.Future[None] | None = None
        # Is told why, if the storage fails for good. Set by whoever runs the process.
        self.on_storage_failure: Callable[[str], None] = lambda _: None
        # Is told why, if this node takes part in a shared registry no more. Likewise.
        self.on_lost: Callable[[str], None] = lambda _: None
        # How it has gone on after an earlier process; None if there was none.
        self.resumption: Resumption | None = None
        # Keeps what is in the log in tables behind it; None if nothing is kept.
        self.keeper: Keeper | None = None

    async def join(self) -> None:
        """Take part in the registry that many nodes share: see :meth:`.node.Node.join`."""
        node = self._node
        if node.shared is not None:
            node.authority.prepare(now=node.clock.now())
            await node.shared.join()

    def check_settings(self) -> None:
        """Raise SettingsError if the start would, as far as that can be told before it."""
        node = self._node
        node.authority.check_files(is_new=node.journal.is_new, now=node.clock.now())

    def start(self) -> None:
        """Open the journal, and start the guarded tasks; raises CannotOpenDatabase."""
        node = self._node
        self.shutting_down = False
        opened = node.journal.open(node.registry, node.clock, node.authority.credentials)
        began = self._begin_authority() if node.shared is None else ()
        if opened is not None:  # a start that is refused says no more than why
            log.info("database opened", **opened.told())
        node.journal.start(self._effects.proceed, self._storage_failed)
        if opened is not None:
            self._resume(opened)
        node.carry_out(began)
        self.keeper = node.journal.keeper(
            node.registry, node.feed, heartbeat_interval=node.settings.heartbeat_interval
        )
        self._start_tasks()
        self.has_started = True

    def _begin_authority(self) -> Events:
        """Decide whether credentials are needed; raises SettingsError, and lets the file go."""
        node = self._node
        try:
            facts = node.authority.begin(durable=node.journal.keeps, now=node.clock.now())
        except BaseException:
            node.journal.abandon()
            raise
        if node.authority.ring is not None:
            node.signer.use(node.authority.ring)
            if (line := node.registry.newest_line()) is not None:
                node.signer.goes_on_after(line)
        return facts

    def _resume(self, opened: Opened) -> None:
        """Go on where an earlier process has ended."""
        node = self._node
        interval = nanoseconds(node.settings.heartbeat_interval)
        least = min(node.registry.limits.stale_after, 2 * interval)
        node.registry.resume(now=opened.now, least=least)
        node.meters.learn(node.registry.open_commands())
        self._effects.position = node.journal.position  # of what is told again
        node.feed.restore(opened.past, node.registry)
        if opened.last_alive is not None:
            self.resumption = Resumption(
                self._effects,
                _expected(node.registry),
                agents=opened.agents,
                since=opened.last_alive,
                now=opened.now,
            )
        node.carry_out(node.registry.all_closed(now=opened.now))

    def _start_tasks(self) -> None:
        node, guard = self._node, self.supervisor.start
        if self.keeper is not None:
            guard("journal keeper", self.keeper.run)
        if node.shared is not None:
            guard("sending to the log", node.shared.send)
            guard("signs of life", node.shared.tick)
            if node.authority.holding is not None:
                guard("keys of this node", partial(tell_of_keys, node))
        else:  # else time is the log's, and goes by its entries
            guard("heartbeat monitor", partial(monitors.heartbeat_monitor, node))
            guard("command expiry", partial(monitors.command_expiry, node))
        guard("stream keeper", partial(monitors.stream_keeper, node))
        guard("event loop monitor", partial(monitors.loop_monitor, node))
        if node.authority.is_on:
            guard("credential watch", node.standing.watch)
            guard("key keeper", partial(drop_outdated_keys, node))
        if node.settings.forget_dead_after is not None:
            guard("forgetting of dead agents", partial(monitors.forget_dead, node))
        guard("command fan-out", self._push.drain)
        guard("event feed", node.feed.tell)
        guard("log sums", node.narrator.sum_up)

    def _storage_failed(self, reason: str) -> None:
        """End all streams: nothing that is written to them could be kept any more."""
        self.on_storage_failure(reason)
        self.end_streams(CloseReason.SHUTDOWN)

    def lost(self, reason: str) -> None:
        """End all streams: what the others go on with is not known here any more."""
        self.on_lost(reason)
        self.end_streams(CloseReason.NODE_LOST)

    def end_streams(self, reason: CloseReason) -> None:
        """End all streams of this node, whatever anybody knows of them."""
        node = self._node
        count = len(node.streams)
        for stream in node.streams:
            last = None if node.shared is None else frames.moving(count)
            node.streams.close(stream.stream_id, reason, last=last)
        if node.shared is None:
            node.feed.end()

    async def spread_ends(self, reason: CloseReason, seconds: float) -> None:
        """End all streams little by little, so that agents do not all come elsewhere at once.

        Each is told to come to another node soon.
        """
        streams = list(self._node.streams)
        pause = min(0.1, seconds * SPREAD / max(1, len(streams)))
        for count, stream in enumerate(streams, start=1):
            self._node.close_stream(stream, reason, last=frames.moving(len(streams)))
            if count % SPREAD == 0:
                await asyncio.sleep(pause)

    async def shut_down(self) -> None:
        """End all that others see of the node: see :meth:`.node.Node.shut_down`."""
        if self.shutting_down:
            return
        node = self._node
        self.shutting_down = True
        await node.journal.flush()
        self._waiters.wake_all()
        if node.shared is not None:
            await self.spread_ends(CloseReason.SHUTDOWN, MOVING_SECONDS)
            await node.shared.leave()
        for count, stream in enumerate(node.streams, start=1):
            node.close_stream(stream, CloseReason.SHUTDOWN)
            if count % BATCH == 0:
                await asyncio.sleep(0)
        await node.journal.flush()
        node.feed.end()
        await asyncio.gather(
            node.streams.drained(DRAIN_SECONDS), node.feed.streams.drained(DRAIN_SECONDS)
        )

    async def stop(self) -> None:
        """End the guarded tasks, and then the journal."""
        await self.supervisor.stop()
        if self.keeper is not None:
            await self.keeper.finish()
        await self._node.journal.close()
        if self._node.shared is not None:
            await self._node.shared.close()

    @property
    def ailments(self) -> list[str]:
        """Why the node should be given no work; empty while it takes work."""
        node = self._node
        shutting_down = ["shutting down"] if self.shutting_down else []
        storage = [] if (trouble := node.journal.trouble) is None else [f"storage: {trouble}"]
        failing = [f"{name} keeps failing" for name in self.supervisor.failing]
        cut_off = [] if node.shared is None else node.shared.shown.ailments
        return shutting_down + storage + cut_off + failing


def _expected(registry: Registry) -> Iterator[str]:
    """Return the agents of which the last that is known is that they were LIVE or STALE."""
    records = registry.records(0, len(registry))
    return (record.agent_id for record in records if record.status is not AgentStatus.DEAD)
