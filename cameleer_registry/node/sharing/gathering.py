"""What is gathered for a moment before it goes into the log: heartbeats, and pushes to streams.

Nobody waits for either, and there are many of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ...core import inputs
from ...core.instant import NANOSECONDS
from ...core.model import AgentStatus
from ...errors import AgentNotRegistered
from .contact import REFUSING
from .part import Part
from .written import Written

if TYPE_CHECKING:
    from ..node import Node

HEARD_TOGETHER: Final = 5000
"""Agents of which one input says that they have sent a heartbeat."""

TOLD_TOGETHER: Final = 0.02
"""Seconds within which the streams that were written to are noted together."""


class Gathering:
    """Heartbeats and pushes that the others have yet to be told of."""

    def __init__(self, node: Node, part: Part) -> None:
        self._node = node
        self._part = part
        # Agents that have sent a heartbeat since they were put into the log last.
        self._heard: dict[str, None] = {}
        # Streams that were written to and are not noted yet, by command.
        self._pushed: dict[str, list[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._told = 0.0
        # What may still be pending of all that was written here.
        self.written = Written(part.time)

    def heartbeat(self, agent_id: str) -> asyncio.Future[Any] | None:
        """Note a heartbeat; return what is done if it changes a status.

        Raises AgentNotRegistered and NotInContact.
        """
        self._part.check()
        node = self._node
        record = node.registry.find_agent(agent_id)
        if record is None:
            raise AgentNotRegistered(agent_id)
        now = node.clock.now()
        live = node.registry.status_of(record, now=now) is AgentStatus.LIVE
        if live and record.status is AgentStatus.LIVE:
            self._heard[agent_id] = None
            return None
        return self._part.submit(inputs.Hear(agent_ids=(agent_id,)))

    def tell_heard(self) -> None:
        """Tell the others who has sent a heartbeat, unless this node is cut off."""
        if self._part.number is None or self._part.contact.silent > REFUSING:
            return
        heard, self._heard = self._heard, {}
        agent_ids = list(heard)
        for start in range(0, len(agent_ids), HEARD_TOGETHER):
            some = tuple(agent_ids[start : start + HEARD_TOGETHER])
            self._part.tell(inputs.Hear(agent_ids=some))

    def pushed(self, command_id: str, agent_ids: Sequence[str]) -> None:
        """Note to whose streams a command was written; in a moment it is told to the others."""
        self.written.note(
            command_id, agent_ids, self._node.registry.limits.command_ttl / NANOSECONDS
        )
        self._pushed.setdefault(command_id, []).extend(agent_ids)
        if self._timer is None and self._part.loop is not None:
            wait = max(0.0, self._told + TOLD_TOGETHER - self._part.time())
            self._timer = self._part.loop.call_later(wait, self.tell_pushed)

    def tell_pushed(self) -> None:
        """Tell the others which streams were written to."""
        self._timer, self._told = None, self._part.time()
        pushed, self._pushed = self._pushed, {}
        for command_id, agent_ids in pushed.items():
            targets = self._node.registry.targets_of(command_id)
            if targets is not None:
                bits = inputs.bits_of(agent_ids, targets)
                self._part.tell(inputs.NotePushed(command_id=command_id, bits=bits))
