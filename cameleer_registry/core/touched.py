"""What something has happened to since its row was made, and in which order rows are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from . import events
from .events import AgentEvent, AgentRemoved, Event
from .kept import AGENT, COMMAND, DELETED, DELIVERY, GROUP, KEY, TARGETS, Entity


def _of_agent(fact: AgentEvent) -> Sequence[Entity]:
    return (Entity(AGENT, fact.agent_id),)


def _registered(fact: events.AgentRegistered) -> Sequence[Entity]:
    agent = Entity(AGENT, fact.agent_id)
    return (agent,) if fact.left is None else (agent, Entity(GROUP, fact.left))


def _removed(fact: AgentRemoved) -> Sequence[Entity]:
    agent_id = fact.agent_id
    return Entity(AGENT, agent_id), Entity(GROUP, fact.group), Entity(DELETED, agent_id)


def _of_command(fact: Any) -> Sequence[Entity]:
    return (Entity(COMMAND, fact.command_id),)


def _of_delivery(fact: Any) -> Sequence[Entity]:
    return (Entity(DELIVERY, fact.command_id, fact.agent_id),)


def _expired(fact: events.DeliveriesExpired) -> Sequence[Entity]:
    if fact.reason is events.ExpiryReason.DEADLINE:  # the same of all that are left
        return (Entity(COMMAND, fact.command_id),)
    return [Entity(DELIVERY, fact.command_id, agent_id) for agent_id in fact.agent_ids]


def _forgotten(fact: events.CommandForgotten) -> Sequence[Entity]:
    command = Entity(COMMAND, fact.command_id)
    return (command,) if fact.key is None else (command, Entity(KEY, fact.command_id, fact.key))


_TOUCHED: Final[Mapping[type[Event], Callable[[Any], Sequence[Entity]]]] = {
    events.AgentRegistered: _registered,
    events.AgentRevived: _of_agent,
    events.AgentWentStale: _of_agent,
    events.AgentWentDead: _of_agent,
    events.AgentRemoved: _removed,
    events.StreamOpened: _of_agent,
    events.StreamClosed: _of_agent,
    events.StreamConflict: _of_agent,
    events.CommandIssued: _of_command,
    events.CommandPushed: _of_command,
    events.DeliveryAcknowledged: _of_delivery,
    events.LateAckReceived: _of_delivery,
    events.DeliveriesExpired: _expired,
    events.CommandFinished: _of_command,
    events.CommandForgotten: _forgotten,
}
"""Heartbeats touch nothing that is kept in rows."""


class Touched:
    """What something has happened to since its row was made, oldest first."""

    def __init__(self) -> None:
        # With the first fact since then, which is in no row yet.
        self._since: dict[Entity, int] = {}
        # The newest of those facts, and whether they stand in order.
        self._newest = 0
        self._is_ordered = True
        # How many of them are parts of each command: its deliveries, and its key.
        self._parts: Counter[str] = Counter()
        # Those of them that are lists of targets; a dict for its order.
        self._lists: dict[Entity, None] = {}
        # What says what a fact was about, by its kind.
        self._finders: Mapping[type[Event], Callable[[Any], Iterable[Entity]]] = _TOUCHED

    def __len__(self) -> int:
        return len(self._since)

    def note(self, fact: Event, seq: int) -> None:
        """Note what a fact, which is the ``seq``-th, was about."""
        find = self._finders.get(type(fact))
        if find is not None:
            for entity in find(fact):
                self.add(entity, seq)

    def extend(self, finders: Mapping[type[Event], Callable[[Any], Iterable[Entity]]]) -> None:
        """Note what facts of other kinds are about, too."""
        self._finders = {**self._finders, **finders}

    def add(self, entity: Entity, seq: int) -> None:
        """Note that something has happened to something, by the ``seq``-th fact."""
        if entity not in self._since:
            self._since[entity] = seq
            if seq < self._newest:
                self._is_ordered = False
            self._newest = seq
            self._count(entity)

    def _count(self, entity: Entity) -> None:
        if entity[2]:
            self._parts[entity[1]] += 1
        elif entity[0] == TARGETS:
            self._lists[entity] = None

    def take(self, most: int) -> list[Entity]:
        """Return up to so many of them, whose rows are made now.

        The row of a command is made when those of its parts have been. What had happened to a
        delivery could not be told from a command that has expired meanwhile, nor a key from one
        that is forgotten. Lists of targets come first: the row of a command refers to one, and
        could not be loaded after a crash if that had no row yet.
        """
        taken = list(islice(self._lists, most))
        for entity in taken:
            del self._lists[entity]
        is_late = bool(self._lists)
        for entity in self._since:
            if len(taken) >= most:
                break
            if entity[0] == TARGETS or (
                entity[0] == COMMAND and (is_late or entity[1] in self._parts)
            ):
                continue
            taken.append(entity)
        for entity in taken:
            del self._since[entity]
            if entity.part:
                self._parts[entity.key] -= 1
                if not self._parts[entity.key]:
                    del self._parts[entity.key]
        return taken

    def put_back(self, entities: Iterable[Entity], seq: int) -> None:
        """Have rows of these made after all: since the fact ``seq`` nothing of them was kept."""
        for entity in entities:
            if entity not in self._since:
                self._count(entity)
            self._since[entity] = min(seq, self._since.get(entity, seq))
            self._is_ordered = False

    def folded(self, last: int) -> int:
        """Return up to which fact all are in rows; ``last`` is the newest that has been noted."""
        if not self._since:
            self._is_ordered = True
            return last
        # Thousands of them, and mostly one after the other.
        oldest = next(iter(self._since.values())) if self._is_ordered else min(self._since.values())
        return oldest - 1
