"""The facts: what happened, in the past tense. Every change of the registry is one of these.

:class:`~cameleer_registry.core.registry.Registry` decides which facts a call causes, applies them
to itself, and returns them; the caller acts on them. The same facts applied to an empty registry in
the same order rebuild it, whatever its limits, with or without HeartbeatReceived (except for the
times of heartbeats), even if some of them come twice in a row.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from .idempotency import Idempotency
from .instant import Instant
from .model import Ack, AgentStatus, CommandStatus, Order, Registration, Target
from .targets import Targets
from .unchanging import unchanging


class CloseReason(StrEnum):
    """Why a stream is no longer its agent's."""

    CLIENT_GONE = "client-gone"
    REPLACED = "replaced"
    AGENT_REMOVED = "agent-removed"
    SLOW_CONSUMER = "slow-consumer"
    SHUTDOWN = "shutdown"
    CREDENTIAL_OVER = "credential-over"
    """The credential that it stood on has expired or was revoked, or is of another group."""
    NODE_LOST = "node-lost"


class ExpiryReason(StrEnum):
    """Why a delivery will not be acknowledged any more."""

    DEADLINE = "deadline"
    AGENT_REMOVED = "agent-removed"


@unchanging(kw_only=True)
class Event:
    """A fact, and when it became one."""

    at: Instant


@unchanging(kw_only=True)
class AgentEvent(Event):
    """A fact about one agent."""

    agent_id: str


@unchanging(kw_only=True)
class MemberEvent(AgentEvent):
    """A fact about one agent. It names the agent's group, which its reader may not know any
    more.
    """

    group: str


@unchanging(kw_only=True)
class AgentRegistered(AgentEvent):
    """An agent declared itself, for the first time or again."""

    registration: Registration
    resumed: bool
    left: str | None = None
    """The group that it was in before, if that is another one."""
    by: str | None = None
    """Who requested it; None if that is not known."""


@unchanging(kw_only=True)
class HeartbeatReceived(AgentEvent):
    """An agent renewed its lease."""


@unchanging(kw_only=True)
class AgentRevived(MemberEvent):
    """An agent that was STALE or DEAD is LIVE again. It follows the sign that did it."""

    previous: AgentStatus


@unchanging(kw_only=True)
class AgentWentStale(MemberEvent):
    """A lease ran out; ``at`` is that moment, not the one at which somebody noticed."""

    heard: Instant
    """The last heartbeat or registration, so that a journal need not store each heartbeat."""


@unchanging(kw_only=True)
class AgentWentDead(MemberEvent):
    """A STALE agent was given up; ``at`` is that moment, likewise."""


@unchanging(kw_only=True)
class AgentRemoved(MemberEvent):
    """An agent was forgotten: somebody asked for it, or it had been DEAD for long enough."""

    commands: int = 0
    """How many commands had been issued by then: none of them is one of an agent's that comes back
    under the same id."""
    by: str | None = None
    """Who requested it; None if that is not known."""


@unchanging(kw_only=True)
class StreamOpened(MemberEvent):
    """An agent's connection became its stream."""

    stream_id: int


@unchanging(kw_only=True)
class StreamClosed(MemberEvent):
    """An agent's stream is no longer its stream."""

    stream_id: int
    reason: CloseReason


@unchanging(kw_only=True)
class StreamConflict(MemberEvent):
    """Streams of one id replace each other so fast that two processes seem to use it."""


@unchanging(kw_only=True)
class CommandIssued(Event):
    """A command was issued, for these agents and no others."""

    command_id: str
    order: Order
    target: Target
    expires: Instant
    agent_ids: Targets
    groups: frozenset[str]
    """The groups that these agents were in."""
    connected_count: int
    skipped: tuple[str, ...]
    number: int
    """Counted in the order of issue, from 1."""
    size: int = 0
    """Bytes that keeping the payload takes, as its issuer reckons them."""
    payload_size: int = 0
    """Bytes of the payload as JSON: long ones are left out of lists."""
    idempotency: Idempotency | None = None
    """What identifies a repeated request for it; None if it cannot be repeated."""
    by: str | None = None
    """Who requested it; None if that is not known."""
    line: str | None = None
    """The signed line that its targets get; None if nothing is signed."""


@unchanging(kw_only=True)
class CommandPushed(Event):
    """A command's event was written to the open streams of these agents."""

    command_id: str
    agent_ids: tuple[str, ...]


@unchanging(kw_only=True)
class DeliveryAcknowledged(AgentEvent):
    """An agent acknowledged a command in time."""

    command_id: str
    result: Ack
    size: int = 0
    """Bytes that keeping the result takes, as its taker reckons them."""
    by: str | None = None
    """Who requested it; None if that is not known."""


@unchanging(kw_only=True)
class LateAckReceived(AgentEvent):
    """An agent acknowledged a command that had expired."""

    command_id: str


@unchanging(kw_only=True)
class DeliveriesExpired(Event):
    """These agents did not acknowledge a command; ``at`` is the moment of the deadline."""

    command_id: str
    agent_ids: tuple[str, ...]
    reason: ExpiryReason


@unchanging(kw_only=True)
class CommandFinished(Event):
    """No delivery of a command is pending any more. This follows the fact that settled the last
    one.
    """

    command_id: str
    status: CommandStatus


@unchanging(kw_only=True)
class CommandForgotten(Event):
    """A finished command was dropped from the history, which had grown over its limits.

    It follows the facts that made the history grow.
    """

    command_id: str
    key: str | None = None
    """The key under which it was issued; that is remembered for longer."""


KINDS: Final[tuple[type[Event], ...]] = (
    AgentRegistered,
    HeartbeatReceived,
    AgentRevived,
    AgentWentStale,
    AgentWentDead,
    AgentRemoved,
    StreamOpened,
    StreamClosed,
    StreamConflict,
    CommandIssued,
    CommandPushed,
    DeliveryAcknowledged,
    LateAckReceived,
    DeliveriesExpired,
    CommandFinished,
    CommandForgotten,
)
"""Every kind of fact that there is."""
