"""What facts sum up to: equal at all nodes that have derived the same, so that others are noticed.

It has to be cheap, as it is reckoned for each fact: who it is about and when, and what decides. It
is no proof that nothing differs; whatever differs comes to light in some later fact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from zlib import crc32

from . import events
from .events import Event


def sum_up(facts: Iterable[Event], checksum: int) -> int:
    """Return the sum of facts behind those that have come to another sum."""
    for fact in facts:
        kind = type(fact)
        about = getattr(fact, "command_id", "") or getattr(fact, "token_id", "")
        decided = _DECIDED.get(kind, _nothing)(fact)
        who = getattr(fact, "agent_id", "")
        text = f"{kind.__name__} {fact.at.wall} {who} {about} {decided}"
        checksum = crc32(text.encode(), checksum)
    return checksum


def _nothing(fact: Any) -> object:
    """Return what is decided by what is no fact of an agent or a command."""
    return getattr(fact, "counter", "") or getattr(fact, "version", "")


def _issued(fact: events.CommandIssued) -> object:
    targets = fact.agent_ids
    ends = (targets[0], targets[-1]) if targets else ()
    line = 0 if fact.line is None else crc32(fact.line.encode())
    return fact.number, len(targets), ends, fact.connected_count, len(fact.skipped), line


_DECIDED: Final[Mapping[type[Event], Callable[[Any], object]]] = {
    events.AgentRegistered: lambda fact: (fact.resumed, fact.registration.group),
    events.AgentRevived: lambda fact: fact.previous,
    events.AgentRemoved: lambda fact: fact.commands,
    events.StreamOpened: lambda fact: fact.stream_id,
    events.StreamClosed: lambda fact: (fact.stream_id, fact.reason),
    events.CommandIssued: _issued,
    events.CommandPushed: lambda fact: len(fact.agent_ids),
    events.CommandFinished: lambda fact: fact.status,
    events.DeliveriesExpired: lambda fact: (len(fact.agent_ids), fact.reason),
}
