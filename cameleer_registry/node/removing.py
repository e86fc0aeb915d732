"""Deleting many agents: each is judged in its moment, and others get a turn in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ..core import inputs
from ..core.selection import LapsedAgents
from .sharing.shared import Shared

if TYPE_CHECKING:
    from .node import Node

DEAD_AGENTS: Final = LapsedAgents()

LOOKED_AT: Final = 1000
"""Agents that are looked at in one turn of the loop when many are to be deleted."""

REMOVING: Final = 20
"""As many as are looked at in the time that it takes to delete one."""

REMOVED_TOGETHER: Final = 200
"""Agents that are deleted by one entry of the log, if many nodes share the registry."""


async def remove_lapsed(node: Node, agents: LapsedAgents, *, by: str | None) -> int:
    """Delete agents: see :meth:`~cameleer_registry.node.node.Node.remove_lapsed`."""
    if node.shared is not None:
        return await _remove_by_log(node, node.shared, agents, by)
    await node.catch_up()  # what nobody was told of yet would be looked at all at once
    removed, effort, now = 0, 0, node.clock.now()
    for agent_id in node.registry.lapsed(agents, now=now):
        if effort >= LOOKED_AT:
            await asyncio.sleep(0)
            if node.shutting_down:
                break
            effort, now = 0, node.clock.now()
        node.journal.check()
        facts = node.registry.remove_lapsed(agent_id, agents, now=now, by=by)
        node.carry_out(facts)
        removed += bool(facts)
        effort += REMOVING if facts else 1
    await node.settled()
    return removed


async def _remove_by_log(node: Node, shared: Shared, agents: LapsedAgents, by: str | None) -> int:
    shared.part.check()  # a node that is cut off changes nothing, even if it finds nobody
    await shared.look()
    found = sorted(set(node.registry.lapsed(agents, now=node.clock.now())))
    removed = 0
    for start in range(0, len(found), REMOVED_TOGETHER):
        if node.shutting_down:
            break
        some = tuple(found[start : start + REMOVED_TOGETHER])
        removed += await shared.submit(inputs.RemoveLapsed(agent_ids=some, agents=agents, by=by))
    return removed
