"""One story in all examples: an order service, its group, and a command to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import attrs
from attrs import asdict, evolve

from ... import wire
from ...core.commands import outcomes
from ...core.feed import AgentStatusEvent, FeedEvent, FeedType
from ...core.model import (
    Ack,
    Agent,
    AgentConfig,
    AgentCredential,
    AgentDelivery,
    AgentStatus,
    Command,
    CommandEvent,
    CommandStatus,
    CommandType,
    Delivery,
    DeliveryState,
    GroupSummary,
    ListedCommand,
    Order,
    Registration,
    Target,
    Welcome,
)
from ...core.rules import AgentId, GroupName, Label, Note
from ...errors import (
    AgentIdInUse,
    AgentNotRegistered,
    AtCapacity,
    AuthOff,
    BodyTooLarge,
    CommandExpired,
    CommandNotFound,
    CredentialInUrl,
    CredentialRevoked,
    CrossSiteRequest,
    Fault,
    GroupNotAllowed,
    GroupNotFound,
    IdempotencyKeyReused,
    InsufficientRole,
    InternalError,
    InvalidRequest,
    InvalidToken,
    MalformedJson,
    MethodNotAllowed,
    NodeBehind,
    NotFound,
    NotInContact,
    NotYourAgent,
    OutcomeUnknown,
    ProxiedWithoutAuth,
    RegistryError,
    RequestTimeout,
    StorageSlow,
    StorageUnavailable,
    TokenExpired,
    TooManyAttempts,
    TooManyFeeds,
    TooManyPending,
    Unauthenticated,
    UnknownHost,
    UnsupportedEncoding,
    UnsupportedProtocolVersion,
)
from ...node.streams import frames
from ...security.model import (
    AuthShown,
    PrincipalShown,
    SessionCode,
    TokenMade,
    TokenRequest,
    TokenShown,
    TokenStatus,
)
from ...security.principals import Reclaim, Role

_REGISTERED: Final = datetime(2026, 11, 23, 15, 37, 37, 966000, tzinfo=UTC)
_ISSUED: Final = datetime(2026, 11, 23, 15, 37, 38, 525000, tzinfo=UTC)
_EXPIRES: Final = datetime(2026, 11, 23, 15, 38, 38, 525000, tzinfo=UTC)
_DELIVERED: Final = datetime(2026, 11, 23, 15, 37, 38, 526000, tzinfo=UTC)
_ACKNOWLEDGED: Final = datetime(2026, 11, 23, 15, 37, 38, 570000, tzinfo=UTC)

_AGENT: Final = "order-service-1"
_GROUP: Final = "order-service-prod"
_TOKEN: Final = "01a2090e-3fdd-751c-a875-3287a4af1060"  # noqa: S105 - an id
_COMMAND: Final = "01a2090e-3fdd-751c-a875-3287a4af1059"

REGISTRATION: Final = Registration(
    agent_id=AgentId(_AGENT),
    group=GroupName(_GROUP),
    name=Label("Order service"),
    version=Note("4.8.1"),
    route_ids=(Label("orders-in"), Label("orders-out")),
    capabilities={"replay": True, "deep-trace": True},
    instance_id=Note("7f3c"),
)
WELCOME: Final = Welcome(
    agent_id=_AGENT,
    status=AgentStatus.LIVE,
    resumed=False,
    sse_endpoint=f"/api/v1/agents/{_AGENT}/events",
    server_public_key=None,
    config=AgentConfig(
        heartbeat_interval_ms=30_000,
        stale_after_ms=90_000,
        dead_after_ms=300_000,
        keepalive_interval_ms=15_000,
        command_ttl_ms=60_000,
    ),
)
CREDENTIAL: Final = AgentCredential(
    access_token="eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJvcmRlci1zIn0.x",  # noqa: S106 - no secret
    expires_in_ms=3_600_000,
    renew_after_ms=2_400_000,
    renewable_for_ms=604_800_000,
)
TOKEN_REQUEST: Final = TokenRequest(role=Role.VIEWER, groups=("order-*",), note=Note("dashboard"))
TOKEN: Final = TokenShown(
    token_id=_TOKEN,
    role=Role.VIEWER,
    groups=("order-*",),
    status=TokenStatus.ACTIVE,
    created_at=_REGISTERED,
    expires_at=None,
    revoked_at=None,
    note="dashboard",
    uses=None,
    used=0,
    reclaim=Reclaim.ALWAYS,
    issued_by=None,
)
TOKEN_MADE: Final = TokenMade(
    **asdict(TOKEN, recurse=False),
    token="camo_4kQ8sVbTn2WxLr9yGfHc3mZpJd7eUa1RoCpD",  # noqa: S106 - no secret
)
SESSION_CODE: Final = SessionCode(
    code="7Qv0m3hZ1oXyT2rKc9sWb5nJd8uLf4aGpEiRxMqVt6k", expires_in_ms=60_000
)
AUTH: Final = AuthShown(
    required=True,
    methods=("token",),
    registry="8e03978e-40d5-43e8-bc93-6894a57f9324",
    principal=PrincipalShown(
        token_id=_TOKEN, role=Role.VIEWER, groups=("order-*",), expires_at=None
    ),
)
KEYS: Final = {
    "registry": "8e03978e-40d5-43e8-bc93-6894a57f9324",
    "version": 1,
    "issuedAt": "2026-11-23T08:15:30.123Z",
    "root": {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg",
        "kid": "1IG2tMH7J2wbJZnO8VQYnI8ImxRHq1zQYpTVO8_cOvM",
    },
    "keys": [
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg",
            "kid": "1IG2tMH7J2wbJZnO8VQYnI8ImxRHq1zQYpTVO8_cOvM",
            "use": "sig",
            "for": "command",
            "status": "active",
            "since": "2026-11-23T08:15:30.123Z",
        }
    ],
    "signs": "keys/1",
    "keyId": "1IG2tMH7J2wbJZnO8VQYnI8ImxRHq1zQYpTVO8_cOvM",
    "signature": "x" * 86,
}
WELCOME_BACK: Final = evolve(WELCOME, resumed=True)
AGENT: Final = Agent(
    agent_id=_AGENT,
    name="Order service",
    group=_GROUP,
    version="4.8.1",
    route_ids=("orders-in", "orders-out"),
    capabilities={"replay": True, "deep-trace": True},
    instance_id="7f3c",
    status=AgentStatus.LIVE,
    connected=True,
    registered_at=_REGISTERED,
    last_heartbeat_at=_REGISTERED,
    status_changed_at=_REGISTERED,
)
GROUP: Final = GroupSummary(group=_GROUP, live=2, stale=0, dead=0, connected=1)

ORDER: Final = Order(type=CommandType.CONFIG_UPDATE, payload={"samplingRate": 0.1})
ACK: Final = Ack(message="applied", data={"samplingRate": 0.1})
DELIVERY: Final = Delivery(
    agent_id=_AGENT,
    status=DeliveryState.ACKNOWLEDGED,
    delivered_at=_DELIVERED,
    acknowledged_at=_ACKNOWLEDGED,
    late_ack_at=None,
    result=ACK,
)
AGENT_DELIVERY: Final = AgentDelivery(
    command_id=_COMMAND,
    type=ORDER.type,
    payload=ORDER.payload,
    created_at=_ISSUED,
    expires_at=_EXPIRES,
    agent_id=_AGENT,
    status=DeliveryState.PENDING,
    delivered_at=_DELIVERED,
    acknowledged_at=None,
    late_ack_at=None,
    result=None,
)
STREAM: Final = (
    "retry: 4961\n: connected\n"
    + frames.event(
        CommandEvent(
            command_id=_COMMAND,
            type=ORDER.type,
            payload=ORDER.payload,
            created_at=_ISSUED,
            expires_at=_EXPIRES,
        )
    ).plain.decode()
)
FEED: Final = (
    "retry: 3214\n: connected\n"
    + frames.lines(
        "1795448257000016", FeedType.POSITION, wire.encode_line(FeedEvent(at=_ISSUED))
    ).decode()
    + frames.lines(
        "1795448257000017",
        FeedType.AGENT_STATUS,
        wire.encode_line(
            AgentStatusEvent(
                at=_EXPIRES,
                agent_id=_AGENT,
                group=_GROUP,
                before=AgentStatus.STALE,
                after=AgentStatus.LIVE,
            )
        ),
    ).decode()
)


def command(target: Target, *, targets: int = 2) -> Command:
    """Return that command, issued to a target."""
    return Command(
        command_id=_COMMAND,
        type=ORDER.type,
        payload=ORDER.payload,
        target=target,
        status=CommandStatus.PENDING,
        created_at=_ISSUED,
        expires_at=_EXPIRES,
        target_count=targets,
        connected_count=1,
        skipped=(),
        counts={
            DeliveryState.PENDING: targets,
            DeliveryState.ACKNOWLEDGED: 0,
            DeliveryState.EXPIRED: 0,
        },
        outcomes=outcomes(acknowledged=0, failed=0),
        issued_by=None,
    )


TO_AGENT: Final = command(Target.agent(_AGENT), targets=1)
TO_GROUP: Final = command(Target.of_group(_GROUP))
TO_ALL: Final = command(Target.all())
LISTED: Final = ListedCommand(**attrs.asdict(TO_GROUP, recurse=False))

PROBLEMS: Final[tuple[RegistryError, ...]] = (
    MalformedJson("unexpected end of data: line 1 column 2 (char 1)"),
    InvalidRequest([Fault("$.routeIds[2]", "expected a string, got null")]),
    UnsupportedProtocolVersion("protocol version '2' is not supported; supported: 1"),
    CredentialInUrl(),
    Unauthenticated(),
    InvalidToken(),
    TokenExpired(),
    CredentialRevoked(),
    CrossSiteRequest("Sec-Fetch-Site is cross-site"),
    GroupNotAllowed(_AGENT),
    InsufficientRole("viewer", "command"),
    NotYourAgent(_AGENT),
    ProxiedWithoutAuth("X-Forwarded-For"),
    NotFound("there is nothing at /api/v1/agents/"),
    AgentNotRegistered(_AGENT),
    GroupNotFound(_GROUP),
    CommandNotFound(_COMMAND),
    MethodNotAllowed("/api/v1/agents takes DELETE, GET, HEAD, not PUT"),
    RequestTimeout("the body did not arrive within 30 seconds"),
    AgentIdInUse(_AGENT),
    AuthOff(),
    CommandExpired(_COMMAND, agent_id=_AGENT),
    BodyTooLarge(1_048_576),
    UnknownHost("evil.example"),
    UnsupportedEncoding("gzip"),
    IdempotencyKeyReused("8e03978e-40d5-43e8-bc93-6894a57f9324"),
    TooManyAttempts(6),
    TooManyPending(_AGENT, 100),
    InternalError("the server's log has the details"),
    AtCapacity(_AGENT, 10_000),
    TooManyFeeds(100),
    StorageUnavailable("storage: the disk is full: 7 MiB are free"),
    StorageSlow("storage: 65 MiB wait to be written"),
    NotInContact("this node has not heard from the others for 17 s; nothing was changed"),
    NodeBehind("this node is at 48211, before 48307"),
    OutcomeUnknown("the log has not answered within 10 s"),
)
"""One of every kind."""
