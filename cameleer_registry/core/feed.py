"""What operators are told of: the events of the feed, as they cross the wire.

Each has a type, which is its name there, and data of the model that :data:`DATA` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import field, frozen

from .events import CloseReason, ExpiryReason
from .model import AgentStatus, CommandStatus, CommandType, DeliveryState, Outcome, Target


class FeedType(StrEnum):
    """What an event of the feed tells of; also its name there."""

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
    """Why somebody who follows the feed cannot be told what was missed."""

    HISTORY_LOST = "history-lost"
    """It is so long ago that it has been forgotten."""
    ANOTHER_SERVER = "another-server"
    """It was another server that was followed, or this one before it was started again."""


@frozen(kw_only=True)
class FeedEvent:
    """The ``data`` of an event of the feed."""

    at: datetime
    """When it happened, which may be a little before it is told."""


@frozen(kw_only=True)
class AgentFeedEvent(FeedEvent):
    """Something happened to an agent, or to its stream."""

    agent_id: str
    group: str
    """The group that it was in then."""


@frozen(kw_only=True)
class AgentRegisteredEvent(AgentFeedEvent):
    """An agent registered, for the first time or again."""

    name: str
    version: str | None
    instance_id: str | None
    resumed: bool
    """Whether it was known before."""


@frozen(kw_only=True)
class AgentStatusEvent(AgentFeedEvent):
    """The status of an agent changed."""

    before: AgentStatus = field(metadata={"wire": "from"})
    after: AgentStatus = field(metadata={"wire": "to"})


@frozen(kw_only=True)
class StreamClosedEvent(AgentFeedEvent):
    """An agent's stream ended, or is no longer its stream."""

    reason: CloseReason


@frozen(kw_only=True)
class CommandIssuedEvent(FeedEvent):
    """A command was issued."""

    command_id: str
    type: CommandType
    target: Target
    target_count: int
    """Agents the command was issued for."""
    connected_count: int
    """How many of them held an open stream then."""
    skipped_count: int
    """How many were left out because they had too many pending commands."""
    issued_by: str | None
    """Who issued it, by an id; null if the server does not know who asks."""
    created_at: datetime
    expires_at: datetime


@frozen(kw_only=True)
class DeliveriesEvent(FeedEvent):
    """The same happened to deliveries of one command, in the same moment."""

    command_id: str
    type: CommandType
    agent_ids: tuple[str, ...]
    status: CommandStatus
    """The command's, after all that is told of it in this moment."""
    counts: Mapping[DeliveryState, int]
    """The command's deliveries by state, likewise."""
    outcomes: Mapping[Outcome, int]
    """The command's acknowledgements by what they say, likewise."""


@frozen(kw_only=True)
class Failure:
    """An agent could not do what it was told to."""

    agent_id: str
    message: str | None
    """Its own words; the beginning of them, where they are long."""


@frozen(kw_only=True)
class DeliveryAcknowledgedEvent(DeliveriesEvent):
    """Agents acknowledged a command."""

    failures: tuple[Failure, ...]
    """Those of them that failed."""
    failed_count: int
    """Agents that have acknowledged the command with FAILURE so far, these included."""


@frozen(kw_only=True)
class DeliveryExpiredEvent(DeliveriesEvent):
    """Agents did not acknowledge a command, and will not any more."""

    reason: ExpiryReason


@frozen(kw_only=True)
class CredentialFeedEvent(FeedEvent):
    """Something happened to a credential. Who sees some groups only is told of their agents'."""

    agent_id: str | None = None
    """Whose it is; null if it is a token's of people, programs, or for enrolment."""
    group: str | None = None
    """The group that the agent was in then, if it was known."""
    token_id: str | None = None
    """Which it is; null if it is every credential of the agent, or of all."""
    by: str | None = None
    """Who did it, by an id; null if that was on the server's own machine."""


@frozen(kw_only=True)
class CredentialConflictEvent(CredentialFeedEvent):
    """Somebody enrolled under the id of an agent whose stream another process holds, or tried to
    under that of one that is LIVE.
    """

    refused: bool
    """Whether that was refused; otherwise the agent was taken over."""


@frozen(kw_only=True)
class ResetEvent(FeedEvent):
    """What was missed cannot be told any more: the lists have to be read again."""

    reason: ResetReason
    oldest_id: int
    """The oldest event that is still kept: behind the one before that, all are told."""


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
