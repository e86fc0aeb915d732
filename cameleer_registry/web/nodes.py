"""The nodes that share a registry."""

from __future__ import annotations

from aiohttp import web

from .answers import Answer, json
from .app_keys import NODE


async def list_nodes(request: web.Request) -> Answer:
    """``GET /nodes``: those that take part, and those that have ended within a day."""
    return json(request.app[NODE].nodes())
