"""What happens below the application: bytes that are not a request, and connections that cannot be
accepted.

aiohttp answers such bytes in plain text, before any application is asked, and logs an error with a
traceback for each; anybody who can connect could fill a disk with that. If the runner is ours, they
are answered like every other refusal, and logged at level debug.

asyncio logs an error with a traceback for each connection that it fails to accept, and tries again
every second. If the loop is ours, two lines are logged: one when it begins, one when it ends.
"""

from __future__ import annotations

import asyncio
import errno
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError

from ..errors import Fault, InvalidRequest, reason_of
from ..logs import get_logger
from .aiohttp_internals import Connection
from .answers import complete
from .problems import problem

log = get_logger(__name__)

ACCEPTING_AFTER: Final = 3.0
"""Seconds without a failure after which connections count as accepted again: asyncio fails every
second (``ACCEPT_RETRY_DELAY``) for as long as one waits that it cannot accept."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class PoliteConnection(Connection):
    """A connection that tells its client what is wrong in the words of the contract."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be handed to the application."""
        if not isinstance(exc, HttpProcessingError) or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        reason = " ".join(exc.message.split())
        if isinstance(exc, InvalidURLError):  # which may say no more than the address
            reason = f"bad address: {reason}"
        log.debug("no HTTP request", reason=reason[:200])
        response = problem(InvalidRequest([Fault("request", reason)])).response()
        complete(response)
        response.force_close()
        return response


class AcceptFailures:
    """Logs once when no connection can be accepted any more, and once when they can be again."""

    def __init__(self) -> None:
        # Tells that it is over, unless there is a failure before. None while all are accepted.
        self._over: asyncio.TimerHandle | None = None

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Be the exception handler of a loop: take such failures, and leave it all others."""
        error = context.get("exception")
        if self._over is not None and "_start_serving" in context["message"]:
            return  # asyncio wants to try again, and the server has stopped to listen meanwhile
        if not ("socket" in context and isinstance(error, OSError) and error.errno in _EXHAUSTED):
            loop.default_exception_handler(context)
            return
        if self._over is None:
            log.error(
                "new connections cannot be accepted, open ones go on", reason=reason_of(error)
            )
        else:
            self._over.cancel()
        self._over = loop.call_later(ACCEPTING_AFTER, self._accepting)

    def _accepting(self) -> None:
        self._over = None
        log.warning("connections are accepted again")
