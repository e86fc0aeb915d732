"""Events of the feed as somebody sees them who may see some groups only.

An event about several groups names agents of all of them, and counts. Of a command is told what
its own address shows: see :mod:`cameleer_registry.core.scoping`.
"""

from __future__ import annotations

from attrs import evolve, frozen

from ...core.feed import CommandIssuedEvent, DeliveriesEvent, DeliveryAcknowledgedEvent
from ...core.model import Outcome
from ...core.registry import Registry
from ...core.scoping import Within
from ...errors import CommandNotFound
from ..clock import Clock
from .news import News


@frozen
class Narrowing:
    """What somebody sees of what happens in one registry."""

    registry: Registry
    clock: Clock
    within: Within

    def of(self, news: News) -> News | None:
        """Return what somebody sees of an event; None if that is nothing."""
        if not any(map(self.within, news.groups)):
            return None
        match news.data:
            case CommandIssuedEvent() if news.data.skipped_count or not self._is_whole(news):
                return self._issued(news, news.data)
            case DeliveriesEvent() if not self._is_whole(news):
                return self._deliveries(news, news.data)
            case _:
                return news

    def _is_whole(self, news: News) -> bool:
        return all(map(self.within, news.groups))

    def _issued(self, news: News, data: CommandIssuedEvent) -> News | None:
        try:
            command = self.registry.command(
                data.command_id, now=self.clock.now(), within=self.within
            )
        except CommandNotFound:  # it is forgotten, and nobody can be told more of it
            return None
        told = evolve(
            data,
            target_count=command.target_count,
            connected_count=command.connected_count,
            skipped_count=len(command.skipped),
        )
        return evolve(news, data=told)

    def _deliveries(self, news: News, data: DeliveriesEvent) -> News | None:
        seen = set(filter(self._sees, data.agent_ids))
        if not seen:
            return None
        try:
            command = self.registry.command(
                data.command_id, now=self.clock.now(), within=self.within
            )
        except CommandNotFound:
            return None
        told = evolve(
            data,
            agent_ids=tuple(agent_id for agent_id in data.agent_ids if agent_id in seen),
            status=command.status,
            counts=command.counts,
            outcomes=command.outcomes,
        )
        if isinstance(told, DeliveryAcknowledgedEvent):
            failures = tuple(one for one in told.failures if one.agent_id in seen)
            told = evolve(told, failures=failures, failed_count=command.outcomes[Outcome.FAILURE])
        return evolve(news, data=told)

    def _sees(self, agent_id: str) -> bool:
        group = self.registry.group_of(agent_id)
        return group is not None and self.within(group)
