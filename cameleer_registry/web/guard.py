"""What stands before every handler, and what becomes of the errors behind it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from multidict import CIMultiDictProxy, istr

from ..errors import (
    CrossSiteRequest,
    Fault,
    InternalError,
    InvalidRequest,
    RegistryError,
    UnsupportedProtocolVersion,
)
from ..logs import get_logger
from . import console, documentation
from .answers import SUPPORTED_VERSIONS, VERSION_HEADER, Answer
from .app_keys import NODE
from .health import PROBES
from .metrics import arrived, show_metrics
from .problems import from_aiohttp, problem
from .responding import Responder, handler_of

log = get_logger(__name__)

SAFE: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

_UNVERSIONED: Final = (*PROBES, *documentation.PAGES, *console.PAGES, show_metrics)
_OTHER_SITES: Final = frozenset({"cross-site", "same-site"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# Found in headers without a look at their case.
_VERSION: Final = istr(VERSION_HEADER)
_SITE: Final = istr("Sec-Fetch-Site")


@web.middleware
async def guard(request: web.Request, handler: Responder) -> web.StreamResponse:
    """Check a request, have it handled, and turn every refusal into a problem."""
    arrived(request)
    if reason := no_http(request):
        return refuse_connection(request, reason)
    settings, match = request.app[NODE].settings, request.match_info
    try:
        if handler_of(match.handler) not in _UNVERSIONED:
            nothing_there = isinstance(match.http_exception, web.HTTPNotFound)
            required = settings.require_protocol_version and not nothing_there
            check_version(request.headers, required=required)
        check_site(request.method, request.headers, settings.public_url)
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        return from_aiohttp(error, request).response()
    except Exception as error:
        if isinstance(error, ConnectionError) and _is_gone(request):
            return web.Response()  # to nobody: aiohttp drops it
        refused = refusal(error, request.method, request.path)
        if request.writer.output_size > 0 and request.transport is not None:
            request.transport.abort()  # an answer has begun, and no other can follow in it
        return refused.response()


def refusal(error: Exception, method: str, path: str) -> Answer:
    """Return the answer that tells of an error which is being handled; log what is unexpected."""
    if isinstance(error, RegistryError):
        return problem(error)
    log.exception("a request failed", method=method, path=path)
    return problem(InternalError("the server's log has the details"))


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def no_http(request: web.Request) -> str | None:
    """Return why a request that aiohttp has let through is none, or None where it is one.

    Of HTTP/0.9 and 2.0 its parser reads a head as it reads that of 1.1, and an empty
    Transfer-Encoding it reads as if there were none (RFC 9112, sections 2.3 and 6.3).
    """
    if request._message.version not in (HttpVersion11, HttpVersion10):
        return "only HTTP/1.1 and HTTP/1.0 are spoken here"
    if request.headers.get(hdrs.TRANSFER_ENCODING) == "":
        return "Transfer-Encoding is empty"
    return None


def refuse_connection(request: web.Request, reason: str) -> web.Response:
    """Refuse what is no HTTP request, and whatever follows on its connection."""
    # aiohttp answers in the version of the request, which it keeps as soon as anybody has asked.
    request._version = HttpVersion11
    response = problem(InvalidRequest([Fault("request", reason)])).response()
    response.force_close()
    return response


def check_version(headers: CIMultiDictProxy[str], *, required: bool) -> None:
    """Refuse a protocol version that is not spoken here; raises UnsupportedProtocolVersion.

    Not for an orchestrator's probes, for Prometheus, or for a browser that opens a page: they
    speak none. Nor is one required where there is nothing that could be spoken to.
    """
    versions = headers.getall(_VERSION, ())
    unsupported = [version for version in versions if version not in SUPPORTED_VERSIONS]
    if unsupported:
        asked = f"protocol version {unsupported[0]!r} is not supported"
    elif required and not versions:
        asked = f"the header {VERSION_HEADER} is required"
    else:
        return
    raise UnsupportedProtocolVersion(f"{asked}; supported: {', '.join(SUPPORTED_VERSIONS)}")


def check_site(method: str, headers: CIMultiDictProxy[str], public_url: str | None) -> None:
    """Refuse changes that a browser asks for on behalf of another site.

    Bodies are read whatever their Content-Type, so a page anywhere could make its visitors send
    them without a preflight. Browsers say where a request comes from, in Sec-Fetch-Site (W3C
    Fetch Metadata) or Origin (RFC 6454), and scripts cannot change that. Other clients send
    neither. Raises CrossSiteRequest.
    """
    if method in SAFE:
        return
    site = headers.get(_SITE, "")
    if site.lower() in _OTHER_SITES:
        raise CrossSiteRequest(f"Sec-Fetch-Site is {site}")
    origin = headers.get(hdrs.ORIGIN)
    if origin is None:
        return
    if not _is_host(origin, headers.get(hdrs.HOST, "")) and not (
        public_url and _is_host(origin, urlsplit(public_url).netloc)
    ):
        raise CrossSiteRequest(f"Origin is {origin}, which is not this host")


def _is_host(origin: str, host: str) -> bool:
    """Tell whether an origin is that host; the scheme may differ, behind a proxy it does."""
    try:
        source, here = urlsplit(origin), urlsplit(f"{urlsplit(origin).scheme}://{host}")
        default = _DEFAULT_PORTS.get(source.scheme)
        return (
            source.hostname is not None
            and source.hostname == here.hostname
            and (source.port or default) == (here.port or default)
        )
    except ValueError:
        return False
