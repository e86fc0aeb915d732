"""What a server says of itself: its name, its release, which process it is and since when."""

from __future__ import annotations

from aiohttp import web
from attrs import evolve

from ..core.instant import Instant
from ..core.model import Server
from ..core.views import time_of_day
from ..instance import instance
from ..version import __version__
from .answers import Answer, json
from .app_keys import NODE, STARTED
from .calls import RequestCall, within_of


def describe(app: web.Application) -> Server:
    """Return what there is to say of the server of an application."""
    node, started = app[NODE], app[STARTED]
    return Server(
        name=node.settings.name,
        color=node.settings.name_color,
        version=__version__,
        instance=instance(),
        started_at=time_of_day(started),
        uptime_ms=_milliseconds(started, node.own_clock.now()),
        resumed=None if node.life.resumption is None else node.life.resumption.shown(),
    )


def _milliseconds(since: Instant, now: Instant) -> int:
    return (now.steady - since.steady) // 1_000_000


async def show_server(request: web.Request) -> Answer:
    """``GET /server``: which server this is."""
    shown = describe(request.app)
    if within_of(RequestCall(request)) is not None:
        shown = evolve(shown, resumed=None)  # its numbers are of all groups
    return json(shown)
