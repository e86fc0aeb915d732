"""Facts about credentials as plain values and back, as :mod:`cameleer_registry.core.encoding` does.

Names and the order of fields are for ever; fields are only added, at the end and with a default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..core.events import Event
from ..core.instant import Instant
from ..core.plain import Value, optional_instant, to_optional_instant
from . import facts
from .principals import Reclaim, Role


def _head(name: str, fact: Event) -> list[Value]:
    at = fact.at
    return [name, at.wall, at.steady, at.lease]


def _fields(name: str, *fields: str) -> Callable[[Any], list[Value]]:
    """Write fields as they are."""
    return lambda fact: [*_head(name, fact), *(getattr(fact, field) for field in fields)]


def _created(fact: facts.TokenCreated) -> list[Value]:
    return [
        *_head("token-created", fact),
        fact.token_id,
        fact.digest,
        fact.role.value,
        fact.groups,
        optional_instant(fact.expires),
        fact.note,
        fact.uses,
        fact.reclaim.value,
        fact.counter,
        fact.by,
    ]


def _to_created(at: Instant, of: Sequence[Value]) -> facts.TokenCreated:
    return facts.TokenCreated(
        at=at,
        token_id=of[0],
        digest=of[1],
        role=Role(of[2]),
        groups=tuple(of[3]),
        expires=to_optional_instant(of[4]),
        note=of[5],
        uses=of[6],
        reclaim=Reclaim(of[7]),
        counter=of[8],
        by=of[9],
    )


def _opened(fact: facts.SessionOpened) -> list[Value]:
    return [
        *_head("session-opened", fact),
        fact.session_id,
        fact.digest,
        fact.token_id,
        optional_instant(fact.expires),
        fact.counter,
    ]


def _to_opened(at: Instant, of: Sequence[Value]) -> facts.SessionOpened:
    expires = to_optional_instant(of[3])
    assert expires is not None
    return facts.SessionOpened(
        at=at, session_id=of[0], digest=of[1], token_id=of[2], expires=expires, counter=of[4]
    )


ENCODERS: Final[Mapping[type[Event], Callable[[Any], list[Value]]]] = {
    facts.AuthBegan: _fields("auth-began"),
    facts.TokenCreated: _created,
    facts.TokenUsed: _fields("token-used", "token_id", "agent_id"),
    facts.TokenRevoked: _fields("token-revoked", "token_id", "by"),
    facts.AgentCredentialsRevoked: _fields(
        "agent-credentials-revoked", "agent_id", "counter", "group", "by"
    ),
    facts.AllCredentialsRevoked: _fields("all-credentials-revoked", "counter", "by"),
    facts.SessionOpened: _opened,
    facts.SessionClosed: _fields("session-closed", "session_id"),
    facts.KeySetPublished: _fields("key-set-published", "version", "line"),
    facts.CredentialIssued: _fields("credential-issued", "agent_id", "group", "token_id", "by"),
    facts.CredentialConflict: _fields("credential-conflict", "agent_id", "group", "refused", "by"),
}
"""By the class of a fact: what makes a value of it."""

DECODERS: Final[Mapping[str, Callable[[Instant, Sequence[Value]], Event]]] = {
    "auth-began": lambda at, _: facts.AuthBegan(at=at),
    "token-created": _to_created,
    "token-used": lambda at, of: facts.TokenUsed(at=at, token_id=of[0], agent_id=of[1]),
    "token-revoked": lambda at, of: facts.TokenRevoked(at=at, token_id=of[0], by=of[1]),
    "agent-credentials-revoked": lambda at, of: facts.AgentCredentialsRevoked(
        at=at, agent_id=of[0], counter=of[1], group=of[2], by=of[3]
    ),
    "all-credentials-revoked": lambda at, of: facts.AllCredentialsRevoked(
        at=at, counter=of[0], by=of[1]
    ),
    "session-opened": _to_opened,
    "session-closed": lambda at, of: facts.SessionClosed(at=at, session_id=of[0]),
    "key-set-published": lambda at, of: facts.KeySetPublished(at=at, version=of[0], line=of[1]),
    "credential-issued": lambda at, of: facts.CredentialIssued(
        at=at, agent_id=of[0], group=of[1], token_id=of[2], by=of[3]
    ),
    "credential-conflict": lambda at, of: facts.CredentialConflict(
        at=at, agent_id=of[0], group=of[1], refused=of[2], by=of[3]
    ),
}
"""By the name of a fact: what makes it of the fields behind its moment."""

TOLD_ONE_BY_ONE: Final = frozenset(
    {
        *("token-created", "token-revoked", "agent-credentials-revoked"),
        *("all-credentials-revoked", "credential-issued", "credential-conflict"),
    }
)
"""Names of facts that the feed reports one by one."""
