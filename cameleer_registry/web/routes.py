"""The whole URL map."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ..core.rules import RESERVED_AGENT_IDS
from ..security.principals import Permission
from . import (
    agents,
    auth,
    commands,
    console,
    credentials,
    documentation,
    feed,
    health,
    keys,
    metrics,
    nodes,
    server,
    streams,
)
from .access import (
    AGENT_STREAM,
    CODE,
    DONE,
    PING,
    PROBE,
    READ,
    SIGN_IN,
    STATIC,
    STREAM,
    Access,
)
from .addresses import API
from .expectations import leave_it, leave_those_elsewhere
from .responding import Handler, responding

Route = tuple[str, str, Handler, Access]

_ID: Final = f"{{agent_id:(?!(?:{'|'.join(sorted(RESERVED_AGENT_IDS))})(?:/|$))[^/]+}}"
"""The reserved words are no agent ids: their own addresses answer, if only with 405."""

_GROUP: Final = r"{group:[^/]+}"
_COMMAND: Final = r"{command_id:[^/]+}"
_TOKEN: Final = r"{token_id:[^/]+}"  # noqa: S105 - its place in an address
_KEY: Final = r"{key_id:[^/]+}"
_USE: Final = r"{use:token|command}"

_MAY: Final = Permission

RENEWAL: Final = Access(needs=Permission.ACT, renews=True, passing=True)

ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/healthz", health.healthz, PROBE),
    ("GET", "/readyz", health.readyz, PROBE),
    ("GET", "/metrics", metrics.show_metrics, PROBE.needing(_MAY.METRICS, all_groups=True)),
    ("GET", f"{API}/agents", agents.list_agents, READ.needing(_MAY.READ)),
    ("DELETE", f"{API}/agents", agents.remove_agents, DONE.needing(_MAY.REMOVE)),
    ("POST", f"{API}/agents/register", agents.register, DONE.needing(_MAY.REGISTER)),
    ("GET", f"{API}/agents/groups", agents.list_groups, READ.needing(_MAY.READ)),
    ("GET", f"{API}/agents/{_ID}", agents.show_agent, READ.needing(_MAY.READ)),
    ("DELETE", f"{API}/agents/{_ID}", agents.remove_agent, DONE.needing(_MAY.REMOVE)),
    ("POST", f"{API}/agents/{_ID}/heartbeat", agents.heartbeat, PING.needing(_MAY.ACT)),
    ("GET", f"{API}/agents/{_ID}/events", streams.stream_events, AGENT_STREAM.needing(_MAY.ACT)),
    ("POST", f"{API}/agents/{_ID}/token", credentials.renew, RENEWAL),
    ("DELETE", f"{API}/agents/{_ID}/token", credentials.revoke, DONE.needing(_MAY.REVOKE)),
    (
        "POST",
        f"{API}/agents/{_ID}/commands",
        commands.issue_to_agent,
        DONE.needing(_MAY.COMMAND),
    ),
    (
        "POST",
        f"{API}/agents/groups/{_GROUP}/commands",
        commands.issue_to_group,
        DONE.needing(_MAY.COMMAND),
    ),
    (
        "POST",
        f"{API}/agents/commands",
        commands.issue_to_all,
        DONE.needing(_MAY.COMMAND, all_groups=True),
    ),
    ("GET", f"{API}/agents/{_ID}/commands", commands.list_of_agent, READ.needing(_MAY.READ)),
    (
        "POST",
        f"{API}/agents/{_ID}/commands/{_COMMAND}/ack",
        commands.acknowledge,
        DONE.needing(_MAY.ACT),
    ),
    ("GET", f"{API}/events", feed.stream_feed, STREAM.needing(_MAY.READ)),
    ("GET", f"{API}/commands", commands.list_commands, READ.needing(_MAY.READ)),
    ("GET", f"{API}/commands/{_COMMAND}", commands.show_command, READ.needing(_MAY.READ)),
    (
        "GET",
        f"{API}/commands/{_COMMAND}/deliveries",
        commands.list_deliveries,
        READ.needing(_MAY.READ),
    ),
    ("GET", f"{API}/auth", auth.show_auth, READ),
    ("POST", f"{API}/auth/session", auth.sign_in, SIGN_IN),
    ("POST", f"{API}/auth/session/code", auth.make_code, CODE.needing(_MAY.READ)),
    ("DELETE", f"{API}/auth/session", auth.sign_out, SIGN_IN),
    ("POST", f"{API}/auth/tokens", auth.create_token, DONE.needing(_MAY.TOKENS)),
    ("GET", f"{API}/auth/tokens", auth.list_tokens, READ.needing(_MAY.TOKENS)),
    ("DELETE", f"{API}/auth/tokens/{_TOKEN}", auth.revoke_token, DONE.needing(_MAY.TOKENS)),
    ("GET", f"{API}/keys", keys.show_keys, READ),
    ("POST", f"{API}/keys/{_USE}/rotate", keys.rotate, DONE.needing(_MAY.KEYS, all_groups=True)),
    ("DELETE", f"{API}/keys/{_KEY}", keys.revoke, DONE.needing(_MAY.KEYS, all_groups=True)),
    ("GET", f"{API}/nodes", nodes.list_nodes, READ.needing(_MAY.READ, all_groups=True)),
    ("GET", f"{API}/server", server.show_server, READ.needing(_MAY.READ)),
    ("GET", f"{API}/openapi.json", documentation.show_document, STATIC),
)
"""Method, address, handler, and the checks before it. Every address that takes GET also takes HEAD.
The texts for machines are in :mod:`~cameleer_registry.web.openapi.operations`.
"""

BUSIEST: Final = (agents.heartbeat, commands.acknowledge)
"""Added first: among addresses that begin alike, aiohttp tries one after the other."""

NAMES: Final[dict[Handler, str]] = {
    agents.list_agents: "agents",
    agents.remove_agents: "agents",
    commands.list_commands: "commands",
}
"""Addresses to which others point."""

PAGES: Final[tuple[Route, ...]] = (
    ("GET", "/", console.show_page, STATIC),
    ("GET", "/console/{file:.+}", console.show_file, STATIC),
    ("GET", "/docs", documentation.show_page, STATIC),
    ("GET", "/docs/", documentation.show_way, STATIC),
    ("GET", "/docs/{file}", documentation.show_file, STATIC),
    # The bare prefix of a sub-application. Elsewhere aiohttp reads it as "/", which comes first.
    ("GET", "", console.show_way, STATIC),
)
"""Likewise, for people with a browser: no part of the API."""


def add_to(app: web.Application) -> None:
    """Add every address to an application."""
    routes = sorted(ROUTES + PAGES, key=lambda route: route[2] not in BUSIEST)
    for method, path, handler, access in routes:
        name = NAMES.get(handler)
        handle = responding(handler, access)
        route = app.router.add_route(method, path, handle, name=name, expect_handler=leave_it)
        if method == "GET":
            assert isinstance(route.resource, web.Resource)
            route.resource.add_route("HEAD", handle, expect_handler=leave_it)
    leave_those_elsewhere(app.router)
