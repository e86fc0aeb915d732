"""Whom a command is for."""

from __future__ import annotations

from functools import cached_property
from typing import Final

FEW: Final = 8
"""So few are looked through; of more, a table is made when somebody asks."""


class Targets(tuple[str, ...]):
    """The ids of a command's targets, in their order, which tell quickly who is among them.

    They never change, so all commands to the same agents share one of these: what a command to
    thousands takes is then no more than what happens to its deliveries.
    """

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each of them stands."""
        return {agent_id: place for place, agent_id in enumerate(self)}

    def __contains__(self, agent_id: object) -> bool:
        return agent_id in self.places if len(self) > FEW else super().__contains__(agent_id)
