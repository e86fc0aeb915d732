"""Several nodes in this process that ask for credentials, and have the same keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field

from cameleer_registry.node.auth.authority import Authority
from cameleer_registry.node.auth.mode import Mode
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.principals import Role

from ...closed import RING, bearer
from ...support import Answer
from .world import Member, World


def shows(token: str) -> str:
    """Return the line of a head that shows a token."""
    return f"Authorization: Bearer {token}\r\n"


@define(eq=False)
class Guarded(World):
    """All nodes of a cluster that asks for credentials, and tokens by what they are called here."""

    tokens: dict[str, str] = field(factory=dict)

    async def enter(self, name: str, ring: KeyRing | None = RING, **settings: Any) -> Member:
        """Start one more node."""
        mode = settings.pop("mode", Mode.REQUIRED)
        return await self.join(name, authority=Authority(mode, ring=ring), **settings)

    async def create(self, at: Member, role: Role, **more: Any) -> str:
        """Make a token at a node."""
        return (await at.node.office.create_token(role, **more)).token.text

    async def ask(
        self, at: Member, kind: str | None, method: str, path: str, body: Any = None, **more: Any
    ) -> Answer:
        """Send a request to a node with a token, by its name here, or as it is."""
        headers = more.pop("headers", {})
        if kind is not None:
            headers = {**bearer(self.tokens.get(kind, kind)), **headers}
        return await at.request(method, path, body, headers=headers, **more)

    async def enrol(
        self, at: Member, agent_id: str, group: str = "g", kind: str = "enrol", **more: Any
    ) -> Answer:
        """Register an agent at a node, and keep its token under its id."""
        body = {"agentId": agent_id, "group": group, **more}
        answer = await self.ask(at, kind, "POST", "/agents/register", body)
        if answer.status in (200, 201):
            self.tokens[agent_id] = answer.json()["credential"]["accessToken"]
        return answer


@asynccontextmanager
async def guarded(*names: str, **settings: Any) -> AsyncIterator[Guarded]:
    """Run nodes of these names; there is a token of each role, made at the first."""
    of = Guarded()
    try:
        for name in names:
            await of.enter(name, **settings)
        for role in (Role.ENROL, Role.METRICS, Role.VIEWER, Role.OPERATOR, Role.ADMIN):
            of.tokens[role] = await of.create(of.members[0], role)
        yield of
    finally:
        await of.end()
