"""The life of an agent: LIVE, STALE, DEAD.

An agent holds a lease. Only a registration or a heartbeat renews it, not an open stream or an
acknowledgement. When the lease has run for ``stale_after`` without renewal the agent is STALE, and
``dead_after`` later it is DEAD. It stays listed until an operator deletes it, and one heartbeat
brings it back. An open stream does not keep an agent LIVE, and a closed one does not make it STALE:
a socket can stay open long after its process is gone, and a proxy may cut the stream of a healthy
agent.

So the status is a function of two numbers, the moment of the last renewal and now.
:func:`status_at` is that function, and nothing else decides. Timers merely find the agents that
have crossed a boundary, so that this can be reported.

The defaults are 30, 90 and 300 s: three missed heartbeats before an agent is doubted (Eureka's
30 s renewals and 90 s leases), and five minutes more, in which a restart or a deployment is over,
before it is given up.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from attrs import frozen

from .model import AgentStatus


class LeaseTrigger(StrEnum):
    """What can happen to a lease."""

    HEARD = "heartbeat or registration"
    LEASE_RAN_OUT = "stale_after has passed"
    GRACE_RAN_OUT = "dead_after more has passed"


TRANSITIONS: Final[Mapping[tuple[AgentStatus, LeaseTrigger], AgentStatus]] = {
    (AgentStatus.LIVE, LeaseTrigger.HEARD): AgentStatus.LIVE,
    (AgentStatus.LIVE, LeaseTrigger.LEASE_RAN_OUT): AgentStatus.STALE,
    (AgentStatus.STALE, LeaseTrigger.HEARD): AgentStatus.LIVE,
    (AgentStatus.STALE, LeaseTrigger.GRACE_RAN_OUT): AgentStatus.DEAD,
    (AgentStatus.DEAD, LeaseTrigger.HEARD): AgentStatus.LIVE,
}
"""Every transition there is. What is not in the table cannot happen."""


@frozen
class Lease:
    """How long a lease runs. Both are nanoseconds."""

    stale_after: int
    dead_after: int

    def stale_at(self, heard: int) -> int:
        """Return the lease time at which an agent heard at ``heard`` becomes STALE."""
        return heard + self.stale_after

    def dead_at(self, heard: int) -> int:
        """Return the lease time at which an agent heard at ``heard`` becomes DEAD."""
        return heard + self.stale_after + self.dead_after

    def status_at(self, heard: int, now: int) -> AgentStatus:
        """Judge an agent that was last heard at ``heard``; a boundary belongs to what follows."""
        if now < self.stale_at(heard):
            return AgentStatus.LIVE
        if now < self.dead_at(heard):
            return AgentStatus.STALE
        return AgentStatus.DEAD
