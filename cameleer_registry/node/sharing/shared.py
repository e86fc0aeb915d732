"""One node among many: it follows the log, puts into it what comes to it, and acts on what comes of
all entries.

Everything that changes the registry goes through the log, and is applied when it comes back, in the
order of the log, as at every other node. What follows from that is done here as far as it is this
node's: its streams are written to, its callers are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import orjson
from attrs import frozen

from ...core import copies, inputs
from ...core.copies import Copy, UnknownCopy, copy_of, to_replica
from ...core.events import CloseReason
from ...core.inputs import Input
from ...core.instant import nanoseconds
from ...core.log_time import LogTime
from ...core.members import STREAMS_OF_A_NODE, Members
from ...core.model import AgentStatus, ClusterNode
from ...core.registry import Registry
from ...core.replica import Applied, Replica
from ...core.views import time_of_day
from ...errors import (
    AgentNotRegistered,
    CannotJoin,
    NodeBehind,
    NodeNameInUse,
    NotInContact,
    OutcomeUnknown,
)
from ...logs import get_logger
from ...security.inputs import to_entry
from ...security.store import Credentials
from ...version import __version__
from ..auth import replicated
from ..auth.changing import publish_held
from ..auth.replicated import Replicated
from ..auth.signing import Signer
from ..clock import Clock
from ..limits import limits_of
from ..log.port import Log, LogLost, LogUnavailable, Snapshot
from ..telling.histogram import Histogram
from .agreement import Agreement
from .appender import Appender
from .clock import SharedClock
from .contact import ENDING, REFUSING, WAITING, Contact
from .own_file import OwnFile, refuse
from .rebuilding import rebuild

if TYPE_CHECKING:
    from ..node import Node

log = get_logger(__name__)

TICK: Final = 0.5
"""Seconds between two signs of life of a node."""

HEARD: Final = 1.0
"""Seconds after which those are put into the log who have sent heartbeats."""

NAME_PATIENCE: Final = 12.0
"""Seconds in which a node of the same name may be found to be lost: one that was killed, and
started again."""

POSITION_PATIENCE: Final = 2.0
"""Seconds that a request waits for what another node has answered."""

LOOKS: Final = 0.02
"""Seconds between two looks at the end of the log for things that are not known here."""

TOLD_TOGETHER: Final = 0.02
"""Seconds within which the streams that were written to are noted together."""

MARK_SECONDS: Final = 600.0
MARK_ENTRIES: Final = 50_000
"""After which everything is copied: from there a node reads the log on when it starts."""

COPIED_AT_ONCE: Final = 200
"""Rows made in one turn of the loop: 2 ms."""

SPREAD_SECONDS: Final = 3.0
"""In which streams are ended, so that their agents do not all come at once elsewhere."""

LEAVE_SECONDS: Final = 3.0

Position = str
"""What ``X-Cameleer-Position`` says: the beginning of the lineage, and the position."""


@frozen(kw_only=True)
class Figures:
    """What is measured of a node's part in a registry that many share."""

    position: int
    silent: float
    append_seconds: Histogram
    inputs_an_entry: Histogram
    retries: int
    divergences: int
    rebuilds: int
    entries_behind_copy: int
    copy_age: float
    behind: int
    live: int


class Shared:
    """A node's part in a registry that many nodes share."""

    def __init__(
        self,
        node: Node,
        shared_log: Log,
        beside: Replicated,
        *,
        name: str,
        database: Path | None,
    ) -> None:
        self.node = node
        # The credentials, which the log moves as it does the registry.
        self.beside = beside
        self.log = shared_log
        self.name = name
        self._database = database
        self._file: OwnFile | None = None
        # Under which address the others name this node; set by whoever listens.
        self.address: str | None = None
        # Set by join().
        self.replica: Replica | None = None
        # False while this node begins anew: what it shows is what was before.
        self.is_level = True
        # Up to where the log was applied before that: what comes of it has been told.
        self._told = 0
        self._agreement = Agreement()
        self._rebuilding: asyncio.Task[None] | None = None
        self.number: int | None = None
        self._appender: Appender | None = None
        self._boot = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self.contact = Contact(self._time)
        # Why this node takes part no more, for good; None while it does.
        self.lost: str | None = None
        self.on_lost: Callable[[str], None] = lambda _: None
        self._left = False
        # Agents that have sent a heartbeat since they were put into the log last.
        self._heard: dict[str, None] = {}
        # Streams that were written to and are not noted yet, by command.
        self._pushed: dict[str, list[str]] = {}
        self._pushed_timer: asyncio.TimerHandle | None = None
        self._told_pushed = 0.0
        # Who waits for positions: the position, and what is done then.
        self._reached: list[tuple[int, asyncio.Future[None]]] = []
        self._look: asyncio.Future[None] | None = None
        self._looked = 0.0
        # Copies that are being written, and the position and time of the newest.
        self._copying: asyncio.Task[None] | None = None
        self._marked_at = 0
        self._marked = 0.0
        # Tasks that are held on to.
        self._rejoining: asyncio.Task[None] | None = None
        self._spreading: asyncio.Task[None] | None = None
        # Entries that wait until a copy is made; None while none is.
        self._held: deque[tuple[int, int, bytes]] | None = None
        self.snapshot_position = 0
        self.divergences = self.rebuilds = 0
        self._ending = False

    def _time(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()

    # Beginning

    async def join(self) -> None:
        """Follow the log up to its end, and take part; raises CannotJoin and CannotOpenDatabase."""
        self._loop = asyncio.get_running_loop()
        await self.log.open()
        if self._database is not None:
            self._file = OwnFile.open(self._database)
        while True:
            try:
                await self._follow()
                break
            except LogUnavailable as error:
                log.warning("the log cannot be read yet", reason=str(error))
                await asyncio.sleep(0.5)
            except LogLost as error:
                raise CannotJoin(str(error)) from None
        self.node.authority.begin_shared()
        await self._enter()

    async def _follow(self) -> None:
        """Begin with the newest copy that there is, and apply all that the log has behind it."""
        content = await self._beginning()
        copied = orjson.loads(content)
        copy = Copy(about=copied["about"], rows=[tuple(row) for row in copied["rows"]])
        try:
            replica = to_replica(copy)
            self.begin_with(replica, copied)
        except (UnknownCopy, KeyError) as error:
            raise CannotJoin(f"the snapshot of the log cannot be read: {error}") from None
        self._tell_of_limits()
        _, newest = await self.log.bounds()
        await self.catch_up(newest)

    def begin_with(self, replica: Replica, copied: dict[str, Any], *, told: int = 0) -> None:
        """Be what a copy says; what the log has up to the position ``told`` is not told again.

        Raises KeyError if it is no whole copy, and SettingsError if the keys for it are not here.
        """
        node, clock = self.node, self.node.clock
        assert isinstance(clock, SharedClock)
        self.beside.start_over(copied["beside"])
        node.registry.become(replica.registry)
        replica.registry, replica.beside = node.registry, self.beside
        self.replica, self._told = replica, told
        clock.follow(replica.time)
        node.feed.take_over(copied["feed"], node.registry)
        node.meters.learn(node.registry.open_commands())
        self._marked_at, self._marked = replica.position, self._time()

    async def catch_up(self, head: int) -> None:
        """Follow the log, and return when it has been applied up to a position."""
        assert self.replica is not None
        self.log.follow(self.replica.position, self._take, self.lose)
        await self._wait_for(head)

    async def copies_written(self) -> None:
        """Wait until no copy is being made."""
        while self._copying is not None and not self._copying.done():
            await asyncio.gather(self._copying, return_exceptions=True)

    def _tell_of_limits(self) -> None:
        """Say where this node's settings are not those that the nodes share."""
        assert self.replica is not None
        own, shared = limits_of(self.node.settings), self.replica.registry.limits
        if own != shared:
            log.warning("this node's settings are others than the log's, which count")

    async def _beginning(self) -> bytes:
        """Return a copy to begin with: of this node's database, or of the log."""
        newest = await self.log.load()
        belongs = None if self._file is None else self._file.belongs()
        if belongs is not None and belongs.lineage != self.log.lineage:
            assert self._database is not None
            raise refuse(self._database, "belongs to another log than that of this cluster")
        if newest is None:
            newest = await self._found()
        elif belongs is None and self._file is not None:
            self._check_unused()
        if belongs is None:
            return newest.content
        position = int(orjson.loads(belongs.content)["about"]["position"])
        oldest, last = await self.log.bounds()
        if position > last:
            raise CannotJoin(
                f"{self._database} has seen the entry {position} of the log, which ends at {last}: "
                "entries that had been confirmed are lost"
            )
        return belongs.content if position + 1 >= oldest else newest.content

    async def _found(self) -> Snapshot:
        """Found the log with what the database holds; or begin with what another one has."""
        registry, clock = Registry(self.node.registry.limits, in_order=True), Clock()
        credentials, order = Credentials(), Signer()
        now, first = clock.now(), clock.now().wall // 1000
        holds = False
        if self._file is not None:
            loaded = self._file.load_alone(registry, clock, credentials)
            holds = bool(loaded.agents or loaded.commands or credentials.ever)
            now = loaded.now
            interval = nanoseconds(self.node.settings.heartbeat_interval)
            registry.resume(now=now, least=min(registry.limits.stale_after, 2 * interval))
            registry.all_closed(now=now)
            if (line := registry.newest_line()) is not None:
                order.goes_on_after(line)
            # Above all ids that anybody may have been told.
            first = max(first, loaded.first_event + 1024 * (loaded.position + 2))
        replica = Replica(registry, Members(), LogTime(now))
        feed = {"first": first, "newest": first - 1, "lost": first - 1, "events": []}
        beside = replicated.value(credentials, [], order.order)
        content = await asyncio.to_thread(self._content, copy_of(replica), feed, beside)
        if await self.log.found(content):
            log.info("log founded", agents=len(registry), commands=registry.count_commands())
        elif holds:
            self._check_unused()
        newest = await self.log.load()
        assert newest is not None
        return newest

    def _check_unused(self) -> None:
        """Raise CannotOpenDatabase where the database holds what the log has not."""
        assert self._file is not None
        credentials = Credentials()
        registry = Registry(self.node.registry.limits)
        loaded = self._file.load_alone(registry, Clock(), credentials)
        if loaded.agents or loaded.commands or credentials.ever:
            raise refuse(
                self._file.path,
                "was used by a registry alone, and this cluster has been founded already",
            )

    async def _enter(self) -> None:
        """Take part, under a name that nobody else has."""
        until = self._time() + NAME_PATIENCE
        while True:
            if self.lost is not None:
                raise CannotJoin(self.lost)
            self._begin_boot()
            assert self._appender is not None
            wish = self._wish()
            positions = self._positions()
            sending = asyncio.create_task(self._appender.run(), name="joining")
            try:
                self.number = await self._appender.submit(wish)
                await self._publish_keys()
                return
            except NodeNameInUse as error:
                await asyncio.sleep(1.2)
                if self._time() > until or self._is_alive(positions):
                    raise CannotJoin(str(error)) from None
            except (OutcomeUnknown, NotInContact) as error:
                log.warning("the log does not answer yet", reason=str(error))
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def _publish_keys(self) -> None:
        """Publish the keys of this node's file, if they are newer and all nodes hold them."""
        with contextlib.suppress(ValueError, OutcomeUnknown, NotInContact):  # again in a moment
            await publish_held(self.node)

    def _wish(self) -> inputs.Join:
        holding = self.node.authority.holding
        return inputs.Join(
            name=self.name,
            version=__version__,
            address=self.address,
            registry=None if holding is None else holding.ring.registry,
            root=None if holding is None else holding.ring.root_id,
            holds=() if holding is None else holding.holds,
        )

    def _begin_boot(self) -> None:
        self._boot = uuid4().hex[:12]
        self._appender = Appender(self.log, self._boot)

    def _positions(self) -> dict[str, int]:
        assert self.replica is not None
        return {boot: member.no for boot, member in self.replica.members.live.items()}

    def _is_alive(self, before: Mapping[str, int]) -> bool:
        """Tell whether the node of this name has said anything since."""
        assert self.replica is not None
        return any(
            member.name == self.name and member.no > before.get(boot, member.no)
            for boot, member in self.replica.members.live.items()
        )

    # The log

    def _take(self, position: int, stamp: int, content: bytes) -> None:
        """Apply an entry, or hold it while everything is being copied as it is."""
        if self._held is None:
            self._apply(position, stamp, content)
        else:
            self._held.append((position, stamp, content))

    def _apply(self, position: int, stamp: int, content: bytes) -> None:
        """Apply an entry that has come from the log, and do what is this node's to do."""
        replica, node = self.replica, self.node
        assert replica is not None
        entry = to_entry(orjson.loads(content))
        applied = replica.apply(position, stamp, entry)
        clock = node.clock
        assert isinstance(clock, SharedClock)
        clock.applied()
        node.feed.cut(applied.now)
        own, again = entry.boot == self._boot, position <= self._told
        node.carry_out_shared(applied.facts, own=own and not again, again=again)
        node.feed.gather(applied.now)
        if applied.cut:
            node.feed.cut(None)
        if not again:
            self._tell_of_nodes(applied)
        if own:
            self._came_back(applied)
        if applied.cut:
            self._marked_at, self._marked = position, self._time()
            if not again:
                self._copy(own=own)
        if any(member.boot == self._boot for member in applied.lost):
            self._was_lost()
        self._compare(applied)
        self._reach(position)

    def _compare(self, applied: Applied) -> None:
        for member, agrees in applied.compared:
            if member.boot == self._boot:
                continue
            self.divergences += not agrees
            if self._agreement.note(member.boot, agrees):
                log.error(
                    "another node has derived something else from the log",
                    node=member.name,
                    position=applied.position,
                )

    def _heed_agreement(self) -> None:
        """Begin anew if this node is the one that is wrong, or may be."""
        assert self.replica is not None
        assert self._loop is not None
        if self._rebuilding is not None and not self._rebuilding.done():
            return
        live, now = list(self.replica.members.live), self._time()
        if not self._agreement.is_to_begin_anew(self._boot, live, now):
            return
        self.rebuilds += 1
        if self._agreement.began_anew(now):
            self._rebuilding = self._loop.create_task(rebuild(self), name="beginning anew")
        else:
            self.lose("it has derived something else than the others, again and again")

    def _came_back(self, applied: Applied) -> None:
        if applied.by is not None:
            self.contact.note()
        for outcome in applied.outcomes:
            if outcome.refusal is not None:
                outcome.refusal.settled = True  # type: ignore[attr-defined]
        if self._appender is not None:
            self._appender.came_back(applied.entry.no, applied.outcomes)

    def _tell_of_nodes(self, applied: Applied) -> None:
        for member in applied.joined:
            log.info("node joined", node=member.name, number=member.number, position=self.position)
        for member in applied.left:
            log.info("node left", node=member.name, number=member.number)
        for member in applied.lost:
            log.warning("node lost", node=member.name, number=member.number)

    def _was_lost(self) -> None:
        """Begin anew: the others have given this node up, and what it had yet to say is void."""
        log.warning("this node was given up by the others and joins again", node=self.name)
        assert self._appender is not None
        assert self._loop is not None
        self._appender.give_up(NotInContact("this node was given up by the others"))
        self.node.end_streams(CloseReason.NODE_LOST)
        self.number = None
        self._begin_boot()
        self._rejoining = self._loop.create_task(self._rejoin(), name="joining again")

    async def _rejoin(self) -> None:
        while self.lost is None and not self._left:
            assert self._appender is not None
            try:
                self.number = await self._appender.submit(self._wish())
                return
            except CannotJoin as error:
                self.lose(str(error))
            except (OutcomeUnknown, NotInContact):
                await asyncio.sleep(0.5)

    def lose(self, reason: str) -> None:
        """Take part no more: the log is lost, or is another one."""
        if self.lost is not None or self._left:
            return
        self.lost = reason
        if self._appender is not None:
            self._appender.give_up(NotInContact(reason))
        if not self.node.has_started:  # whoever waits for that is told
            self._reach(-1, CannotJoin(reason))
            return
        log.error("this node cannot take part any more", reason=reason)
        self._reach(-1, NotInContact(reason))
        self.on_lost(reason)

    # Asking

    @property
    def boot(self) -> str:
        """By which this start of the node is known to the others."""
        return self._boot

    @property
    def takes_part(self) -> bool:
        """Whether this node is one of those that take part, as far as it knows."""
        return self.number is not None and self.lost is None and not self._left

    @property
    def holds(self) -> tuple[str, ...]:
        """The names of the keys that the others believe to be here."""
        assert self.replica is not None
        member = self.replica.members.live.get(self._boot)
        return () if member is None else member.holds

    @property
    def position(self) -> int:
        """The position of the newest entry that has been applied."""
        return 0 if self.replica is None else self.replica.position

    @property
    def token(self) -> Position:
        """What an answer carries, so that another node can wait until it knows as much."""
        return f"{self.log.lineage[:12]}-{self.position}"

    def check_level(self, *, started: bool) -> None:
        """Raise NotInContact or NodeBehind while this node knows less than the others."""
        if not started:
            raise NotInContact("this node joins the others, and has yet to learn what they know")
        if not self.is_level:
            raise NodeBehind("this node begins anew, and has yet to learn what the others know")

    def check(self) -> None:
        """Raise NotInContact where nothing may be changed."""
        if self.lost is not None:
            raise NotInContact(self.lost)
        if self._left or self._appender is None:
            raise NotInContact("this node does not take part at present; nothing was changed")
        self.contact.check()

    def submit(self, given: Input, *, waits: bool = True) -> asyncio.Future[Any]:
        """Put an input into the log; return what is done when it has come back."""
        self.check()
        assert self._appender is not None
        return self._appender.submit(given, waits=waits)

    def tell(self, given: Input) -> None:
        """Put an input into the log for which nobody waits; nothing happens while cut off."""
        if self._left or self.lost is not None or self._appender is None:
            return
        with contextlib.suppress(Exception):
            _forget(self._appender.submit(given, waits=False))

    def heartbeat(self, agent_id: str) -> asyncio.Future[Any] | None:
        """Note a heartbeat; return what is done where it changes a status.

        Raises AgentNotRegistered and NotInContact.
        """
        self.check()
        node = self.node
        record = node.registry.find_agent(agent_id)
        if record is None:
            raise AgentNotRegistered(agent_id)
        now = node.clock.now()
        live = node.registry.status_of(record, now=now) is AgentStatus.LIVE
        if live and record.status is AgentStatus.LIVE:
            self._heard[agent_id] = None
            return None
        return self.submit(inputs.Hear(agent_ids=(agent_id,)))

    def draw_stream_id(self) -> int:
        """Return an id for a stream of this node; raises NotInContact."""
        if self.lost is not None or self._left or self.number is None:
            raise NotInContact("this node does not take part at present")
        self.contact.check_stream()
        return (self.number << STREAMS_OF_A_NODE) + self.node.streams.next_id()

    def pushed(self, command_id: str, agent_ids: Sequence[str]) -> None:
        """Note to whose streams a command was written; in a moment it is told to the others."""
        self._pushed.setdefault(command_id, []).extend(agent_ids)
        if self._pushed_timer is None and self._loop is not None:
            wait = max(0.0, self._told_pushed + TOLD_TOGETHER - self._time())
            self._pushed_timer = self._loop.call_later(wait, self._tell_pushed)

    def _tell_pushed(self) -> None:
        self._pushed_timer, self._told_pushed = None, self._time()
        pushed, self._pushed = self._pushed, {}
        for command_id, agent_ids in pushed.items():
            targets = self.node.registry.targets_of(command_id)
            if targets is not None:
                known = [agent_id for agent_id in agent_ids if agent_id in targets.places]
                bits = inputs.bits_of(known, targets)
                self.tell(inputs.NotePushed(command_id=command_id, bits=bits))

    # Waiting for what others know

    async def reached(self, token: str) -> None:
        """Wait until this node knows what an answer with that token has said.

        What is malformed, or of another log, is ignored. Raises NodeBehind.
        """
        lineage, _, number = token.rpartition("-")
        if lineage != self.log.lineage[:12] or not (number.isascii() and number.isdigit()):
            return
        position = int(number[:18])
        if position > self.position:
            await self._wait_for(position, POSITION_PATIENCE)

    async def told(self, event_id: str) -> None:
        """Wait until this node knows as much as who was told that event of the feed."""
        position = self.node.feed.position_of(event_id)
        if position is not None and self.position < position <= self.position + 10**6:
            with contextlib.suppress(NodeBehind):
                await self._wait_for(position, POSITION_PATIENCE)

    async def look(self) -> None:
        """Wait until this node knows all that others had answered by now; raises NotInContact.

        All who ask within a moment share one look.
        """
        if self._look is None:
            assert self._loop is not None
            future = self._look = self._loop.create_future()
            wait = max(0.0, self._looked + LOOKS - self._time())
            self._loop.call_later(wait, self._send_look, future)
        await asyncio.shield(self._look)

    def _send_look(self, future: asyncio.Future[None]) -> None:
        self._look, self._looked = None, self._time()
        try:
            sent = self.submit(inputs.Barrier())
        except Exception as error:
            future.set_exception(error)
            future.exception()
            return

        def done(of: asyncio.Future[Any]) -> None:
            if future.done():
                return
            if (error := of.exception()) is not None:
                future.set_exception(error)
                future.exception()
            else:
                future.set_result(None)

        sent.add_done_callback(done)

    async def _wait_for(self, position: int, patience: float | None = None) -> None:
        if position <= self.position:
            return
        assert self._loop is not None
        future: asyncio.Future[None] = self._loop.create_future()
        self._reached.append((position, future))
        timer = None
        if patience is not None:
            timer = self._loop.call_later(patience, self._not_reached, position, future)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()

    def _not_reached(self, position: int, future: asyncio.Future[None]) -> None:
        if not future.done():
            future.set_exception(NodeBehind(f"this node is at {self.position}, before {position}"))

    def _reach(self, position: int, error: Exception | None = None) -> None:
        if not self._reached:
            return
        waiting, self._reached = self._reached, []
        for at, future in waiting:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            elif at <= position:
                future.set_result(None)
            else:
                self._reached.append((at, future))

    # Guarded tasks

    async def send(self) -> None:
        """Put into the log what waits for that. Never ends."""
        while True:
            assert self._appender is not None
            appender = self._appender
            sending = asyncio.ensure_future(appender.run())
            try:
                while self._appender is appender and not sending.done():
                    await asyncio.wait([sending], timeout=0.2)
                if sending.done():
                    sending.result()
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    async def tick(self) -> None:
        """Give signs of life, and put heartbeats into the log. Never ends."""
        due = self._time()
        while True:
            await asyncio.sleep(TICK)
            replica = self.replica
            if replica is None or self._left or self.lost is not None:
                continue
            if self._time() >= due:
                due = self._time() + HEARD
                self._flush_heard()
            if self._appender is not None and self._appender.idle:
                self.tell(
                    inputs.Tick(
                        position=replica.position,
                        checksum=replica.checksum,
                        streams=len(self.node.streams),
                    )
                )
            self._heed_contact()
            self._heed_agreement()
            self._mark()

    def _flush_heard(self) -> None:
        if self.number is None or self.contact.silent > REFUSING:
            return
        heard, self._heard = self._heard, {}
        agent_ids = list(heard)
        for start in range(0, len(agent_ids), 5000):
            self.tell(inputs.Hear(agent_ids=tuple(agent_ids[start : start + 5000])))

    def _heed_contact(self) -> None:
        """End streams where this node has been cut off for too long."""
        if self.contact.silent <= ENDING:
            self._ending = False
        elif not self._ending:
            self._ending = True
            log.warning("cut off from the others, streams are ended")
            assert self._loop is not None
            self._spreading = self._loop.create_task(
                self.node.spread_ends(CloseReason.NODE_LOST, SPREAD_SECONDS)
            )

    def _mark(self) -> None:
        """Have everything copied when it is time, if it is this node's turn."""
        replica = self.replica
        assert replica is not None
        first = next(iter(replica.members.live.values()), None)
        if first is None or first.boot != self._boot:
            return
        behind = replica.position - self._marked_at
        if behind > MARK_ENTRIES or (behind > 1 and self._time() - self._marked > MARK_SECONDS):
            self._marked, self._marked_at = self._time(), replica.position
            self.tell(inputs.Mark())

    # Copies

    def _content(self, copy: Copy, feed: dict[str, Any], beside: dict[str, Any]) -> bytes:
        return orjson.dumps(
            {"about": copy.about, "rows": copy.rows, "feed": feed, "beside": beside}
        )

    def _copy(self, *, own: bool) -> None:
        """Copy everything as it is now; write it to this node's database, and to the log."""
        replica = self.replica
        assert replica is not None
        if self._file is None and not own:
            return
        assert self._loop is not None
        self._held = deque()
        writing = self._write_copy(replica, own=own, after=self._copying)
        self._copying = self._loop.create_task(writing)

    async def _make_copy(self, replica: Replica) -> tuple[Copy, dict[str, Any], dict[str, Any]]:
        """Make a copy little by little; what comes from the log meanwhile waits for that."""
        try:
            about, feed = copies.about(replica), self.node.feed.copy()
            beside = self.beside.value()
            rows: list[tuple[str, str, str, Any]] = []
            for row in copies.rows_of(replica.registry):
                rows.append(row)
                if len(rows) % COPIED_AT_ONCE == 0:
                    await asyncio.sleep(0)
            return Copy(about=about, rows=rows), feed, beside
        finally:
            self._release()

    def _release(self) -> None:
        """Apply what has been held, up to where one more copy is to be made."""
        held, self._held = self._held or deque(), None
        try:
            for entry in held:
                self._take(*entry)  # which holds the rest where one more copy begins
        except Exception as error:
            log.exception("an entry of the log could not be applied")
            self.lose(f"an entry of the log could not be applied: {error}")

    @property
    def _is_copying(self) -> bool:
        return self._held is not None

    async def _write_copy(
        self, replica: Replica, *, own: bool, after: asyncio.Task[None] | None
    ) -> None:
        copy, feed, beside = await self._make_copy(replica)
        if after is not None:
            await asyncio.gather(after, return_exceptions=True)
        if self._file is not None:
            try:
                content = {"about": copy.about, "rows": copy.rows, "feed": feed, "beside": beside}
                await self._file.write(self.log.lineage, content, replicated.rows(beside))
            except sqlite3.Error as error:
                from ..journal.sqlite import errors

                if not errors.is_passing(error):
                    self.lose(f"{self._database}: {errors.reason(error)}")
                    return
                log.error("the copy was not written", reason=errors.reason(error))
        if not own:
            return
        try:
            packed = await asyncio.to_thread(self._content, copy, feed, beside)
            await self.log.save(Snapshot(copy.position, packed))
            self.snapshot_position = copy.position
            await self.log.trim(await self.log.kept())
        except LogUnavailable as error:
            log.warning("the snapshot was not saved", reason=str(error))

    # The end

    async def leave(self) -> None:
        """Tell the others that this node ends; its streams have been."""
        if self._left or self.number is None or self._appender is None or self.lost is not None:
            self._left = True
            return
        self._flush_heard()
        self._tell_pushed()
        left = self._appender.submit(inputs.Leave())
        _forget(left)
        self._left = True
        await asyncio.wait([left], timeout=LEAVE_SECONDS)

    async def close(self) -> None:
        """Write what is to be written, and follow no longer."""
        self._left = True
        if self._rebuilding is not None:
            self._rebuilding.cancel()
            await asyncio.gather(self._rebuilding, return_exceptions=True)
        if self._copying is not None:
            await asyncio.gather(self._copying, return_exceptions=True)
        await self.log.close()
        if self._appender is not None:
            self._appender.give_up(NotInContact("this node has ended"))
        if self._file is not None:
            self._file.close()
            self._file = None

    # What is shown

    @property
    def ailments(self) -> list[str]:
        """Why this node should be given no work."""
        if self.lost is not None:
            return [self.lost]
        if self.number is None:
            return ["this node does not take part at present"]
        if self._rebuilding is not None and not self._rebuilding.done():
            return ["this node has derived something else than the others and begins anew"]
        if self.contact.silent > REFUSING:
            return [f"not in contact with the others for {self.contact.silent:.0f} s"]
        return []

    @property
    def as_of(self) -> str | None:
        """As of when is what is read here, where that may be too long ago; else None."""
        if self.replica is None or self.contact.silent <= WAITING:
            return None
        moment = time_of_day(self.replica.time.now)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def nodes(self) -> list[ClusterNode]:
        """Show all nodes, those that take part first; of this one as it is now."""
        assert self.replica is not None
        return [
            ClusterNode(
                name=member.name,
                version=member.version,
                address=member.address,
                status=member.status,
                own=(own := member.boot == self._boot),
                position=self.position if own else member.position,
                streams=len(self.node.streams) if own else member.streams,
                joined_at=time_of_day(member.joined),
                last_seen_at=time_of_day(member.heard),
                ended_at=time_of_day(member.ended),
            )
            for member in self.replica.members
        ]

    def figures(self) -> Figures:
        """Return what is measured of this node's part."""
        assert self._appender is not None
        return Figures(
            position=self.position,
            silent=self.contact.silent,
            append_seconds=self._appender.seconds,
            inputs_an_entry=self._appender.inputs,
            retries=self._appender.retries,
            divergences=self.divergences,
            rebuilds=self.rebuilds,
            entries_behind_copy=self.position - self._marked_at,
            copy_age=self._time() - self._marked,
            behind=self.log.behind + len(self._held or ()),
            live=0 if self.replica is None else len(self.replica.members.live),
        )

    @property
    def is_first(self) -> bool:
        """Whether this node does what one of them has to do."""
        if self.replica is None:
            return False
        first = next(iter(self.replica.members.live.values()), None)
        return first is not None and first.boot == self._boot


def _forget(future: asyncio.Future[Any]) -> None:
    """Have nobody told that something failed for which nobody waits."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
