"""What is kept of agents, commands and deliveries as plain values, and back.

The order of the elements is for ever, as is that of a fact's fields: see :mod:`.encoding`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from . import plain
from .ledger import CommandRecord, DeliveryRecord
from .model import AgentStatus, DeliveryState, Registration
from .plain import Value
from .push_times import PushTimes
from .roster import AgentRecord
from .targets import Targets

_AGENT_STATUS: Final = {status.value: status for status in AgentStatus}
DELIVERY_STATE: Final = {state.value: state for state in DeliveryState}


def agent(record: AgentRecord) -> list[Value]:
    """Return what is kept of an agent, without its id."""
    return [
        plain.registration(record.registration),
        plain.instant(record.registered),
        plain.instant(record.heard),
        record.status.value,
        plain.instant(record.changed),
        record.takeovers,
        record.conflict_told,
        record.stream_id,
    ]


def to_agent(
    agent_id: str,
    value: Sequence[Value],
    to_registration: Callable[[Sequence[Value]], Registration] = plain.to_registration,
) -> AgentRecord:
    """Return the record of an agent that a list stands for."""
    declared, registered, heard, status, changed, takeovers, conflict_told, stream_id = value
    return AgentRecord(
        agent_id=agent_id,
        registration=to_registration(declared),
        registered=plain.to_instant(registered),
        heard=plain.to_instant(heard),
        status=_AGENT_STATUS[status],
        changed=plain.to_instant(changed),
        stream_id=stream_id,
        takeovers=tuple(takeovers),
        conflict_told=conflict_told,
    )


def head(record: CommandRecord) -> list[Value]:
    """Return what is kept of a command whether or not it is forgotten, without its id."""
    return [
        record.number,
        plain.order(record.order),
        plain.target(record.target),
        plain.instant(record.created),
        plain.instant(record.expires),
        record.connected_count,
        record.skipped,
        plain.idempotency(record.idempotency),
        record.issued_by,
        plain.optional_instant(record.finished),
        record.payload_size,
    ]


def to_command(
    command_id: str, value: Sequence[Any], targets: Targets, groups: frozenset[str]
) -> CommandRecord:
    """Return the record of a command that a head stands for; nothing is counted in it yet."""
    number, order, target, created, expires, connected, skipped, key, by, finished, size = value
    return CommandRecord(
        command_id=command_id,
        number=number,
        order=plain.to_order(order),
        target=plain.to_target(target),
        created=plain.to_instant(created),
        expires=plain.to_instant(expires),
        connected_count=connected,
        skipped=tuple(skipped),
        size=0,
        payload_size=size,
        idempotency=plain.to_idempotency(key),
        counts={},
        targets=targets,
        groups=groups,
        issued_by=by,
        finished=plain.to_optional_instant(finished),
        push_times=PushTimes(),
    )


def delivery(record: DeliveryRecord) -> list[Value]:
    """Return what is kept of a delivery to which something has happened, without whose it is."""
    return [
        record.state.value,
        plain.optional_instant(record.acknowledged),
        plain.optional_instant(record.late_ack),
        None if record.result is None else plain.ack(record.result),
        record.size,
    ]


def to_delivery(command: CommandRecord, agent_id: str, value: Sequence[Value]) -> DeliveryRecord:
    """Return the record of a delivery that a list stands for."""
    state, acknowledged, late_ack, result, size = value
    return DeliveryRecord(
        command,
        agent_id,
        DELIVERY_STATE[state],
        plain.to_optional_instant(acknowledged),
        plain.to_optional_instant(late_ack),
        None if result is None else plain.to_ack(result),
        size,
    )
