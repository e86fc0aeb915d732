"""Keys change under a fleet of a hundred agents, and nobody enrols again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from attrs import define, field

from cameleer_registry import wire
from cameleer_registry.client import Agent, trust
from cameleer_registry.core.events import AgentRegistered
from cameleer_registry.security.jwt import Lifetimes
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.model import CredentialShown
from cameleer_registry.security.principals import Role

from ..closed import RING, Closed, closed
from ..support import eventually

COUNT: Final = 100


@define
class Fleet:
    """Agents that run, and how often the registry has seen one enrol."""

    served: Closed
    agents: list[Agent]
    registered: list[str] = field(factory=list)

    async def obey(self) -> dict[str, int]:
        """Command all of them; return what came of it when all have answered."""
        answer = await self.served.ask(
            "operator", "POST", "/agents/commands", {"type": "replay", "payload": {}}
        )
        assert COUNT == answer.json()["targetCount"]
        path = f"/commands/{answer.json()['commandId']}?wait=20"
        outcomes: dict[str, int] = (await self.served.ask("operator", "GET", path)).json()[
            "outcomes"
        ]
        return outcomes

    def headers(self) -> set[str]:
        """Return what they show now."""
        return {str(one._credentials.header()) for one in self.agents if one._credentials}


@asynccontextmanager
async def fleet(lifetimes: Lifetimes | None = None) -> AsyncIterator[Fleet]:
    """Have a hundred agents enrolled, connected, and told what is to be seen."""
    ring = KeyRing.generate(at=RING.keys.issued_at)
    async with closed(agents={}, ring=ring, lifetimes=lifetimes) as served:
        registered: list[str] = []

        def note(fact: Any) -> None:
            registered.append(fact.agent_id)

        served.node.listen(note, AgentRegistered)
        token = served.create(Role.ENROL)
        agents = []
        for number in range(COUNT):
            agent = Agent(served.url, agent_id=f"a-{number:03}", group="g", token=token)
            agent.on("replay")(lambda _: None)
            agents.append(agent)
        tasks = [asyncio.create_task(agent.run()) for agent in agents]
        try:
            await eventually(lambda: all(agent.connected for agent in agents), 60)
            assert COUNT == len(set(registered)) == len(registered)
            yield Fleet(served, agents, registered)
        finally:
            for agent in agents:
                agent.stop()
            await asyncio.wait_for(asyncio.gather(*tasks), 60)


async def keys(served: Closed, use: str, status: str) -> list[str]:
    answer = await served.ask(None, "GET", "/keys")
    return [
        one["kid"] for one in answer.json()["keys"] if (one["for"], one["status"]) == (use, status)
    ]


async def test_keys_that_sign_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Announced, active, retired and revoked: each command is believed by all, at once."""
    monkeypatch.setattr(trust, "ASK_AGAIN", 0)
    async with fleet() as of:
        served, shown = of.served, of.headers()
        everybody = {"SUCCESS": COUNT, "FAILURE": 0}
        assert everybody == await of.obey()
        [first] = await keys(served, "command", "active")
        for _ in range(2):
            assert 200 == (await served.ask("admin", "POST", "/keys/command/rotate")).status
            assert everybody == await of.obey()
        assert [first] == await keys(served, "command", "retired")
        [second] = await keys(served, "command", "active")
        for key_id in (first, second):
            assert 200 == (await served.ask("admin", "DELETE", f"/keys/{key_id}")).status
            assert everybody == await of.obey()
        assert {first, second} == {*await keys(served, "command", "revoked")}
        assert COUNT == len(of.registered), "nobody has enrolled again"
        assert shown == of.headers(), "no agent's token was touched"
        assert all(agent.connected for agent in of.agents)


async def test_keys_that_sign_tokens() -> None:
    """What a retired one has signed is good, and is renewed to what the new one has signed."""
    async with fleet() as of:
        served = of.served
        [first] = await keys(served, "token", "active")
        for _ in range(2):
            assert 200 == (await served.ask("admin", "POST", "/keys/token/rotate")).status
        assert [first] == await keys(served, "token", "retired")
        for agent in of.agents:
            kind = agent.agent_id
            assert agent._credentials is not None
            served.tokens[kind] = str(agent._credentials.header()).removeprefix("Bearer ")
            path = f"/agents/{agent.agent_id}"
            assert 204 == (await served.ask(kind, "POST", f"{path}/heartbeat")).status
        # Also if nothing is remembered of them.
        served.node.authority.verifier._verified.clear()
        for agent in of.agents:
            kind = agent.agent_id
            answer = await served.ask(kind, "POST", f"/agents/{agent.agent_id}/token")
            assert 200 == answer.status
            shown = wire.decode_answer(answer.body, CredentialShown).credential
            served.tokens[kind] = shown.access_token
            # As if the agent had asked: its next heartbeat may be due at any moment.
            mine = agent._credentials
            assert mine is not None
            mine.take(shown)
        # Those who have renewed are not touched by what becomes of the first one.
        assert 200 == (await served.ask("admin", "DELETE", f"/keys/{first}")).status
        await served.node.standing.look()
        for agent in of.agents:
            path = f"/agents/{agent.agent_id}/heartbeat"
            assert 204 == (await served.ask(agent.agent_id, "POST", path)).status
        assert all(served.node.streams.of(agent.agent_id) for agent in of.agents)
        assert COUNT == len(of.registered), "nobody has enrolled again"


async def test_they_renew_by_themselves_over_a_rotation() -> None:
    """Each before its token ends, and no stream does."""
    async with fleet(Lifetimes(token=12, renewable=600)) as of:
        served, before = of.served, of.headers()
        opened = served.node.meters.streams_opened
        for _ in range(2):
            assert 200 == (await served.ask("admin", "POST", "/keys/token/rotate")).status
        await eventually(lambda: not before & of.headers(), 60)
        [active] = await keys(served, "token", "active")
        streams = [served.node.streams.of(agent.agent_id) for agent in of.agents]
        principals = [stream.principal for stream in streams if stream is not None]
        assert {active} == {one.key_id for one in principals if one is not None}
        assert COUNT == len(principals)
        assert opened == served.node.meters.streams_opened
        assert COUNT == len(of.registered), "nobody has enrolled again"
