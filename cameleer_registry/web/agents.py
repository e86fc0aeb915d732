"""Agents: registering, heartbeats, and what operators read of them."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from yarl import URL

from ..core.model import Agent, AgentStatus, Registration
from ..settings import Settings
from . import query
from .body import read_as
from .keys import NODE
from .responses import in_slices, json, json_array


async def register(request: web.Request) -> web.Response:
    """``POST /agents/register``: 201 for a new agent, 200 for a known one."""
    registration = await read_as(request, Registration)
    node = request.app[NODE]
    agent, resumed = node.register(registration)
    return json(
        {
            "agentId": agent.agent_id,
            "status": agent.status,
            "resumed": resumed,
            "sseEndpoint": _stream_address(request, agent.agent_id),
            "serverPublicKey": None,
            "config": _config(node.settings),
        },
        status=200 if resumed else 201,
    )


async def heartbeat(request: web.Request) -> web.Response:
    """``POST /agents/{id}/heartbeat``: 204; any body is ignored."""
    request.app[NODE].heartbeat(request.match_info["agent_id"])
    return web.Response(status=204)


async def show_agent(request: web.Request) -> web.Response:
    """``GET /agents/{id}``."""
    return json(request.app[NODE].agent(request.match_info["agent_id"]))


async def remove_agent(request: web.Request) -> web.Response:
    """``DELETE /agents/{id}``: 204."""
    request.app[NODE].remove(request.match_info["agent_id"])
    return web.Response(status=204)


async def list_agents(request: web.Request) -> web.StreamResponse:
    """``GET /agents``: all of them, or those that the query asks for."""
    node = request.app[NODE]
    statuses = query.members(request, "status", AgentStatus)
    groups = frozenset(query.words(request, "group"))
    after = request.query.get("after", "")
    limit = query.positive(request, "limit")

    def ask(after: str, limit: int) -> list[Agent]:
        return node.agents(statuses=statuses, groups=groups, after=after, limit=limit)

    if limit is None:
        slices = in_slices(ask, lambda agent: agent.agent_id, after=after)
        return await json_array(request, slices)
    page = ask(after, limit + 1)
    headers = {}
    if len(page) > limit:
        headers["Link"] = f'<{_next_page(request, page[limit - 1].agent_id)}>; rel="next"'
    return json(page[:limit], headers=headers)


async def list_groups(request: web.Request) -> web.Response:
    """``GET /agents/groups``."""
    return json(request.app[NODE].groups())


def _config(settings: Settings) -> dict[str, Any]:
    return {
        "heartbeatIntervalMs": _milliseconds(settings.heartbeat_interval),
        "staleAfterMs": _milliseconds(settings.stale_after),
        "deadAfterMs": _milliseconds(settings.dead_after),
        "keepaliveIntervalMs": _milliseconds(settings.keepalive_interval),
        "commandTtlMs": _milliseconds(settings.command_ttl),
    }


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _stream_address(request: web.Request, agent_id: str) -> str:
    """Return where an agent finds its stream, with the prefix this is mounted under."""
    return _outside(request, f"{_agents_path(request)}/{agent_id}/events")


def _next_page(request: web.Request, after: str) -> str:
    address = URL(_agents_path(request)).with_query(request.query)
    return _outside(request, str(address.update_query(after=after)))


def _agents_path(request: web.Request) -> str:
    return request.app.router["agents"].canonical


def _outside(request: web.Request, path: str) -> str:
    return (request.app[NODE].settings.public_url or "") + path
