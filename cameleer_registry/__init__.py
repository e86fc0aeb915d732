"""An agent registry and command-push server for Apache Camel observability agents.

::

    from cameleer_registry import NODE, Order, Settings, Target, create_app

    registry = create_app(Settings(stale_after=45))
    parent.add_subapp("/registry/", registry)
    …
    await registry[NODE].issue(Order(type="deep-trace"), Target.of_group("order-service-prod"))

What is imported from here is the public API; every other module may change between releases.
"""

from .core.model import (
    Ack,
    Agent,
    AgentConfig,
    AgentDelivery,
    AgentStatus,
    AgentTarget,
    AllTarget,
    Command,
    CommandEvent,
    CommandStatus,
    CommandType,
    Delivery,
    DeliveryState,
    GroupSummary,
    GroupTarget,
    ListedCommand,
    Order,
    Outcome,
    Registration,
    Target,
    TargetLevel,
    Welcome,
)
from .core.selection import CommandSelection, LapsedAgents
from .errors import (
    AgentNotRegistered,
    AtCapacity,
    BodyTooLarge,
    CommandExpired,
    CommandNotFound,
    CrossSiteRequest,
    Fault,
    GroupNotFound,
    IdempotencyKeyReused,
    InternalError,
    InvalidRequest,
    MalformedJson,
    MethodNotAllowed,
    NotFound,
    RegistryError,
    RequestTimeout,
    ServerUnreachable,
    SettingsError,
    TooManyFeeds,
    TooManyPending,
    UnexpectedAnswer,
    UnknownHost,
    UnsupportedEncoding,
    UnsupportedProtocolVersion,
)
from .node.node import Node
from .settings import Settings
from .version import __version__
from .web.app import create_app
from .web.app_keys import NODE

__all__ = [
    "NODE",
    "Ack",
    "Agent",
    "AgentConfig",
    "AgentDelivery",
    "AgentNotRegistered",
    "AgentStatus",
    "AgentTarget",
    "AllTarget",
    "AtCapacity",
    "BodyTooLarge",
    "Command",
    "CommandEvent",
    "CommandExpired",
    "CommandNotFound",
    "CommandSelection",
    "CommandStatus",
    "CommandType",
    "CrossSiteRequest",
    "Delivery",
    "DeliveryState",
    "Fault",
    "GroupNotFound",
    "GroupSummary",
    "GroupTarget",
    "IdempotencyKeyReused",
    "InternalError",
    "InvalidRequest",
    "LapsedAgents",
    "ListedCommand",
    "MalformedJson",
    "MethodNotAllowed",
    "Node",
    "NotFound",
    "Order",
    "Outcome",
    "Registration",
    "RegistryError",
    "RequestTimeout",
    "ServerUnreachable",
    "Settings",
    "SettingsError",
    "Target",
    "TargetLevel",
    "TooManyFeeds",
    "TooManyPending",
    "UnexpectedAnswer",
    "UnknownHost",
    "UnsupportedEncoding",
    "UnsupportedProtocolVersion",
    "Welcome",
    "__version__",
    "create_app",
]
