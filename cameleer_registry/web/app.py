"""The application: a node and its addresses, to be served alone or embedded."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from ..node.auth.authority import Authority
from ..node.auth.beginning import authority_of
from ..node.clock import Clock
from ..node.journal.port import Journal
from ..node.node import Node
from ..settings import Settings
from . import answers, guard, metrics, routes
from .addresses import template
from .app_keys import DOCUMENTS, GATE, NODE
from .gate import Authenticate, Gate


def create_app(
    settings: Settings | None = None,
    *,
    clock: Clock | None = None,
    authenticate: Authenticate | None = None,
) -> web.Application:
    """Make a registry server, to be run or to be embedded under any prefix.

    ::

        parent.add_subapp("/registry/", create_app(Settings(stale_after=45)))

    Each has a registry of its own, at hand as ``app[NODE]`` before and while it runs. Settings
    that say where to listen (``host``, ``port``) are for who runs it. ``clock`` is for tests.

    ``authenticate`` says who asks: it is given each request, and returns a Principal or None, or
    something to be awaited that does. Then nobody is served without. Otherwise everybody is,
    unless the settings say ``auth="required"``. Raises SettingsError if their files cannot be used.
    """
    settings = settings or Settings()
    authority = authority_of(settings, alone=False)
    return make_app(
        settings, clock=clock, alone=False, authority=authority, authenticate=authenticate
    )


def make_app(
    settings: Settings,
    *,
    alone: bool,
    clock: Clock | None = None,
    journal: Journal | None = None,
    authority: Authority | None = None,
    authenticate: Authenticate | None = None,
) -> web.Application:
    """Make the same; ``alone`` says that nothing else is served by the same server."""
    app = web.Application()
    app[NODE] = Node(settings, clock=clock, journal=journal, authority=authority)
    app[GATE] = Gate(
        settings, alone=alone, authority=app[NODE].authority, authenticate=authenticate
    )
    app[DOCUMENTS] = {}
    app.middlewares.append(guard.guard)
    routes.add_to(app)
    metrics.add_to(app, {r: template(r.canonical) for r in app.router.resources()})
    app.on_response_prepare.append(answers.on_prepare)
    app.cleanup_ctx.append(_run_node)
    app.on_shutdown.append(_shut_down)
    return app


async def _run_node(app: web.Application) -> AsyncIterator[None]:
    app[NODE].start()
    yield
    await app[NODE].stop()


async def _shut_down(app: web.Application) -> None:
    # aiohttp waits for handlers after this signal: without it, for streams that do not end.
    await app[NODE].shut_down()
