"""The life of a command: one delivery for each target, and a status over all of them.

The targets are frozen when the command is issued. From then on each delivery goes its own way:
PENDING until its agent acknowledges it or the deadline passes, whichever comes first, and final
after that. An acknowledgement at the deadline itself is late. An agent that is deleted will not
answer any more, so what is pending for it expires at once.

``deliveredAt`` is not a state: that bytes were written to a socket says nothing about whether they
arrived, let alone whether they were acted upon. Only the agent's own answer counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from .model import CommandStatus, DeliveryState, Outcome


def all_pending(count: int) -> dict[DeliveryState, int]:
    """Return the number of deliveries in each state when a command with so many targets begins."""
    return {**_NONE, DeliveryState.PENDING: count}


_NONE: Final = dict.fromkeys(DeliveryState, 0)


def outcomes(*, acknowledged: int, failed: int) -> dict[Outcome, int]:
    """Return the number of acknowledgements with each outcome, if so many of them are failures."""
    return {Outcome.SUCCESS: acknowledged - failed, Outcome.FAILURE: failed}


class DeliveryTrigger(StrEnum):
    """What can happen to a delivery."""

    ACK = "acknowledgement"
    DEADLINE = "command_ttl has passed"
    AGENT_REMOVED = "agent deleted"


TRANSITIONS: Final[Mapping[tuple[DeliveryState, DeliveryTrigger], DeliveryState]] = {
    (DeliveryState.PENDING, DeliveryTrigger.ACK): DeliveryState.ACKNOWLEDGED,
    (DeliveryState.PENDING, DeliveryTrigger.DEADLINE): DeliveryState.EXPIRED,
    (DeliveryState.PENDING, DeliveryTrigger.AGENT_REMOVED): DeliveryState.EXPIRED,
    # The first result stands, and a late one is kept as evidence only.
    (DeliveryState.ACKNOWLEDGED, DeliveryTrigger.ACK): DeliveryState.ACKNOWLEDGED,
    (DeliveryState.EXPIRED, DeliveryTrigger.ACK): DeliveryState.EXPIRED,
}
"""Every transition there is. What is not in the table cannot happen."""


def status_of(*, pending: int, acknowledged: int, expired: int) -> CommandStatus:
    """Return the status of a command from the number of its deliveries in each state."""
    if pending:
        return CommandStatus.PENDING
    if expired:
        return CommandStatus.EXPIRED
    if acknowledged:
        return CommandStatus.ACKNOWLEDGED
    return CommandStatus.UNDELIVERABLE
