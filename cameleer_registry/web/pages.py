"""What the pages for people have in common: how files are labelled, and what may be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs

CONTENT_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}
"""What is served, by its suffix; not as the system's table of types has it, which differs."""


def headers(suffix: str, **policy: str) -> Mapping[str, str]:
    """Return the headers of a file with that suffix.

    A page may load its own files and ask this server, and nothing else: no other host, nothing
    inline, no form, no frame. ``policy`` adds to that or replaces it, as in
    ``img_src="'self' data:"``.
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
        **policy,
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
