"""Which commands somebody wants to see, and which agents somebody wants to have forgotten."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from attrs import field, frozen

from .instant import Instant
from .ledger import CommandRecord
from .model import AgentStatus, CommandStatus, CommandType, GroupTarget
from .roster import AgentRecord, Roster

LAPSED: Final = frozenset({AgentStatus.STALE, AgentStatus.DEAD})
"""The statuses of agents that may be forgotten many at a time."""


def _lapsed(value: Collection[AgentStatus]) -> frozenset[AgentStatus]:
    statuses = frozenset(value)
    if not statuses or not statuses <= LAPSED:
        raise ValueError("expected STALE, DEAD or both")
    return statuses


@frozen(kw_only=True)
class LapsedAgents:
    """Agents that nobody has heard of for long. Raises ValueError if LIVE is among the statuses."""

    statuses: frozenset[AgentStatus] = field(
        default=frozenset({AgentStatus.DEAD}), converter=_lapsed
    )
    """One of these at the moment of asking: STALE, DEAD or both."""
    groups: Collection[str] = ()
    """In one of these; empty stands for all."""
    dead_for: int = 0
    """DEAD for so many nanoseconds, by the clock of leases."""
    within: Callable[[str], bool] | None = None
    """In a group of which this is true, which are those that exist for whoever asks."""

    def include(self, record: AgentRecord, roster: Roster, now: Instant) -> bool:
        """Tell whether an agent is one of them at this moment."""
        return (
            roster.status_of(record, now) in self.statuses
            and (not self.groups or record.registration.group in self.groups)
            and (self.within is None or self.within(record.registration.group))
            and (
                not self.dead_for
                or roster.lease.dead_at(record.heard.lease) + self.dead_for <= now.lease
            )
        )


@frozen(kw_only=True)
class CommandSelection:
    """What a command must be to be shown. What is empty asks for nothing."""

    statuses: Collection[CommandStatus] = ()
    """One of these at the moment of asking."""
    types: Collection[CommandType] = ()
    """One of these."""
    agent_ids: Collection[str] = ()
    """It was issued for one of these, whatever has become of that agent."""
    groups: Collection[str] = ()
    """It was meant for one of these, or for an agent that was in one of these then."""

    def includes(self, record: CommandRecord, now: Instant) -> bool:
        """Tell whether a command is one of them at this moment."""
        return (
            (not self.types or record.order.type in self.types)
            and (not self.agent_ids or any(a in record.targets for a in self.agent_ids))
            and (not self.groups or self._is_about_one(record))
            and (not self.statuses or record.status_at(now) in self.statuses)
        )

    def _is_about_one(self, record: CommandRecord) -> bool:
        match record.target:
            case GroupTarget(group) if group in self.groups:
                return True
            case _:
                return not record.groups.isdisjoint(self.groups)
