"""The application: a node and its addresses, to be served alone or embedded."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from ..database import journal_of, log_of
from ..node.clock import Clock
from ..node.journal.port import Journal
from ..node.log.port import Log
from ..node.node import Node
from ..settings import Settings
from ..workers import warn_of_siblings
from . import answers, guard, metrics, routes
from .addresses import template
from .app_keys import DOCUMENTS, GATE, NODE, STARTED
from .gate import Gate


def create_app(settings: Settings | None = None, *, clock: Clock | None = None) -> web.Application:
    """Make a registry server, to be run or to be embedded under any prefix.

    ::

        parent.add_subapp("/registry/", create_app(Settings(stale_after=45)))

    Each has a registry of its own, at hand as ``app[NODE]`` before and while it runs. Settings
    that say where to listen (``host``, ``port``) are for who runs it. ``clock`` is for tests.
    """
    return make_app(settings or Settings(), clock=clock, alone=False)


def make_app(
    settings: Settings,
    *,
    alone: bool,
    clock: Clock | None = None,
    journal: Journal | None = None,
    log: Log | None = None,
) -> web.Application:
    """Make the same; ``alone`` says that nothing else is served by the same server.

    Raises CannotJoin where many nodes are to share the registry, and the extra for that is missing.
    """
    app = web.Application()
    log = log or log_of(settings)
    if log is None and journal is None:
        journal = journal_of(settings.database, leave_cluster=settings.leave_cluster)
    app[NODE] = Node(settings, clock=clock, journal=journal, log=log)
    app[GATE] = Gate(settings, alone=alone)
    app[DOCUMENTS] = {}
    app[STARTED] = app[NODE].own_clock.now()
    app.middlewares.append(guard.guard)
    routes.add_to(app)
    metrics.add_to(app, {r: template(r.canonical) for r in app.router.resources()})
    app.on_response_prepare.append(answers.on_prepare)
    if not alone:
        app.on_startup.append(_look_for_siblings)
    app.cleanup_ctx.append(_run_node)
    app.on_shutdown.append(_shut_down)
    return app


async def _look_for_siblings(_app: web.Application) -> None:
    warn_of_siblings()


async def _run_node(app: web.Application) -> AsyncIterator[None]:
    try:
        await app[NODE].join()
    except BaseException:
        await app[NODE].stop()
        raise
    app[NODE].start()
    yield
    await app[NODE].stop()


async def _shut_down(app: web.Application) -> None:
    # aiohttp waits for handlers after this signal: without it, for streams that do not end.
    await app[NODE].shut_down()
