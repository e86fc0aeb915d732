"""Agents: registering, heartbeats, and what operators read of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import web
from attrs import evolve

from .. import wire
from ..core.instant import NANOSECONDS
from ..core.model import Agent, AgentConfig, AgentStatus, Registration, Removed, Welcome
from ..core.registry import Limits
from ..core.selection import LAPSED, LapsedAgents
from ..errors import Fault, InvalidRequest
from ..node.node import Node
from ..security.model import ChallengeRequest
from ..settings import Settings
from . import query
from .answers import Answer, json
from .app_keys import NODE
from .calls import Call, CallHandler, RequestCall, issuer_of, within_of
from .credentials import shown
from .links import from_outside, next_page
from .lists import json_array
from .sharing import POSITION

SLICE: Final = 100
"""Agents that are looked up at a time."""

Ask = Callable[[str, int], list[Agent]]
"""Returns up to a number of agents that follow an id."""


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
        enrolled = await node.office.enrol(registration, principal)
        resumed = enrolled.resumed
        if enrolled.credential is not None:
            credential = shown(enrolled.credential)
    welcome = Welcome(
        agent_id=registration.agent_id,
        status=AgentStatus.LIVE,
        resumed=resumed,
        sse_endpoint=_stream_address(call, registration.agent_id),
        server_public_key=node.signer.public_key,
        config=_config(node),
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
    if (changed := call.node.heartbeat(call.address["agent_id"])) is not None:
        await changed
        assert call.node.shared is not None
        return Answer(status=204, headers={POSITION: call.node.shared.token})
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


async def remove_agents(request: web.Request) -> Answer:
    """``DELETE /agents?status=DEAD``: 200 with how many were forgotten; STALE or DEAD ones only."""
    call = RequestCall(request)
    agents = evolve(_lapsed(request), within=within_of(call))
    removed = await call.node.remove_lapsed(agents, by=issuer_of(call))
    return json(Removed(removed=removed))


def _lapsed(request: web.Request) -> LapsedAgents:
    """Return which agents are to be forgotten; raises InvalidRequest.

    A parameter that is not known is refused here: what was to narrow them would go unheard.
    """
    statuses = query.members(request, "status", AgentStatus)
    faults = [
        Fault(f"?{name}", "not understood, where what is asked for cannot be taken back")
        for name in sorted({*request.query} - {"status", "group"})
    ]
    if not statuses or not statuses <= LAPSED:
        got = f", got {', '.join(sorted(statuses))}" if statuses else ""
        faults.insert(0, Fault("?status", f"expected STALE, DEAD or both{got}"))
    if faults:
        raise InvalidRequest(faults)
    return LapsedAgents(statuses=statuses, groups=query.group_names(request, "group"))


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
        headers = next_page(request, "agents", after=last)
    return await json_array(request, _in_slices(ask, after, last), headers=headers)


async def list_groups(request: web.Request) -> Answer | web.StreamResponse:
    """``GET /agents/groups``."""
    within = within_of(RequestCall(request))
    return await json_array(request, request.app[NODE].iter_groups(within=within))


async def _last_of_page(ask: Ask, after: str, limit: int) -> str | None:
    """Return the id that ends a page, or None if no other page follows."""
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


def _config(node: Node) -> AgentConfig:
    """Return the times that a node keeps, which are the same for all agents."""
    config = _CONFIGS.get(node)
    if config is None:
        config = _CONFIGS[node] = _config_of(node.settings, node.registry.limits)
    return config


_CONFIGS: Final[WeakKeyDictionary[Node, AgentConfig]] = WeakKeyDictionary()


def _config_of(settings: Settings, limits: Limits) -> AgentConfig:
    """Return these times: those that decide are the registry's, which many nodes may share."""
    return AgentConfig(
        heartbeat_interval_ms=_milliseconds(settings.heartbeat_interval),
        stale_after_ms=_milliseconds(limits.stale_after / NANOSECONDS),
        dead_after_ms=_milliseconds(limits.dead_after / NANOSECONDS),
        keepalive_interval_ms=_milliseconds(settings.keepalive_interval),
        command_ttl_ms=_milliseconds(limits.command_ttl / NANOSECONDS),
    )


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _stream_address(call: Call, agent_id: str) -> str:
    """Return where an agent finds its stream, with the prefix under which this is mounted."""
    return from_outside(call.node.settings, f"{call.agents_path}/{agent_id}/events")
