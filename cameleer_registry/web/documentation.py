"""The API's document, and a page to read it and try it out in a browser.

The page is Swagger UI: its files come from a package that ships them, so that nothing is asked of
another host; see ``docs/decisions.md``.
"""

from __future__ import annotations

import asyncio
from importlib.resources import files
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from ..errors import NotFound
from ..settings import Settings
from . import pages
from .app_keys import DOCUMENTS, NODE

_OURS: Final = Path(__file__).parent / "docs"
_SWAGGER_UI: Final = Path(str(files("mkdocs_swagger_ui_tag"))) / "swagger-ui"

PAGE: Final = _OURS / "index.html"

FILES: Final = {
    path.name: path
    for path in (
        _OURS / "initializer.js",
        _OURS / "page.css",
        _SWAGGER_UI / "javascripts" / "swagger-ui-bundle.js",
        _SWAGGER_UI / "stylesheets" / "swagger-ui.css",
    )
}
"""What the page asks for, by its name."""


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


async def show_page(_request: web.Request) -> web.FileResponse:
    """``GET /docs``."""
    return _file(PAGE)


async def show_way(_request: web.Request) -> web.Response:
    """Lead from ``/docs/`` to the page, whose addresses are relative to where it stands."""
    return web.Response(status=308, headers={hdrs.LOCATION: "../docs"})


async def show_file(request: web.Request) -> web.FileResponse:
    """``GET /docs/{file}``: what the page asks for; raises NotFound."""
    path = FILES.get(request.match_info["file"])
    if path is None:
        raise NotFound(f"there is nothing at {request.path}")
    return _file(path)


def _file(path: Path) -> web.FileResponse:
    # Swagger UI draws arrows in its style sheet.
    return web.FileResponse(path, headers=pages.headers(path.suffix, img_src="'self' data:"))


PAGES: Final = (show_page, show_way, show_file, show_document)
"""What a browser asks for on its own, without a header of ours."""
