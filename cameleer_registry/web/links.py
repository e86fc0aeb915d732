"""Addresses of this server in answers."""

from __future__ import annotations

from aiohttp import hdrs, web
from yarl import URL

from ..settings import Settings
from .app_keys import NODE


def from_outside(settings: Settings, path: str) -> str:
    """Return the address of a path: absolute if ``public_url`` is set, else the path itself."""
    return (settings.public_url or "") + path


def next_page(request: web.Request, resource: str, **place: str) -> dict[str, str]:
    """Return the header that leads to the next page of a list (RFC 8288).

    ``resource`` is the name of its route, and ``place`` says where that page begins. The address
    includes the prefix under which the application is mounted, and the rest of the query.
    """
    path = request.app.router[resource].canonical
    address = URL(path).with_query(request.query).update_query(place)
    outside = from_outside(request.app[NODE].settings, str(address))
    return {hdrs.LINK: f'<{outside}>; rel="next"'}
