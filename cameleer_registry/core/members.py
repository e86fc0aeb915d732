"""The nodes of a registry, as they know each other: who takes part, who has ended, who is lost.

All of it follows from the log: a node joins and leaves by inputs of its own, and one of which no
entry has come for :data:`LOST_AFTER` is lost. That is judged by the clock of leases, which stands
still while nobody can write: an election loses nobody.

Each start of a node is given a number, from 1. Its streams have ids that begin with it, so that
everybody knows whose they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from attrs import define, field

from ..errors import NodeNameInUse
from . import plain
from .inputs import Join
from .instant import NANOSECONDS, Instant
from .model import NodeStatus

LOST_AFTER: Final = 5 * NANOSECONDS
"""Without an entry for so long, by the clock of leases, a node is lost."""

REMEMBERED: Final = 86400 * NANOSECONDS
"""How long one that is lost, or has left, is shown."""

MOST_ENDED: Final = 1000
"""Starts of nodes that have ended which are remembered, newest first, also within that time."""

STREAMS_OF_A_NODE: Final = 32
"""Bits of a stream's id that its node counts by itself."""


@define(eq=False, kw_only=True)
class Member:
    """One start of a node."""

    number: int
    name: str
    boot: str
    version: str
    address: str | None
    joined: Instant
    heard: Instant  # the newest entry that came from it
    no: int  # how many entries have come from it
    status: NodeStatus = NodeStatus.LIVE
    ended: Instant | None = None  # None while it takes part
    position: int = 0  # how far it had applied the log by its own account
    streams: int = 0  # how many it held by its own account
    registry: str | None = None  # whose keys it has; None if it has none
    root: str | None = None  # the thumbprint of their root
    holds: tuple[str, ...] = ()  # the names of its private keys


@define(eq=False)
class Members:
    """All nodes of a registry."""

    count: int = 0  # starts of nodes so far
    # Those that take part, by boot, in the order in which they joined.
    live: dict[str, Member] = field(factory=dict)
    # Those that have ended, oldest first.
    ended: list[Member] = field(factory=list)
    # At which node, by its number, each agent was heard last.
    homes: dict[str, int] = field(factory=dict)

    def __iter__(self) -> Iterator[Member]:
        yield from self.live.values()
        yield from self.ended

    def by_name(self) -> list[Member]:
        """Return the newest of each name: those that take part, and behind them those that ended.

        A node that was killed and started again is one node.
        """
        names = {member.name for member in self.live.values()}
        ended = []
        for member in reversed(self.ended):
            if member.name not in names:
                names.add(member.name)
                ended.append(member)
        return [*self.live.values(), *reversed(ended)]

    def join(self, boot: str, no: int, wish: Join, now: Instant) -> Member:
        """Enter a node; raises NodeNameInUse where another one that takes part is called so."""
        if any(member.name == wish.name for member in self.live.values()):
            raise NodeNameInUse(wish.name)
        self.count += 1
        member = self.live[boot] = Member(
            number=self.count,
            name=wish.name,
            boot=boot,
            version=wish.version,
            address=wish.address,
            joined=now,
            heard=now,
            no=no,
            registry=wish.registry,
            root=wish.root,
            holds=wish.holds,
        )
        return member

    def lost(self, now: Instant) -> list[Member]:
        """Return those that are lost at this moment, in the order in which they joined."""
        return [m for m in self.live.values() if now.lease - m.heard.lease > LOST_AFTER]

    def end(self, member: Member, status: NodeStatus, now: Instant) -> list[str]:
        """Note that a node takes part no more; return the agents that were heard there last."""
        del self.live[member.boot]
        member.status, member.ended = status, now
        self.ended.append(member)
        since = now.steady - REMEMBERED
        self.ended = [m for m in self.ended if m.ended and m.ended.steady > since][-MOST_ENDED:]
        number = member.number
        agents = sorted(agent_id for agent_id, home in self.homes.items() if home == number)
        for agent_id in agents:
            del self.homes[agent_id]
        return agents


def holder_of(stream_id: int) -> int:
    """Return the number of the node that holds, or has held, a stream."""
    return stream_id >> STREAMS_OF_A_NODE


# As values


def value(members: Members) -> list[Any]:
    """Return all nodes as a value."""
    by_home: dict[int, list[str]] = {}
    for agent_id, number in members.homes.items():
        by_home.setdefault(number, []).append(agent_id)
    homes = [[number, sorted(agent_ids)] for number, agent_ids in sorted(by_home.items())]
    return [members.count, [_member(each) for each in members], homes]


def to_members(of: Sequence[Any]) -> Members:
    """Return the nodes that a value stands for."""
    count, each, homes = of
    members = Members(count)
    for member in map(_to_member, each):
        if member.status is NodeStatus.LIVE:
            members.live[member.boot] = member
        else:
            members.ended.append(member)
    for number, agent_ids in homes:
        members.homes.update(dict.fromkeys(agent_ids, number))
    return members


def _member(of: Member) -> list[Any]:
    return [
        of.number,
        of.name,
        of.boot,
        of.version,
        of.address,
        plain.instant(of.joined),
        plain.instant(of.heard),
        of.no,
        of.status.value,
        plain.optional_instant(of.ended),
        of.position,
        of.streams,
        of.registry,
        of.root,
        of.holds,
    ]


def _to_member(of: Sequence[Any]) -> Member:
    return Member(
        number=of[0],
        name=of[1],
        boot=of[2],
        version=of[3],
        address=of[4],
        joined=plain.to_instant(of[5]),
        heard=plain.to_instant(of[6]),
        no=of[7],
        status=NodeStatus(of[8]),
        ended=plain.to_optional_instant(of[9]),
        position=of[10],
        streams=of[11],
        registry=of[12],
        root=of[13],
        holds=tuple(of[14]),
    )
