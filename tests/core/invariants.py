"""What is true of every registry at every moment, whatever was said to it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import Any

import attrs

from cameleer_registry.core import commands, idempotency, lifecycle, views
from cameleer_registry.core import roster as roster_module
from cameleer_registry.core.commands import DeliveryTrigger, status_of
from cameleer_registry.core.events import (
    AgentRegistered,
    AgentRemoved,
    AgentRevived,
    AgentWentDead,
    AgentWentStale,
    CommandFinished,
    CommandForgotten,
    CommandIssued,
    DeliveriesExpired,
    DeliveryAcknowledged,
    Event,
    ExpiryReason,
    HeartbeatReceived,
)
from cameleer_registry.core.instant import Instant
from cameleer_registry.core.ledger import MANY, CommandRecord, Ledger
from cameleer_registry.core.lifecycle import LeaseTrigger
from cameleer_registry.core.model import AgentStatus, DeliveryState, GroupSummary, Outcome
from cameleer_registry.core.registry import Registry

AGES = list(AgentStatus)
"""LIVE, STALE, DEAD: an agent that nobody hears of moves to the right only."""

EXPIRY_TURNS = {
    ExpiryReason.DEADLINE: DeliveryTrigger.DEADLINE,
    ExpiryReason.AGENT_REMOVED: DeliveryTrigger.AGENT_REMOVED,
}


def check(registry: Registry, now: Instant) -> None:
    """Fail where a registry contradicts itself, its limits, or plain counting."""
    _check_indexes(registry)
    _check_leases(registry, now)
    _check_groups(registry, now)
    _check_told(registry)
    _check_commands(registry, now)
    _check_history(registry)
    _check_inboxes(registry)
    _check_keys(registry)


def _check_indexes(registry: Registry) -> None:
    """Each agent stands once in the indexes by status and by group, under what it is."""
    roster = registry._roster
    agents = dict(roster.agents)
    assert {agent_id: record.agent_id for agent_id, record in agents.items()} == {
        agent_id: agent_id for agent_id in sorted(agents)
    }
    by_status = [
        (status, record) for status in AgentStatus for record in roster._by_status[status].values()
    ]
    assert sorted(agents) == sorted(record.agent_id for _, record in by_status)
    assert all(record.status is status for status, record in by_status)
    by_group = [
        (name, status, record)
        for name, group in roster.groups.items()
        for status, bucket in group.members.items()
        for record in bucket.values()
    ]
    assert sorted(agents) == sorted(record.agent_id for _, _, record in by_group)
    for name, status, record in by_group:
        assert (record.registration.group, record.status) == (name, status)
    for record in chain((r for _, r in by_status), (r for _, _, r in by_group)):
        assert agents[record.agent_id] is record
    limit = registry.limits.max_agents
    assert not limit or len(agents) <= limit


def _check_leases(registry: Registry, now: Instant) -> None:
    """Whoever is due stands in front, and what was told is never ahead of the time."""
    roster, lease = registry._roster, registry._roster.lease
    for status in (AgentStatus.LIVE, AgentStatus.STALE):
        heard = [record.heard.lease for record in roster._by_status[status].values()]
        assert all(earlier <= later for earlier, later in pairwise(heard))
    due = [
        lease.stale_at(record.heard.lease)
        if record.status is AgentStatus.LIVE
        else lease.dead_at(record.heard.lease)
        for record in roster.agents.values()
        if record.status is not AgentStatus.DEAD
    ]
    assert min(due, default=None) == registry.next_lease_end()
    overdue = {record.agent_id for record in roster.overdue(now)}
    for record in roster.agents.values():
        told, is_now = AGES.index(record.status), AGES.index(roster.status_of(record, now))
        assert told <= is_now
        assert (record.agent_id in overdue) == (told < is_now)
        assert record.heard.lease <= now.lease
        assert record.changed.lease <= now.lease
        assert len(record.takeovers) <= 3


def _check_groups(registry: Registry, now: Instant) -> None:
    """What is said of groups is what counting their agents gives."""
    roster = registry._roster
    assert {name for name, group in roster.groups.items() if not len(group)} == set(roster._vacated)
    assert len(roster._vacated) <= roster_module.VACATED_GROUPS
    agents = registry.agents(now=now, limit=len(registry))
    shown = {summary.group: summary for summary in registry.groups(now=now)}
    assert sorted({agent.group for agent in agents}) == list(shown)
    for name, summary in shown.items():
        members = [agent for agent in agents if agent.group == name]
        status = Counter(agent.status for agent in members)
        assert summary == GroupSummary(
            group=name,
            live=status[AgentStatus.LIVE],
            stale=status[AgentStatus.STALE],
            dead=status[AgentStatus.DEAD],
            connected=sum(agent.connected for agent in members),
        )
    assert all(roster.groups[name].connected == 0 for name in roster._vacated)
    live = [(roster._live, list(roster._by_status[AgentStatus.LIVE]))]
    live += [(g.live, list(g.members[AgentStatus.LIVE])) for g in roster.groups.values()]
    for kept, known in live:
        assert kept is None or sorted(kept) == sorted(known)
    assert len(shown) == registry.count_groups()


def _check_told(registry: Registry) -> None:
    """What is counted as last told is what counting the records gives, in all and by group."""
    records = registry._roster.agents.values()
    told = Counter(record.status for record in records)
    assert {status: told[status] for status in AgentStatus} == registry.count_agents()
    by_group = Counter((str(record.registration.group), record.status) for record in records)
    everything = registry.count_by_group(len(records))
    assert {record.registration.group for record in records} == everything.keys()
    for name, counts in everything.items():
        assert {status: by_group[name, status] for status in AgentStatus} == counts
    assert list(everything)[:1] == list(registry.count_by_group(1))
    assert {} == registry.count_by_group(0)


def _check_commands(registry: Registry, now: Instant) -> None:
    """Deliveries add up, and none was acknowledged too late or lost its result."""
    for command_id, command in registry._ledger.commands.items():
        assert command_id == command.command_id
        every = [command.delivery(agent_id) for agent_id in command.targets]
        states = Counter(delivery.state for delivery in every)
        assert {state: states[state] for state in DeliveryState} == command.counts
        assert command.push_times.agent_ids() <= set(command.targets)
        pending = [d.agent_id for d in every if d.state is DeliveryState.PENDING]
        assert pending == list(command.open_targets())
        assert command.records.keys() <= set(command.targets)
        for agent_id in command.targets:
            assert agent_id in command.targets
            record, delivery = command.records.get(agent_id), command.delivery(agent_id)
            assert record in (None, delivery)
            assert record is None or record.state is not DeliveryState.PENDING
            assert (agent_id, command) == (delivery.agent_id, delivery.command)
            acknowledged = delivery.state is DeliveryState.ACKNOWLEDGED
            assert acknowledged == (delivery.acknowledged is not None)
            assert acknowledged == (delivery.result is not None)
            if delivery.acknowledged is not None:
                assert delivery.acknowledged.steady < command.expires.steady
            assert delivery.late_ack is None or delivery.state is DeliveryState.EXPIRED
        shown = registry.command(command_id, now=now)
        deliveries = list(registry.deliveries(command_id, now=now))
        assert [d.agent_id for d in deliveries] == sorted(command.targets)
        current = Counter(delivery.status for delivery in deliveries)
        assert {state: current[state] for state in DeliveryState} == shown.counts
        assert shown.target_count == len(deliveries)
        outcomes = Counter(d.result.status for d in deliveries if d.result is not None)
        assert {outcome: outcomes[outcome] for outcome in Outcome} == shown.outcomes
        assert not (now.steady >= command.expires.steady and current[DeliveryState.PENDING])
        assert shown.status is status_of(
            **{state.name.lower(): current[state] for state in DeliveryState}
        )


def _check_history(registry: Registry) -> None:
    """Commands are open or finished; the open ones in order, the finished ones within limits."""
    ledger = registry._ledger
    everything = [*ledger._open.values(), *ledger._finished.values()]
    assert _ids(everything) == sorted(ledger.commands)
    assert list(ledger.commands.values()) == list(ledger._by_number.values())
    assert all(number == command.number for number, command in ledger._by_number.items())
    assert all(command.pending for command in ledger._open.values())
    assert not any(command.pending for command in ledger._finished.values())
    deadlines = [command.expires.steady for command in ledger._open.values()]
    assert deadlines == sorted(deadlines)
    assert min(deadlines, default=None) == registry.next_deadline()
    assert ledger.finished_weight == sum(command.weight for command in ledger._finished.values())
    assert ledger.finished_weight <= registry.limits.command_history
    assert ledger.finished_size == sum(command.size for command in ledger._finished.values())
    assert ledger.finished_size <= registry.limits.command_history_bytes


def _check_inboxes(registry: Registry) -> None:
    """Inboxes hold what is known of an agent's commands, and what is pending is counted."""
    ledger, agents = registry._ledger, registry._roster.agents
    assert set(ledger._inboxes) <= set(agents)
    pending: Counter[str] = Counter()
    for agent_id in agents:
        inbox = list(ledger.inbox(agent_id))
        numbers = [delivery.command.number for delivery in inbox]
        assert numbers == sorted(numbers, reverse=True)
        for delivery in inbox:
            assert ledger.commands[delivery.command.command_id] is delivery.command
            pending[agent_id] += delivery.state is DeliveryState.PENDING
        assert pending[agent_id] <= registry.limits.max_pending_per_agent
    assert +pending == _pending(ledger)
    for agent_id, of_its_own in ledger._inboxes.items():
        assert of_its_own, "an empty inbox is not kept"
        assert all(agent_id in command.targets for command in of_its_own.values())
    many = [command for command in ledger.commands.values() if len(command.targets) >= MANY]
    assert many == list(ledger._broadcasts.values())
    numbers = list(ledger._removed.values())
    assert numbers == sorted(numbers)
    assert len(numbers) <= ledger._most_removed
    assert all(0 < number <= ledger.issued for number in numbers)
    for command in ledger._open.values():
        assert all(agent_id in agents for agent_id in command.open_targets())


def _check_keys(registry: Registry) -> None:
    """Keys are within their limits, and lead to the commands that were issued under them."""
    keys, ledger = registry._ledger.keys, registry._ledger
    issued = list(keys._commands.values())
    assert len(issued) <= registry.limits.idempotency_keys
    assert keys.skipped == sum(len(command.skipped) for command in issued)
    assert keys.skipped <= idempotency.SKIPPED_REMEMBERED or len(issued) == 1
    moments = [command.created.steady for command in issued]
    assert moments == sorted(moments)
    assert not moments or moments[-1] - moments[0] < idempotency.REMEMBERED
    for key, command in keys._commands.items():
        assert command.idempotency is not None
        assert key == command.idempotency.key
        known = ledger.commands.get(command.command_id)
        if known is None:  # nothing is kept of it that could be large
            assert ((), {}, {}) == (command.targets, command.records, command.order.payload)
            assert not command.push_times.agent_ids()
            assert not command.pending
        else:
            assert known is command


def check_facts(facts: Iterable[Event]) -> None:
    """Fail where facts lead an agent or a delivery anywhere but through the tables."""
    agents: dict[str, AgentStatus] = {}
    before: dict[str, AgentStatus] = {}
    deliveries: dict[tuple[str, str], DeliveryState] = {}
    finished: set[str] = set()
    for fact in facts:
        match fact:
            case AgentRegistered(agent_id=agent_id, resumed=False):
                assert agent_id not in agents
                agents[agent_id] = AgentStatus.LIVE
            case AgentRegistered(agent_id=agent_id) | HeartbeatReceived(agent_id=agent_id):
                before[agent_id] = agents[agent_id]
                agents[agent_id] = lifecycle.TRANSITIONS[agents[agent_id], LeaseTrigger.HEARD]
            case AgentRevived(agent_id=agent_id, previous=previous):
                assert (previous, AgentStatus.LIVE) == (before[agent_id], agents[agent_id])
            case AgentWentStale(agent_id=agent_id):
                agents[agent_id] = lifecycle.TRANSITIONS[
                    agents[agent_id], LeaseTrigger.LEASE_RAN_OUT
                ]
            case AgentWentDead(agent_id=agent_id):
                agents[agent_id] = lifecycle.TRANSITIONS[
                    agents[agent_id], LeaseTrigger.GRACE_RAN_OUT
                ]
            case AgentRemoved(agent_id=agent_id):
                del agents[agent_id]
            case CommandIssued(command_id=command_id):
                for agent_id in fact.agent_ids:
                    deliveries[command_id, agent_id] = DeliveryState.PENDING
            case DeliveryAcknowledged(command_id=command_id, agent_id=agent_id):
                state = deliveries[command_id, agent_id]
                deliveries[command_id, agent_id] = commands.TRANSITIONS[state, DeliveryTrigger.ACK]
            case DeliveriesExpired(command_id=command_id):
                turn = EXPIRY_TURNS[fact.reason]
                for agent_id in fact.agent_ids:
                    state = deliveries[command_id, agent_id]
                    deliveries[command_id, agent_id] = commands.TRANSITIONS[state, turn]
            case CommandFinished(command_id=command_id):
                finished.add(command_id)
            case CommandForgotten(command_id=command_id):
                finished.remove(command_id)


def check_replay(registry: Registry, facts: Sequence[Event], now: Instant) -> None:
    """Fail where the facts a registry returned do not make another one like it.

    So they do under other limits, and if some of them come several times in a row.
    """
    expected = snapshot(registry, now)
    replayed = Registry(registry.limits)
    replayed.apply(facts)
    check(replayed, now)
    assert expected == snapshot(replayed, now)
    chance = random.Random(len(facts))
    repeated = [fact for fact in facts for _ in range(chance.choice((1, 2, 3)))]
    for own in (LARGE, SMALL):
        replayed = Registry(attrs.evolve(registry.limits, **own))
        replayed.apply(repeated)
        assert expected == snapshot(replayed, now)
    # Whoever keeps facts leaves these out, being most: then everything is still in order.
    replayed = Registry(registry.limits)
    replayed.apply(fact for fact in facts if not isinstance(fact, HeartbeatReceived))
    check(replayed, now)


LARGE = {"max_agents": 0, "max_pending_per_agent": 1000, "command_history": 10**6}
SMALL = {"max_agents": 1, "max_pending_per_agent": 1, "command_history": 0}
"""Limits that decide what happens next, and have no say in what has happened."""


def _pending(ledger: Ledger) -> Counter[str]:
    """Return what is counted as pending, together with what is yet to be."""
    yet = list(ledger._uncounted.values())
    newest = [record for record in ledger._broadcasts.values() if record.pending][-len(yet) :]
    assert not yet or yet == newest
    assert len(yet) <= max(1, ledger.max_pending - len(ledger._open))
    return sum((Counter(record.open_targets()) for record in yet), start=+ledger._pending)


def _ids(records: Iterable[CommandRecord]) -> list[str]:
    return sorted(record.command_id for record in records)


def snapshot(registry: Registry, now: Instant) -> dict[str, Any]:
    """Return all that can be seen of a registry, and what its later answers depend on."""
    roster, ledger = registry._roster, registry._ledger
    return {
        "agents": registry.agents(now=now, limit=len(registry)),
        "groups": list(registry.groups(now=now)),
        "commands": [registry.command(command_id, now=now) for command_id in ledger.commands],
        "deliveries": [
            list(registry.deliveries(command_id, now=now)) for command_id in ledger.commands
        ],
        "inboxes": {
            agent_id: list(registry.agent_deliveries(agent_id, now=now))
            for agent_id in roster.agents
        },
        "due": (registry.next_lease_end(), registry.next_deadline()),
        "records": [attrs.asdict(record, recurse=False) for record in roster.agents.values()],
        "told": {status: list(bucket) for status, bucket in roster._by_status.items()},
        "vacated": list(roster._vacated),
        "open": list(ledger._open),
        "finished": list(ledger._finished),
        "sizes": [(command.size, command.payload_size) for command in ledger.commands.values()],
        "keys": [
            (command.idempotency, views.command(command, now))
            for command in ledger.keys._commands.values()
        ],
        "pending": _pending(ledger),
        "removed": dict(ledger._removed),
    }
