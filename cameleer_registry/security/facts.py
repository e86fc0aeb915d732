"""What happens to credentials, past tense, in the style of :mod:`cameleer_registry.core.events`.

None of them holds a secret: of tokens and sessions their SHA-256, in hexadecimal. ``by`` says who
did it, by :attr:`~.principals.Principal.issuer`; None stands for the command line on the server's
own machine.
"""

from __future__ import annotations

from typing import Final

from ..core.events import Event, MemberEvent
from ..core.instant import Instant
from ..core.unchanging import unchanging
from .principals import Reclaim, Role


@unchanging(kw_only=True)
class AuthBegan(Event):
    """There is the first token or key set. From now on credentials are required, for ever."""


@unchanging(kw_only=True)
class TokenCreated(Event):
    """A token was made."""

    token_id: str
    digest: str
    role: Role
    groups: tuple[str, ...] = ("*",)
    expires: Instant | None = None
    note: str | None = None
    uses: int | None = None
    """How many new agents it may register; None stands for no limit."""
    reclaim: Reclaim = Reclaim.ALWAYS
    counter: int = 0
    """That of the last time that all credentials were revoked before."""
    by: str | None = None


@unchanging(kw_only=True)
class TokenUsed(Event):
    """A token with a limit has registered an agent that was new."""

    token_id: str
    agent_id: str


@unchanging(kw_only=True)
class TokenRevoked(Event):
    """A token is void, nor is any session that stands on it."""

    token_id: str
    by: str | None = None


@unchanging(kw_only=True)
class AgentCredentialsRevoked(Event):
    """Every credential that an agent was given is void."""

    agent_id: str
    counter: int
    """What a credential must say at least in order to be good."""
    group: str | None = None
    """The group that it was in then; None if it was not known."""
    by: str | None = None


@unchanging(kw_only=True)
class AllCredentialsRevoked(Event):
    """Every token, session and agent's credential so far is void."""

    counter: int
    """As for one agent, for all of them; and it is above that of tokens and sessions."""
    by: str | None = None


@unchanging(kw_only=True)
class SessionOpened(Event):
    """Somebody signed in with a token."""

    session_id: str
    digest: str
    token_id: str
    expires: Instant
    counter: int = 0
    """As a token's."""


@unchanging(kw_only=True)
class SessionClosed(Event):
    """Somebody signed out."""

    session_id: str


@unchanging(kw_only=True)
class KeySetPublished(Event):
    """There is a new version of the registry's key set."""

    version: int
    line: str
    """The set as signed by its root key."""


@unchanging(kw_only=True)
class CredentialIssued(MemberEvent):
    """An agent was given a token, which says all about itself."""

    token_id: str
    by: str | None = None
    # What follows is for the node that holds the agent's stream, and is kept nowhere.
    expires: Instant | None = None
    revocation: int = 0
    renews: bool = False
    """Whether the agent itself has asked for it: then its stream stands on it from now on."""


@unchanging(kw_only=True)
class CredentialConflict(MemberEvent):
    """Somebody wanted to enrol under the id of an agent that another process seems to be."""

    refused: bool
    """Whether that was refused; otherwise the agent was taken over."""
    by: str | None = None


KEPT: Final[tuple[type[Event], ...]] = (
    AuthBegan,
    TokenCreated,
    TokenUsed,
    TokenRevoked,
    AgentCredentialsRevoked,
    AllCredentialsRevoked,
    SessionOpened,
    SessionClosed,
    KeySetPublished,
)
"""Every kind of fact that a store of credentials is made of."""

PASSING: Final[tuple[type[Event], ...]] = (CredentialIssued, CredentialConflict)
"""Facts that are only reported, and have no effect."""
