"""Which processes answer: one, a new one after a restart, or two behind one address.

Two processes behind one address, such as two workers of gunicorn or two replicas behind a balancer,
are two registries, each of which knows only some of the agents. An agent that both answer in turn
registers again and again, for no visible reason. But each answer carries the id of its process. A
new id means a restart; an id that returns after another means two processes. The nodes of a cluster
are one registry, and show that by a position.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from ..instance import HEADER
from ..logs import get_logger

log = get_logger(__name__)

POSITION: Final = "X-Cameleer-Position"
"""What the nodes of a cluster say when they have changed something."""

REMEMBERED: Final = 8
"""Processes that are remembered: more workers than that are noticed at the eighth, too."""


class Instances:
    """The processes that have answered at one address; tells once that there are several."""

    def __init__(self, *, tell: Callable[[str, str], None] | None = None) -> None:
        self._tell = tell or _warn
        # Those that have answered before the present one, and the present one; None before any.
        self._before: deque[str] = deque(maxlen=REMEMBERED)
        self._present: str | None = None
        # Whether it has turned out to be a cluster.
        self._one_of_many = False
        self.split = False
        """Whether several answer in turn."""

    def heard(self, headers: Mapping[str, str]) -> None:
        """Take note of the head of an answer, which may not say who has answered."""
        instance = headers.get(HEADER)
        self._one_of_many = self._one_of_many or POSITION in headers
        if instance is None or instance == self._present:
            return
        if instance in self._before and not self.split and not self._one_of_many:
            self.split = True
            assert self._present is not None
            self._tell(self._present, instance)
        if self._present is not None:
            self._before.append(self._present)
        self._present = instance


def _warn(present: str, other: str) -> None:
    log.warning(
        "two servers answer in turn at one address, each of which knows only some of the agents: "
        "run one process, or give each an address of its own",
        instances=[present, other],
    )
