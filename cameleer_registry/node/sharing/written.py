"""What was written to which streams of this node, as it has seen itself.

The log says so, too, but in terms of the registry that this node had then: if that was wrong,
nothing of it can be believed. So a node that begins anew asks here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

from attrs import define, field, frozen

MOST: Final = 2**20
"""Deliveries that are remembered: 8 MiB. If there are more, the oldest are forgotten, and written
once more by a node that begins anew: agents know what they have had."""


@define
class _Command:
    # When nothing of it can be pending any more.
    until: float
    parts: list[Collection[str]] = field(factory=list)
    count: int = 0


@frozen(eq=False)
class Written:
    """The deliveries of this node that may still be pending."""

    time: Callable[[], float]
    # Oldest first.
    _commands: OrderedDict[str, _Command] = field(factory=OrderedDict)
    _count: list[int] = field(factory=lambda: [0])

    def __len__(self) -> int:
        """Return how many are remembered."""
        return self._count[0]

    def note(self, command_id: str, agent_ids: Collection[str], lasts: float) -> None:
        """Note to whose streams a command was written, which lasts so many seconds."""
        command = self._commands.get(command_id)
        if command is None:
            command = self._commands[command_id] = _Command(self.time() + lasts)
        command.parts.append(agent_ids)
        command.count += len(agent_ids)
        self._count[0] += len(agent_ids)
        self._forget()

    def _forget(self) -> None:
        now = self.time()
        while self._commands:
            oldest = next(iter(self._commands.values()))
            if oldest.until > now and (self._count[0] <= MOST or len(self._commands) == 1):
                return
            self._commands.popitem(last=False)
            self._count[0] -= oldest.count

    def has(self, command_id: str, agent_id: str) -> bool:
        """Tell whether a command was written to an agent's stream."""
        command = self._commands.get(command_id)
        if command is None:
            return False
        if len(command.parts) > 1:  # asked for once, it is likely to be asked for of many
            command.parts = [frozenset(each for part in command.parts for each in part)]
        return agent_id in command.parts[0]
