"""A conversation with a registry: what goes in, and the facts that come out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from attrs import define, field

from cameleer_registry.core import views
from cameleer_registry.core.events import (
    CloseReason,
    CommandFinished,
    DeliveriesExpired,
    Event,
    ExpiryReason,
)
from cameleer_registry.core.idempotency import Idempotency
from cameleer_registry.core.instant import Instant, nanoseconds
from cameleer_registry.core.model import (
    Ack,
    Agent,
    AgentStatus,
    Command,
    CommandStatus,
    CommandType,
    Delivery,
    DeliveryState,
    Order,
    Registration,
    Target,
)
from cameleer_registry.core.registry import Limits, Registry
from cameleer_registry.core.rules import AgentId, GroupName

NS: Final = 1e-9
"""A nanosecond, in seconds: ``90 - NS`` is the last moment before 90 s."""

STALE, DEAD, TTL = 90.0, 390.0, 60.0
"""When an agent heard at 0 becomes STALE and DEAD, and a command issued at 0 expires."""

HOUR: Final = 3600.0
"""When a key under which a command was issued at 0 is not remembered any more."""

# Far apart, so that one clock taken for another shows.
START: Final = Instant(
    wall=1_795_000_000_000_000_000, steady=nanoseconds(5_000), lease=nanoseconds(3_000)
)

ORDER: Final = Order(type=CommandType.CONFIG_UPDATE, payload={"sampling": 0.5})
ACK: Final = Ack()


def limits(
    *, stale_after: float = 90, dead_after: float = 300, command_ttl: float = 60, **counts: Any
) -> Limits:
    """Return limits from seconds; the rest are plain counts."""
    return Limits(
        stale_after=nanoseconds(stale_after),
        dead_after=nanoseconds(dead_after),
        command_ttl=nanoseconds(command_ttl),
        **counts,
    )


def registration(agent_id: str, group: str = "g", **more: Any) -> Registration:
    """Return what an agent declares of itself."""
    return Registration(agent_id=AgentId(agent_id), group=GroupName(group), **more)


@define
class Talk:
    """One registry, the time it is told, and every fact it ever returned."""

    registry: Registry = field(factory=lambda: Registry(limits()))
    elapsed: int = 0  # nanoseconds since the start, on the steady clock
    paused: int = 0  # by which the lease clock is behind that
    stepped: int = 0  # by which the wall clock was set
    facts: list[Event] = field(factory=list)

    # Time

    @property
    def now(self) -> Instant:
        return self._instant(self.elapsed)

    def at(self, seconds: float) -> Talk:
        """Move on to so many seconds after the start."""
        assert nanoseconds(seconds) >= self.elapsed, "time only moves forward"
        self.elapsed = nanoseconds(seconds)
        return self

    def moment(self, seconds: float) -> Instant:
        """Return the moment so many seconds after the start, as the clocks stand now."""
        return self._instant(nanoseconds(seconds))

    def pause(self, seconds: float) -> Talk:
        """Hold the process up: time passes, and does not count against any lease."""
        self.elapsed += nanoseconds(seconds)
        self.paused += nanoseconds(seconds)
        return self

    def set_wall_clock(self, seconds: float) -> Talk:
        """Step the wall clock forward, or backward."""
        self.stepped += nanoseconds(seconds)
        return self

    def _instant(self, elapsed: int) -> Instant:
        return Instant(
            wall=START.wall + elapsed + self.stepped,
            steady=START.steady + elapsed,
            lease=START.lease + elapsed - self.paused,
        )

    # What goes in; each returns what comes out

    def register(self, agent_id: str, group: str = "g", **more: Any) -> list[Event]:
        return self._note(
            self.registry.register(registration(agent_id, group, **more), now=self.now)
        )

    def heartbeat(self, agent_id: str) -> list[Event]:
        return self._note(self.registry.heartbeat(agent_id, now=self.now))

    def remove(self, agent_id: str) -> list[Event]:
        return self._note(self.registry.remove(agent_id, now=self.now))

    def sweep_leases(self, limit: int = 500) -> list[Event]:
        return self._note(self.registry.sweep_leases(now=self.now, limit=limit))

    def open(self, agent_id: str, stream_id: int) -> list[Event]:
        return self._note(self.registry.stream_opened(agent_id, stream_id, now=self.now))

    def close(
        self, agent_id: str, stream_id: int, reason: CloseReason = CloseReason.CLIENT_GONE
    ) -> list[Event]:
        return self._note(self.registry.stream_closed(agent_id, stream_id, reason, now=self.now))

    def issue(self, command_id: str, target: Target, order: Order = ORDER) -> list[Event]:
        _, facts = self.registry.issue(command_id, order, target, now=self.now)
        return self._note(facts)

    def issue_once(
        self, command_id: str, target: Target, key: str, order: Order = ORDER
    ) -> tuple[Command, list[Event]]:
        """Issue under a key; return the command that is shown for it, too."""
        fingerprint = repr((order, target)).encode()
        record, facts = self.registry.issue(
            command_id,
            order,
            target,
            now=self.now,
            payload_size=len(fingerprint),
            idempotency=Idempotency(key, fingerprint),
        )
        return views.command(record, self.now), self._note(facts)

    def pushed(self, command_id: str, *agent_ids: str) -> list[Event]:
        return self._note(self.registry.pushed(command_id, agent_ids, now=self.now))

    def ack(self, agent_id: str, command_id: str, ack: Ack = ACK, *, size: int = 0) -> list[Event]:
        _, facts = self.registry.acknowledge(agent_id, command_id, ack, now=self.now, size=size)
        return self._note(facts)

    def sweep_commands(self, limit: int | None = 500) -> list[Event]:
        return self._note(self.registry.sweep_commands(now=self.now, limit=limit))

    def _note(self, facts: tuple[Event, ...]) -> list[Event]:
        self.facts += facts
        return list(facts)

    # What can be seen

    def stream_of(self, agent_id: str) -> int | None:
        record = self.registry._roster.agents.get(agent_id)
        return record.stream_id if record else None

    def agent(self, agent_id: str) -> Agent:
        return self.registry.agent(agent_id, now=self.now)

    def status(self, agent_id: str) -> AgentStatus:
        return self.agent(agent_id).status

    def ids(
        self,
        *statuses: AgentStatus,
        groups: Collection[str] = (),
        after: str = "",
        limit: int = 1_000_000,
    ) -> list[str]:
        found = self.registry.agents(
            now=self.now, statuses=statuses, groups=groups, after=after, limit=limit
        )
        return [agent.agent_id for agent in found]

    def summaries(self) -> dict[str, tuple[int, int, int, int]]:
        """Return LIVE, STALE, DEAD and connected of each group."""
        return {
            group.group: (group.live, group.stale, group.dead, group.connected)
            for group in self.registry.groups(now=self.now)
        }

    def command(self, command_id: str) -> Command:
        return self.registry.command(command_id, now=self.now)

    def counts(self, command_id: str) -> tuple[int, int, int]:
        """Return how many deliveries are PENDING, ACKNOWLEDGED and EXPIRED."""
        counts = self.command(command_id).counts
        pending, acknowledged, expired = (counts[state] for state in DeliveryState)
        return pending, acknowledged, expired

    def delivery(self, agent_id: str, command_id: str) -> Delivery:
        deliveries = list(self.registry.deliveries(command_id, now=self.now))
        return next(delivery for delivery in deliveries if delivery.agent_id == agent_id)

    def inbox(self, agent_id: str, *states: DeliveryState) -> list[str]:
        """Return the ids of an agent's commands, in the order in which they are shown."""
        found = self.registry.agent_deliveries(agent_id, now=self.now, states=states)
        return [delivery.command_id for delivery in found]


def deadline(talk: Talk, seconds: float, command_id: str, *agent_ids: str) -> list[Event]:
    """Return what is told of a command that expired at so many seconds after the start."""
    at = talk.moment(seconds)
    return [
        DeliveriesExpired(
            at=at, command_id=command_id, agent_ids=agent_ids, reason=ExpiryReason.DEADLINE
        ),
        CommandFinished(at=at, command_id=command_id, status=CommandStatus.EXPIRED),
    ]


Talking = Callable[..., Talk]
"""Starts a conversation with a registry of these limits; see the fixture of this name."""
