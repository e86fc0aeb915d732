"""``Expect: 100-continue``: a client asks whether its body is wanted before it sends it.

aiohttp agrees before anything has examined the request. Here a body is requested when it is about
to be read and has not arrived yet. So a request that has no body, or is refused without reading it,
gets its answer at once, and nothing before it (RFC 9110, section 10.1.1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web
from aiohttp.web_urldispatcher import MatchInfoError, UrlMappingMatchInfo

from .aiohttp_internals import not_begun

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


async def ask_for_body(request: web.Request) -> None:
    """Tell a client that waits for it to send its body; to be called before that is awaited."""
    if (
        request.version >= (1, 1)
        and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
        and request.content.total_bytes == 0  # or the client does not wait
    ):
        await request.writer.write(CONTINUE)
        not_begun(request.writer)


async def leave_it(request: web.Request) -> None:
    """Leave an expectation to the reader of the body; ignore unknown ones.

    RFC 9110, section 10.1.1, lets a server ignore them. Middleware of a host application may read
    the body before any handler here is called, and would wait for it in vain: in that case it is
    requested at once.
    """
    hosts = request.match_info.apps[:-1]
    if request.body_exists and any(host.middlewares for host in hosts):
        await ask_for_body(request)


class _Nowhere(MatchInfoError):
    """An address at which there is nothing, or nothing for that method."""

    @property
    def expect_handler(self) -> Callable[[web.Request], Awaitable[None]]:
        """Return what is done about an expectation."""
        return leave_it


def leave_those_elsewhere(router: web.UrlDispatcher) -> None:
    """Leave expectations alone at addresses that have no route, which could be given a handler."""
    resolve = router.resolve

    async def resolve_so(request: web.Request) -> UrlMappingMatchInfo:
        match = await resolve(request)
        error = match.http_exception
        return match if error is None else _Nowhere(error)

    router.resolve = resolve_so  # type: ignore[method-assign]
