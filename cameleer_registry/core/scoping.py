"""What exists for somebody who may see some groups only.

A command is seen if an agent of such a group was among its targets, or such a group was meant. Of
its deliveries are seen those of agents that are in such a group now; and so what is shown of the
command are sums over these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar

from attrs import evolve, frozen

from .commands import outcomes, status_of
from .instant import Instant
from .ledger import CommandRecord, DeliveryRecord
from .model import Command, DeliveryState, GroupTarget, Outcome
from .roster import Roster
from .targets import Targets

C = TypeVar("C", bound=Command)

MANY: Final = 1000
"""Agents of which it is quicker to gather those that are seen first."""

FEW_OF: Final = 8
"""A part of some agents, as one in so many, that is quicker to put in order than to search for."""

Within = Callable[[str], bool]
"""Tells whether a group exists for somebody."""


@frozen
class Seen:
    """The part of a command that somebody sees."""

    agent_ids: Sequence[str]
    skipped: tuple[str, ...]


def sees(record: CommandRecord, within: Within) -> bool:
    """Tell whether somebody sees a command at all."""
    match record.target:
        case GroupTarget(group):
            return within(group)
        case _:
            return any(map(within, record.groups))


def part_of(record: CommandRecord, roster: Roster, within: Within) -> Seen | None:
    """Return the part that somebody sees of a command; None if that is all of it.

    The command is one that is seen.
    """
    if not record.skipped and all(map(within, record.groups)):
        return None
    return Seen(
        agents_within(record.targets, roster, within),
        tuple(agents_within(record.skipped, roster, within)),
    )


def agents_within(agent_ids: Collection[str], roster: Roster, within: Within) -> list[str]:
    """Return those of some agents that the caller may see, without those that are not known any
    more.
    """
    agents = roster.agents
    if len(agent_ids) > MANY:
        # By groups, which are far fewer: whoever sees a few agents should not have each target of
        # each broadcast looked up.
        there: set[str] = set()
        for name, group in roster.groups.items():
            if within(name):
                there.update(*group.members.values())
        if isinstance(agent_ids, Targets) and FEW_OF * len(there) < len(agent_ids):
            places = agent_ids.places
            return sorted(filter(places.__contains__, there), key=places.__getitem__)
        return [agent_id for agent_id in agent_ids if agent_id in there] if there else []
    return [
        agent_id
        for agent_id in agent_ids
        if (found := agents.get(agent_id)) is not None and within(found.registration.group)
    ]


def narrowed(whole: C, record: CommandRecord, seen: Seen, now: Instant) -> C:
    """Return a command as somebody sees it who sees a part of it."""
    counts, failed, connected = dict.fromkeys(DeliveryState, 0), 0, 0
    others = 0  # whose delivery is in the state that is common to them
    written = record.push_times.at
    for agent_id in seen.agent_ids:
        # How many were connected when it was issued is not known of each; to these it was written.
        connected += written(agent_id) is not None
        delivery = record.records.get(agent_id)
        if delivery is None:
            others += 1
            continue
        counts[delivery.state_at(now)] += 1
        failed += delivery.result is not None and delivery.result.status is Outcome.FAILURE
    counts[DeliveryRecord(record, "", record.others).state_at(now)] += others
    acknowledged = counts[DeliveryState.ACKNOWLEDGED]
    return evolve(
        whole,
        target_count=len(seen.agent_ids),
        connected_count=connected,
        skipped=seen.skipped,
        counts=counts,
        outcomes=outcomes(acknowledged=acknowledged, failed=failed),
        status=status_of(
            pending=counts[DeliveryState.PENDING],
            acknowledged=acknowledged,
            expired=counts[DeliveryState.EXPIRED],
        ),
    )
