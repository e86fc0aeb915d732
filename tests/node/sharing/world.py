"""Several nodes in this process, on real sockets, which share a log in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from attrs import define, field

from cameleer_registry import NODE, Node, Settings
from cameleer_registry.core.digest import digest_of_replica
from cameleer_registry.node.auth.authority import Authority
from cameleer_registry.node.log.local import LocalEngine, LocalLog
from cameleer_registry.node.sharing.shared import Shared
from cameleer_registry.web.app import make_app
from cameleer_registry.web.inline import InlineRunner

from ...support import Answer, Served, eventually, running

REGISTRATION = {"group": "g"}


@define(eq=False)
class Member(Served):
    """One node, served on a socket."""

    log: LocalLog = field(kw_only=True)
    _stack: AsyncExitStack = field(factory=AsyncExitStack, kw_only=True)

    @property
    def shared(self) -> Shared:
        assert self.node.shared is not None
        return self.node.shared

    async def end(self) -> None:
        """End it as SIGTERM would."""
        await self._stack.aclose()

    async def kill(self) -> None:
        """Have it say and hear nothing any more, as if it were killed."""
        await self.node.life.supervisor.stop()
        self.log.cut = True

    async def enter(self, agent_id: str, group: str = "g") -> Answer:
        """Register an agent."""
        return await self.request("POST", "/agents/register", {"agentId": agent_id, "group": group})

    async def order(self, path: str = "/agents/commands", **headers: str) -> Any:
        """Issue a command; return what is shown of it."""
        answer = await self.request("POST", path, {"type": "replay"}, headers=headers)
        assert 202 == answer.status, answer.body
        return answer.json()


@define(eq=False)
class World:
    """All nodes of one cluster."""

    engine: LocalEngine = field(factory=LocalEngine)
    members: list[Member] = field(factory=list)

    async def join(
        self, name: str, *, authority: Authority | None = None, **settings: Any
    ) -> Member:
        """Start one more node."""
        log = LocalLog(self.engine)
        settings = {"database": "memory", **settings}
        made = Settings(node_name=name, **settings)
        app = make_app(made, alone=True, log=log, authority=authority)
        stack = AsyncExitStack()
        host, port = await stack.enter_async_context(running(app, runs=InlineRunner))
        member = Member(app[NODE], host, port, log=log, stack=stack)
        self.members.append(member)
        return member

    async def level(self, *members: Member) -> None:
        """Wait until nodes have applied the same, and check that it has come to the same."""
        members = members or tuple(self.members)
        while True:
            await eventually(lambda: all(m.shared.position >= self.engine.last for m in members))
            positions = {member.shared.position for member in members}
            if len(positions) == 1:
                break
        assert 1 == len({digest(member.node) for member in members})

    async def end(self) -> None:
        for member in self.members:
            with contextlib.suppress(Exception):
                await member.end()


def digest(node: Node) -> str:
    """Return what is equal for equal nodes."""
    assert node.shared is not None
    assert node.shared.replica is not None
    return digest_of_replica(node.shared.replica)


@asynccontextmanager
async def world(*names: str, **settings: Any) -> AsyncIterator[World]:
    """Run nodes of these names."""
    of = World()
    try:
        for name in names:
            await of.join(name, **settings)
        yield of
    finally:
        await of.end()


async def soon(seconds: float = 0.05) -> None:
    """Let a moment pass."""
    await asyncio.sleep(seconds)
