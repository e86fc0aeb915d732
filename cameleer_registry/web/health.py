"""Whether the process is up, and whether it takes work."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from .keys import NODE
from .responses import json


async def healthz(_request: web.Request) -> web.Response:
    """``GET /healthz``: 200 while the process answers at all."""
    return json({"status": "up"})


async def readyz(request: web.Request) -> web.Response:
    """``GET /readyz``: 200, or 503 while it shuts down or one of its tasks keeps failing."""
    if reasons := request.app[NODE].ailments:
        return json({"status": "not ready", "reasons": reasons}, status=503)
    return json({"status": "ready"})


PROBES: Final = (healthz, readyz)
