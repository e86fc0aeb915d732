"""The gate: the checks before a handler, and the answers to errors behind it.

Both ways to answer a request lead through it, aiohttp's (:mod:`~cameleer_registry.web.guard`) and
inline (:mod:`~cameleer_registry.web.inline`). A check in only one of them would be a hole. The
checks are in this order: host, address, version of the protocol, site, a credential in the URL, the
credential, what it allows, and whether what the address names exists for the sender. The handler
checks what else has to exist, and the body last: nothing of it is read or requested before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from multidict import CIMultiDictProxy, istr

from ..errors import (
    CrossSiteRequest,
    InternalError,
    RegistryError,
    StorageUnavailable,
    Unauthenticated,
    UnsupportedProtocolVersion,
)
from ..logs import get_logger
from ..node.auth.authority import Authority
from ..node.auth.mode import Mode
from ..node.node import Node
from ..security.principals import Permission, Principal
from ..settings import Settings
from .access import Access, Rests
from .answers import SUPPORTED_VERSIONS, VERSION_HEADER, Answer
from .calls import Call
from .certificates import Certificates
from .forwarded import Peers
from .hosts import Hosts
from .identity import SAME_ORIGIN, Identities, check_origin_is_told, is_tls
from .problems import problem

log = get_logger(__name__)

Authenticate = Callable[[web.Request], Principal | Awaitable[Principal | None] | None]
"""Says who asks, for an application in which a registry is embedded."""

SAFE: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

_OTHER_SITES: Final = frozenset({"cross-site", "same-site"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# Found in headers without a look at their case.
_VERSION: Final = istr(VERSION_HEADER)
_SITE: Final = istr("Sec-Fetch-Site")


class Gate:
    """Admits calls to one application.

    ``alone`` means that the server is standalone: then nothing else checks the host of a request.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        alone: bool,
        authority: Authority | None = None,
        authenticate: Authenticate | None = None,
    ) -> None:
        authority = authority or Authority()
        self._authority = authority
        self.authenticate = authenticate
        certificates = Certificates(settings)
        self._identities = Identities(
            authority,
            Peers(settings.trusted_proxies),
            guarded=alone,
            certificates=certificates if certificates.are_read else None,
        )
        self._version_required = settings.require_protocol_version
        self._public_url = settings.public_url
        # None if a request may name any host.
        self._hosts: Hosts | None = None
        # Whether hosts are looked at also if credentials are needed: a page that has its name lead
        # here has none.
        self._always = bool(settings.allowed_hosts)
        if alone or settings.allowed_hosts:
            public = urlsplit(settings.public_url or "").hostname
            own = [settings.host, *([public] if public else [])]
            self._hosts = Hosts([*own, *settings.allowed_hosts])

    def admit(self, call: Call, access: Access) -> None:
        """Admit a call to an address that exists, and note on it who asks.

        Raises UnknownHost, InvalidRequest, UnsupportedProtocolVersion and CrossSiteRequest; if
        credentials are looked at CredentialInUrl and what :class:`Identities` raises, and else
        ProxiedWithoutAuth.
        """
        if self._hosts is not None:
            self.check_host(call, access)
        if access.versioned:
            check_version(call.headers, required=self._version_required)
        identities, authority = self._identities, self._authority
        if (
            authority.mode is not Mode.OFF
            and access.needs is Permission.ACT
            and (principal := identities.itself(call)) is not None
        ):
            check_site(call, self._public_url)
            call.principal = principal
            return
        cookie = identities.cookie(call, access) if authority.is_on else None
        if cookie is not None and call.method not in SAFE:
            check_origin_is_told(call)
        check_site(call, self._public_url)
        if not authority.is_on and self.authenticate is None:
            if not (access.any_host and access.needs is None):
                identities.check_proxied(call)
            return
        identities.check_url(call)
        principal = call.principal  # of a host application
        if principal is None and authority.is_on:
            now = call.node.clock.now()
            principal = identities.identify(call, access, cookie, now=now)
            call.principal = principal
        if principal is None and self.authenticate is not None and access.needs is not None:
            raise Unauthenticated
        if principal is None and access.needs is not None:
            call.node.meters.anonymous += 1
        identities.authorize(call, access, principal)

    def check_host(self, call: Call, access: Access | None) -> None:
        """Refuse a host that is not ours; ``access`` is None if there is nothing at the address.

        Raises UnknownHost and InvalidRequest.
        """
        if self._authority.mode is Mode.REQUIRED and not self._always:
            return
        if self._hosts is not None and not (access is not None and access.any_host):
            self._hosts.check(call)


def check_version(headers: CIMultiDictProxy[str], *, required: bool) -> None:
    """Refuse a protocol version that is not spoken here; raises UnsupportedProtocolVersion."""
    versions = headers.getall(_VERSION, ())
    for version in versions:
        if version not in SUPPORTED_VERSIONS:
            asked = f"protocol version {version!r} is not supported"
            break
    else:
        if versions or not required:
            return
        asked = f"the header {VERSION_HEADER} is required"
    raise UnsupportedProtocolVersion(f"{asked}; supported: {', '.join(SUPPORTED_VERSIONS)}")


def check_site(call: Call, public_url: str | None) -> None:
    """Refuse changes that a browser asks for on behalf of another site.

    Bodies are read whatever their Content-Type, so a page anywhere could make its visitors send
    them without a preflight. Browsers say where a request comes from, in Sec-Fetch-Site (W3C Fetch
    Metadata) or Origin (RFC 6454), and scripts cannot change that. Other clients send neither. If
    Sec-Fetch-Site says that it is the same origin, Origin is not compared with Host, because a
    proxy between them may have rewritten that. Raises CrossSiteRequest.
    """
    if call.method in SAFE:
        return
    headers = call.headers
    site = headers.get(_SITE, "").lower()
    if site in _OTHER_SITES:
        raise CrossSiteRequest(f"Sec-Fetch-Site is {site}")
    origin = headers.get(hdrs.ORIGIN)
    if origin is None or site == SAME_ORIGIN:
        return
    public = urlsplit(public_url or "")
    if _is_host(origin, public.netloc):
        needs_tls = public.scheme == "https"
    elif _is_host(origin, headers.get(hdrs.HOST, "")):
        # Behind a proxy there may be no TLS here, though browsers use it.
        needs_tls = is_tls(call)
    else:
        raise CrossSiteRequest(f"Origin is {origin}, which is not this host")
    if needs_tls and urlsplit(origin).scheme != "https":
        # Whoever answers for this host without TLS may be anybody.
        raise CrossSiteRequest(f"Origin is {origin}, and this host is reached by https")


def _is_host(origin: str, host: str) -> bool:
    """Tell whether an origin is that host, by whatever scheme."""
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


async def refused(
    error: Exception, node: Node, access: Access | None, *, method: str, path: str
) -> Answer:
    """Return the answer to an error that is being handled; log an unexpected one.

    A refusal depends on the state, like any other answer: when an agent has just been deleted, no
    client is told that it is not registered before that is durable. The refusal that nothing can be
    stored depends on nothing, so it does not wait for the storage.
    """
    if not isinstance(error, RegistryError):
        log.exception("a request failed", method=method, path=path)
        return problem(InternalError("the server's log has the details"))
    node.meters.refused(error.code)
    if isinstance(error, StorageUnavailable) or access is None or access.rests is Rests.NOTHING:
        return problem(error)
    try:
        await node.settled()
    except RegistryError as failure:
        return problem(error if access.rests is Rests.BEGUN else failure)
    return problem(error)
