"""The numbers that a registry lives by, as settings say them."""

from __future__ import annotations

from ..core.instant import nanoseconds
from ..core.registry import Limits
from ..settings import Settings


def limits_of(settings: Settings) -> Limits:
    """Return the numbers that a registry of these settings lives by."""
    return Limits(
        stale_after=nanoseconds(settings.stale_after),
        dead_after=nanoseconds(settings.dead_after),
        command_ttl=nanoseconds(settings.command_ttl),
        max_agents=settings.max_agents,
        max_pending_per_agent=settings.max_pending_per_agent,
        command_history=settings.command_history,
        command_history_bytes=settings.command_history_bytes,
        idempotency_keys=settings.idempotency_keys,
    )
