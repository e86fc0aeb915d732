"""One copy of a registry that many nodes share: the same at every node, since it follows a log.

Every node gives every entry of the log to its replica, in order, and leaves none out. All that a
replica does follows from the entries and their stamps; it knows no clock, no settings and no chance
of its own. So after the same entry all replicas are equal (:func:`~.digest.digest`), and each
derives the same facts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from attrs import define, field, frozen

from ..errors import CannotJoin, RegistryError
from . import events, inputs
from .beside import Beside
from .events import CloseReason, Event
from .inputs import Entry
from .instant import Instant
from .log_time import LogTime
from .members import Member, Members, holder_of
from .model import NodeStatus
from .registry import Registry
from .summing import sum_up

EVERYTHING: Final = 1_000_000_000
"""More than a registry can have."""

CHECKED: Final = 4096
"""Positions whose checksums are remembered, to be compared with what other nodes say."""


class OutOfOrder(Exception):
    """An entry does not follow the one before it: the log, or who follows it, has lost some."""


@frozen
class Outcome:
    """What has become of one input."""

    value: Any = None
    refusal: Exception | None = None


@define(kw_only=True)
class Applied:
    """What has come of one entry."""

    entry: Entry
    position: int
    now: Instant
    # By which node it was put into the log; None where it does not count.
    by: Member | None = None
    # One for each input; none where the entry does not count: it has come before, or from a node
    # that the others have given up.
    outcomes: list[Outcome] = field(factory=list)
    facts: list[Event] = field(factory=list)
    # True where what waits to be told has to be told now: see Mark.
    cut: bool = False
    joined: list[Member] = field(factory=list)
    left: list[Member] = field(factory=list)
    lost: list[Member] = field(factory=list)
    # Nodes that have said what they have derived, and whether it is the same as here.
    compared: list[tuple[Member, bool]] = field(factory=list)


class Replica:
    """A registry that is moved by the entries of a log."""

    def __init__(
        self,
        registry: Registry,
        members: Members,
        time: LogTime,
        *,
        position: int = 0,
        checksum: int = 0,
        beside: Beside | None = None,
    ) -> None:
        self.registry = registry
        # What stands beside the registry, and is moved by the same log; None if nothing does.
        self.beside = beside
        self.members = members
        self.time = time
        # That of the newest entry.
        self.position = position
        # Sums up all facts so far. It is remembered at the newest positions, oldest first.
        self.checksum = checksum
        self._checksums: deque[tuple[int, int]] = deque([(position, checksum)], maxlen=CHECKED)

    def apply(self, position: int, stamp: int, entry: Entry) -> Applied:
        """Apply an entry; return what has come of it.

        Raises OutOfOrder where it is not the next one.
        """
        if position != self.position + 1:
            raise OutOfOrder(f"the entry {position} does not follow {self.position}")
        now = self.time.advance(stamp)
        applied = Applied(entry=entry, position=position, now=now)
        applied.facts += self._overdue(now)
        member = self._sender(entry, applied)
        if member is not None:
            member.heard = now
        applied.by = member
        # Whoever has just been heard is not lost, and whoever has not been is, to all alike.
        self._give_up(applied)
        if member is not None:
            for each in entry.inputs:
                applied.outcomes.append(self._give(each, member, applied))
        self.position = position
        self._sum_up(applied.facts)
        return applied

    def _overdue(self, now: Instant) -> list[Event]:
        """Tell of all that time has brought about: of those who share a moment as they came."""
        leases = self.registry.sweep_leases(now=now, limit=EVERYTHING)
        return [*leases, *self.registry.sweep_commands(now=now, limit=None)]

    def _sender(self, entry: Entry, applied: Applied) -> Member | None:
        """Return by which node an entry was put into the log; None where it does not count."""
        member = self.members.live.get(entry.boot)
        if member is None:
            return self._join(entry, applied)
        if entry.no <= member.no:
            return None
        member.no = entry.no
        return member

    def _join(self, entry: Entry, applied: Applied) -> Member | None:
        """Take in a node whose entry begins with that wish; no boot takes part twice."""
        first = entry.inputs[0] if entry.inputs else None
        if not isinstance(first, inputs.Join) or self._has_ended(entry.boot):
            return None
        # The one before may be gone without anybody else having been there to notice.
        self._give_up(applied)
        try:
            if self.beside is not None:
                self.beside.admit(first, self.members)
            member = self.members.join(entry.boot, entry.no, first, applied.now)
        except CannotJoin as refusal:
            applied.outcomes.append(Outcome(refusal=refusal))
            return None
        applied.joined.append(member)
        return member

    def _has_ended(self, boot: str) -> bool:
        return any(member.boot == boot for member in self.members.ended)

    def _give(self, given: inputs.Input, member: Member, applied: Applied) -> Outcome:
        match given:
            case inputs.Join():
                return Outcome(member.number)
            case inputs.Leave():
                applied.cut = True
                applied.left.append(member)
                self._end(member, NodeStatus.LEFT, CloseReason.SHUTDOWN, applied)
            case inputs.Tick():
                member.position, member.streams = given.position, given.streams
                if (agrees := self._agrees(given)) is not None:
                    applied.compared.append((member, agrees))
            case inputs.Mark():
                applied.cut = True
            case inputs.Hold():
                member.holds = given.holds
            case inputs.Barrier():
                pass
            case _:
                return self._give_registry(given, member, applied)
        return Outcome()

    def _give_registry(self, given: inputs.Input, member: Member, applied: Applied) -> Outcome:
        line = None
        if isinstance(given, inputs.Issue) and self.beside is not None:
            expires = applied.now.after(self.registry.limits.command_ttl)
            line = self.beside.line(given, applied.now, expires)
        try:
            value, facts = self._decide(given, line, applied.now)
        except RegistryError as refusal:
            return Outcome(refusal=refusal)
        except Exception as error:
            # A fault of ours; it is the same at every node, and whoever asked is told. To stop here
            # would stop all nodes, at each start anew.
            return Outcome(refusal=error)
        applied.facts += facts
        homes, number = self.members.homes, member.number
        match given:
            case inputs.Register():
                homes[given.registration.agent_id] = number
            case inputs.Hear():
                known = self.registry
                homes.update((each, number) for each in given.agent_ids if each in known)
            case inputs.Remove() | inputs.RemoveLapsed():
                for fact in facts:
                    if isinstance(fact, events.AgentRemoved):
                        homes.pop(fact.agent_id, None)
            case _ if type(given) not in inputs.REGISTRY_INPUTS:
                for fact in facts:
                    if isinstance(fact, events.AgentRegistered):
                        homes[fact.agent_id] = number
        if isinstance(value, Exception):
            return Outcome(refusal=value)
        return Outcome(value)

    def _decide(
        self, given: inputs.Input, line: str | None, now: Instant
    ) -> tuple[Any, Sequence[Event]]:
        if isinstance(given, inputs.Issue):
            return inputs.issue(self.registry, given, now, line)
        if self.beside is None or type(given) in inputs.REGISTRY_INPUTS:
            return inputs.apply(self.registry, given, now)
        return self.beside.give(given, self.registry, self.members, now)

    def _give_up(self, applied: Applied) -> None:
        for member in self.members.lost(applied.now):
            applied.lost.append(member)
            self._end(member, NodeStatus.LOST, CloseReason.NODE_LOST, applied)

    def _end(
        self, member: Member, status: NodeStatus, reason: CloseReason, applied: Applied
    ) -> None:
        """Close the streams of a node, and give those who talked to it time to find another."""
        now, number = applied.now, member.number
        agents = self.members.end(member, status, now)
        if status is NodeStatus.LOST:
            self.registry.renew(agents, now=now)
        applied.facts += self.registry.closed_by(
            lambda stream_id: holder_of(stream_id) == number, reason, now=now
        )

    def _agrees(self, tick: inputs.Tick) -> bool | None:
        """Tell whether another node has come to the same sum; None where that is not known."""
        oldest = self._checksums[0][0]
        place = tick.position - oldest
        if not 0 <= place < len(self._checksums):
            return None
        return self._checksums[place][1] == tick.checksum

    def _sum_up(self, facts: Iterable[Event]) -> None:
        self.checksum = sum_up(facts, self.checksum)
        self._checksums.append((self.position, self.checksum))
