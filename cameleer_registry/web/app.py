"""The application: a node and its addresses, to be served alone or embedded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from ..database import KEYS, MEMORY, journal_of, log_of
from ..node.auth.authority import Authority
from ..node.auth.beginning import Beginning
from ..node.clock import Clock
from ..node.journal.port import Journal
from ..node.log.port import Log
from ..node.node import Node
from ..security.jwt import Lifetimes
from ..settings import Settings
from ..workers import warn_of_siblings
from . import answers, guard, metrics, routes
from .addresses import template
from .app_keys import DOCUMENTS, GATE, NODE, STARTED
from .gate import Authenticate, Gate


def create_app(
    settings: Settings | None = None,
    *,
    clock: Clock | None = None,
    authenticate: Authenticate | None = None,
) -> web.Application:
    """Create a registry server, to be run or to be embedded under any prefix.

    ::

        host = web.Application()
        host.add_subapp("/registry", create_app())

    Each has a registry of its own, available as ``app[NODE]`` before and while it runs. The
    settings ``host`` and ``port`` are for the command line. ``clock`` is for tests.

    ``authenticate`` identifies the sender of a request: it is called with each request, and returns
    a Principal or None, or an awaitable of these. Then requests without a principal are refused.
    Otherwise everybody is served, unless the settings say ``auth="required"``. If the files that
    they name cannot be used, the start of the application raises SettingsError.

    """
    settings = settings or Settings()
    return make_app(settings, clock=clock, alone=False, authenticate=authenticate)


def make_app(
    settings: Settings,
    *,
    alone: bool,
    clock: Clock | None = None,
    journal: Journal | None = None,
    log: Log | None = None,
    authority: Authority | None = None,
    authenticate: Authenticate | None = None,
    joins_later: bool = False,
) -> web.Application:
    """Make the same; ``alone`` says that nothing else is served by the same server.

    With ``joins_later`` the application is up before its node has joined the others, and its probes
    say so; whoever runs it waits for :attr:`Life.beginning`.
    Raises CannotJoin where many nodes are to share the registry, and the extra for that is missing.
    """
    app = web.Application()
    log = log or log_of(settings)
    if log is None and journal is None:
        journal = journal_of(settings.database, leave_cluster=settings.leave_cluster)
    app[NODE] = Node(
        settings,
        clock=clock,
        journal=journal,
        authority=authority or authority_of(settings, alone=alone),
        log=log,
    )
    app[GATE] = Gate(
        settings, alone=alone, authority=app[NODE].authority, authenticate=authenticate
    )
    app[DOCUMENTS] = {}
    app[STARTED] = app[NODE].own_clock.now()
    app.middlewares.append(guard.guard)
    routes.add_to(app)
    metrics.add_to(app, {r: template(r.canonical) for r in app.router.resources()})
    app.on_response_prepare.append(answers.on_prepare)
    if not alone:
        app.on_startup.append(_look_for_siblings)
    app.cleanup_ctx.append(_run_node_later if joins_later else _run_node)
    app.on_shutdown.append(_shut_down)
    return app


async def _look_for_siblings(_app: web.Application) -> None:
    warn_of_siblings()


def authority_of(settings: Settings, *, alone: bool) -> Authority:
    """Return who decides on credentials; keys stand beside the database unless settings say so."""
    database = settings.database
    beside = None
    if database is not None and database != MEMORY:
        beside = Path(database).expanduser().absolute().with_name(KEYS)
    return Authority(
        beginning=Beginning(settings, alone=alone, keys_beside=beside),
        lifetimes=Lifetimes(
            token=settings.agent_token_ttl,
            renewable=max(settings.agent_token_ttl, settings.agent_token_renewal),
        ),
    )


async def _run_node_later(app: web.Application) -> AsyncIterator[None]:
    app[NODE].life.beginning = beginning = asyncio.ensure_future(app[NODE].begin())
    yield
    beginning.cancel()
    await asyncio.gather(beginning, return_exceptions=True)
    await app[NODE].stop()


async def _run_node(app: web.Application) -> AsyncIterator[None]:
    try:
        await app[NODE].begin()
    except BaseException:
        await app[NODE].stop()
        raise
    yield
    await app[NODE].stop()


async def _shut_down(app: web.Application) -> None:
    # aiohttp waits for handlers after this signal: without it, for streams that do not end.
    await app[NODE].shut_down()
