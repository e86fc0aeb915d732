"""Which commands somebody wants to see."""

from __future__ import annotations

from collections.abc import Collection

from attrs import frozen

from .instant import Instant
from .ledger import CommandRecord
from .model import CommandStatus, CommandType, GroupTarget


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
