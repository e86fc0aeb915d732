"""What simulated agents say of themselves: a fleet as it is in the middle of a rollout.

Agents of one group are one service, so they have most routes in common. Some run the release
before, a few the next one; what they can do differs with it. An agent says the same each time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen

SERVICES: Final = ("orders", "billing", "shipping", "customers", "stock", "returns", "invoices")

ROUTES: Final = ("in", "validate", "enrich", "out", "retry", "audit", "dead-letter", "timer")
"""Of which a service has the first three to six, and some agents one more."""

VERSIONS: Final = {"4.8.0": 6, "4.8.1": 22, "4.9.0": 60, "4.9.1": 9, "4.10.0-rc1": 3}
"""Releases, from the oldest to the newest, with the share of the fleet that runs each."""

TRACES_FROM: Final = "4.8.1"
"""The release from which on agents can trace deeply; replay came with the one after."""


@frozen
class Declaration:
    """What one agent declares."""

    version: str
    route_ids: tuple[str, ...]
    capabilities: Mapping[str, Any]


def declaration(number: int, group: int) -> Declaration:
    """Return what the agent of that number declares, as a member of that group."""
    own, shared = random.Random(number), random.Random(f"group {group}")
    version = own.choices(list(VERSIONS), list(VERSIONS.values()))[0]
    service = SERVICES[(group - 1) % len(SERVICES)]
    count = shared.randint(3, 6) + (own.random() < 0.1)
    age = list(VERSIONS).index(version) - list(VERSIONS).index(TRACES_FROM)
    capabilities: dict[str, Any] = {"config-update": True}
    if age >= 0:
        capabilities["deep-trace"] = {"depth": shared.choice((3, 5, 10))}
    if age > 0:
        capabilities["replay"] = True
    if own.random() < 0.2:
        capabilities["metrics"] = {"intervalMs": own.choice((5_000, 10_000, 60_000))}
    return Declaration(
        version=version,
        route_ids=tuple(f"{service}-{route}" for route in ROUTES[:count]),
        capabilities=capabilities,
    )
