"""What a node found when it went on after an earlier process, and who has not come back since.

A fleet comes back within a heartbeat interval. Whoever has not by then is LIVE or STALE only
because the lease was held for it, and an operator wants to know of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..core import events
from ..core.instant import Instant
from ..core.model import Resumed
from ..core.views import time_of_day
from .effects import Effects


class Resumption:
    """How a node has gone on."""

    def __init__(
        self,
        effects: Effects,
        expected: Iterable[str],
        *,
        agents: int,
        since: Instant,
        now: Instant,
    ) -> None:
        self.agents = agents
        # The last moment at which the earlier process is known to have run.
        self.since = since
        # When this one took over.
        self.now = now
        # Those who were LIVE or STALE then, and have not been heard since.
        self._expected = set(expected)
        # Ends being told; None when there is nobody left to be told of.
        self._end: Callable[[], None] | None = None
        if self._expected:
            self._end = effects.tell(
                self._heard, (events.HeartbeatReceived, events.AgentRegistered, events.AgentRemoved)
            )

    @property
    def not_back(self) -> int:
        """How many have not been heard since; who is deleted is not expected any more."""
        return len(self._expected)

    def shown(self) -> Resumed:
        """Return the same for those who ask.

        Both times are by the clock as it is now: it may have been set meanwhile, and then the
        earlier process's own would not tell how long nobody was there.
        """
        since = self.now.after(self.since.steady - self.now.steady)
        return Resumed(
            away_from=time_of_day(since),
            away_until=time_of_day(self.now),
            agents=self.agents,
            not_back=self.not_back,
        )

    def _heard(self, fact: events.AgentEvent) -> None:
        self._expected.discard(fact.agent_id)
        if not self._expected and self._end is not None:
            self._end()  # so that a heartbeat costs what it always does
            self._end = None
