"""A server that asks for credentials, and one credential of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from attrs import define, field

from cameleer_registry import NODE, Settings
from cameleer_registry.node.auth.authority import Authority
from cameleer_registry.node.auth.mode import Mode
from cameleer_registry.node.clock import Clock
from cameleer_registry.security.jwt import Lifetimes
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.principals import Role
from cameleer_registry.web.app import make_app
from cameleer_registry.web.inline import InlineRunner

from .support import Answer, Served, running

SETTINGS: Final = Settings(auth="required")  # type: ignore[arg-type]
RING: Final = KeyRing.generate(at=datetime(2026, 11, 26, tzinfo=UTC))


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


@define
class Closed(Served):
    """A registry that asks for credentials."""

    tokens: dict[str, str] = field(factory=dict)
    """A token of each kind, by what it is called here."""

    async def ask(
        self, kind: str | None, method: str, path: str, body: Any = None, **more: Any
    ) -> Answer:
        """Send a request with the credential of that kind."""
        shown = {} if kind is None else bearer(self.tokens[kind])
        headers = {**shown, **more.pop("headers", {})}
        return await self.request(method, path, body, headers=headers, **more)

    def create(self, role: Role, **more: Any) -> str:
        """Make a token."""
        node = self.node
        made = node.authority.create_token(role, now=node.clock.now(), **more)
        node.carry_out(made.facts)
        return made.token.text

    async def enrol(
        self, agent_id: str, group: str = "g", kind: str = "enrol", **more: Any
    ) -> Answer:
        """Register an agent, and keep its token under its id."""
        body = {"agentId": agent_id, "group": group, **more}
        answer = await self.ask(kind, "POST", "/agents/register", body)
        if answer.status in (200, 201):
            self.tokens[agent_id] = answer.json()["credential"]["accessToken"]
        return answer


@asynccontextmanager
async def closed(
    *,
    runs: type[web.AppRunner] = InlineRunner,
    settings: Settings = SETTINGS,
    mode: Mode = Mode.REQUIRED,
    clock: Clock | None = None,
    lifetimes: Lifetimes | None = None,
    ring: KeyRing | None = RING,
    agents: Mapping[str, str] | None = None,
) -> AsyncIterator[Closed]:
    """Serve one, with the agents ``a`` of the group ``g`` and ``b`` of the group ``other``."""
    authority = Authority(mode, ring=ring, lifetimes=lifetimes)
    app = make_app(settings, alone=True, clock=clock, authority=authority)
    async with running(app, runs=runs) as (host, port):
        served = Closed(app[NODE], host, port)
        for role in (Role.ENROL, Role.METRICS, Role.VIEWER, Role.OPERATOR, Role.ADMIN):
            served.tokens[role] = served.create(role)
            served.tokens[f"{role} of g"] = served.create(role, groups=("g",))
        for agent_id, group in ({"a": "g", "b": "other"} if agents is None else agents).items():
            assert 201 == (await served.enrol(agent_id, group)).status
        yield served
