"""Reading a registry without changing it.

Answers are computed from the records and ``now``, exact at that moment whether or not any timer has
run. Values that are called *told* are as last reported, and cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final

from attrs import evolve

from ..errors import AgentNotRegistered, CommandNotFound, GroupNotFound
from . import views
from .instant import Instant
from .ledger import CommandRecord, Ledger
from .model import (
    Agent,
    AgentDelivery,
    AgentStatus,
    AgentTarget,
    Command,
    Delivery,
    DeliveryState,
    GroupSummary,
    GroupTarget,
    ListedCommand,
    Target,
)
from .roster import AgentRecord, Roster
from .scoping import Within, agents_within, narrowed, part_of, sees
from .selection import CommandSelection, LapsedAgents
from .targets import Targets

TARGETS_AT_ONCE: Final = 100
"""Targets of a command of which a part is seen that are as much work as another command."""


class Queries:
    """The reading half of a registry."""

    def __init__(self, roster: Roster, ledger: Ledger) -> None:
        self._roster = roster
        self._ledger = ledger

    def __contains__(self, agent_id: object) -> bool:
        return agent_id in self._roster.agents

    def __len__(self) -> int:
        """Return how many agents there are."""
        return len(self._roster.agents)

    def agent(self, agent_id: str, *, now: Instant) -> Agent:
        """Show one agent; raises AgentNotRegistered."""
        return views.agent(self._roster.find(agent_id), self._roster, now)

    def agents(
        self,
        *,
        now: Instant,
        statuses: Collection[AgentStatus] = (),
        groups: Collection[str] = (),
        after: str = "",
        limit: int,
        within: Within | None = None,
    ) -> list[Agent]:
        """Return up to ``limit`` agents that follow the id ``after``, in order of their ids.

        Empty ``statuses`` or ``groups`` mean all. ``within``, here as elsewhere, says which groups
        exist for the caller; None means all.
        """
        if within is not None:
            groups = [name for name in groups or self._roster.groups if within(name)]
            if not groups:
                return []
        page = self._roster.page(now, statuses=statuses, groups=groups, after=after, limit=limit)
        return [views.agent(record, self._roster, now) for record in page]

    def group_of(self, agent_id: str) -> str | None:
        """Return the group that an agent is in; None if it is not known."""
        record = self._roster.agents.get(agent_id)
        return None if record is None else record.registration.group

    def present(self, agent_id: str, *, now: Instant) -> tuple[str, AgentStatus] | None:
        """Return the group and the status of an agent; None if it is not known."""
        record = self._roster.agents.get(agent_id)
        if record is None:
            return None
        return record.registration.group, self._roster.status_of(record, now)

    def lapsed(self, agents: LapsedAgents, *, now: Instant) -> list[str]:
        """Return the ids of agents that may be among these, in no order.

        Removing them judges each of them anew: see :meth:`~.registry.Registry.remove_lapsed`.
        """
        return self._roster.lapsed(agents.statuses, now)

    def groups(self, *, now: Instant, within: Within | None = None) -> Iterator[GroupSummary]:
        """Show every group that has agents, in order of their names.

        Counted when this is called, and shown one by one.
        """
        counted = {
            name: [group.connected, *(len(group.members[status]) for status in AgentStatus)]
            for name, group in sorted(self._roster.groups.items())
            if group and (within is None or within(name))
        }
        place = {status: place for place, status in enumerate(AgentStatus, start=1)}
        for record in self._roster.overdue(now):
            of_group = counted.get(record.registration.group)
            if of_group is None:
                continue
            of_group[place[record.status]] -= 1
            of_group[place[self._roster.status_of(record, now)]] += 1
        return (
            GroupSummary(group=name, live=live, stale=stale, dead=dead, connected=connected)
            for name, (connected, live, stale, dead) in counted.items()
        )

    def count_agents(self) -> dict[AgentStatus, int]:
        """Count the agents by the status last reported, at a cost that does not grow with their
        number.
        """
        return self._roster.told()

    def count_by_group(self, limit: int) -> dict[str, dict[AgentStatus, int]]:
        """Count them likewise for up to ``limit`` groups that have agents.

        Those known longest come first, so that the same are shown from one time to the next.
        """
        groups = islice(self._roster.inhabited(), limit)
        return {group.name: self._roster.told(group) for group in groups}

    def count_groups(self) -> int:
        """Return how many groups have agents."""
        return self._roster.count_inhabited()

    def check_target(self, target: Target, *, within: Within | None = None) -> None:
        """Raise AgentNotRegistered or GroupNotFound if there is no such target."""
        self._roster.check(target)
        match target:
            case AgentTarget(agent_id) if within is not None:
                if not within(self._roster.agents[agent_id].registration.group):
                    raise AgentNotRegistered(agent_id)
            case GroupTarget(group) if within is not None and not within(group):
                raise GroupNotFound(group)

    def knows_idempotency_key(self, key: str) -> bool:
        """Tell whether a command was issued under a key, so far as is remembered."""
        return key in self._ledger.keys

    def check_delivery(self, agent_id: str, command_id: str) -> None:
        """Raise AgentNotRegistered or CommandNotFound if there is no such delivery."""
        self._roster.find(agent_id)
        self._ledger.find_target(command_id, agent_id)

    def command_record(self, command_id: str, *, within: Within | None = None) -> CommandRecord:
        """Return a handle on a command that outlives its being forgotten.

        Raises CommandNotFound.
        """
        record = self._ledger.find(command_id)
        if within is not None and not sees(record, within):
            raise CommandNotFound(command_id)
        return record

    def find_command(self, command_id: str) -> CommandRecord | None:
        """Return a handle on a command, or None if there is none."""
        return self._ledger.commands.get(command_id)

    def targets_of(self, command_id: str) -> Targets | None:
        """Return the targets of a command, or None if there is no such command."""
        record = self._ledger.commands.get(command_id)
        return None if record is None else record.targets

    def open_commands(self) -> list[CommandRecord]:
        """Return handles on all commands that have not been reported to have finished."""
        return self._ledger.open_commands()

    def count_issued(self) -> int:
        """Return how many commands have been issued, also those that are forgotten."""
        return self._ledger.issued

    def find_agent(self, agent_id: str) -> AgentRecord | None:
        """Return a handle on an agent, or None where there is none."""
        return self._roster.agents.get(agent_id)

    def status_of(self, record: AgentRecord, *, now: Instant) -> AgentStatus:
        """Judge an agent's status at this moment."""
        return self._roster.status_of(record, now)

    def issued_since(self, agent_id: str, issued: int, *, now: Instant) -> list[AgentDelivery]:
        """Show what is pending for an agent of all that was issued after so many commands."""
        found = []
        for record in self._ledger.inbox(agent_id):
            if record.command.number <= issued:
                break
            if record.state_at(now) is DeliveryState.PENDING:
                found.append(views.agent_delivery(record, now))
        return found[::-1]

    def newest_line(self) -> str | None:
        """Return the signed line of the newest command that has one; None if none has."""
        lines = (record.line for record in self._ledger.newest_first(before=None, down_to=0))
        return next((line for line in lines if line is not None), None)

    def count_commands(self) -> int:
        """Return how many commands are known."""
        return len(self._ledger.commands)

    def records(self, start: int, count: int) -> list[AgentRecord]:
        """Return handles on up to ``count`` agents, from the ``start``-th on, in order of ids."""
        values: list[AgentRecord] = self._roster.agents.values()[start : start + count]
        return values

    def connected(self) -> list[AgentRecord]:
        """Return handles on all agents that hold a stream."""
        agents = self._roster.agents.values()
        return [record for record in agents if record.stream_id is not None]

    def command(self, command_id: str, *, now: Instant, within: Within | None = None) -> Command:
        """Show one command; raises CommandNotFound."""
        return self.command_of(self.command_record(command_id, within=within), now, within=within)

    def command_of(
        self, record: CommandRecord, now: Instant, *, within: Within | None = None
    ) -> Command:
        """Show the command of a handle."""
        whole = views.command(record, now)
        seen = None if within is None else part_of(record, self._roster, within)
        return whole if seen is None else narrowed(whole, record, seen, now)

    def command_number(self, command_id: str) -> int:
        """Return the place of a command among all, in the order of issue.

        For an unknown command it is the place that follows from the time in its id.
        """
        return self._ledger.number_of(command_id)

    def commands(
        self,
        selection: CommandSelection,
        *,
        now: Instant,
        before: int | None = None,
        down_to: int = 0,
        limit: int,
        look_at: int = 1_000_000_000,
        within: Within | None = None,
    ) -> tuple[list[ListedCommand], int | None]:
        """Return commands of a selection, newest first, and where to continue.

        ``before`` and ``down_to`` are numbers of commands; the second one is included. At most
        ``limit`` commands are returned and at most ``look_at`` are examined, so that a selective
        query can be divided into turns. If only some groups are visible, a command counts once more
        for each ``TARGETS_AT_ONCE`` of its targets, because all of them are examined. The returned
        number is that of the last examined command, to be the next ``before``; it is None if there
        are no more.
        """
        found: list[ListedCommand] = []
        if within is not None and selection.agent_ids:
            agent_ids = agents_within(selection.agent_ids, self._roster, within)
            if not agent_ids:
                return [], None
            selection = evolve(selection, agent_ids=agent_ids)
        if within is not None and selection.groups:
            groups = [name for name in selection.groups if within(name)]
            if not groups:
                return [], None
            selection = evolve(selection, groups=groups)
        records = self._ledger.newest_first(before=before, down_to=down_to)
        looked_at = 0
        for record in records:
            looked_at += 1
            if within is not None:
                looked_at += len(record.targets) // TARGETS_AT_ONCE
            shown = self._shown(record, selection, now, within)
            if shown is not None:
                found.append(shown)
            if len(found) >= limit or looked_at >= look_at:
                return found, record.number
        return found, None

    def _shown(
        self,
        record: CommandRecord,
        selection: CommandSelection,
        now: Instant,
        within: Within | None,
    ) -> ListedCommand | None:
        """Show a command if it is one of a selection, to somebody who sees some groups."""
        if within is None:
            return views.listed_command(record, now) if selection.includes(record, now) else None
        # Its status is that of what is seen of it.
        if not sees(record, within) or not evolve(selection, statuses=()).includes(record, now):
            return None
        shown = views.listed_command(record, now)
        if (seen := part_of(record, self._roster, within)) is not None:
            shown = narrowed(shown, record, seen, now)
        return shown if not selection.statuses or shown.status in selection.statuses else None

    def awaited(self, command_id: str, agent_ids: Sequence[str], *, now: Instant) -> Sequence[str]:
        """Return which of some targets of a command may still acknowledge it.

        None of them may if the command has been forgotten.
        """
        command = self._ledger.commands.get(command_id)
        if command is None or command.is_due(now):
            return ()
        if not command.records:
            return agent_ids  # as nearly always while it goes out
        return [agent_id for agent_id in agent_ids if agent_id not in command.records]

    def deliveries(
        self,
        command_id: str,
        *,
        now: Instant,
        states: Collection[DeliveryState] = (),
        within: Within | None = None,
    ) -> Iterator[Delivery]:
        """Show a command's deliveries, in order of the agents' ids, as they are asked for.

        Raises CommandNotFound, at once.
        """
        command = self.command_record(command_id, within=within)
        seen = None if within is None else part_of(command, self._roster, within)
        targets = command.targets if seen is None else seen.agent_ids
        records = map(command.delivery, sorted(targets))
        return (
            views.delivery(record, now)
            for record in records
            if not states or record.state_at(now) in states
        )

    def agent_deliveries(
        self,
        agent_id: str,
        *,
        now: Instant,
        states: Collection[DeliveryState] = (),
        within: Within | None = None,
    ) -> Iterator[AgentDelivery]:
        """Show what was sent to an agent, newest first, as it is asked for.

        Raises AgentNotRegistered, at once.
        """
        self._roster.find(agent_id)
        return (
            views.agent_delivery(record, now)
            for record in list(self._ledger.inbox(agent_id))
            if (not states or record.state_at(now) in states)
            and (within is None or sees(record.command, within))
        )

    def next_lease_end(self) -> int | None:
        """Return the lease time of the next transition, or None if there is none."""
        return self._roster.next_due()

    def next_deadline(self) -> int | None:
        """Return the steady time of the next deadline, or None if there is none."""
        return self._ledger.next_due()

    def next_command_sweep(self) -> int | None:
        """Return the steady time at which commands are to be swept next, or None.

        That is the next deadline; and any time at all if there are more finished commands than are
        to be kept.
        """
        return 0 if self._ledger.is_over else self._ledger.next_due()
