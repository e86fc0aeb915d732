"""Events of the feed as somebody sees them who may see some groups only.

An event about several groups names agents of all of them, and counts. Of a command is told what
its own address shows: see :mod:`cameleer_registry.core.scoping`. To find that out takes time in
proportion to the targets, so it is done once for all who see the same.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakValueDictionary

from attrs import define, evolve, field

from ...core.feed import CommandIssuedEvent, DeliveriesEvent, DeliveryAcknowledgedEvent
from ...core.model import Outcome
from ...core.registry import Registry
from ...core.scoping import Within
from ...errors import CommandNotFound
from ...security.principals import Scope
from ..clock import Clock
from .news import News
from .ring import Entry, encode

REMEMBERED: Final = 64
"""Events whose narrowed lines are kept for the next who sees the same: all walk along the ring
within a few turns of the loop."""


class Narrowings:
    """What all see of what happens in one registry who see some groups only."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        # By scope, as long as somebody follows who has it.
        self._shared: WeakValueDictionary[Scope, Narrowing] = WeakValueDictionary()

    def of(self, scope: Scope) -> Narrowing:
        """Return what those see who have a scope: the same object for all of them."""
        found = self._shared.get(scope)
        if found is None:
            found = self._shared[scope] = Narrowing(self._registry, self._clock, scope.covers)
        return found


@define(eq=False)
class Narrowing:
    """What some see of what happens in one registry."""

    registry: Registry
    clock: Clock
    within: Within
    # The lines of the events that were narrowed last, by their ids.
    _told: dict[int, bytes | None] = field(factory=dict, init=False)

    def content_of(self, entry: Entry) -> bytes | None:
        """Return the lines by which an event is told; None if nothing of it is seen."""
        if entry.id in self._told:
            return self._told[entry.id]
        seen = self.of(entry.news)
        if seen is entry.news:
            return entry.content
        content = None if seen is None else encode(entry.id, seen)
        if len(self._told) >= REMEMBERED:
            del self._told[next(iter(self._told))]
        self._told[entry.id] = content
        return content

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
