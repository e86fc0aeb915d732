"""What a registry should show, by a model that is simple enough to be right by reading it.

It keeps what was said and when, and derives everything else from that and the present moment.
Nothing in it is swept, told or counted.
"""

from __future__ import annotations

from attrs import define, field

from cameleer_registry.core.instant import Instant
from cameleer_registry.core.model import Ack, AgentStatus, DeliveryState, Order, Target

from .conversations import DEAD, HOUR, STALE, TTL


@define
class ModelAgent:
    """An agent by what was last heard of it."""

    group: str
    registered: Instant
    heard: Instant
    live_since: Instant
    stream_id: int | None = None

    def status(self, now: Instant) -> AgentStatus:
        silence = (now.lease - self.heard.lease) / 1e9
        if silence < STALE:
            return AgentStatus.LIVE
        return AgentStatus.STALE if silence < DEAD else AgentStatus.DEAD

    def status_since(self, now: Instant) -> int:
        """Return the lease time at which its status began."""
        boundary = {AgentStatus.STALE: STALE, AgentStatus.DEAD: DEAD}.get(self.status(now))
        if boundary is None:
            return self.live_since.lease
        return self.heard.lease + round(boundary * 1e9)


@define
class ModelKey:
    """What was first asked for under a key."""

    command_id: str
    issued: Instant
    whom: Target
    order: Order

    def is_over(self, now: Instant) -> bool:
        return (now.steady - self.issued.steady) / 1e9 >= HOUR


@define
class ModelCommand:
    """A command by what was said in answer to it."""

    issued: Instant
    targets: frozenset[str]
    removed: set[str] = field(factory=set)
    acks: dict[str, Ack] = field(factory=dict)
    late: dict[str, Instant] = field(factory=dict)  # when each first answered too late

    def state(self, agent_id: str, now: Instant) -> DeliveryState:
        if agent_id in self.acks:
            return DeliveryState.ACKNOWLEDGED
        if agent_id in self.removed or (now.steady - self.issued.steady) / 1e9 >= TTL:
            return DeliveryState.EXPIRED
        return DeliveryState.PENDING

    def is_open(self, now: Instant) -> bool:
        return any(self.state(a, now) is DeliveryState.PENDING for a in self.targets)
