"""Reading: what a registry can be asked, none of which changes it.

What is shown is judged from the records and ``now``, exact at that moment whether or not any
timer has run. What is called told is as it was last told, and costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

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
    Target,
)
from .roster import Roster
from .scoping import Within, narrowed, part_of, sees


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
        """Show up to ``limit`` agents that follow the id ``after``, in order of their ids.

        Empty ``statuses`` or ``groups`` stand for all. ``within``, here as elsewhere, tells which
        groups exist for whoever asks; None stands for all.
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
        """Count the agents by the status last told, at no cost that grows with their number."""
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
        """Raise AgentNotRegistered or GroupNotFound where there is no such target."""
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
        """Raise AgentNotRegistered or CommandNotFound where there is no such delivery."""
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

    def awaited(self, command_id: str, agent_ids: Sequence[str], *, now: Instant) -> Sequence[str]:
        """Return which of some targets of a command may still acknowledge it.

        None of them where the command has been forgotten.
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
        """Return the lease time of the next transition, or None where none is to come."""
        return self._roster.next_due()

    def next_deadline(self) -> int | None:
        """Return the steady time of the next deadline, or None where none is to come."""
        return self._ledger.next_due()
