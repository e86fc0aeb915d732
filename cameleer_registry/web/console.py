"""The console: the files that a browser needs to show the registry, from the package itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from ..errors import NotFound
from . import pages

FOLDER: Final = Path(__file__).parent / "console"

PAGE: Final = "index.html"

FILES: Final = pages.load(FOLDER)


async def show_page(request: web.Request) -> web.Response:
    """``GET /``: the page; all else is a file that it asks for, or the API."""
    return pages.answer(request, FILES[PAGE])


async def show_file(request: web.Request) -> web.Response:
    """``GET /console/{file}``: a script, a style sheet or an image; raises NotFound."""
    name = request.match_info["file"]
    # The page has relative addresses in it, which are right in its own place only.
    if name == PAGE or name not in FILES:
        raise NotFound(f"there is nothing at {request.path}")
    return pages.answer(request, FILES[name])


async def show_way(request: web.Request) -> web.Response:
    """Lead from the bare mount prefix to the page: relative addresses need its slash."""
    last = request.rel_url.raw_path.rpartition("/")[2]
    return web.Response(status=302, headers={hdrs.LOCATION: f"{last}/"})


PAGES: Final = (show_page, show_file, show_way)
"""What a browser asks for on its own, without a header of ours."""
