"""Telling whether two registries are equal, by a few bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from . import members, plain, records
from .model import AgentStatus
from .registry import Registry
from .replica import Replica


def digest(registry: Registry) -> str:
    """Return what is equal for equal registries, and for no others.

    All that can ever be seen of a registry goes into it, and nothing of how it is kept.
    """
    return _of([_agents(registry), _commands(registry)])


def digest_of_replica(replica: Replica) -> str:
    """Return the same of all that the nodes of a cluster share."""
    now = plain.instant(replica.time.now)
    beside = None if replica.beside is None else replica.beside.value()
    shared = [replica.position, replica.checksum, now, members.value(replica.members), beside]
    return _of([_agents(replica.registry), _commands(replica.registry), shared])


def _of(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _agents(registry: Registry) -> list[Any]:
    roster = registry._roster
    return [
        [records.agent(record) for record in roster.agents.values()],
        {status.value: sorted(roster._by_status[status]) for status in AgentStatus},
        list(roster._vacated),
    ]


def _commands(registry: Registry) -> list[Any]:
    ledger = registry._ledger
    commands = sorted(ledger.commands.values(), key=lambda record: record.number)
    return [
        ledger.issued,
        [
            [
                record.command_id,
                *records.head(record),
                record.size,
                {state.value: count for state, count in record.counts.items()},
                record.targets,
                sorted(record.groups),
                record.line,
                record.failed,
                record.others.value,
                _deliveries(record),
                _pushed(record),
            ]
            for record in commands
        ],
        list(ledger._open),
        list(ledger._finished),
        [[key, _command_id(ledger, key)] for key in ledger.keys],
    ]


def _command_id(ledger: Any, key: str) -> str | None:
    record = ledger.keys.record(key)
    return None if record is None else str(record.command_id)


def _deliveries(record: Any) -> dict[str, Any]:
    return {agent_id: records.delivery(delivery) for agent_id, delivery in record.records.items()}


def _pushed(record: Any) -> dict[str, Any]:
    return {
        agent_id: plain.optional_instant(record.push_times.at(agent_id))
        for agent_id in record.targets
        if record.push_times.at(agent_id) is not None
    }
