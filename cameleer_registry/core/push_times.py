"""When a command was written to whose stream."""

from __future__ import annotations

from collections.abc import Sequence

from .instant import Instant


class PushTimes:
    """To whom one command was written, and when.

    Thousands are written to in a hurry, batch by batch. By agent that is sorted when somebody asks,
    and no further than it takes to answer.
    """

    __slots__ = ("_batches", "_by_agent")

    def __init__(self) -> None:
        # Those that are not sorted yet, oldest first.
        self._batches: list[tuple[Sequence[str], Instant]] = []
        self._by_agent: dict[str, Instant] = {}

    def add(self, agent_ids: Sequence[str], at: Instant) -> None:
        """Note that it was written to these."""
        self._batches.append((agent_ids, at))

    def at(self, agent_id: str) -> Instant | None:
        """Return when it was written to that agent, or None if it was not."""
        while self._batches and agent_id not in self._by_agent:
            agent_ids, at = self._batches.pop(0)
            # Two nodes may have written it, to an older stream and to a newer: the first counts.
            new, known = dict.fromkeys(agent_ids, at), self._by_agent
            if not known.keys().isdisjoint(new.keys()):
                new = {agent_id: at for agent_id in new if agent_id not in known}
            known.update(new)
        return self._by_agent.get(agent_id)

    def batches(self) -> list[tuple[Sequence[str], Instant]]:
        """Return to whom it was written at each moment."""
        at_once: dict[Instant, list[str]] = {}
        for agent_id, at in self._by_agent.items():
            at_once.setdefault(at, []).append(agent_id)
        return [*((agent_ids, at) for at, agent_ids in at_once.items()), *self._batches]

    def agent_ids(self) -> set[str]:
        """Return all to whom it was written."""
        return set(self._by_agent).union(*(agent_ids for agent_ids, _ in self._batches))
