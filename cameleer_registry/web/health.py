"""Whether the process is up, and whether it takes work."""

from __future__ import annotations

from typing import Final, Literal

from aiohttp import web
from attrs import frozen

from .answers import Answer, json
from .app_keys import NODE


@frozen
class Up:
    """The process answers."""

    status: Literal["up"] = "up"


@frozen
class Ready:
    """The server takes work."""

    status: Literal["ready"] = "ready"


@frozen(kw_only=True)
class NotReady:
    """The server should be given no work, for these reasons."""

    status: Literal["not ready"] = "not ready"
    reasons: list[str]


async def healthz(_request: web.Request) -> Answer:
    """``GET /healthz``: 200 while the process answers at all."""
    return json(Up())


async def readyz(request: web.Request) -> Answer:
    """``GET /readyz``: 200, or 503 while the node has an ailment: see Node.ailments."""
    if reasons := request.app[NODE].ailments:
        return json(NotReady(reasons=reasons), status=503)
    return json(Ready())


PROBES: Final = (healthz, readyz)
