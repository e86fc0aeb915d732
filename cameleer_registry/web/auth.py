"""The sender's credential, the tokens of operators and for enrolment, and sessions of browsers."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import hdrs, web

from ..core.instant import Instant
from ..core.views import time_of_day
from ..errors import Fault, InsufficientRole, InvalidRequest, Unauthenticated
from ..node.auth.authority import SESSION_SECONDS
from ..node.auth.mode import Mode
from ..security.codes import LIFETIME
from ..security.model import (
    AuthShown,
    PrincipalShown,
    SessionCode,
    SessionRequest,
    TokenMade,
    TokenRequest,
    TokenShown,
    TokenStatus,
)
from ..security.principals import Permission, Principal, Scope
from ..security.store import no_token
from ..security.table import TokenRecord
from .answers import Answer, json
from .app_keys import GATE, NODE
from .calls import Call, CallHandler, RequestCall, read_as
from .forwarded import source_of
from .identity import check_origin_is_told, is_secure, name_of_cookie, session_in
from .lists import json_array

METHODS: Final = ("token",)


async def show_auth(request: web.Request) -> Answer:
    """``GET /auth``: whether a credential is needed, and who asks.

    Where an application that embeds the registry says who asks, it is needed, too.
    """
    authority, principal = request.app[NODE].authority, RequestCall(request).principal
    is_asked = request.app[GATE].authenticate is not None
    return json(
        AuthShown(
            required=is_asked or authority.mode is Mode.REQUIRED,
            methods=METHODS if authority.is_on else (),
            registry=authority.registry,
            principal=None if principal is None else _shown(principal),
        )
    )


# Tokens


@CallHandler
async def create_token(call: Call) -> Answer:
    """``POST /auth/tokens``: 201 with the token, which is shown this once."""
    node, principal = call.node, call.principal
    node.authority.check_on()
    asked = await read_as(call, TokenRequest)
    node.journal.check()
    try:
        if principal is not None and not principal.may_hand_on(asked.role, Scope(asked.groups)):
            raise InsufficientRole(principal.role, Permission.TOKENS, scope=True)
        made = await node.office.create_token(
            asked.role,
            groups=asked.groups,
            expires_in_ms=asked.expires_in_ms,
            note=asked.note,
            uses=asked.uses,
            reclaim=asked.reclaim,
            by=None if principal is None else principal.issuer,
        )
    except ValueError as error:
        name, _, message = str(error).partition(": ")
        raise InvalidRequest([Fault(f"$.{name.partition(',')[0]}", message)]) from None
    shown = _token(node.authority.credentials.token(made.token_id), node.clock.now())
    return json(TokenMade(**shown, token=made.token.text), status=201)


async def list_tokens(request: web.Request) -> Answer | web.StreamResponse:
    """``GET /auth/tokens``: all that are known, without what is secret of them."""
    node = request.app[NODE]
    node.authority.check_on()
    now = node.clock.now()
    principal = RequestCall(request).principal
    tokens = [one for one in node.authority.credentials.tokens() if _exists_for(principal, one)]
    return await json_array(request, (TokenShown(**_token(record, now)) for record in tokens))


@CallHandler
async def revoke_token(call: Call) -> Answer:
    """``DELETE /auth/tokens/{tokenId}``: 204; what stands on it ends."""
    node, principal = call.node, call.principal
    node.authority.check_on()
    token_id, credentials = call.address["token_id"], node.authority.credentials
    if not _exists_for(principal, credentials.token(token_id)):
        raise no_token(token_id)
    node.journal.check()
    by = None if principal is None else principal.issuer
    await node.office.revoke_token(token_id, by=by)
    return Answer(status=204)


def _exists_for(principal: Principal | None, record: TokenRecord) -> bool:
    """Tell whether a token exists for somebody: as any other thing, by its groups."""
    return principal is None or principal.may_hand_on(record.made.role, record.scope)


# Sessions


@CallHandler
async def sign_in(call: Call) -> Answer:
    """``POST /auth/session``: 204 and a cookie."""
    node = call.node
    node.authority.check_on()
    asked = await read_as(call, SessionRequest)
    node.journal.check()
    source = source_of(call)
    match asked:
        case SessionRequest(token=str(token), code=None):
            secret = await node.office.sign_in(token, source)
        case SessionRequest(token=None, code=str(code)):
            secret = await node.office.sign_in_by_code(code, source)
        case _:
            raise InvalidRequest([Fault("$", "expected one of token and code")])
    return Answer(status=204, headers={hdrs.SET_COOKIE: _cookie(call, secret, SESSION_SECONDS)})


@CallHandler
async def make_code(call: Call) -> Answer:
    """``POST /auth/session/code``: 201 with what signs a browser in, once."""
    node, principal = call.node, call.principal
    node.authority.check_on()
    if principal is None:  # who is served without a credential has none to hand on
        raise Unauthenticated
    code = await node.office.make_code(principal)
    return json(SessionCode(code=code, expires_in_ms=LIFETIME * 1000), status=201)


@CallHandler
async def sign_out(call: Call) -> Answer:
    """``DELETE /auth/session``: 204, whether or not there was one."""
    node = call.node
    node.authority.check_on()
    secret = session_in(call)
    if secret is not None:
        check_origin_is_told(call)
    node.journal.check()
    if secret is not None:
        await node.office.sign_out(secret)
    return Answer(status=204, headers={hdrs.SET_COOKIE: _cookie(call, "", 0)})


def _cookie(call: Call, secret: str, seconds: int) -> str:
    secure = is_secure(call)
    name = name_of_cookie(call, secure=secure)
    path = "/" if secure else f"{call.prefix}/"
    parts = [f"{name}={secret}", f"Path={path}", f"Max-Age={seconds}", "HttpOnly"]
    return "; ".join([*parts, "SameSite=Strict", *(["Secure"] if secure else [])])


# Showing


def _shown(principal: Principal) -> PrincipalShown:
    return PrincipalShown(
        token_id=principal.token_id,
        role=principal.role,
        groups=principal.scope.globs,
        expires_at=time_of_day(principal.expires),
        agent_id=principal.agent_id,
    )


def _token(record: TokenRecord, now: Instant) -> dict[str, Any]:
    made = record.made
    expired = made.expires is not None and now.steady >= made.expires.steady
    status = TokenStatus.EXPIRED if expired else TokenStatus.ACTIVE
    return {
        "token_id": made.token_id,
        "role": made.role,
        "groups": record.scope.globs,
        "status": status if record.revoked is None else TokenStatus.REVOKED,
        "created_at": time_of_day(made.at),
        "expires_at": time_of_day(made.expires),
        "revoked_at": None if record.revoked is None else time_of_day(record.revoked.at),
        "note": made.note,
        "uses": made.uses,
        "used": len(record.used_for),
        "reclaim": made.reclaim,
        "issued_by": made.by,
    }
