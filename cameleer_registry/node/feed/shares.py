"""Deliveries told in shares: those of one command that change in the same moment share one event.

So a broadcast to thousands does not flood the feed with thousands of events. There is one share
for each thing that can happen: acknowledgement, deadline, removal. Those of a command are told
together: when its moment is over, when one of them is full, or when the command has finished,
whichever comes first. Their counts are those after all of them, and exact.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from attrs import define, field

from ...core import events, feed
from ...core.commands import all_pending, outcomes, status_of
from ...core.events import ExpiryReason
from ...core.feed import Failure, FeedType
from ...core.instant import Instant
from ...core.ledger import CommandRecord
from ...core.model import CommandType, DeliveryState, Outcome
from ...core.views import time_of_day
from . import news
from .news import News

MOST_AGENTS: Final = 1000
"""Agents in one event."""

MOST_FAILURES: Final = 200
"""Failures in one event: each has a message."""

LONGEST_MESSAGE: Final = 500
"""Characters of a failure's message. The rest can be read from the deliveries."""


Kind = tuple[DeliveryState, ExpiryReason | None]
"""What happened to a delivery: its new state, and why if it expired."""


@define(eq=False)
class Share:
    """Deliveries of one command to which the same happened, one soon after the other."""

    state: DeliveryState
    reason: ExpiryReason | None  # why they expired; None if they were acknowledged
    at: Instant  # when it happened to the newest of them
    agent_ids: list[str] = field(factory=list)
    failures: list[Failure] = field(factory=list)

    @property
    def room(self) -> int:
        """How many deliveries still fit in."""
        return MOST_AGENTS - len(self.agent_ids) if len(self.failures) < MOST_FAILURES else 0


@define(eq=False)
class OpenCommand:
    """What has to be known of a command until nothing of it is pending."""

    command_id: str
    type: CommandType
    groups: Collection[str]
    counts: dict[DeliveryState, int]
    failed_count: int = 0
    # What waits to be told, by what happened.
    shares: dict[Kind, Share] = field(factory=dict)

    @classmethod
    def of(cls, record: CommandRecord) -> OpenCommand:
        """Return what has to be known of a command that has been kept."""
        return cls(
            record.command_id,
            record.order.type,
            news.groups_of(record),
            dict(record.counts),
            record.failed,
        )


class Shares:
    """What waits to be told of the deliveries of each command."""

    def __init__(self, tell: Callable[[News], None]) -> None:
        self._tell = tell
        self._open: dict[str, OpenCommand] = {}
        # Those with shares that wait, by their ids.
        self._waiting: dict[str, OpenCommand] = {}
        self.takers: Mapping[type[events.Event], Callable[[Any], None]] = {
            events.CommandIssued: self._issued,
            events.DeliveryAcknowledged: self._acknowledged,
            events.DeliveriesExpired: self._expired,
            events.CommandFinished: self._finished,
        }

    def __bool__(self) -> bool:
        """Tell whether something waits to be told."""
        return bool(self._waiting)

    def tell_all(self) -> None:
        """Tell everything that waits."""
        for command in list(self._waiting.values()):
            self._tell_of(command)

    def learn(self, records: Iterable[CommandRecord]) -> None:
        """Take note of commands that are open, without telling of them."""
        for record in records:
            self._open[record.command_id] = OpenCommand.of(record)

    def tell_again(
        self, facts: Iterable[events.Event], find: Callable[[str], CommandRecord | None]
    ) -> None:
        """Tell of deliveries of which nobody knows whether it was told: with the counts of now."""
        shares: dict[tuple[str, Kind], list[Share]] = {}
        for fact in facts:
            match fact:
                case events.DeliveryAcknowledged(command_id=command_id, agent_id=agent_id):
                    kind: Kind = (DeliveryState.ACKNOWLEDGED, None)
                    agent_ids: Collection[str] = (agent_id,)
                case events.DeliveriesExpired(command_id=command_id, reason=reason):
                    kind, agent_ids = (DeliveryState.EXPIRED, reason), fact.agent_ids
                case _:
                    continue
            of_kind = shares.setdefault((command_id, kind), [Share(*kind, fact.at)])
            for agent_id in agent_ids:
                if not of_kind[-1].room:
                    of_kind.append(Share(*kind, fact.at))
                of_kind[-1].agent_ids.append(agent_id)
                of_kind[-1].at = fact.at
            if isinstance(fact, events.DeliveryAcknowledged):
                _note_failure(of_kind[-1], fact)
        for (command_id, _), of_kind in shares.items():
            if (record := find(command_id)) is not None:
                for share in of_kind:
                    self._tell(_news(OpenCommand.of(record), share))

    def _issued(self, fact: events.CommandIssued) -> None:
        self._open[fact.command_id] = OpenCommand(
            fact.command_id,
            fact.order.type,
            news.groups_of(fact),
            all_pending(len(fact.agent_ids)),
        )

    def _acknowledged(self, fact: events.DeliveryAcknowledged) -> None:
        command = self._open.get(fact.command_id)
        if command is None:
            return
        share = self._share(command, DeliveryState.ACKNOWLEDGED, None, fact.at)
        self._settle(command, share, (fact.agent_id,))
        command.failed_count += _note_failure(share, fact)

    def _expired(self, fact: events.DeliveriesExpired) -> None:
        command, told = self._open.get(fact.command_id), 0
        if command is None:
            return
        while told < len(fact.agent_ids):
            share = self._share(command, DeliveryState.EXPIRED, fact.reason, fact.at)
            part = fact.agent_ids[told : told + share.room]
            self._settle(command, share, part)
            told += len(part)

    def _finished(self, fact: events.CommandFinished) -> None:
        command = self._open.pop(fact.command_id, None)
        if command is not None:
            self._tell_of(command)

    def _share(
        self, command: OpenCommand, state: DeliveryState, reason: ExpiryReason | None, at: Instant
    ) -> Share:
        """Return the share of that kind, with room in it; a full one is told with all others."""
        share = command.shares.get((state, reason))
        if share is not None and not share.room:
            self._tell_of(command)
            share = None
        if share is None:
            share = command.shares[state, reason] = Share(state, reason, at)
            self._waiting[command.command_id] = command
        share.at = at
        return share

    def _settle(self, command: OpenCommand, share: Share, agent_ids: Collection[str]) -> None:
        share.agent_ids += agent_ids
        command.counts[DeliveryState.PENDING] -= len(agent_ids)
        command.counts[share.state] += len(agent_ids)

    def _tell_of(self, command: OpenCommand) -> None:
        self._waiting.pop(command.command_id, None)
        shares, command.shares = command.shares, {}
        for share in shares.values():
            self._tell(_news(command, share))


def _note_failure(share: Share, fact: events.DeliveryAcknowledged) -> bool:
    """Note that an agent has failed, if it has; tell whether so."""
    if fact.result.status is not Outcome.FAILURE:
        return False
    message = fact.result.message
    cut = None if message is None else message[:LONGEST_MESSAGE]
    share.failures.append(Failure(agent_id=fact.agent_id, message=cut))
    return True


def _news(command: OpenCommand, share: Share) -> News:
    """Return what is told of a share, with the counts of its command as they are now."""
    counts = command.counts
    told: dict[str, Any] = {
        "at": time_of_day(share.at),
        "command_id": command.command_id,
        "type": command.type,
        "agent_ids": tuple(share.agent_ids),
        "status": status_of(
            pending=counts[DeliveryState.PENDING],
            acknowledged=counts[DeliveryState.ACKNOWLEDGED],
            expired=counts[DeliveryState.EXPIRED],
        ),
        "counts": dict(counts),
        "outcomes": outcomes(
            acknowledged=counts[DeliveryState.ACKNOWLEDGED], failed=command.failed_count
        ),
    }
    if share.reason is None:
        acknowledged = feed.DeliveryAcknowledgedEvent(
            **told, failures=tuple(share.failures), failed_count=command.failed_count
        )
        return News(FeedType.DELIVERY_ACKNOWLEDGED, command.groups, acknowledged)
    expired = feed.DeliveryExpiredEvent(**told, reason=share.reason)
    return News(FeedType.DELIVERY_EXPIRED, command.groups, expired)
