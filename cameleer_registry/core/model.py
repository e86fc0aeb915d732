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
    """What became of one command for one agent.

    See :mod:`~cameleer_registry.core.commands`.
    """

    PENDING = "PENDING"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    EXPIRED = "EXPIRED"


class CommandStatus(StrEnum):
    """What became of a command, over all of its deliveries."""

    PENDING = "PENDING"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    EXPIRED = "EXPIRED"
    UNDELIVERABLE = "UNDELIVERABLE"


class CommandType(StrEnum):
    """What an agent can be told to do; also the name of the event on its stream."""

    CONFIG_UPDATE = "config-update"
    DEEP_TRACE = "deep-trace"
    REPLAY = "replay"


class Outcome(StrEnum):
    """How it went, in the agent's own words."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


class TargetLevel(StrEnum):
    """Whom a command is meant for."""

    AGENT = "agent"
    GROUP = "group"
    ALL = "all"


# What a client sends


def _tuple_of(value: Any) -> Any:
    """Freeze a sequence; anything else is left for its rule to refuse, a string included."""
    return tuple(value) if isinstance(value, list | tuple) else value


@frozen(kw_only=True)
class Registration:
    """What an agent declares of itself. Raises ValueError where a value breaks its rule."""

    agent_id: AgentId = field(validator=follows(rules.agent_id))
    group: GroupName = field(validator=follows(rules.group_name))
    name: Label | None = field(default=None, validator=optional(follows(rules.label)))
    """For people; the agent id where it is absent."""
    version: Note | None = field(default=None, validator=optional(follows(rules.note)))
    """Of the agent or of its application."""
    route_ids: tuple[Label, ...] = field(
        default=(), converter=_tuple_of, validator=follows(rules.labels)
    )
    capabilities: JsonObject = field(factory=dict, validator=follows(rules.json_object))
    """Name of each capability to its JSON value; on the wire also a list of names, each of which
    then is true."""
    instance_id: Note | None = field(default=None, validator=optional(follows(rules.note)))
    """A nonce of the agent's process, by which two processes under one id can be told apart."""


@frozen(kw_only=True)
class Order:
    """What an operator wants done."""

    type: CommandType = field(converter=CommandType)
    payload: JsonObject = field(factory=dict, validator=follows(rules.json_object))


@frozen(kw_only=True)
class Ack:
    """What an agent says of a command it was given."""

    status: Outcome = field(default=Outcome.SUCCESS, converter=Outcome)
    message: str | None = field(default=None, validator=optional(instance_of(str)))
    """For people."""
    data: Any = None
    """Any JSON value."""


# What a client gets to see


ABSENT: Final = {"absent": True, "sparse": True}
"""Of a field that an answer has only if there is something to be said."""


@frozen(kw_only=True)
class AgentConfig:
    """The times that a server keeps, in milliseconds, so that its agents keep them, too."""

    heartbeat_interval_ms: int
    stale_after_ms: int
    dead_after_ms: int
    keepalive_interval_ms: int
    command_ttl_ms: int


@frozen(kw_only=True)
class AgentCredential:
    """What an agent is given to show from now on. Durations: its own time of day may be wrong."""

    access_token: str = field(repr=False)
    """A JWT, to be sent as ``Authorization: Bearer``."""
    expires_in_ms: int
    renew_after_ms: int
    """After which it should be renewed."""
    renewable_for_ms: int
    """For which it can be renewed, also when it has expired."""


@frozen(kw_only=True)
class Welcome:
    """The answer to a registration."""

    agent_id: str
    status: AgentStatus
    resumed: bool
    """Whether the agent was known already."""
    sse_endpoint: str
    """Where its event stream is: an address, or a path on the host that answered."""
    server_public_key: str | None
    """The key that signs commands, as base64 of its SubjectPublicKeyInfo; null if nothing is
    signed."""
    config: AgentConfig
    credential: AgentCredential | None = field(default=None, metadata=ABSENT)
    """The agent's own token, if tokens are needed."""
    challenge: str | None = field(default=None, metadata=ABSENT)
    """What the agent has made up, if it has sent a ``challenge``: then the answer is a signed line,
    and what follows stands in it, too."""
    server_time: datetime | None = field(default=None, metadata=ABSENT)
    registry: str | None = field(default=None, metadata=ABSENT)
    """The id of the registry."""
    keys_version: int | None = field(default=None, metadata=ABSENT)
    """The version of its key set."""
    signs: str | None = field(default=None, metadata=ABSENT)
    key_id: str | None = field(default=None, metadata=ABSENT)
    """The key that has signed it."""
    signature: str | None = field(default=None, metadata=ABSENT)


@frozen(kw_only=True)
class Agent:
    """One agent, as it is at the moment of asking."""

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


@frozen(kw_only=True)
class Removed:
    """What became of a request to forget many agents."""

    removed: int
    """Agents that were forgotten."""


@frozen(kw_only=True)
class GroupSummary:
    """How many agents of a group there are by status, and how many hold a stream."""

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
    """Whom a command is meant for: one agent, the LIVE ones of a group, or all that are LIVE.

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


@frozen(kw_only=True)
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
    """Agents the command was issued for, a list frozen then."""
    connected_count: int
    """How many of them held an open stream then."""
    skipped: tuple[str, ...]
    """Agents left out because they had too many pending commands."""
    counts: Mapping[DeliveryState, int]
    """Deliveries by state; they add up to ``target_count``."""
    outcomes: Mapping[Outcome, int]
    """Acknowledgements by what they say; they add up to those that ``counts`` has."""
    issued_by: str | None
    """Who issued it, by an id; null if the server does not know who asks."""


@frozen(kw_only=True)
class ListedCommand(Command):
    """A command in a list, which leaves out a payload of more than 4 KiB."""

    payload: JsonObject = field(factory=dict, metadata={"sparse": True})
    """Left out if it takes more than 4 KiB as JSON; `payload_truncated` says so."""
    payload_truncated: bool = field(default=False, metadata={"sparse": True})
    """Present, and true, if the payload is left out."""


@frozen(kw_only=True)
class Delivery:
    """One command for one agent."""

    agent_id: str
    status: DeliveryState
    delivered_at: datetime | None
    """When the event was written to an open stream; no more is known from it."""
    acknowledged_at: datetime | None
    late_ack_at: datetime | None
    """When the first acknowledgement after the deadline came."""
    result: Ack | None


@frozen(kw_only=True)
class CommandEvent:
    """The ``data`` of an event on an agent's stream."""

    command_id: str
    type: CommandType
    payload: JsonObject
    created_at: datetime
    expires_at: datetime


@frozen(kw_only=True)
class AgentDelivery(CommandEvent):
    """One command for one agent: all that the event would have said, and what became of it."""

    agent_id: str
    status: DeliveryState
    delivered_at: datetime | None
    acknowledged_at: datetime | None
    late_ack_at: datetime | None
    result: Ack | None
    signed: str | None = field(default=None, metadata=ABSENT)
    """The signed line of its event while it is PENDING: an agent that knows the registry's root key
    believes nothing else. It is there if something is signed."""


@frozen(kw_only=True)
class Resumed:
    """What a server found that went on where an earlier process had ended."""

    away_from: datetime
    """The last moment at which the earlier process is known to have run."""
    away_until: datetime
    """When this one took over."""
    agents: int
    """Agents that it found."""
    not_back: int
    """Of those that were LIVE or STALE then, how many have not been heard since."""


@frozen(kw_only=True)
class Server:
    """The server that answers."""

    name: str | None
    """What it is called, by its setting `name`."""
    color: str | None
    """The colour in which to show that, by its setting `name_color`: `#rrggbb` or a name that CSS
    knows."""
    version: str
    """Its release."""
    instance: str
    """The process, as in `X-Cameleer-Instance`."""
    started_at: datetime
    """When it was started."""
    uptime_ms: int
    """Milliseconds since then, whatever became of the clock on the wall."""
    resumed: Resumed | None = None
    """What it found of an earlier process; null if it found nothing, or keeps nothing."""
