"""What happened, told as log lines: one for each fact that an operator would want to find again.

Heartbeats are not told. Deliveries are told as sums, and the failures one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..core import events
from ..core.events import Event
from ..core.model import Outcome
from ..logs import get_logger

log = get_logger(__name__)

_IDS_NAMED: Final = 20
"""Agents named in one line; of more, only the number is told."""


def tell(fact: Event) -> None:
    """Log a fact, where it is one to be logged."""
    if (teller := _TELLERS.get(type(fact))) is not None:
        teller(fact)


def _registered(fact: events.AgentRegistered) -> None:
    log.info(
        "agent registered",
        agent_id=fact.agent_id,
        group=fact.registration.group,
        version=fact.registration.version,
        instance_id=fact.registration.instance_id,
        resumed=fact.resumed,
    )


def _revived(fact: events.AgentRevived) -> None:
    log.info("agent is LIVE again", agent_id=fact.agent_id, previous=str(fact.previous))


def _went_stale(fact: events.AgentWentStale) -> None:
    log.warning("agent went STALE", agent_id=fact.agent_id)


def _went_dead(fact: events.AgentWentDead) -> None:
    log.warning("agent went DEAD", agent_id=fact.agent_id)


def _removed(fact: events.AgentRemoved) -> None:
    log.info("agent removed", agent_id=fact.agent_id)


def _stream_opened(fact: events.StreamOpened) -> None:
    log.debug("stream opened", agent_id=fact.agent_id, stream_id=fact.stream_id)


def _stream_closed(fact: events.StreamClosed) -> None:
    # Taken over by a newer one is as usual as the rest: too often is a conflict, which is told.
    ids = {"agent_id": fact.agent_id, "stream_id": fact.stream_id}
    match fact.reason:
        case events.CloseReason.SLOW_CONSUMER:
            log.warning("stream aborted, its reader does not keep up", **ids)
        case reason:
            log.debug("stream closed", reason=str(reason), **ids)


def _conflict(fact: events.StreamConflict) -> None:
    log.warning("stream conflict: two processes seem to use one id", agent_id=fact.agent_id)


def _issued(fact: events.CommandIssued) -> None:
    target = {"agent_id": fact.target.agent_id, "group": fact.target.group}
    log.info(
        "command issued",
        command_id=fact.command_id,
        command_type=str(fact.order.type),
        target_level=str(fact.target.level),
        **{name: value for name, value in target.items() if value is not None},
        targets=len(fact.agent_ids),
        connected=fact.connected_count,
        skipped=len(fact.skipped),
    )


def _acknowledged(fact: events.DeliveryAcknowledged) -> None:
    tell_it = log.warning if fact.result.status is Outcome.FAILURE else log.debug
    tell_it(
        "command acknowledged",
        command_id=fact.command_id,
        agent_id=fact.agent_id,
        outcome=str(fact.result.status),
        outcome_message=fact.result.message,
    )


def _late(fact: events.LateAckReceived) -> None:
    log.warning("late acknowledgement", command_id=fact.command_id, agent_id=fact.agent_id)


def _expired(fact: events.DeliveriesExpired) -> None:
    ids: dict[str, Any] = {"command_id": fact.command_id, "expired": len(fact.agent_ids)}
    if len(fact.agent_ids) <= _IDS_NAMED:
        ids["agent_ids"] = list(fact.agent_ids)
    log.warning("command expired", reason=str(fact.reason), **ids)


def _finished(fact: events.CommandFinished) -> None:
    log.info("command finished", command_id=fact.command_id, status=str(fact.status))


_TELLERS: Final[Mapping[type[Event], Callable[[Any], None]]] = {
    events.AgentRegistered: _registered,
    events.AgentRevived: _revived,
    events.AgentWentStale: _went_stale,
    events.AgentWentDead: _went_dead,
    events.AgentRemoved: _removed,
    events.StreamOpened: _stream_opened,
    events.StreamClosed: _stream_closed,
    events.StreamConflict: _conflict,
    events.CommandIssued: _issued,
    events.DeliveryAcknowledged: _acknowledged,
    events.LateAckReceived: _late,
    events.DeliveriesExpired: _expired,
    events.CommandFinished: _finished,
}
