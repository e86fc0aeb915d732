"""Times of day on the wire: RFC 3339, in UTC, with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ..core import rules


def timestamp(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with milliseconds: ``2026-11-23T08:15:30.123Z``."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat("T", "milliseconds")[: -len("+00:00")] + "Z"


def optional_timestamp(moment: datetime | None) -> str | None:
    """Write a moment, or None."""
    return None if moment is None else timestamp(moment)


def structure_datetime(value: Any, _: Any) -> datetime:
    """Read a moment, in any offset from UTC; raises ValueError."""
    moment = datetime.fromisoformat(rules.text(value))
    if moment.tzinfo is None:
        raise ValueError("expected a time with its offset from UTC")
    return moment
