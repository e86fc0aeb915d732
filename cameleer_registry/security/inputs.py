"""What is asked of the credentials of a registry, as data, as other inputs are.

:mod:`cameleer_registry.core.inputs` says what inputs are.

None of these holds a secret: of tokens, sessions and codes they have the SHA-256, and an agent's
token is made by the node that was asked, when the input has been decided. What comes of each is
decided by :mod:`.desk`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from attrs import frozen

from ..core import inputs, plain
from ..core.inputs import Entry, Input, UnknownInput
from ..core.model import Registration
from ..core.plain import Value
from ..core.unchanging import unchanging
from .principals import Principal, Reclaim, Role, Scope


@unchanging(kw_only=True)
class Given:
    """The token that an agent is to be given, if what it asks for is not refused."""

    token_id: str
    lives: int
    """For how many seconds it is good."""


@unchanging(kw_only=True)
class Enrol(Input):
    """Somebody wants an agent to be registered. The outcome is an :class:`~.desk.Admitted`."""

    registration: Registration
    principal: Principal
    given: Given | None


@unchanging(kw_only=True)
class Renew(Input):
    """An agent wants another token. The outcome is an :class:`~.desk.Admitted`."""

    agent_id: str
    principal: Principal
    given: Given


@frozen(kw_only=True)
class CreateToken(Input):
    """Somebody wants a token to be made, of which the node has made the secret."""

    token_id: str
    digest: str
    role: Role
    groups: tuple[str, ...] = ("*",)
    expires_in: int | None = None
    note: str | None = None
    uses: int | None = None
    reclaim: Reclaim = Reclaim.ALWAYS
    by: str | None = None


@frozen(kw_only=True)
class RevokeToken(Input):
    """Somebody wants a token to be void."""

    token_id: str
    by: str | None = None


@frozen(kw_only=True)
class RevokeAgent(Input):
    """Somebody wants every credential of an agent to be void."""

    agent_id: str
    by: str | None = None


@frozen(kw_only=True)
class OpenSession(Input):
    """A browser signs in with a token."""

    session_id: str
    digest: str
    token_id: str
    lasts: int


@frozen(kw_only=True)
class MakeCode(Input):
    """Somebody wants a code that signs a browser in, once."""

    digest: str
    token_id: str


@frozen(kw_only=True)
class SpendCode(Input):
    """A browser signs in with such a code."""

    code: str
    """Its SHA-256."""
    session_id: str
    digest: str
    lasts: int


@frozen(kw_only=True)
class CloseSession(Input):
    """A browser signs out."""

    session_id: str


@frozen(kw_only=True)
class PublishKeys(Input):
    """A node has a newer key set. It counts if every node that takes part can sign by it."""

    line: str


def encode(given: Input) -> list[Value]:
    """Return an input as a value, whether it is about credentials or not."""
    of_credentials = _ENCODERS.get(type(given))
    return inputs.encode(given) if of_credentials is None else of_credentials(given)


def decode(value: Sequence[Value]) -> Input:
    """Return the input that a value stands for; raises UnknownInput."""
    decoder = _DECODERS.get(value[0]) if value and isinstance(value[0], str) else None
    if decoder is None:
        return inputs.decode(value)
    try:
        with attrs.validators.disabled():
            return decoder(value[1:])
    except (IndexError, TypeError, ValueError) as error:
        raise UnknownInput(f"{value[0]} is of a form that is not known here") from error


def to_entry(value: Sequence[Value]) -> Entry:
    """Return the entry that a value stands for; raises UnknownInput."""
    return inputs.to_entry(value, decode=decode)


def _principal(of: Principal) -> list[Value]:
    return [
        of.token_id,
        of.role.value,
        of.scope.globs,
        of.agent_id,
        of.session_id,
        of.reclaim.value,
        of.revocation,
        of.of_host,
    ]


def _to_principal(of: Sequence[Value]) -> Principal:
    return Principal(
        token_id=of[0],
        role=Role(of[1]),
        scope=Scope(tuple(of[2])),
        agent_id=of[3],
        session_id=of[4],
        reclaim=Reclaim(of[5]),
        revocation=of[6],
        of_host=of[7],
    )


def _given(of: Given | None) -> list[Value] | None:
    return None if of is None else [of.token_id, of.lives]


def _to_given(of: Sequence[Value] | None) -> Given | None:
    return None if of is None else Given(token_id=of[0], lives=of[1])


def _to_renew(of: Sequence[Value]) -> Renew:
    given = _to_given(of[2])
    assert given is not None
    return Renew(agent_id=of[0], principal=_to_principal(of[1]), given=given)


_ENCODERS: Final[Mapping[type[Input], Callable[[Any], list[Value]]]] = {
    Enrol: lambda of: [
        "enrol",
        plain.registration(of.registration),
        _principal(of.principal),
        _given(of.given),
    ],
    Renew: lambda of: ["renew", of.agent_id, _principal(of.principal), _given(of.given)],
    CreateToken: lambda of: [
        "create-token",
        of.token_id,
        of.digest,
        of.role.value,
        of.groups,
        of.expires_in,
        of.note,
        of.uses,
        of.reclaim.value,
        of.by,
    ],
    RevokeToken: lambda of: ["revoke-token", of.token_id, of.by],
    RevokeAgent: lambda of: ["revoke-agent", of.agent_id, of.by],
    OpenSession: lambda of: ["open-session", of.session_id, of.digest, of.token_id, of.lasts],
    MakeCode: lambda of: ["make-code", of.digest, of.token_id],
    SpendCode: lambda of: ["spend-code", of.code, of.session_id, of.digest, of.lasts],
    CloseSession: lambda of: ["close-session", of.session_id],
    PublishKeys: lambda of: ["publish-keys", of.line],
}

_DECODERS: Final[Mapping[str, Callable[[Sequence[Value]], Input]]] = {
    "enrol": lambda of: Enrol(
        registration=plain.to_registration(of[0]),
        principal=_to_principal(of[1]),
        given=_to_given(of[2]),
    ),
    "renew": _to_renew,
    "create-token": lambda of: CreateToken(
        token_id=of[0],
        digest=of[1],
        role=Role(of[2]),
        groups=tuple(of[3]),
        expires_in=of[4],
        note=of[5],
        uses=of[6],
        reclaim=Reclaim(of[7]),
        by=of[8],
    ),
    "revoke-token": lambda of: RevokeToken(token_id=of[0], by=of[1]),
    "revoke-agent": lambda of: RevokeAgent(agent_id=of[0], by=of[1]),
    "open-session": lambda of: OpenSession(
        session_id=of[0], digest=of[1], token_id=of[2], lasts=of[3]
    ),
    "make-code": lambda of: MakeCode(digest=of[0], token_id=of[1]),
    "spend-code": lambda of: SpendCode(code=of[0], session_id=of[1], digest=of[2], lasts=of[3]),
    "close-session": lambda of: CloseSession(session_id=of[0]),
    "publish-keys": lambda of: PublishKeys(line=of[0]),
}
