"""What the pages for people have in common: how files are labelled, and what may be loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web
from attrs import frozen

CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
"""Content types by suffix; not those of the system's table, which differs between systems."""


@frozen
class File:
    """One file, as it is sent."""

    body: bytes
    headers: Mapping[str, str]
    etag: str
    """A digest of what is in it: a new release shows at once, whatever the file's time."""


def load(folder: Path) -> Mapping[str, File]:
    """Read every file of a folder, by its path below it."""
    files = {}
    for path in sorted(folder.rglob("*.*")):
        body = path.read_bytes()
        digest = hashlib.sha256(body).hexdigest()[:32]
        files[path.relative_to(folder).as_posix()] = File(body, headers(path.suffix), digest)
    return files


def answer(request: web.Request, file: File) -> web.Response:
    """Send a file, or 304 to a browser that has it."""
    response = web.Response(headers=file.headers)
    response.etag = file.etag
    known = request.if_none_match
    if known is not None and any(tag.value in (file.etag, "*") for tag in known):
        response.set_status(304)
    else:
        response.body = file.body
    return response


def headers(suffix: str) -> Mapping[str, str]:
    """Return the headers of a file with that suffix.

    A page may load its own files and ask this server, and nothing else: no other host, nothing
    inline, no form, no frame. There is no way from a string to markup, in browsers that know
    Trusted Types (W3C).
    """
    directives = {
        "default_src": "'none'",
        "script_src": "'self'",
        "style_src": "'self'",
        "img_src": "'self'",
        "connect_src": "'self'",
        "base_uri": "'none'",
        "form_action": "'none'",
        "frame_ancestors": "'none'",
        "require_trusted_types_for": "'script'",
        "trusted_types": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(
            f"{name.replace('_', '-')} {value}" for name, value in directives.items()
        ),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        # A browser keeps what it has, and asks each time whether it is still right.
        hdrs.CACHE_CONTROL: "no-cache",
        hdrs.CONTENT_TYPE: CONTENT_TYPES[suffix],
    }
