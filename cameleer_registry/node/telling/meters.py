"""What happened, counted: plain numbers, which become metrics when somebody asks for them.

Counting stands in the way of every heartbeat, so it costs an addition and no lock; whoever asks
pays for the rest (:mod:`~cameleer_registry.node.telling.metrics`).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, Final

from ...core import events
from ...core.events import CloseReason, Event, ExpiryReason
from ...core.instant import NANOSECONDS
from ...core.ledger import CommandRecord
from ...core.model import CommandStatus, CommandType, Outcome
from .histogram import Histogram

ACK_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60)
"""Milliseconds, for agents that answer at once, up to the 60 s after which a command expires by
default; close together at the end, where it shows that agents begin to be too late."""

LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""From what a timer is late by on an idle loop, to what makes a probe give the process up."""

DELIVERY_OUTCOMES: Final = ("success", "failure", "expired", "agent-removed", "skipped")
"""How a delivery may end. Skipped were those that never began."""

FINISHED_REMEMBERED: Final = 10_000
"""Finished commands whose type is remembered, to count late acknowledgements by it."""

CREDENTIAL_CODES: Final = (
    *("unauthenticated", "invalid-token", "token-expired", "credential-revoked"),
    *("insufficient-role", "not-your-agent", "group-not-allowed", "agent-id-in-use"),
    *("credential-in-url", "proxied-without-auth", "unknown-host", "too-many-attempts"),
)
"""Refusals that are counted from the beginning with 0; others as soon as there is one."""

UNKNOWN: Final = "unknown"
"""The type of a command that finished longer ago."""


class Meters:
    """Counts what happened to one registry since it was made.

    Everything that can be counted stands here from the beginning with 0, so that a first time
    shows as a rise. What becomes of a command whose issue was not counted is not counted either.
    """

    def __init__(self) -> None:
        self.registrations = {"new": 0, "resumed": 0}
        self.heartbeats = 0
        self.streams_opened = 0
        self.streams_closed = dict.fromkeys(CloseReason, 0)
        # How often two processes seemed to use one agent id.
        self.conflicts = 0
        # How often a command was asked for again, under the key by which it had been issued.
        self.commands_repeated = dict.fromkeys(CommandType, 0)
        self.commands_issued = dict.fromkeys(CommandType, 0)
        self.commands_finished: dict[tuple[CommandType, CommandStatus], int] = {
            (kind, status): 0
            for kind, status in product(CommandType, CommandStatus)
            if status != CommandStatus.PENDING
        }
        self.deliveries = dict.fromkeys(product(CommandType, DELIVERY_OUTCOMES), 0)
        self.late_acks: dict[str, int] = dict.fromkeys((*CommandType, UNKNOWN), 0)
        self.ack_seconds = {kind: Histogram(ACK_SECONDS) for kind in CommandType}
        # Requests that were refused, by the code of the problem; and those that were served without
        # a credential although credentials are looked at.
        self.refusals: Counter[str] = Counter(dict.fromkeys(CREDENTIAL_CODES, 0))
        self.anonymous = 0
        self.loop_lag = Histogram(LAG_SECONDS)
        # Type and steady time of issue of each command with something pending, by its id, and
        # the types of the newest finished ones: facts about a command tell only its id.
        self._open: dict[str, tuple[CommandType, int]] = {}
        self._finished: OrderedDict[str, CommandType] = OrderedDict()
        self.tellers: Mapping[type[Event], Callable[[Any], None]] = {
            events.AgentRegistered: self._registered,
            events.HeartbeatReceived: self._heard,
            events.StreamOpened: self._stream_opened,
            events.StreamClosed: self._stream_closed,
            events.StreamConflict: self._conflict,
            events.CommandIssued: self._issued,
            events.DeliveryAcknowledged: self._acknowledged,
            events.LateAckReceived: self._late,
            events.DeliveriesExpired: self._expired,
            events.CommandFinished: self._command_finished,
        }

    def refused(self, code: str) -> None:
        """Count a request that was refused."""
        self.refusals[code] += 1

    def learn(self, records: Iterable[CommandRecord]) -> None:
        """Take note of commands that are open, without counting them."""
        for record in records:
            self._open[record.command_id] = record.order.type, record.created.steady

    def pass_over(self, fact: Event) -> None:
        """Take note of a fact that another node counts, if later ones rest on it."""
        match fact:
            case events.CommandIssued(command_id=command_id):
                self._open[command_id] = fact.order.type, fact.at.steady
            case events.CommandFinished(command_id=command_id):
                if (known := self._open.pop(command_id, None)) is not None:
                    self._remember(command_id, known[0])

    def _remember(self, command_id: str, kind: CommandType) -> None:
        self._finished[command_id] = kind
        if len(self._finished) > FINISHED_REMEMBERED:
            self._finished.popitem(last=False)

    def _registered(self, fact: events.AgentRegistered) -> None:
        self.registrations["resumed" if fact.resumed else "new"] += 1

    def _heard(self, _fact: events.HeartbeatReceived) -> None:
        self.heartbeats += 1

    def _stream_opened(self, _fact: events.StreamOpened) -> None:
        self.streams_opened += 1

    def _stream_closed(self, fact: events.StreamClosed) -> None:
        self.streams_closed[fact.reason] += 1

    def _conflict(self, _fact: events.StreamConflict) -> None:
        self.conflicts += 1

    def _issued(self, fact: events.CommandIssued) -> None:
        kind = fact.order.type
        self._open[fact.command_id] = kind, fact.at.steady
        self.commands_issued[kind] += 1
        self.deliveries[kind, "skipped"] += len(fact.skipped)

    def _acknowledged(self, fact: events.DeliveryAcknowledged) -> None:
        if (known := self._open.get(fact.command_id)) is None:
            return
        kind, issued = known
        succeeded = fact.result.status is Outcome.SUCCESS
        self.deliveries[kind, "success" if succeeded else "failure"] += 1
        self.ack_seconds[kind].observe((fact.at.steady - issued) / NANOSECONDS)

    def _late(self, fact: events.LateAckReceived) -> None:
        self.late_acks[self._finished.get(fact.command_id, UNKNOWN)] += 1

    def _expired(self, fact: events.DeliveriesExpired) -> None:
        if (known := self._open.get(fact.command_id)) is None:
            return
        kind, _ = known
        removed = fact.reason is ExpiryReason.AGENT_REMOVED
        outcome = "agent-removed" if removed else "expired"
        self.deliveries[kind, outcome] += len(fact.agent_ids)

    def _command_finished(self, fact: events.CommandFinished) -> None:
        if (known := self._open.pop(fact.command_id, None)) is None:
            return
        kind, _ = known
        self.commands_finished[kind, fact.status] += 1
        self._remember(fact.command_id, kind)
