"""The console: the files that a browser needs to show the registry, from the package itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web
from attrs import frozen

from ..errors import NotFound
from . import pages

FOLDER: Final = Path(__file__).parent / "console"

PAGE: Final = "index.html"

NO_MARKUP: Final = {"require_trusted_types_for": "'script'", "trusted_types": "'none'"}
"""There is no way from a string to markup, in browsers that know Trusted Types (W3C)."""


@frozen
class File:
    """One file, as it is sent."""

    body: bytes
    headers: Mapping[str, str]
    etag: str
    """A digest of what is in it: a new release shows at once, whatever the file's time."""


def _load() -> Mapping[str, File]:
    """Read every file of the console, by its path below the folder."""
    files = {}
    for path in sorted(FOLDER.rglob("*.*")):
        body = path.read_bytes()
        digest = hashlib.sha256(body).hexdigest()[:32]
        headers = pages.headers(path.suffix, **NO_MARKUP)
        files[path.relative_to(FOLDER).as_posix()] = File(body, headers, digest)
    return files


FILES: Final = _load()


async def show_page(request: web.Request) -> web.Response:
    """``GET /``: the page; all else is a file that it asks for, or the API."""
    return _answer(request, FILES[PAGE])


async def show_file(request: web.Request) -> web.Response:
    """``GET /console/{file}``: a script, a style sheet or an image; raises NotFound."""
    name = request.match_info["file"]
    # The page has relative addresses in it, which are right in its own place only.
    if name == PAGE or name not in FILES:
        raise NotFound(f"there is nothing at {request.path}")
    return _answer(request, FILES[name])


async def show_way(request: web.Request) -> web.Response:
    """Lead from the bare mount prefix to the page: relative addresses need its slash."""
    last = request.rel_url.raw_path.rpartition("/")[2]
    return web.Response(status=302, headers={hdrs.LOCATION: f"{last}/"})


def _answer(request: web.Request, file: File) -> web.Response:
    response = web.Response(headers=file.headers)
    response.etag = file.etag
    known = request.if_none_match
    if known is not None and any(tag.value in (file.etag, "*") for tag in known):
        response.set_status(304)
    else:
        response.body = file.body
    return response


PAGES: Final = (show_page, show_file, show_way)
"""What a browser asks for on its own, without a header of ours."""
