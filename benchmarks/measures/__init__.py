"""One module for each thing that is measured; each yields the rows of its part of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ..figures import Row
from ..scale import Scale
from . import (
    before,
    cluster,
    comeback,
    durability,
    fanout,
    idle,
    interference,
    latency,
    loading,
    memory,
    security,
    size,
    start,
    throughput,
)

MEASURES: Final[Mapping[str, Callable[[Scale], Iterator[Row]]]] = {
    "fanout": fanout.measure,
    "latency": latency.measure,
    "memory": memory.measure,
    "throughput": throughput.measure,
    "durability": durability.measure,
    "loading": loading.measure,
    "interference": interference.measure,
    "idle": idle.measure,
    "size": size.measure,
    "comeback": comeback.measure,
    "security": security.measure,
    "start": start.measure,
    "cluster": cluster.measure,
    "before": before.measure,
}
"""By the names that ``--only`` takes, in the order of the table."""
