"""What crosses the wire about credentials, in the style of :mod:`cameleer_registry.core.model`."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import field, fields, frozen
from attrs.validators import optional

from ..core import rules
from ..core.model import ABSENT, AgentCredential, Registration
from ..core.rules import Nonce, Note, follows
from .principals import Reclaim, Role, glob
from .store import LONGEST_LIFE_MS

AT_LEAST_1: Final = {"schema": {"minimum": 1}}
"""What the document says of a field besides its type."""

LIFE: Final = {"schema": {"minimum": 1, "maximum": LONGEST_LIFE_MS}}
"""Likewise."""


class TokenStatus(StrEnum):
    """Whether a token is valid."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


def _globs(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected an array, got {rules.kind_of(value)}")
    return tuple(value)


def _each_glob(value: tuple[str, ...]) -> None:
    if not value:
        raise ValueError("expected at least one glob")
    for one in value:
        glob(one)


def _above_0(value: int) -> None:
    if value <= 0:
        raise ValueError(f"expected more than 0, got {value}")


def _life(value: int) -> None:
    _above_0(value)
    if value > LONGEST_LIFE_MS:
        raise ValueError(f"expected at most {LONGEST_LIFE_MS}, which is 100 years, got {value}")


@frozen(kw_only=True)
class TokenRequest:
    """A token to be made."""

    role: Role = field(converter=Role)
    groups: tuple[str, ...] = field(default=("*",), converter=_globs, validator=follows(_each_glob))
    """Globs over groups, such as ``order-*``: only these groups exist for its holder."""
    expires_in_ms: int | None = field(
        default=None, validator=optional(follows(_life)), metadata=LIFE
    )
    """For ever if it is absent."""
    note: Note | None = field(default=None, validator=optional(follows(rules.note)))
    """A remark for people."""
    uses: int | None = field(
        default=None, validator=optional(follows(_above_0)), metadata=AT_LEAST_1
    )
    """How many new agents an enrolment token may register; unlimited if it is absent."""
    reclaim: Reclaim = field(default=Reclaim.ALWAYS, converter=Reclaim)
    """Which known agents an enrolment token may register: any in its groups, or those that are not
    LIVE."""


@frozen(kw_only=True)
class SessionRequest:
    """A token with which a browser signs in, or a one-time code that stands for one."""

    token: str | None = field(default=None, validator=optional(follows(rules.text)), repr=False)
    code: str | None = field(default=None, validator=optional(follows(rules.text)), repr=False)
    """Of ``POST /auth/session/code``."""


@frozen(kw_only=True)
class SessionCode:
    """A code that signs a browser in, once."""

    code: str = field(repr=False)
    expires_in_ms: int


@frozen(kw_only=True)
class ChallengeRequest:
    """What an agent may ask for with its registration."""

    challenge: Nonce | None = field(default=None, validator=optional(follows(rules.nonce)))


@frozen(kw_only=True)
class AgentRegistration(Registration):
    """A registration whose answer is to be signed, with a nonce in it."""

    challenge: Nonce | None = field(default=None, validator=optional(follows(rules.nonce)))

    @classmethod
    def of(cls, registration: Registration, challenge: str) -> AgentRegistration:
        """Return a registration with a nonce."""
        declared = {each.name: getattr(registration, each.name) for each in fields(Registration)}
        return cls(**declared, challenge=Nonce(challenge))


@frozen(kw_only=True)
class TokenShown:
    """A token without its secret."""

    token_id: str
    role: Role
    groups: tuple[str, ...]
    status: TokenStatus
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    note: str | None
    uses: int | None
    used: int
    """The number of new agents that it has registered, if that is limited."""
    reclaim: Reclaim
    issued_by: str | None
    """The id of whoever made it; null if that was done on the server's own machine."""


@frozen(kw_only=True)
class TokenMade(TokenShown):
    """A token that was just made, and is shown only this once."""

    token: str = field(repr=False)


@frozen(kw_only=True)
class PrincipalShown:
    """The holder of the credential that was sent."""

    token_id: str
    role: Role
    groups: tuple[str, ...]
    expires_at: datetime | None
    agent_id: str | None = field(default=None, metadata=ABSENT)


@frozen(kw_only=True)
class AuthShown:
    """Whether a credential is needed, and of which kind; and whose credential was sent."""

    required: bool
    methods: tuple[str, ...]
    registry: str | None
    """The registry's id; null if it has no keys."""
    principal: PrincipalShown | None = field(default=None, metadata=ABSENT)


@frozen(kw_only=True)
class CredentialShown:
    """The answer to renewing a token."""

    credential: AgentCredential
