"""From what is kept to what is shown: records become the models that cross the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, overload

from .commands import outcomes
from .instant import Instant
from .ledger import CommandRecord, DeliveryRecord
from .model import Agent, AgentDelivery, Command, Delivery, DeliveryState, ListedCommand
from .roster import AgentRecord, Roster

LONGEST_LISTED: Final = 4096
"""Bytes of a payload that a list shows; a thousand commands are then no more than 4 MiB."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@overload
def time_of_day(instant: Instant) -> datetime: ...
@overload
def time_of_day(instant: None) -> None: ...
def time_of_day(instant: Instant | None) -> datetime | None:
    """Return the time of day of a moment, in UTC and whole milliseconds."""
    if instant is None:
        return None
    return _EPOCH + timedelta(0, 0, instant.wall // 1_000_000 * 1000)  # by name takes longer


def agent(record: AgentRecord, roster: Roster, now: Instant) -> Agent:
    """Show an agent as it is at this moment."""
    declared = record.registration
    return Agent(
        agent_id=record.agent_id,
        name=declared.name or record.agent_id,
        group=declared.group,
        version=declared.version,
        route_ids=declared.route_ids,
        capabilities=declared.capabilities,
        instance_id=declared.instance_id,
        status=roster.status_of(record, now),
        connected=record.stream_id is not None,
        registered_at=time_of_day(record.registered),
        last_heartbeat_at=time_of_day(record.heard),
        status_changed_at=time_of_day(roster.status_since(record, now)),
    )


def command(record: CommandRecord, now: Instant) -> Command:
    """Show a command as it is at this moment."""
    return Command(**_of_command(record, now))


def listed_command(record: CommandRecord, now: Instant) -> ListedCommand:
    """Show a command in a list, without its payload if that is long."""
    shown = _of_command(record, now)
    if record.payload_size > LONGEST_LISTED:
        shown |= {"payload": {}, "payload_truncated": True}
    return ListedCommand(**shown)


def _of_command(record: CommandRecord, now: Instant) -> dict[str, Any]:
    counts = record.counts_at(now)
    acknowledged = counts[DeliveryState.ACKNOWLEDGED]
    return {
        "command_id": record.command_id,
        "type": record.order.type,
        "payload": record.order.payload,
        "target": record.target,
        "status": record.status_at(now),
        "created_at": time_of_day(record.created),
        "expires_at": time_of_day(record.expires),
        "target_count": record.target_count,
        "connected_count": record.connected_count,
        "skipped": record.skipped,
        "counts": counts,
        "outcomes": outcomes(acknowledged=acknowledged, failed=record.failed),
        "issued_by": record.issued_by,
    }


def delivery(record: DeliveryRecord, now: Instant) -> Delivery:
    """Show one agent's share of a command as it is at this moment."""
    return Delivery(
        agent_id=record.agent_id,
        status=record.state_at(now),
        delivered_at=time_of_day(record.delivered),
        acknowledged_at=time_of_day(record.acknowledged),
        late_ack_at=time_of_day(record.late_ack),
        result=record.result,
    )


def agent_delivery(record: DeliveryRecord, now: Instant) -> AgentDelivery:
    """Show the same to the agent, with all that the event would have said."""
    state = record.state_at(now)
    return AgentDelivery(
        command_id=record.command.command_id,
        type=record.command.order.type,
        payload=record.command.order.payload,
        created_at=time_of_day(record.command.created),
        expires_at=time_of_day(record.command.expires),
        agent_id=record.agent_id,
        status=state,
        delivered_at=time_of_day(record.delivered),
        acknowledged_at=time_of_day(record.acknowledged),
        late_ack_at=time_of_day(record.late_ack),
        result=record.result,
        signed=record.command.line if state is DeliveryState.PENDING else None,
    )
