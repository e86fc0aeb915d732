"""Commands with their deliveries, and the share of each agent.

Like the roster, the ledger stores and finds; :class:`~.registry.Registry` decides, and a fact may
come twice. Commands share one time to live, so the open ones are in order of their deadlines.
Finished ones are kept up to a total number of deliveries and of bytes; then the one that finished
first is forgotten.

Costs: an acknowledgement is O(1). Issuing, expiring and forgetting cost one dictionary entry for
each target of the command: a broadcast to 10,000 takes a millisecond or two.

A change of all deliveries of a command is stored once, with the command. A delivery with a change
of its own has a record of its own. Likewise, an agent has an inbox of its own for commands to it
and to few others; commands to many are searched, because there are not many of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Final

from attrs import define, field
from sortedcontainers import SortedDict

from ..errors import CommandNotFound
from . import events
from .commands import TRANSITIONS, DeliveryTrigger, all_pending, status_of
from .idempotency import Idempotency, IdempotencyKeys
from .instant import Instant
from .model import Ack, CommandStatus, DeliveryState, Order, Outcome, Target
from .push_times import PushTimes
from .slices import SLICE, Slices
from .targets import Targets

MANY: Final = 100
"""Targets from which on a command is not entered in the inbox of each."""

REMOVED_AT_LEAST: Final = 16
"""Largest number of deleted agents to remember that no longer matter."""


@define(eq=False)
class DeliveryRecord:
    """What is kept of one command for one agent."""

    command: CommandRecord
    agent_id: str
    state: DeliveryState  # as last told; see state_at()
    acknowledged: Instant | None = None  # None until then
    late_ack: Instant | None = None  # the first one after the deadline
    result: Ack | None = None  # None until acknowledged in time
    size: int = 0  # bytes of the result

    @property
    def delivered(self) -> Instant | None:
        """When it was written to a stream; None until then."""
        return self.command.push_times.at(self.agent_id)

    def state_at(self, now: Instant) -> DeliveryState:
        """Return the state at this moment, whether or not its end has been reported."""
        if self.state is DeliveryState.PENDING and self.command.is_due(now):
            return DeliveryState.EXPIRED
        return self.state


@define(eq=False, kw_only=True)
class CommandRecord:
    """What is kept of one command."""

    command_id: str
    number: int  # counted in the order of issue
    order: Order
    target: Target
    created: Instant
    expires: Instant
    connected_count: int
    skipped: tuple[str, ...]
    size: int  # bytes of the payload, and of the results so far
    payload_size: int  # bytes of the payload alone, as JSON
    idempotency: Idempotency | None  # None where nobody can ask for it again
    counts: dict[DeliveryState, int]  # as last told
    targets: Targets  # as they were frozen when it was issued
    groups: frozenset[str]  # those that the targets were in then
    issued_by: str | None  # None where that is not known
    failed: int = 0  # acknowledgements that say so
    finished: Instant | None = None  # when nothing was pending any more; None until then
    # What happened to some of them alone. The others are all in one state, as last told.
    records: dict[str, DeliveryRecord] = field(factory=dict)
    others: DeliveryState = DeliveryState.PENDING
    push_times: PushTimes = field(factory=PushTimes)  # when, and to whose stream
    line: str | None = None  # by which its targets were told; None where nothing is signed

    def delivery(self, agent_id: str) -> DeliveryRecord:
        """Return what is known of one target's delivery, at this moment and no later."""
        return self.records.get(agent_id) or DeliveryRecord(self, agent_id, self.others)

    def awaits(self, agent_id: str) -> bool:
        """Return whether it has that target, and the end of its delivery has not been reported."""
        return (
            self.others is DeliveryState.PENDING
            and agent_id not in self.records
            and agent_id in self.targets
        )

    def open_targets(self) -> tuple[str, ...]:
        """Return the targets whose delivery has not been reported to have ended."""
        if self.others is not DeliveryState.PENDING:
            return ()
        if not self.records:
            return self.targets
        return tuple([agent_id for agent_id in self.targets if agent_id not in self.records])

    @property
    def target_count(self) -> int:
        """The number of its targets, even if these are not stored any more."""
        return sum(self.counts.values())

    @property
    def pending(self) -> int:
        """The number of deliveries whose end has not been reported."""
        return self.counts[DeliveryState.PENDING]

    @property
    def weight(self) -> int:
        """What it counts against the history's limit: a command without targets is one, too."""
        return max(1, len(self.targets))

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
        # The same by the number of each, to be read from any place on.
        self._by_number: SortedDict[int, CommandRecord] = SortedDict()
        # Under which keys some of them, and some that are forgotten, were issued.
        self.keys = IdempotencyKeys(idempotency_keys)
        # Commands with something pending, in order of their deadlines.
        self._open: OrderedDict[str, CommandRecord] = OrderedDict()
        # The others, in the order in which they finished, and what they come to together.
        self._finished: OrderedDict[str, CommandRecord] = OrderedDict()
        self.finished_weight = 0
        self.finished_size = 0
        # How many commands have been issued.
        self.issued = 0
        # Commands to few, by agent and then by id, in the order of issue. Only agents that were
        # ever sent one have an inbox.
        self._inboxes: dict[str, dict[str, CommandRecord]] = {}
        # Commands to many, by id, in the order of issue.
        self._broadcasts: dict[str, CommandRecord] = {}
        # Agents that were deleted since the oldest command that is kept was issued: how many
        # commands had been then, which are none of an agent's that comes back. In order of that
        # number.
        self._removed: OrderedDict[str, int] = OrderedDict()
        # How many of them gather before those are forgotten that matter no more.
        self._most_removed = REMOVED_AT_LEAST
        # How many deliveries are pending for each agent, as last told; but for those of the newest
        # commands to many, by id, which are not counted before they have to be: see _count().
        self._pending: Counter[str] = Counter()
        self._uncounted: OrderedDict[str, CommandRecord] = OrderedDict()

    # Finding

    def find(self, command_id: str) -> CommandRecord:
        """Return a command's record; raises CommandNotFound."""
        record = self.commands.get(command_id)
        if record is None:
            raise CommandNotFound(command_id)
        return record

    def find_target(self, command_id: str, agent_id: str) -> CommandRecord:
        """Return the record of a command of that agent's; raises CommandNotFound."""
        record = self.commands.get(command_id)
        if record is None or agent_id not in record.targets:
            raise CommandNotFound(command_id, agent_id=agent_id)
        return record

    def full(self, agent_ids: Collection[str], now: Instant) -> list[str]:
        """Return those of some agents that have as many pending deliveries as they may.

        That is judged at this moment. It costs these agents, and not all that have some pending.
        """
        if len(self._open) < self.max_pending:
            return []  # nobody has more pending than commands are open
        if len(agent_ids) >= MANY:
            self._count(up_to=0)
        yet = list(self._uncounted.values())
        enough, pending = self.max_pending - len(yet), self._pending.get
        likely = [agent_id for agent_id in agent_ids if pending(agent_id, 0) >= enough]
        if not likely:
            return []
        # What has lapsed without having been told is not pending any more.
        lapsed = list(self.overdue(now))
        return [
            agent_id
            for agent_id in likely
            if pending(agent_id, 0) + _awaits(yet, agent_id) - _awaits(lapsed, agent_id)
            >= self.max_pending
        ]

    def newest_first(self, *, before: int | None, down_to: int) -> Iterator[CommandRecord]:
        """Iterate over the commands between two numbers, including the second.

        ``before`` is None to begin with the newest. Nothing may change during the iteration.
        """
        numbers = self._by_number.irange(down_to, before, inclusive=(True, False), reverse=True)
        return map(self._by_number.__getitem__, numbers)

    def number_of(self, command_id: str) -> int:
        """Return the number of a command, or approximately that of a forgotten one.

        Ids are in the order of time (UUIDv7), which gives the place of a forgotten one.
        """
        if (record := self.commands.get(command_id)) is not None:
            return record.number
        place = bisect_left(self._by_number.values(), command_id, key=lambda r: r.command_id)
        return self._by_number.keys()[place] if place < len(self._by_number) else self.issued + 1

    def inbox(self, agent_id: str) -> Iterator[DeliveryRecord]:
        """Iterate over an agent's deliveries, newest first."""
        of_its_own = reversed(self._inboxes.get(agent_id, {}).values())
        since = self.removed_at(agent_id)
        to_many = (
            record
            for record in reversed(self._broadcasts.values())
            if record.number > since and agent_id in record.targets
        )
        both = merge(of_its_own, to_many, key=lambda record: -record.number)
        return (record.delivery(agent_id) for record in both)

    def removed_at(self, agent_id: str) -> int:
        """Return how many commands had been issued when an agent was last deleted."""
        return self._removed.get(agent_id, 0)

    def overdue(self, now: Instant) -> Iterator[CommandRecord]:
        """Iterate over the commands whose deadline has passed, but has not been reported."""
        for record in self._open.values():
            if not record.is_due(now):
                return
            yield record

    def open_commands(self) -> list[CommandRecord]:
        """Return all commands that have not been reported to have finished, in order of their
        deadlines.
        """
        return list(self._open.values())

    @property
    def is_over(self) -> bool:
        """Whether there are finished commands that are over the limits of the history."""
        return self.finished_weight > self.history or self.finished_size > self.history_bytes

    def excess(self, limit: int) -> list[CommandRecord]:
        """Return up to ``limit`` commands that are over the limits of the history, oldest first."""
        weight, size = self.finished_weight, self.finished_size
        if weight <= self.history and size <= self.history_bytes:
            return []  # as it nearly always is
        over: list[CommandRecord] = []
        for record in islice(self._finished.values(), limit):
            if weight <= self.history and size <= self.history_bytes:
                break
            weight, size = weight - record.weight, size - record.size
            over.append(record)
        return over

    def next_due(self) -> int | None:
        """Return the steady time of the next deadline, or None if there is none."""
        record = next(iter(self._open.values()), None)
        return record.expires.steady if record else None

    # Being made of what was kept

    def restoring(
        self, commands: Sequence[CommandRecord], removed: Mapping[str, int], issued: int
    ) -> Slices[None]:
        """Take in all commands, in the order of issue, and which agents were deleted when."""
        self.issued = issued
        self._removed = OrderedDict(removed)
        self._most_removed = 2**62  # what is told after this may come in another order
        finished = []
        for count, record in enumerate(commands):
            if count % SLICE == 0:
                yield
            self.issued = max(self.issued, record.number)
            self.commands[record.command_id] = record
            many = len(record.targets) >= MANY
            if many:
                self._broadcasts[record.command_id] = record
            else:
                for agent_id in record.targets:
                    if record.number > self.removed_at(agent_id):
                        self._inboxes.setdefault(agent_id, {})[record.command_id] = record
            if record.finished is not None:
                finished.append(record)
                continue
            self._open[record.command_id] = record
        self._by_number.update((record.number, record) for record in self.commands.values())
        for record in sorted(finished, key=_end):
            self._finished[record.command_id] = record

    def settle(self) -> None:
        """Put keys and deleted agents in order after a load, and count.

        Some of the loaded facts may have been about what was over by then, so earlier counts cannot
        be used.
        """
        self.keys.settle()
        self._pending.clear()
        self._uncounted.clear()
        for record in self._open.values():
            if len(record.targets) >= MANY:
                self._uncounted[record.command_id] = record
            else:
                self._pending.update(record.open_targets())
        self._count(up_to=max(1, self.max_pending - len(self._open)))
        self.finished_weight = sum(record.weight for record in self._finished.values())
        self.finished_size = sum(record.size for record in self._finished.values())
        self._removed = OrderedDict(sorted(self._removed.items(), key=lambda entry: entry[1]))
        self._most_removed = REMOVED_AT_LEAST
        if len(self._removed) > self._most_removed:
            self._forget_removed()

    def sort(self) -> None:
        """Put commands in the order of issue, after they came in another one."""
        self.commands = _in_order(self.commands)
        self._broadcasts = _in_order(self._broadcasts)
        self._inboxes = {agent_id: _in_order(inbox) for agent_id, inbox in self._inboxes.items()}
        self._open = OrderedDict(_in_order(self._open))
        self._uncounted = OrderedDict(_in_order(self._uncounted))

    # Being told

    def apply_issued(self, event: events.CommandIssued) -> None:
        """Take in a command, with a delivery for each of its targets."""
        if event.command_id in self.commands:
            return
        self.issued = max(self.issued, event.number)
        record = CommandRecord(
            command_id=event.command_id,
            number=event.number,
            order=event.order,
            target=event.target,
            created=event.at,
            expires=event.expires,
            connected_count=event.connected_count,
            skipped=event.skipped,
            size=event.size,
            payload_size=event.payload_size,
            idempotency=event.idempotency,
            counts=all_pending(len(event.agent_ids)),
            targets=event.agent_ids,
            groups=event.groups,
            issued_by=event.by,
            line=event.line,
        )
        self.commands[event.command_id] = self._open[event.command_id] = record
        self._by_number[record.number] = record
        if len(record.targets) >= MANY:
            self._broadcasts[event.command_id] = self._uncounted[event.command_id] = record
        else:
            for agent_id in record.targets:
                self._inboxes.setdefault(agent_id, {})[event.command_id] = record
                self._pending[agent_id] += 1
        self._count(up_to=max(1, self.max_pending - len(self._open)))
        self.keys.add(record)

    def apply_pushed(self, event: events.CommandPushed) -> None:
        """Note that a command was written to streams."""
        if record := self.commands.get(event.command_id):
            record.push_times.add(event.agent_ids, event.at)

    def apply_acknowledged(self, event: events.DeliveryAcknowledged) -> None:
        """Note an agent's answer."""
        command = self._awaiting(event.command_id, event.agent_id)
        if command is None:
            return
        delivery = self._move(command, event.agent_id, DeliveryTrigger.ACK)
        delivery.acknowledged = event.at
        delivery.result = event.result
        delivery.size = event.size
        command.size += event.size
        command.failed += event.result.status is Outcome.FAILURE

    def apply_late_ack(self, event: events.LateAckReceived) -> None:
        """Note an answer that came too late; the first one is the evidence."""
        record = self.commands.get(event.command_id)
        if record is not None and event.agent_id in record.targets:
            delivery = self._move(record, event.agent_id, DeliveryTrigger.ACK)
            delivery.late_ack = delivery.late_ack or event.at

    def apply_expired(self, event: events.DeliveriesExpired) -> None:
        """Note that these agents did not answer."""
        if event.reason is events.ExpiryReason.AGENT_REMOVED:
            for agent_id in event.agent_ids:
                if (command := self._awaiting(event.command_id, agent_id)) is not None:
                    self._move(command, agent_id, DeliveryTrigger.AGENT_REMOVED)
            return
        command = self.commands.get(event.command_id)
        if command is None or command.others is not DeliveryState.PENDING:
            return
        # All that is left of it: these, unless the record was made when less had happened.
        left = event.agent_ids
        if len(left) != command.pending:
            left = command.open_targets()
        command.others = TRANSITIONS[command.others, DeliveryTrigger.DEADLINE]
        command.counts[DeliveryState.PENDING] -= len(left)
        command.counts[command.others] += len(left)
        if event.command_id not in self._uncounted:
            self._pending.subtract(left)

    def apply_finished(self, event: events.CommandFinished) -> None:
        """Move a command into the history."""
        record = self._open.pop(event.command_id, None)
        if record is None:
            return
        self._uncounted.pop(event.command_id, None)
        record.finished = event.at
        self._finished[event.command_id] = record
        self.finished_weight += record.weight
        self.finished_size += record.size

    def apply_forgotten(self, event: events.CommandForgotten) -> None:
        """Drop a command from the history."""
        record = self._finished.pop(event.command_id, None)
        if record is not None:
            self._forget(record)

    def apply_removed(self, event: events.AgentRemoved) -> None:
        """Drop an agent's inbox; the commands themselves keep its deliveries."""
        inbox = self._inboxes.pop(event.agent_id, {})
        later = {key: each for key, each in inbox.items() if each.number > event.commands}
        if later:  # the fact comes once more, after what it was followed by
            self._inboxes[event.agent_id] = later
        if not self._pending[event.agent_id]:
            del self._pending[event.agent_id]
        if self.commands and event.commands > self.removed_at(event.agent_id):
            self._removed[event.agent_id] = event.commands
            self._removed.move_to_end(event.agent_id)
            if len(self._removed) > self._most_removed:
                self._forget_removed()

    # Moving them

    def _forget_removed(self) -> None:
        """Forget who was deleted before the oldest command that is kept was issued.

        It is done when twice as many have gathered as were left the last time.
        """
        oldest = self._by_number.peekitem(0)[0] if self._by_number else self.issued
        while self._removed and next(iter(self._removed.values())) < oldest:
            self._removed.popitem(last=False)
        self._most_removed = max(REMOVED_AT_LEAST, 2 * len(self._removed))

    def _awaiting(self, command_id: str, agent_id: str) -> CommandRecord | None:
        """Return a command if the end of that agent's delivery has not been reported."""
        record = self.commands.get(command_id)
        return record if record is not None and record.awaits(agent_id) else None

    def _count(self, *, up_to: int) -> None:
        """Count pending deliveries of commands to many, except for the newest so many, oldest
        first.

        No agent has more pending deliveries than there are open commands. So as long as there are
        fewer open commands than an agent may have pending, there is nothing to count, and most
        commands end before that. When there are more, they are counted early enough that one is
        left when it matters: two at a time, because counting one takes a millisecond for 10,000
        targets.
        """
        while len(self._uncounted) > up_to:
            _, record = self._uncounted.popitem(last=False)
            self._pending.update(record.open_targets())

    def _move(
        self, command: CommandRecord, agent_id: str, trigger: DeliveryTrigger
    ) -> DeliveryRecord:
        """Move a delivery to the state that the table names, and return its record."""
        delivery = command.records[agent_id] = command.delivery(agent_id)
        before, after = delivery.state, TRANSITIONS[delivery.state, trigger]
        delivery.state = after
        command.counts[before] -= 1
        command.counts[after] += 1
        if before is DeliveryState.PENDING and command.command_id not in self._uncounted:
            self._pending[agent_id] -= 1
        return delivery

    def _forget(self, record: CommandRecord) -> None:
        self.finished_weight -= record.weight
        self.finished_size -= record.size
        del self.commands[record.command_id], self._by_number[record.number]
        self.keys.forgotten(record)
        if self._broadcasts.pop(record.command_id, None) is not None:
            return
        for agent_id in record.targets:
            # An agent that was deleted and came back has a new inbox, without this command.
            inbox = self._inboxes.get(agent_id)
            if inbox and inbox.pop(record.command_id, None) and not inbox:
                del self._inboxes[agent_id]


def _in_order(records: Mapping[str, CommandRecord]) -> dict[str, CommandRecord]:
    """Return commands by their ids, in the order of issue."""
    return dict(sorted(records.items(), key=lambda entry: entry[1].number))


def _end(record: CommandRecord) -> tuple[int, int]:
    """Return what finished commands are sorted by: when that was."""
    assert record.finished is not None
    return record.finished.steady, record.number


def _awaits(records: Iterable[CommandRecord], agent_id: str) -> int:
    """Count the commands that await an agent's answer, as last reported."""
    return sum(record.awaits(agent_id) for record in records)
