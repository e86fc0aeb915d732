"""Which facts a journal keeps, and who waits until they are durable.

Everything that is answered, written to a stream or told by the feed rests on facts. Most of these
must be durable first: a crash would take back what somebody has been told. What time and presence
derive by themselves is exempt, since it is told anew after a crash: statuses, and open streams.
"""

from __future__ import annotations

from typing import Final

from ...core import events
from ...core.events import Event
from ...security import facts

NEVER_KEPT: Final[frozenset[type[Event]]] = frozenset({events.HeartbeatReceived})
"""Too many, and each outdated by the next: what they come to is noted in bulk."""

AWAITED: Final[frozenset[type[Event]]] = frozenset(
    {
        events.AgentRegistered,
        events.AgentRemoved,
        events.CommandIssued,
        events.DeliveryAcknowledged,
        events.LateAckReceived,
        *facts.KEPT,
    }
)
"""What somebody asked for: made durable at once, and nothing is done or told about it before."""

READ: Final[frozenset[type[Event]]] = frozenset(
    {
        events.CommandPushed,
        events.DeliveriesExpired,
        events.CommandFinished,
        events.CommandForgotten,
    }
)
"""What follows from it: made durable with the next of those, or as soon as somebody reads it."""
