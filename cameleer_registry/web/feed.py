"""The address at which operators follow what happens."""

from __future__ import annotations

import contextlib
from typing import Final

from aiohttp import hdrs, web
from attrs import evolve

from ..core.feed import FeedType
from ..errors import TooManyFeeds
from ..node.feed.followers import Interest
from . import query
from .app_keys import NODE
from .calls import RequestCall, scope_of
from .streams import begin, head_only

LAST_EVENT_ID: Final = "Last-Event-ID"


async def stream_feed(request: web.Request) -> web.StreamResponse:
    """``GET /events``: open until either side goes."""
    feed, call = request.app[NODE].feed, RequestCall(request)
    interest = Interest(
        types=query.members(request, "types", FeedType),
        groups=query.group_names(request, "group"),
    )
    if (scope := scope_of(call)) is not None:
        interest = evolve(interest, narrowing=request.app[NODE].narrowings.of(scope))
    feed.check_room()
    if request.method == hdrs.METH_HEAD:
        return await head_only(request)
    last, shared = _last_event_id(request), request.app[NODE].shared
    if last is not None and shared is not None:
        await shared.told(last)
    response, transport, chunked = await begin(request)
    with contextlib.suppress(TooManyFeeds):  # others came while the headers were written
        request.app[NODE].open_feed(
            transport,
            chunked=chunked,
            last_event_id=last,
            interest=interest,
            principal=call.principal,
        )
        response.release_connection(request)
    return response


def _last_event_id(request: web.Request) -> str | None:
    """Return the id of the last event that a client saw, or None.

    The header takes precedence over ``?lastEventId=``: a client that reconnects by itself uses the
    same address again, and its header says what it has seen since.
    """
    return request.headers.get(LAST_EVENT_ID) or request.query.get("lastEventId") or None
