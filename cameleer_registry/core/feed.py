"""The events of the operators' feed, as they cross the wire.

Each has a type, which is its name there, and data of the model in :data:`DATA`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import field

from .events import CloseReason, ExpiryReason
from .model import AgentStatus, CommandStatus, CommandType, DeliveryState, Outcome, Target
from .unchanging import unchanging


class FeedType(StrEnum):
    """The type of an event of the feed; also its name there."""

    AGENT_REGISTERED = "agent-registered"
    AGENT_STATUS = "agent-status"
    AGENT_REMOVED = "agent-removed"
    STREAM_OPENED = "stream-opened"
    STREAM_CLOSED = "stream-closed"
    STREAM_CONFLICT = "stream-conflict"
    COMMAND_ISSUED = "command-issued"
    DELIVERY_ACKNOWLEDGED = "delivery-acknowledged"
    DELIVERY_EXPIRED = "delivery-expired"
    CREDENTIAL_ISSUED = "credential-issued"
    CREDENTIAL_REVOKED = "credential-revoked"
    CREDENTIAL_CONFLICT = "credential-conflict"
    POSITION = "position"
    RESET = "reset"


class ResetReason(StrEnum):
    """Why a follower of the feed cannot get the events that it missed."""

    HISTORY_LOST = "history-lost"
    """The missed events are no longer kept."""
    ANOTHER_SERVER = "another-server"
    """The id is of another server, or of this one before it was restarted."""


@unchanging(kw_only=True)
class FeedEvent:
    """The ``data`` of an event of the feed."""

    at: datetime
    """When it happened, which may be a little before the event is sent."""


@unchanging(kw_only=True)
class AgentFeedEvent(FeedEvent):
    """Something happened to an agent, or to its stream."""

    agent_id: str
    group: str
    """The agent's group at that time."""


@unchanging(kw_only=True)
class AgentRegisteredEvent(AgentFeedEvent):
    """An agent registered, for the first time or again."""

    name: str
    version: str | None
    instance_id: str | None
    resumed: bool
    """Whether the agent was already known."""


@unchanging(kw_only=True)
class AgentStatusEvent(AgentFeedEvent):
    """The status of an agent changed."""

    before: AgentStatus = field(metadata={"wire": "from"})
    after: AgentStatus = field(metadata={"wire": "to"})


@unchanging(kw_only=True)
class StreamClosedEvent(AgentFeedEvent):
    """An agent's stream ended, or is no longer its stream."""

    reason: CloseReason


@unchanging(kw_only=True)
class CommandIssuedEvent(FeedEvent):
    """A command was issued."""

    command_id: str
    type: CommandType
    target: Target
    target_count: int
    """The number of agents for which the command was issued."""
    connected_count: int
    """The number of targets that held an open stream at that time."""
    skipped_count: int
    """The number of agents that were left out because they had too many pending commands."""
    issued_by: str | None
    """The id of the issuer; null if the server does not know it."""
    created_at: datetime
    expires_at: datetime


@unchanging(kw_only=True)
class DeliveriesEvent(FeedEvent):
    """Deliveries of one command that changed in the same way at about the same time."""

    command_id: str
    type: CommandType
    agent_ids: tuple[str, ...]
    status: CommandStatus
    """The command's status after all of these changes."""
    counts: Mapping[DeliveryState, int]
    """The number of the command's deliveries in each state, likewise."""
    outcomes: Mapping[Outcome, int]
    """The number of the command's acknowledgements with each outcome, likewise."""


@unchanging(kw_only=True)
class Failure:
    """An agent could not carry out a command."""

    agent_id: str
    message: str | None
    """The agent's message, or the beginning of a long one."""


@unchanging(kw_only=True)
class DeliveryAcknowledgedEvent(DeliveriesEvent):
    """Agents acknowledged a command."""

    failures: tuple[Failure, ...]
    """Those of them that failed."""
    failed_count: int
    """Agents that have acknowledged the command with FAILURE so far, these included."""


@unchanging(kw_only=True)
class DeliveryExpiredEvent(DeliveriesEvent):
    """Agents did not acknowledge a command in time."""

    reason: ExpiryReason


@unchanging(kw_only=True)
class CredentialFeedEvent(FeedEvent):
    """Something happened to a credential. A follower that may see only some groups gets the events
    of their agents.
    """

    agent_id: str | None = None
    """The agent to which it belongs; null for tokens of people and programs, and for enrolment."""
    group: str | None = None
    """The agent's group at that time, if it was known."""
    token_id: str | None = None
    """Its id; null for all credentials of the agent, or of everybody."""
    by: str | None = None
    """The id of whoever did it; null if that was done on the server's own machine."""


@unchanging(kw_only=True)
class CredentialConflictEvent(CredentialFeedEvent):
    """Somebody enrolled under the id of an agent whose stream another process holds, or tried to
    enrol under the id of a LIVE agent.
    """

    refused: bool
    """Whether the attempt was refused; otherwise the agent was taken over."""


@unchanging(kw_only=True)
class ResetEvent(FeedEvent):
    """Missed events are no longer available: read the lists again."""

    reason: ResetReason
    oldest_id: int
    """The oldest event that is still kept: a stream that follows on the id before it gets all kept
    events."""


DATA: Final[Mapping[str, type[FeedEvent]]] = {
    FeedType.AGENT_REGISTERED: AgentRegisteredEvent,
    FeedType.AGENT_STATUS: AgentStatusEvent,
    FeedType.AGENT_REMOVED: AgentFeedEvent,
    FeedType.STREAM_OPENED: AgentFeedEvent,
    FeedType.STREAM_CLOSED: StreamClosedEvent,
    FeedType.STREAM_CONFLICT: AgentFeedEvent,
    FeedType.COMMAND_ISSUED: CommandIssuedEvent,
    FeedType.DELIVERY_ACKNOWLEDGED: DeliveryAcknowledgedEvent,
    FeedType.DELIVERY_EXPIRED: DeliveryExpiredEvent,
    FeedType.CREDENTIAL_ISSUED: CredentialFeedEvent,
    FeedType.CREDENTIAL_REVOKED: CredentialFeedEvent,
    FeedType.CREDENTIAL_CONFLICT: CredentialConflictEvent,
    FeedType.POSITION: FeedEvent,
    FeedType.RESET: ResetEvent,
}
"""The model of each type's data."""
