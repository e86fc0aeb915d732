"""Agents: registering, heartbeats, and what operators read of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from aiohttp import web
from yarl import URL

from .. import wire
from ..core.model import Agent, AgentConfig, AgentStatus, Registration, Welcome
from ..security.model import ChallengeRequest
from ..settings import Settings
from . import query
from .answers import Answer, json
from .app_keys import NODE
from .calls import Call, CallHandler, RequestCall, issuer_of, within_of
from .credentials import shown
from .lists import json_array

SLICE: Final = 100
"""Agents that are looked up at a time."""

Ask = Callable[[str, int], list[Agent]]
"""Returns up to so many agents that follow an id."""


@CallHandler
async def register(call: Call) -> Answer:
    """``POST /agents/register``: 201 for a new agent, 200 for a known one."""
    raw = await call.body()
    registration = wire.decode(raw, Registration)
    challenge = wire.decode(raw, ChallengeRequest).challenge if b'"challenge"' in raw else None
    node, principal = call.node, call.principal
    credential = None
    if principal is None:
        resumed = await node.register_from_wire(registration)
    else:
        enrolled = await node.enrol(registration, principal)
        resumed = enrolled.resumed
        if enrolled.credential is not None:
            credential = shown(enrolled.credential)
    welcome = Welcome(
        agent_id=registration.agent_id,
        status=AgentStatus.LIVE,
        resumed=resumed,
        sse_endpoint=_stream_address(call, registration.agent_id),
        server_public_key=node.signer.public_key,
        config=_config(node.settings),
        credential=credential,
    )
    answer = json(welcome, status=200 if resumed else 201)
    if challenge is not None:
        signed = node.signer.registration(answer.body, challenge, now=node.clock.now())
        answer.body = signed or answer.body
    return answer


@CallHandler
async def heartbeat(call: Call) -> Answer:
    """``POST /agents/{id}/heartbeat``: 204; any body is ignored."""
    call.node.heartbeat(call.address["agent_id"])
    return Answer(status=204)


@CallHandler
async def show_agent(call: Call) -> Answer:
    """``GET /agents/{id}``."""
    return json(call.node.agent(call.address["agent_id"]))


@CallHandler
async def remove_agent(call: Call) -> Answer:
    """``DELETE /agents/{id}``: 204."""
    await call.node.remove(call.address["agent_id"], by=issuer_of(call))
    return Answer(status=204)


async def list_agents(request: web.Request) -> Answer | web.StreamResponse:
    """``GET /agents``: all of them, or those that the query asks for."""
    node = request.app[NODE]
    statuses = query.members(request, "status", AgentStatus)
    groups = frozenset(query.words(request, "group"))
    after = request.query.get("after", "")
    limit = query.positive(request, "limit")
    within = within_of(RequestCall(request))

    def ask(after: str, limit: int) -> list[Agent]:
        return node.agents(
            statuses=statuses, groups=groups, after=after, limit=limit, within=within
        )

    headers, last = {}, None
    if limit is not None and (last := await _last_of_page(ask, after, limit)) is not None:
        headers["Link"] = f'<{_next_page(request, last)}>; rel="next"'
    return await json_array(request, _in_slices(ask, after, last), headers=headers)


async def list_groups(request: web.Request) -> Answer | web.StreamResponse:
    """``GET /agents/groups``."""
    within = within_of(RequestCall(request))
    return await json_array(request, request.app[NODE].iter_groups(within=within))


async def _last_of_page(ask: Ask, after: str, limit: int) -> str | None:
    """Return the id that ends a page, or None where no other page follows."""
    while limit:
        found = ask(after, min(limit, SLICE))
        if not found:
            return None
        after = found[-1].agent_id
        limit -= len(found)
        await asyncio.sleep(0)
    return after if ask(after, 1) else None


def _in_slices(ask: Ask, after: str, last: str | None) -> Iterator[Agent]:
    """Ask for one slice after the other, up to the agent of that id, or to the end."""
    while found := ask(after, SLICE):
        for agent in found:
            if last is not None and agent.agent_id > last:
                return
            yield agent
        after = found[-1].agent_id


def _config(settings: Settings) -> AgentConfig:
    return AgentConfig(
        heartbeat_interval_ms=_milliseconds(settings.heartbeat_interval),
        stale_after_ms=_milliseconds(settings.stale_after),
        dead_after_ms=_milliseconds(settings.dead_after),
        keepalive_interval_ms=_milliseconds(settings.keepalive_interval),
        command_ttl_ms=_milliseconds(settings.command_ttl),
    )


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _stream_address(call: Call, agent_id: str) -> str:
    """Return where an agent finds its stream, with the prefix this is mounted under."""
    return _outside(call, f"{call.agents_path}/{agent_id}/events")


def _next_page(request: web.Request, after: str) -> str:
    call = RequestCall(request)
    address = URL(call.agents_path).with_query(request.query)
    return _outside(call, str(address.update_query(after=after)))


def _outside(call: Call, path: str) -> str:
    return (call.node.settings.public_url or "") + path
