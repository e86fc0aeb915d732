"""The whole URL map."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from .. import wire
from . import agents, commands, console, documentation, feed, health, metrics, streams
from .body import expect_continue
from .responding import Handler, responding

API: Final = "/api/v1"

# The reserved words are no agent ids: their own addresses answer, if only with 405.
_ID: Final = r"{agent_id:(?!(?:register|commands|groups)(?:/|$))[^/]+}"
_GROUP: Final = r"{group:[^/]+}"
_COMMAND: Final = r"{command_id:[^/]+}"

ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/healthz", health.healthz),
    ("GET", "/readyz", health.readyz),
    ("GET", "/metrics", metrics.show_metrics),
    ("GET", f"{API}/agents", agents.list_agents),
    ("POST", f"{API}/agents/register", agents.register),
    ("GET", f"{API}/agents/groups", agents.list_groups),
    ("GET", f"{API}/agents/{_ID}", agents.show_agent),
    ("DELETE", f"{API}/agents/{_ID}", agents.remove_agent),
    ("POST", f"{API}/agents/{_ID}/heartbeat", agents.heartbeat),
    ("GET", f"{API}/agents/{_ID}/events", streams.stream_events),
    ("POST", f"{API}/agents/{_ID}/commands", commands.issue_to_agent),
    ("POST", f"{API}/agents/groups/{_GROUP}/commands", commands.issue_to_group),
    ("POST", f"{API}/agents/commands", commands.issue_to_all),
    ("GET", f"{API}/agents/{_ID}/commands", commands.list_of_agent),
    ("POST", f"{API}/agents/{_ID}/commands/{_COMMAND}/ack", commands.acknowledge),
    ("GET", f"{API}/events", feed.stream_feed),
    ("GET", f"{API}/commands", commands.list_commands),
    ("GET", f"{API}/commands/{_COMMAND}", commands.show_command),
    ("GET", f"{API}/commands/{_COMMAND}/deliveries", commands.list_deliveries),
    ("GET", f"{API}/openapi.json", documentation.show_document),
)
"""Method, address and handler. What can be asked with GET can be asked with HEAD, too, except for
the streams: aiohttp would open one to answer. What is said of each, to machines, stands in
:mod:`~cameleer_registry.web.openapi.operations`."""

BUSIEST: Final = (agents.heartbeat, commands.acknowledge)
"""Added first: among addresses that begin alike, aiohttp tries one after the other."""

NAMES: Final[dict[Handler, str]] = {
    agents.list_agents: "agents",
    commands.list_commands: "commands",
}
"""Addresses to which others point."""

STREAMS: Final[tuple[Handler, ...]] = (streams.stream_events, feed.stream_feed)

PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/", console.show_page),
    ("GET", "/console/{file:.+}", console.show_file),
    ("GET", "/docs", documentation.show_page),
    ("GET", "/docs/", documentation.show_way),
    ("GET", "/docs/{file}", documentation.show_file),
    # The bare prefix of a sub-application. Elsewhere aiohttp reads it as "/", which comes first.
    ("GET", "", console.show_way),
)
"""Likewise, for people with a browser: no part of the API."""


def template(path: str) -> str:
    """Return the path of a resource as it is documented: ``/api/v1/agents/{agentId}``."""
    return re.sub(r"{(\w+)}", lambda name: f"{{{wire.camel_case(name[1])}}}", path)


def add_to(app: web.Application) -> None:
    """Add every address to an application."""
    routes = sorted(ROUTES + PAGES, key=lambda route: route[2] not in BUSIEST)
    for method, path, handler in routes:
        name = NAMES.get(handler)
        handle = responding(handler)
        route = app.router.add_route(
            method, path, handle, name=name, expect_handler=expect_continue
        )
        if method == "GET" and handler not in STREAMS:
            assert isinstance(route.resource, web.Resource)
            route.resource.add_route("HEAD", handle, expect_handler=expect_continue)
