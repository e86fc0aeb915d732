"""The shapes that cross the wire, on both sides of it. All are frozen facts.

What a client sends: :class:`Registration`, :class:`Order`, :class:`Ack`. What it gets to see:
:class:`Welcome`, :class:`Agent`, :class:`GroupSummary`, :class:`Command`, :class:`Delivery`,
:class:`CommandEvent`, :class:`AgentDelivery`. Names are snake_case here and camelCase on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final

from attrs import field, frozen
from attrs.validators import instance_of, optional

from . import rules
from .rules import AgentId, GroupName, Label, Note, follows
from .unchanging import unchanging

JsonObject = Mapping[str, Any]
"""A JSON object as it was sent."""


class AgentStatus(StrEnum):
    """How long ago an agent was heard of.

    See :mod:`~cameleer_registry.core.lifecycle`.
    """

    LIVE = "LIVE"
    STALE = "STALE"
    DEAD = "DEAD"


class DeliveryState(StrEnum):
    """The state of one command for one agent.

    See :mod:`~cameleer_registry.core.commands`.
    """

    PENDING = "PENDING"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    EXPIRED = "EXPIRED"


class CommandStatus(StrEnum):
    """The state of a command, over all of its deliveries."""

    PENDING = "PENDING"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    EXPIRED = "EXPIRED"
    UNDELIVERABLE = "UNDELIVERABLE"


class CommandType(StrEnum):
    """What an agent can be asked to do; also the name of the event on its stream."""

    CONFIG_UPDATE = "config-update"
    DEEP_TRACE = "deep-trace"
    REPLAY = "replay"


class Outcome(StrEnum):
    """Whether the agent succeeded."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


class TargetLevel(StrEnum):
    """The kind of a command's target."""

    AGENT = "agent"
    GROUP = "group"
    ALL = "all"


# What a client sends


def _tuple_of(value: Any) -> Any:
    """Freeze a sequence; anything else is left for its rule to refuse, a string included."""
    return tuple(value) if isinstance(value, list | tuple) else value


@frozen(kw_only=True)
class Registration:
    """What an agent declares about itself. Raises ValueError if a value breaks its rule."""

    agent_id: AgentId = field(validator=follows(rules.agent_id))
    group: GroupName = field(validator=follows(rules.group_name))
    name: Label | None = field(default=None, validator=optional(follows(rules.label)))
    """For people; the agent id if it is absent."""
    version: Note | None = field(default=None, validator=optional(follows(rules.note)))
    """Of the agent or of its application."""
    route_ids: tuple[Label, ...] = field(
        default=(), converter=_tuple_of, validator=follows(rules.labels)
    )
    capabilities: JsonObject = field(factory=dict, validator=follows(rules.json_object))
    """Names of capabilities with their JSON values. On the wire it may also be a list of names; the
    value of each is then true.
    """
    instance_id: Note | None = field(default=None, validator=optional(follows(rules.note)))
    """A nonce of the agent's process, which distinguishes two processes that use one id."""


@frozen(kw_only=True)
class Order:
    """A command that an operator wants to issue."""

    type: CommandType = field(converter=CommandType)
    payload: JsonObject = field(factory=dict, validator=follows(rules.json_object))


@frozen(kw_only=True)
class Ack:
    """An agent's answer to a command."""

    status: Outcome = field(default=Outcome.SUCCESS, converter=Outcome)
    message: str | None = field(default=None, validator=optional(instance_of(str)))
    """A remark for people."""
    data: Any = None
    """Any JSON value."""


# What a client gets to see


ABSENT: Final = {"absent": True, "sparse": True}
"""Of a field that an answer has only if there is something to be said."""


@unchanging(kw_only=True)
class AgentConfig:
    """The server's intervals and deadlines, in milliseconds, which its agents should follow."""

    heartbeat_interval_ms: int
    stale_after_ms: int
    dead_after_ms: int
    keepalive_interval_ms: int
    command_ttl_ms: int


@unchanging(kw_only=True)
class AgentCredential:
    """The credential that an agent uses from now on. It has durations, because the agent's time of
    day may be wrong.
    """

    access_token: str = field(repr=False)
    """A JWT, to be sent as ``Authorization: Bearer``."""
    expires_in_ms: int
    renew_after_ms: int
    """Time after which it should be renewed."""
    renewable_for_ms: int
    """Time for which it can be renewed, even if it has expired."""


@unchanging(kw_only=True)
class Welcome:
    """The answer to a registration."""

    agent_id: str
    status: AgentStatus
    resumed: bool
    """Whether the agent was already known."""
    sse_endpoint: str
    """Where its event stream is: an address, or a path on the host that answered."""
    server_public_key: str | None
    """The key that signs commands, as base64 of its SubjectPublicKeyInfo; null if nothing is
    signed."""
    config: AgentConfig
    credential: AgentCredential | None = field(default=None, metadata=ABSENT)
    """The agent's own token, if tokens are needed."""
    challenge: str | None = field(default=None, metadata=ABSENT)
    """The registration's ``challenge``, if there was one: then the answer is a signed line, which
    also has the fields that follow."""
    server_time: datetime | None = field(default=None, metadata=ABSENT)
    registry: str | None = field(default=None, metadata=ABSENT)
    """The id of the registry."""
    keys_version: int | None = field(default=None, metadata=ABSENT)
    """The version of its key set."""
    signs: str | None = field(default=None, metadata=ABSENT)
    key_id: str | None = field(default=None, metadata=ABSENT)
    """The key that has signed this line."""
    signature: str | None = field(default=None, metadata=ABSENT)


@unchanging(kw_only=True)
class Agent:
    """One agent, as it is at the moment of the request."""

    agent_id: str
    name: str
    group: str
    version: str | None
    route_ids: tuple[str, ...]
    capabilities: JsonObject
    instance_id: str | None
    status: AgentStatus
    connected: bool
    """Whether its event stream is open; this and ``status`` are two facts."""
    registered_at: datetime
    last_heartbeat_at: datetime
    """The last heartbeat or registration."""
    status_changed_at: datetime


@unchanging(kw_only=True)
class Removed:
    """The result of deleting many agents."""

    removed: int
    """The number of agents that were deleted."""


@unchanging(kw_only=True)
class GroupSummary:
    """The number of a group's agents in each status, and of those with an open stream."""

    group: str
    live: int = field(metadata={"wire": "LIVE"})
    stale: int = field(metadata={"wire": "STALE"})
    dead: int = field(metadata={"wire": "DEAD"})
    connected: int


class NodeStatus(StrEnum):
    """What has become of a node: it takes part, it has ended on purpose, or it is lost."""

    LIVE = "LIVE"
    LEFT = "LEFT"
    LOST = "LOST"


@frozen(kw_only=True)
class ClusterNode:
    """One node of those that share a registry, as far as the one that is asked knows."""

    name: str
    version: str
    """Its release."""
    address: str | None
    """Where it listens, by its own account."""
    status: NodeStatus
    own: bool
    """Whether it is the one that answers."""
    position: int
    """How far it had applied the log by its last sign of life; 0 where there is no log."""
    streams: int
    """Agents' streams that it held then."""
    joined_at: datetime
    last_seen_at: datetime
    """Its last sign of life."""
    ended_at: datetime | None
    """When it left, or was found to be lost; it is shown for a day after that."""


@frozen
class Target:
    """The target of a command: one agent, the LIVE agents of a group, or all LIVE agents.

    It is one of the three classes below; these constructors make them. Raises TypeError for a
    target of no level.
    """

    level: ClassVar[TargetLevel]

    def __attrs_post_init__(self) -> None:
        if type(self) not in TARGETS.values():
            raise TypeError("a target is made by Target.agent(), Target.of_group() or Target.all()")

    @staticmethod
    def agent(agent_id: str) -> Target:
        """Target that agent, whatever its status."""
        return AgentTarget(agent_id)

    @staticmethod
    def of_group(group: str) -> Target:
        """Target the agents of ``group`` that are LIVE when the command is issued."""
        return GroupTarget(group)

    @staticmethod
    def all() -> Target:
        """Target every agent that is LIVE when the command is issued."""
        return AllTarget()


@frozen
class AgentTarget(Target):
    """One agent, whatever its status."""

    level: ClassVar[TargetLevel] = TargetLevel.AGENT
    agent_id: str


@frozen
class GroupTarget(Target):
    """The agents of a group that are LIVE when the command is issued."""

    level: ClassVar[TargetLevel] = TargetLevel.GROUP
    group: str


@frozen
class AllTarget(Target):
    """Every agent that is LIVE when the command is issued."""

    level: ClassVar[TargetLevel] = TargetLevel.ALL


TARGETS: Final[Mapping[TargetLevel, type[Target]]] = {
    kind.level: kind for kind in (AgentTarget, GroupTarget, AllTarget)
}
"""The class of target of each level."""


@unchanging(kw_only=True)
class Command:
    """One command with the state of its deliveries added up."""

    command_id: str
    """A UUIDv7 (RFC 9562), so that ids sort by time."""
    type: CommandType
    payload: JsonObject
    target: Target
    status: CommandStatus
    created_at: datetime
    expires_at: datetime
    target_count: int
    """The number of agents for which the command was issued."""
    connected_count: int
    """The number of targets that held an open stream at that time."""
    skipped: tuple[str, ...]
    """Agents that were left out because they had too many pending commands."""
    counts: Mapping[DeliveryState, int]
    """The number of deliveries in each state; together they are ``target_count``."""
    outcomes: Mapping[Outcome, int]
    """The number of acknowledgements with each outcome; together they are the ACKNOWLEDGED ones of
    ``counts``."""
    issued_by: str | None
    """The id of the issuer; null if the server does not know it."""


@unchanging(kw_only=True)
class ListedCommand(Command):
    """A command in a list, which leaves out a payload of more than 4 KiB."""

    payload: JsonObject = field(factory=dict, metadata={"sparse": True})
    """Left out if it takes more than 4 KiB as JSON; `payload_truncated` says so."""
    payload_truncated: bool = field(default=False, metadata={"sparse": True})
    """Present, and true, if the payload is left out."""


@unchanging(kw_only=True)
class Delivery:
    """One command for one agent."""

    agent_id: str
    status: DeliveryState
    delivered_at: datetime | None
    """When the event was written to an open stream; it need not have arrived."""
    acknowledged_at: datetime | None
    late_ack_at: datetime | None
    """When the first acknowledgement after the deadline arrived."""
    result: Ack | None


@unchanging(kw_only=True)
class CommandEvent:
    """The ``data`` of an event on an agent's stream."""

    command_id: str
    type: CommandType
    payload: JsonObject
    created_at: datetime
    expires_at: datetime


@unchanging(kw_only=True)
class AgentDelivery(CommandEvent):
    """One command for one agent: the content of the event, and the state of the delivery."""

    agent_id: str
    status: DeliveryState
    delivered_at: datetime | None
    acknowledged_at: datetime | None
    late_ack_at: datetime | None
    result: Ack | None
    signed: str | None = field(default=None, metadata=ABSENT)
    """The signed line of its event while it is PENDING: an agent that knows the registry's root key
    believes nothing else. It is there if something is signed."""


@unchanging(kw_only=True)
class Resumed:
    """What a server took over from an earlier process."""

    away_from: datetime
    """The last moment at which the earlier process is known to have run."""
    away_until: datetime
    """When this process took over."""
    agents: int
    """The number of agents that it took over."""
    not_back: int
    """How many of those that were LIVE or STALE then have sent nothing since."""


@unchanging(kw_only=True)
class Server:
    """The server that answers."""

    name: str | None
    """The setting `name`."""
    color: str | None
    """The colour in which to show that, by its setting `name_color`: `#rrggbb` or a name that CSS
    knows."""
    version: str
    """The release."""
    instance: str
    """The process, as in `X-Cameleer-Instance`."""
    started_at: datetime
    """When the process started."""
    uptime_ms: int
    """Milliseconds since then, even if the time of day has been changed."""
    resumed: Resumed | None = None
    """What it took over from an earlier process; null if there was nothing, or it has no
    database."""
