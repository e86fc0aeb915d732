"""Whom a command is for."""

from __future__ import annotations

from collections.abc import Container
from functools import cached_property
from typing import Final

FEW: Final = 8
"""Up to this many are searched; for more, a table is made when it is needed."""


class Targets(tuple[str, ...]):
    """The ids of a command's targets, in order, with a fast membership test.

    They never change, so all commands to the same agents share one of these objects: a command to
    thousands then takes only the memory of its changed deliveries.
    """

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each of them stands."""
        return {agent_id: place for place, agent_id in enumerate(self)}

    @cached_property
    def _members(self) -> Container[str]:
        # A set is made in half the time of a table.
        return self.__dict__.get("places") or frozenset(self)

    def __contains__(self, agent_id: object) -> bool:
        return agent_id in self._members if len(self) > FEW else super().__contains__(agent_id)
