"""Agents with their leases, groups and streams, indexed for every query.

The roster stores and finds; it does not decide. :class:`~.registry.Registry` does, and passes on
what happened through the ``apply_*`` methods. Each of these accepts the same fact twice, and a fact
about an agent that is gone, because a journal may repeat facts.

Costs: a lookup, a heartbeat and a transition are O(1), a registration and a removal O(log n) for
the sorted index of ids; a sweep costs what is due.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import chain, islice, takewhile
from typing import Final

from attrs import define, field, frozen
from sortedcontainers import SortedDict

from ..errors import AgentNotRegistered, GroupNotFound
from . import events
from .instant import Instant
from .lifecycle import TRANSITIONS, Lease, LeaseTrigger
from .model import AgentStatus, AgentTarget, AllTarget, GroupTarget, Registration, Target
from .slices import SLICE, Slices
from .targets import Targets

CONFLICT_TAKEOVERS: Final = 3
"""This number of takeovers of an agent's stream in a short time is a conflict; no more are
remembered.
"""

VACATED_GROUPS: Final = 10_000
"""Groups without agents that are remembered, newest first. A command to one of these has no targets
(202); to a forgotten one it is refused (404), as to one that was never declared.
"""


@define(eq=False, kw_only=True)
class AgentRecord:
    """What is kept of one agent."""

    agent_id: str
    registration: Registration
    registered: Instant
    heard: Instant  # the last registration or heartbeat
    status: AgentStatus  # as last told; judge by Roster.status_of(), which needs no timer
    changed: Instant  # when that status began
    stream_id: int | None = None  # None while it has no stream
    takeovers: tuple[int, ...] = ()  # steady times of the newest takeovers of its stream
    conflict_told: int | None = None  # steady time of the last StreamConflict; None before any


@define(eq=False)
class GroupRecord:
    """The record of one group: its agents by the status last reported."""

    name: str
    members: dict[AgentStatus, dict[str, AgentRecord]] = field(
        factory=lambda: {status: {} for status in AgentStatus}
    )
    # How many of them hold a stream, by status likewise.
    streams: dict[AgentStatus, int] = field(factory=lambda: dict.fromkeys(AgentStatus, 0))
    # Those who are LIVE, for the next command to them. None when that has changed since the last.
    live: Targets | None = None
    # Its name as a set, which all commands to one of its agents share.
    alone: frozenset[str] = field(init=False)

    @alone.default
    def _alone(self) -> frozenset[str]:
        return frozenset((self.name,))

    @property
    def connected(self) -> int:
        """How many agents hold a stream."""
        return sum(self.streams.values())

    def __len__(self) -> int:
        return sum(map(len, self.members.values()))


@frozen
class Audience:
    """Whom a target means at one moment."""

    agent_ids: Targets
    groups: frozenset[str]
    connected_count: int


_TRIGGERS: Final[Mapping[type[events.MemberEvent], LeaseTrigger]] = {
    events.AgentRevived: LeaseTrigger.HEARD,
    events.AgentWentStale: LeaseTrigger.LEASE_RAN_OUT,
    events.AgentWentDead: LeaseTrigger.GRACE_RAN_OUT,
}


class Roster:
    """All agents. One to a registry."""

    def __init__(self, lease: Lease, *, in_order: bool = False) -> None:
        self.lease = lease
        # Whether those that a target means stand in order of their ids, and not as it comes.
        self._in_order = in_order
        self.agents: SortedDict[str, AgentRecord] = SortedDict()
        self.groups: dict[str, GroupRecord] = {}
        # Agents by the status last told. LIVE and STALE are in order of `heard`, so that whoever
        # is due stands in front. OrderedDict, because its front stays cheap to find after many
        # removals there, which is not so with dict.
        self._by_status: dict[AgentStatus, OrderedDict[str, AgentRecord]] = {
            status: OrderedDict() for status in AgentStatus
        }
        # All that are LIVE, as each group has its own.
        self._live: Targets | None = None
        # The names of the groups that a command was issued to the last time.
        self._names: frozenset[str] = frozenset()
        # Names of the groups in `groups` that have no agents, longest vacated first.
        self._vacated: OrderedDict[str, int] = OrderedDict()
        # How many groups have been left so far, by which that order is kept.
        self._vacations = 0

    # Finding

    def find(self, agent_id: str) -> AgentRecord:
        """Return an agent's record; raises AgentNotRegistered."""
        record = self.agents.get(agent_id)
        if record is None:
            raise AgentNotRegistered(agent_id)
        return record

    def group(self, name: str) -> GroupRecord:
        """Return a group's record; raises GroupNotFound."""
        group = self.groups.get(name)
        if group is None:
            raise GroupNotFound(name)
        return group

    def status_of(self, record: AgentRecord, now: Instant) -> AgentStatus:
        """Judge an agent's status at this moment."""
        return self.lease.status_at(record.heard.lease, now.lease)

    def status_since(self, record: AgentRecord, now: Instant) -> Instant:
        """Return when the current status of an agent began.

        If it has not been reported yet, that is computed from now.
        """
        match self.status_of(record, now):
            case record.status:
                return record.changed
            case AgentStatus.STALE:
                return now.when_lease_was(self.lease.stale_at(record.heard.lease))
            case _:
                return now.when_lease_was(self.lease.dead_at(record.heard.lease))

    def check(self, target: Target) -> None:
        """Raise AgentNotRegistered or GroupNotFound if there is no such target."""
        match target:
            case AgentTarget(agent_id):
                self.find(agent_id)
            case GroupTarget(group):
                self.group(group)

    def meant_by(self, target: Target, now: Instant) -> Audience:
        """Return the agents that a target means at this moment.

        Raises AgentNotRegistered or GroupNotFound.
        """
        match target:
            case AgentTarget(agent_id):
                record = self.find(agent_id)
                connected_count = int(record.stream_id is not None)
                of_it = self.groups[record.registration.group].alone
                return Audience(Targets((record.agent_id,)), of_it, connected_count)
            case GroupTarget(name):
                return self._live_of(self.group(name), now)
            case AllTarget():
                return self._live_of(None, now)
        raise TypeError(f"{target} is not a target")

    def _live_of(self, of: GroupRecord | None, now: Instant) -> Audience:
        """Return the agents of a group, or all, that are LIVE at this moment."""
        groups = self.groups.values() if of is None else [of]
        told = [group for group in groups if group.members[AgentStatus.LIVE]]
        due = self.next_due()
        if due is None or due > now.lease:
            # Nobody's lease has run out, so none need be looked at: thousands are a millisecond.
            return Audience(
                self._standing_live(of),
                self._names_of(told),
                sum(group.streams[AgentStatus.LIVE] for group in told),
            )
        oldest_live = now.lease - self.lease.stale_after
        records = chain.from_iterable(group.members[AgentStatus.LIVE].values() for group in told)
        return self._audience(record for record in records if record.heard.lease > oldest_live)

    def _names_of(self, groups: Iterable[GroupRecord]) -> frozenset[str]:
        """Return the names of groups: one object for all commands that are issued to the same."""
        names = frozenset(group.name for group in groups)
        if names != self._names:
            self._names = names
        return self._names

    def _standing_live(self, group: GroupRecord | None) -> Targets:
        """Return the LIVE agents, of one group or of all, as last reported: the same object as last
        time.
        """
        if group is None:
            if self._live is None:
                self._live = self._targets(self._by_status[AgentStatus.LIVE])
            return self._live
        if group.live is None:
            group.live = self._targets(group.members[AgentStatus.LIVE])
        return group.live

    def without(self, audience: Audience, some: Collection[str]) -> Audience:
        """Return an audience without some agents."""
        return self._audience(
            self.agents[agent_id] for agent_id in audience.agent_ids if agent_id not in some
        )

    def _audience(self, records: Iterable[AgentRecord]) -> Audience:
        of = list(records)
        return Audience(
            self._targets(record.agent_id for record in of),
            frozenset(record.registration.group for record in of),
            sum(record.stream_id is not None for record in of),
        )

    def _targets(self, agent_ids: Iterable[str]) -> Targets:
        return Targets(sorted(agent_ids) if self._in_order else agent_ids)

    def overdue(self, now: Instant) -> Iterator[AgentRecord]:
        """Iterate over the agents whose change of status has not been reported."""
        lease = self.lease
        return chain(
            takewhile(
                lambda record: lease.stale_at(record.heard.lease) <= now.lease,
                self._by_status[AgentStatus.LIVE].values(),
            ),
            takewhile(
                lambda record: lease.dead_at(record.heard.lease) <= now.lease,
                self._by_status[AgentStatus.STALE].values(),
            ),
        )

    def lapsed(self, statuses: Collection[AgentStatus], now: Instant) -> list[str]:
        """Return the agents that may have one of these statuses other than LIVE, in no order.

        The caller checks them one by one, because there may be very many. An agent whose change of
        status has not been reported may occur twice.
        """
        found = [record.agent_id for record in self.overdue(now)]
        for status in statuses:
            found += self._by_status[status]
        return found

    def next_due(self) -> int | None:
        """Return the lease time of the next transition, or None if there is none."""
        dues = []
        if live := next(iter(self._by_status[AgentStatus.LIVE].values()), None):
            dues.append(self.lease.stale_at(live.heard.lease))
        if stale := next(iter(self._by_status[AgentStatus.STALE].values()), None):
            dues.append(self.lease.dead_at(stale.heard.lease))
        return min(dues, default=None)

    def told(self, group: GroupRecord | None = None) -> dict[AgentStatus, int]:
        """Count the agents, of one group or of all, by the status last reported. It costs O(1)."""
        told = self._by_status if group is None else group.members
        return {status: len(members) for status, members in told.items()}

    def inhabited(self) -> Iterator[GroupRecord]:
        """Iterate over the groups that have agents, those known longest first."""
        return (group for name, group in self.groups.items() if name not in self._vacated)

    def count_inhabited(self) -> int:
        """Return how many groups have agents."""
        return len(self.groups) - len(self._vacated)

    def page(
        self,
        now: Instant,
        *,
        statuses: Collection[AgentStatus],
        groups: Collection[str],
        after: str,
        limit: int,
    ) -> list[AgentRecord]:
        """Return up to ``limit`` agents that follow ``after``, in order of their ids.

        Empty ``statuses`` and ``groups`` stand for all; an empty ``after`` for the beginning.
        """

        def matches(record: AgentRecord) -> bool:
            return (not statuses or self.status_of(record, now) in statuses) and (
                not groups or record.registration.group in groups
            )

        candidates: list[dict[str, AgentRecord]] = []
        if groups:
            named = [self.groups[name] for name in set(groups) if name in self.groups]
            candidates = [bucket for group in named for bucket in group.members.values()]
        elif statuses:
            candidates = [
                {record.agent_id: record for record in self.overdue(now)},
                *(self._by_status[status] for status in set(statuses)),
            ]
        # Few candidates are best sorted; among many, the sorted index soon shows a page full.
        if (groups or statuses) and sum(map(len, candidates)) * 8 < len(self.agents):
            found = {
                record.agent_id: record
                for record in chain.from_iterable(bucket.values() for bucket in candidates)
                if record.agent_id > after and matches(record)
            }
            return [found[agent_id] for agent_id in nsmallest(limit, found)]
        ids = self.agents.irange(minimum=after, inclusive=(False, False))
        return list(islice(filter(matches, map(self.agents.__getitem__, ids)), limit))

    def vacated(self, name: str) -> int | None:
        """Return a number that orders groups by when their last agent left.

        None for a group that has agents, or that is not remembered.
        """
        return self._vacated.get(name)

    # Being made of what was kept

    def restoring(self, records: Iterable[AgentRecord], vacated: Mapping[str, int]) -> Slices[None]:
        """Load all agents, and the groups without agents, with their numbers."""
        ordered = sorted(records, key=lambda record: record.heard.lease)
        yield
        self.agents = SortedDict((record.agent_id, record) for record in ordered)
        yield
        for start in range(0, len(ordered), SLICE):
            for record in ordered[start : start + SLICE]:
                self._join(record)
            yield
        empty = sorted(
            (number, name) for name, number in vacated.items() if name not in self.groups
        )
        for number, name in empty[-VACATED_GROUPS:]:
            self.groups[name] = GroupRecord(name)
            self._vacated[name] = self._vacations = number

    def remember_group(self, name: str) -> None:
        """Remember a group that has had agents, even if it has none."""
        if name not in self.groups:
            self.groups[name] = GroupRecord(name)
            self._vacate(name)

    def sort(self) -> None:
        """Put the agents of each status in order of when they were heard, which has changed."""
        for status, members in self._by_status.items():
            ordered = sorted(members.values(), key=lambda record: record.heard.lease)
            self._by_status[status] = OrderedDict((each.agent_id, each) for each in ordered)

    def resume(self, now: Instant, least: int) -> None:
        """Continue the leases of a registry that was away at ``now``.

        No heartbeat could be received meanwhile. An agent that was LIVE is not STALE, and one that
        was STALE is not DEAD, until ``least`` nanoseconds from now; one that was DEAD stays DEAD.
        """
        lease = self.lease
        until_stale, until_dead = lease.stale_after, lease.stale_after + lease.dead_after
        for record in self.agents.values():
            heard = record.heard.lease
            match record.status:
                case AgentStatus.LIVE:
                    heard = min(max(heard, now.lease - until_stale + least), now.lease)
                case AgentStatus.STALE:
                    heard = max(heard, now.lease - until_dead + least)
                    heard = min(heard, now.lease - until_stale)
                case AgentStatus.DEAD:
                    heard = min(heard, now.lease - until_dead)
            if heard != record.heard.lease:
                record.heard = Instant(record.heard.wall, record.heard.steady, heard)
        self.sort()

    # Being told

    def apply_registered(self, event: events.AgentRegistered) -> None:
        """Take in a new agent, or what a known one declares now."""
        record = self.agents.get(event.agent_id)
        if record is None:
            record = AgentRecord(
                agent_id=event.agent_id,
                registration=event.registration,
                registered=event.at,
                heard=event.at,
                status=AgentStatus.LIVE,
                changed=event.at,
            )
            self.agents[event.agent_id] = record
            self._join(record)
        else:
            before = record.registration.group
            self._leave(record)
            record.registration = event.registration
            self._join(record)
            self._vacate(before)
            self.heard(record, event.at)

    def apply_heartbeat(self, event: events.HeartbeatReceived) -> None:
        """Renew a lease."""
        if (record := self.agents.get(event.agent_id)) is not None:
            self.heard(record, event.at)

    def apply_revived(self, event: events.AgentRevived) -> None:
        """Move an agent among those that are LIVE, heard of at that moment.

        The fact follows a heartbeat or a registration that says so, too; but a journal need not
        keep heartbeats.
        """
        self._change(event, heard=event.at)

    def apply_stale(self, event: events.AgentWentStale) -> None:
        """Move an agent among those that are STALE, which are in order of when they were heard."""
        self._change(event, heard=event.heard)

    def apply_dead(self, event: events.AgentWentDead) -> None:
        """Move an agent among those that are DEAD."""
        self._change(event)

    def _change(self, event: events.MemberEvent, *, heard: Instant | None = None) -> None:
        record = self.agents.get(event.agent_id)
        if record is None:
            return
        after = TRANSITIONS.get((record.status, _TRIGGERS[type(event)]))
        if after is None:
            return  # it was told before
        self._leave(record)
        record.status, record.changed, record.heard = after, event.at, heard or record.heard
        self._join(record)

    def apply_removed(self, event: events.AgentRemoved) -> None:
        """Forget an agent."""
        if (record := self.agents.pop(event.agent_id, None)) is not None:
            self._leave(record)
            self._vacate(record.registration.group)

    def apply_stream_opened(self, event: events.StreamOpened) -> None:
        """Note which stream is an agent's."""
        record = self.agents.get(event.agent_id)
        if record is None:
            return
        if record.stream_id is None:
            self.groups[record.registration.group].streams[record.status] += 1
        record.stream_id = event.stream_id

    def apply_stream_closed(self, event: events.StreamClosed) -> None:
        """Note that an agent has no stream."""
        record = self.agents.get(event.agent_id)
        if record is None or record.stream_id != event.stream_id:
            return  # it is gone, or has another one by now
        record.stream_id = None
        self.groups[record.registration.group].streams[record.status] -= 1
        if event.reason is events.CloseReason.REPLACED:
            record.takeovers = (*record.takeovers, event.at.steady)[-CONFLICT_TAKEOVERS:]

    def apply_conflict(self, event: events.StreamConflict) -> None:
        """Record that a conflict was reported."""
        if (record := self.agents.get(event.agent_id)) is not None:
            record.conflict_told = event.at.steady

    def heard(self, record: AgentRecord, at: Instant) -> None:
        """Note that an agent was heard, later than all others of its status."""
        record.heard = at
        self._by_status[record.status].move_to_end(record.agent_id)

    def _join(self, record: AgentRecord) -> None:
        """Enter an agent in the indexes by status and by group."""
        self._by_status[record.status][record.agent_id] = record
        name = record.registration.group
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = GroupRecord(name)
        self._vacated.pop(name, None)
        group.members[record.status][record.agent_id] = record
        if record.status is AgentStatus.LIVE:
            self._live = group.live = None
        group.streams[record.status] += record.stream_id is not None

    def _leave(self, record: AgentRecord) -> None:
        """Take an agent out of the indexes by status and by group."""
        del self._by_status[record.status][record.agent_id]
        name = record.registration.group
        group = self.groups[name]
        del group.members[record.status][record.agent_id]
        if record.status is AgentStatus.LIVE:
            self._live = group.live = None
        group.streams[record.status] -= record.stream_id is not None

    def _vacate(self, name: str) -> None:
        """Remember a group that has no agents any more, and forget the one that has had none for
        longest.
        """
        if not self.groups[name]:
            self._vacations += 1
            self._vacated[name] = self._vacations
            if len(self._vacated) > VACATED_GROUPS:
                forgotten, _ = self._vacated.popitem(last=False)
                del self.groups[forgotten]
