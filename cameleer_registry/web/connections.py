"""What happens below the application: bytes that are no request, and who is told of them.

aiohttp answers such bytes in plain text, before any application is asked, and logs an error with a
traceback for each; anybody who can connect could fill a disk with that. Where the runner is ours,
they are answered like every other refusal, and told in a debug line.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, InvalidURLError
from aiohttp.web_protocol import RequestHandler

from ..errors import Fault, InvalidRequest
from ..logs import get_logger
from .answers import complete
from .problems import problem

log = get_logger(__name__)


class PoliteConnection(RequestHandler):
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
        response = problem(InvalidRequest([Fault("request", reason)]))
        complete(response)
        response.force_close()
        return response


class PoliteRunner(web.AppRunner):
    """A runner whose connections are polite."""

    @property
    def server(self) -> Any:
        """Return the factory of connections that sites listen with."""
        server = super().server
        if server is None:
            return None

        def connection() -> PoliteConnection:
            return PoliteConnection(server, loop=server._loop, **server._kwargs)

        return connection
