"""The API's document, and a page to read it and try it out in a browser.

The page is drawn from the document by scripts of our own, in the manner of the console and with its
elements, so that nothing comes from another host or another package; see ``docs/decisions.md``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from ..errors import NotFound
from ..settings import Settings
from . import pages
from .app_keys import DOCUMENTS, NODE

FOLDER: Final = Path(__file__).parent / "docs"

PAGE: Final = "index.html"

FILES: Final = pages.load(FOLDER)
"""What the page asks for, by its name, and the page itself."""


async def show_document(request: web.Request) -> web.Response:
    """``GET /openapi.json``: the document, made when it is first asked for."""
    documents, router = request.app[DOCUMENTS], request.app.router
    prefix = router["agents"].canonical.removesuffix("/api/v1/agents")
    if prefix not in documents:
        settings = request.app[NODE].settings
        documents[prefix] = await asyncio.to_thread(_render, router, prefix, settings)
    return web.Response(body=documents[prefix], content_type="application/json")


def _render(router: web.UrlDispatcher, prefix: str, settings: Settings) -> bytes:
    # Imported here, because few who start a server ask for it, and all of them wait for imports;
    # and in this thread, because it takes what thousands of heartbeats do.
    from .openapi import document

    return document.render(router, prefix, settings)


async def show_page(request: web.Request) -> web.Response:
    """``GET /docs``."""
    return pages.answer(request, FILES[PAGE])


async def show_way(_request: web.Request) -> web.Response:
    """Redirect from ``/docs/`` to the page, whose addresses are relative."""
    return web.Response(status=308, headers={hdrs.LOCATION: "../docs"})


async def show_file(request: web.Request) -> web.Response:
    """``GET /docs/{file}``: a script or a style sheet of the page; raises NotFound."""
    name = request.match_info["file"]
    # The page has relative addresses in it, which are right in its own place only.
    if name == PAGE or name not in FILES:
        raise NotFound(f"there is nothing at {request.path}")
    return pages.answer(request, FILES[name])


PAGES: Final = (show_page, show_way, show_file, show_document)
"""What a browser asks for on its own, without a header of ours."""
