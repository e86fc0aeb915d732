"""The sender of a request: by the header, by the session of a browser, or by the host application.

The header takes precedence over the cookie. A bad credential is refused even at an address that
needs none, so that nobody takes an answer for one to somebody else.
"""

from __future__ import annotations

import hashlib
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from aiohttp import hdrs
from multidict import istr

from ..core.instant import Instant
from ..errors import (
    AgentNotRegistered,
    CredentialInUrl,
    CrossSiteRequest,
    Fault,
    GroupNotFound,
    InvalidRequest,
    ProxiedWithoutAuth,
    Unauthenticated,
)
from ..node.auth.authority import ALWAYS_CREDENTIALED, Authority
from ..node.auth.mode import Mode
from ..security.enrolment import check_membership
from ..security.principals import Permission, Principal, Role
from .access import Access
from .calls import Call
from .certificates import Certificates
from .forwarded import FORWARDED, Peers

IN_URLS: Final = ("token", "access_token")
"""Parameters in which others take tokens (RFC 6750, section 2.3)."""

SECURE_PREFIX: Final = "__Host-"
"""Browsers keep a cookie with such a name for one host, if it came over TLS
(draft-ietf-httpbis-rfc6265bis, section 4.1.3.2).
"""

SAME_ORIGIN: Final = "same-origin"
"""What Sec-Fetch-Site says of a request that a page of this server makes."""

_SITE: Final = istr("Sec-Fetch-Site")
_AUTHORIZATION: Final = istr(hdrs.AUTHORIZATION)
_COOKIE: Final = istr(hdrs.COOKIE)


class Identities:
    """Finds out who asks one application."""

    def __init__(
        self,
        authority: Authority,
        peers: Peers,
        *,
        guarded: bool,
        certificates: Certificates | None = None,
    ) -> None:
        self._authority = authority
        # None if none are read.
        self._certificates = certificates
        self._peers = peers
        # Whether a proxy before an open server would open it to more than this machine.
        self._guarded = guarded

    def itself(self, call: Call) -> Principal | None:
        """Return the agent that an address names, if it asks itself, by a token known to be good.

        That is what nearly all requests come to. Of any other one nothing is decided here: it takes
        the long way, on which it is refused or let in for the same reasons.
        """
        if self._certificates is not None or call.query:
            return None
        sent = call.headers.getall(_AUTHORIZATION, ())
        if len(sent) != 1 or call.principal is not None:
            return None
        node = call.node
        agent_id = call.address.get("agent_id")
        principal = self._authority.verifier.known(sent[0], node.clock.steady)
        if principal is None or agent_id is None or principal.agent_id != agent_id:
            return None
        group = node.registry.group_of(agent_id)
        return principal if group is not None and principal.scope.covers(group) else None

    def check_url(self, call: Call) -> None:
        """Refuse a credential in the address; raises CredentialInUrl."""
        if not call.query or ("token" not in call.query and "%" not in call.query):
            return
        for name, _ in parse_qsl(call.query, keep_blank_values=True):
            if name in IN_URLS:
                raise CredentialInUrl(name)

    def check_proxied(self, call: Call) -> None:
        """Refuse what came through a proxy to a server that is open by default.

        Raises ProxiedWithoutAuth.
        """
        if not (self._guarded and self._authority.by_default):
            return
        for name in FORWARDED:
            if name in call.headers and call.peer not in self._peers:
                raise ProxiedWithoutAuth(name)

    def cookie(self, call: Call, access: Access) -> str | None:
        """Return the session that a browser shows, if that is what counts; None elsewhere."""
        headers = call.headers
        if not access.sessions or _COOKIE not in headers or _AUTHORIZATION in headers:
            return None
        return session_in(call)

    def identify(
        self, call: Call, access: Access, cookie: str | None, *, now: Instant
    ) -> Principal | None:
        """Return the sender's principal; None if there is no credential.

        Raises InvalidRequest for two headers, or a certificate that is passed on by whom nobody
        trusts, and what :class:`Verifier` does.
        """
        verifier, certificates = self._authority.verifier, self._certificates
        if certificates is not None:
            certificates.check_header(call, trusted=call.peer in self._peers)
        if cookie is not None:
            return verifier.of_session(cookie, now=now)
        sent = call.headers.getall(_AUTHORIZATION, ())
        if certificates is not None and not sent and access.needs is Permission.REGISTER:
            return certificates.of(call)
        if not sent:
            return None
        if len(sent) > 1:
            fault = Fault(hdrs.AUTHORIZATION, f"expected one such header, got {len(sent)}")
            raise InvalidRequest([fault])
        return verifier.of_header(sent[0], now=now, renewing=access.renews)

    def authorize(self, call: Call, access: Access, principal: Principal | None) -> None:
        """Check that the sender may use an address, for what it names.

        Raises Unauthenticated, InsufficientRole, NotYourAgent, GroupNotAllowed for an agent that is
        now in another group, and AgentNotRegistered or GroupNotFound if what the address names does
        not exist for the sender.
        """
        needs = access.needs
        if needs is None:
            return
        if principal is None:
            if self._authority.mode is Mode.REQUIRED or needs in ALWAYS_CREDENTIALED:
                raise Unauthenticated
            return
        agent_id = call.address.get("agent_id")
        if needs is Permission.REGISTER and principal.role is Role.AGENT:
            return  # which agent it is stands in the body
        principal.require(needs, agent_id=agent_id, all_groups=access.all_groups)
        if principal.role is not Role.AGENT and principal.scope.is_everything:
            return
        registry = call.node.registry
        if agent_id is not None:
            group = registry.group_of(agent_id)
            if group is None:
                return  # the handler says so to everybody
            if principal.role is Role.AGENT:
                check_membership(principal, agent_id, group)
            elif not principal.scope.covers(group):
                raise AgentNotRegistered(agent_id)
        elif (group := call.address.get("group")) is not None and not principal.scope.covers(group):
            raise GroupNotFound(group)


def name_of_cookie(call: Call, *, secure: bool) -> str:
    """Return what the cookie of a registry is called: the same at all its nodes, and no other's.

    Browsers send cookies of one host to every port and, with the prefix of secure ones, to every
    path of it. Of two registries there, a sign-in at one would end that at the other.
    """
    whose = f"{call.node.authority.registry} {call.prefix}"
    own = hashlib.sha256(whose.encode()).hexdigest()[:8]
    return f"{SECURE_PREFIX if secure else ''}cameleer-{own}"


def is_tls(call: Call) -> bool:
    """Tell whether the connection itself is encrypted."""
    transport = call.transport
    return transport is not None and transport.get_extra_info("sslcontext") is not None


def is_secure(call: Call) -> bool:
    """Tell whether browsers reach this server by TLS."""
    public = call.node.settings.public_url
    return is_tls(call) if public is None else urlsplit(public).scheme == "https"


def session_in(call: Call) -> str | None:
    """Return the secret of the session that a browser shows, or None.

    If browsers use TLS, and it ends here, a cookie without the prefix is none of ours: a page of
    another host in the same domain, or whoever answers for this one without TLS, could have set it.

    Browsers send along what others on the host have set, on whichever port, and that need not be
    well-formed: JSON, for one. Python's SimpleCookie reads nothing from where it is not.
    """
    kinds = (True,) if is_secure(call) and is_tls(call) else (True, False)
    for header in call.headers.getall(_COOKIE, ()):
        parts = (part.strip(" \t").partition("=") for part in header.split(";"))
        found = {name: value for name, equals, value in parts if equals}
        for secure in kinds:
            if (secret := found.get(name_of_cookie(call, secure=secure))) is not None:
                return secret
    return None


def check_origin_is_told(call: Call) -> None:
    """Refuse a change that a browser requests without saying from where.

    A browser sends a cookie by itself, so a cookie does not prove who has made the request. What
    the browser says is checked as for everybody, and here it has to say something: Origin, or a
    Sec-Fetch-Site that is this origin. Raises CrossSiteRequest.
    """
    if hdrs.ORIGIN not in call.headers and call.headers.get(_SITE, "").lower() != SAME_ORIGIN:
        raise CrossSiteRequest(
            "a session needs Origin, or Sec-Fetch-Site: same-origin, which browsers send"
        )
