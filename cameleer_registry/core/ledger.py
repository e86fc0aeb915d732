"""What was ordered: commands with their deliveries, and each agent's share of them.

Like the roster, the ledger keeps and finds; :class:`~.registry.Registry` decides. Commands share
one time to live, so the open ones stand in order of their deadlines. Finished ones are kept up to
a number of deliveries, and of bytes, in all and then forgotten, the one that finished first before
the others.

Costs: an acknowledgement is O(1); issuing, expiring and forgetting cost the command's targets.

A command is taken in with the list of its targets. The deliveries, a record for each, may be made
later, batch by batch as it goes out: those of a broadcast to 10,000 would hold a loop for 5 ms.
Nobody can tell, for whoever asks for one that is missing has all of them made first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterator, Sequence

from attrs import define, field

from ..errors import CommandNotFound
from . import events
from .commands import TRANSITIONS, Turn, status_of
from .idempotency import Idempotency, Keys
from .instant import Instant
from .model import Ack, CommandStatus, DeliveryState, Order, Target


@define(eq=False)
class DeliveryRecord:
    """What is kept of one command for one agent."""

    command: CommandRecord
    agent_id: str
    state: DeliveryState = DeliveryState.PENDING  # as last told; see state_at()
    delivered: Instant | None = None  # None until it was written to a stream
    acknowledged: Instant | None = None  # None until then
    late_ack: Instant | None = None  # the first one after the deadline
    result: Ack | None = None  # None until acknowledged in time

    def state_at(self, now: Instant) -> DeliveryState:
        """Judge the state at this moment, whether or not its end has been told."""
        if self.state is DeliveryState.PENDING and self.command.is_due(now):
            return DeliveryState.EXPIRED
        return self.state


@define(eq=False, kw_only=True)
class CommandRecord:
    """What is kept of one command."""

    command_id: str
    order: Order
    target: Target
    created: Instant
    expires: Instant
    connected_count: int
    skipped: tuple[str, ...]
    size: int  # bytes of the payload, and of the results so far
    agent_ids: tuple[str, ...]  # its targets
    ledger: Ledger
    idempotency: Idempotency | None  # None where nobody can ask for it again
    made: dict[str, DeliveryRecord] = field(factory=dict)  # by agent id, in order of the targets
    counts: dict[DeliveryState, int] = field(factory=dict)  # as last told

    @property
    def deliveries(self) -> dict[str, DeliveryRecord]:
        """All deliveries by agent id, in order of the targets."""
        if len(self.made) < len(self.agent_ids):
            self.ledger.complete()
        return self.made

    @property
    def target_count(self) -> int:
        """The number of its targets, also where these are not kept any more."""
        return sum(self.counts.values())

    @property
    def pending(self) -> int:
        """The number of deliveries whose end has not been told."""
        return self.counts[DeliveryState.PENDING]

    @property
    def weight(self) -> int:
        """What it counts against the history's limit: a command without targets is one, too."""
        return max(1, len(self.agent_ids))

    def is_due(self, now: Instant) -> bool:
        """Tell whether the deadline has passed; the deadline itself belongs to what follows."""
        return now.steady >= self.expires.steady

    def counts_at(self, now: Instant) -> dict[DeliveryState, int]:
        """Count the deliveries by their state at this moment."""
        counts = dict(self.counts)
        if self.is_due(now):
            counts[DeliveryState.EXPIRED] += counts[DeliveryState.PENDING]
            counts[DeliveryState.PENDING] = 0
        return counts

    def status_at(self, now: Instant) -> CommandStatus:
        """Judge the status at this moment."""
        counts = self.counts_at(now)
        return status_of(
            pending=counts[DeliveryState.PENDING],
            acknowledged=counts[DeliveryState.ACKNOWLEDGED],
            expired=counts[DeliveryState.EXPIRED],
        )


@define(eq=False)
class Inbox:
    """One agent's deliveries, oldest first, and how many of them are pending."""

    deliveries: dict[str, DeliveryRecord] = field(factory=dict)  # by command id
    pending: int = 0


class Ledger:
    """All commands. One to a registry."""

    def __init__(
        self, history: int, history_bytes: int, max_pending: int, idempotency_keys: int
    ) -> None:
        # How many deliveries of finished commands are kept in all, and how many bytes of their
        # payloads and results.
        self.history = history
        self.history_bytes = history_bytes
        # How many pending deliveries an agent may have.
        self.max_pending = max_pending
        self.commands: dict[str, CommandRecord] = {}
        # Under which keys some of them, and some that are forgotten, were issued.
        self.keys = Keys(idempotency_keys)
        # Commands with something pending, in order of their deadlines.
        self._open: OrderedDict[str, CommandRecord] = OrderedDict()
        # The others, in the order in which they finished, and what they come to together.
        self._finished: deque[CommandRecord] = deque()
        self.finished_weight = 0
        self.finished_size = 0
        # Commands of which deliveries are still to be made, oldest first. They are made in this
        # order, so that inboxes are in order.
        self._incomplete: deque[CommandRecord] = deque()
        # Only agents that were ever sent something have an inbox.
        self._inboxes: dict[str, Inbox] = {}
        # Agents that have as many pending deliveries as they may, as last told.
        self._full: set[str] = set()

    # Finding

    def find(self, command_id: str) -> CommandRecord:
        """Return a command's record; raises CommandNotFound."""
        record = self.commands.get(command_id)
        if record is None:
            raise CommandNotFound(command_id)
        return record

    def find_delivery(self, command_id: str, agent_id: str) -> DeliveryRecord:
        """Return one agent's delivery of a command; raises CommandNotFound."""
        record = self.commands.get(command_id)
        # Most acknowledge what they were just sent, while it is still being sent to others.
        delivery = record and (record.made.get(agent_id) or record.deliveries.get(agent_id))
        if not delivery:
            raise CommandNotFound(command_id, agent_id=agent_id)
        return delivery

    @property
    def inboxes(self) -> dict[str, Inbox]:
        """All inboxes, by the agents' ids."""
        self.complete()
        return self._inboxes

    def full(self, now: Instant) -> Collection[str]:
        """Return the agents that have as many pending deliveries as they may at this moment."""
        self.complete()
        if not self._full:
            return ()
        lapsed = self._lapsed(now)
        return {
            agent_id
            for agent_id in self._full
            if self._inboxes[agent_id].pending - lapsed[agent_id] >= self.max_pending
        }

    def inbox(self, agent_id: str) -> Iterator[DeliveryRecord]:
        """Iterate over an agent's deliveries, newest first."""
        inbox = self.inboxes.get(agent_id)
        return reversed(inbox.deliveries.values()) if inbox else iter(())

    def overdue(self, now: Instant) -> Iterator[CommandRecord]:
        """Iterate over the commands whose deadline has passed without having been told so."""
        for record in self._open.values():
            if not record.is_due(now):
                return
            yield record

    def _lapsed(self, now: Instant) -> Counter[str]:
        """Count what is pending for each agent although its deadline has passed, untold."""
        return Counter(
            agent_id
            for command in self.overdue(now)
            for agent_id, delivery in command.deliveries.items()
            if delivery.state is DeliveryState.PENDING
        )

    def next_due(self) -> int | None:
        """Return the steady time of the next deadline, or None where none is to come."""
        record = next(iter(self._open.values()), None)
        return record.expires.steady if record else None

    # Being told

    def apply_issued(self, event: events.CommandIssued) -> None:
        """Take in a command, with a delivery for each of its targets."""
        record = CommandRecord(
            command_id=event.command_id,
            order=event.order,
            target=event.target,
            created=event.at,
            expires=event.expires,
            connected_count=event.connected_count,
            skipped=event.skipped,
            size=event.size,
            agent_ids=event.agent_ids,
            ledger=self,
            idempotency=event.idempotency,
        )
        record.counts = dict.fromkeys(DeliveryState, 0)
        record.counts[DeliveryState.PENDING] = len(event.agent_ids)
        self.commands[event.command_id] = self._open[event.command_id] = record
        if event.agent_ids:
            self._incomplete.append(record)
        self.keys.add(record)

    def apply_pushed(self, event: events.CommandPushed) -> None:
        """Note that a command was written to streams."""
        if record := self.commands.get(event.command_id):
            deliveries = self.deliveries_to(record, event.agent_ids)
            for agent_id in event.agent_ids:
                deliveries[agent_id].delivered = event.at

    def apply_acknowledged(self, event: events.DeliveryAcknowledged) -> None:
        """Note an agent's answer."""
        delivery = self.find_delivery(event.command_id, event.agent_id)
        self._turn(delivery, Turn.ACK)
        delivery.acknowledged = event.at
        delivery.result = event.result
        delivery.command.size += event.size

    def apply_late_ack(self, event: events.LateAckReceived) -> None:
        """Note that an answer came too late; the first one is the evidence."""
        if record := self.commands.get(event.command_id):
            delivery = record.deliveries[event.agent_id]
            delivery.late_ack = delivery.late_ack or event.at

    def apply_expired(self, event: events.DeliveriesExpired) -> None:
        """Note that these agents did not answer."""
        deliveries = self.commands[event.command_id].deliveries
        turn = {
            events.ExpiryReason.DEADLINE: Turn.DEADLINE,
            events.ExpiryReason.AGENT_REMOVED: Turn.AGENT_REMOVED,
        }[event.reason]
        for agent_id in event.agent_ids:
            self._turn(deliveries[agent_id], turn)

    def apply_finished(self, event: events.CommandFinished) -> None:
        """Move a command into the history, and forget what is over the limit there."""
        record = self._open.pop(event.command_id)
        self._finished.append(record)
        self.finished_weight += record.weight
        self.finished_size += record.size
        while self.finished_weight > self.history or self.finished_size > self.history_bytes:
            self._forget(self._finished.popleft())

    def apply_removed(self, event: events.AgentRemoved) -> None:
        """Drop an agent's inbox; the commands themselves keep its deliveries."""
        self.inboxes.pop(event.agent_id, None)
        self._full.discard(event.agent_id)

    # Making deliveries

    def deliveries_to(
        self, record: CommandRecord, agent_ids: Sequence[str]
    ) -> dict[str, DeliveryRecord]:
        """Return a command's deliveries by agent id: at least those to some of its targets."""
        while not all(map(record.made.__contains__, agent_ids)):
            self._make(self._incomplete[0], len(agent_ids))
        return record.made

    def complete(self) -> None:
        """Make all deliveries that have not been made yet."""
        while self._incomplete:
            self._make(self._incomplete[0], len(self._incomplete[0].agent_ids))

    def _make(self, record: CommandRecord, count: int) -> None:
        """Make the next deliveries of the oldest command that lacks some."""
        made, command_id, inboxes = record.made, record.command_id, self._inboxes
        for agent_id in record.agent_ids[len(made) : len(made) + count]:
            delivery = made[agent_id] = DeliveryRecord(record, agent_id)
            inbox = inboxes.get(agent_id)
            if inbox is None:
                inbox = inboxes[agent_id] = Inbox()
            inbox.deliveries[command_id] = delivery
            inbox.pending += 1
            if inbox.pending >= self.max_pending:
                self._full.add(agent_id)
        if len(made) == len(record.agent_ids):
            self._incomplete.popleft()

    # Moving them

    def _turn(self, delivery: DeliveryRecord, turn: Turn) -> None:
        """Move a delivery to the state that the table names."""
        before, after = delivery.state, TRANSITIONS[delivery.state, turn]
        delivery.state = after
        counts = delivery.command.counts
        counts[before] -= 1
        counts[after] += 1
        left_pending = before is DeliveryState.PENDING and after is not before
        if left_pending and (inbox := self._inboxes.get(delivery.agent_id)):
            inbox.pending -= 1
            if inbox.pending < self.max_pending:
                self._full.discard(delivery.agent_id)

    def _forget(self, record: CommandRecord) -> None:
        self.finished_weight -= record.weight
        self.finished_size -= record.size
        del self.commands[record.command_id]
        self.keys.forgotten(record)
        for agent_id in record.deliveries:
            # An agent that was deleted and came back has a new inbox, without this command.
            inbox = self._inboxes.get(agent_id)
            if inbox and inbox.deliveries.pop(record.command_id, None) and not inbox.deliveries:
                del self._inboxes[agent_id]
