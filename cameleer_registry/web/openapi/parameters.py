"""Parameters and headers, each stated once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...core import rules
from ...core.feed import FeedType
from ...core.model import AgentStatus, CommandStatus, CommandType, DeliveryState
from ...core.selection import LAPSED
from ...instance import HEADER as INSTANCE_HEADER
from ...security.keys import Use
from ..answers import SUPPORTED_VERSIONS, TIME_HEADER, VERSION_HEADER
from ..idempotency import HEADER as IDEMPOTENCY_HEADER
from ..problems import RETRY_AFTER
from ..query import LARGEST_NUMBER, LONGEST_WAIT
from .schemas import COMMAND_ID, IDENTIFIER
from .terms import Header, Parameter

# In addresses, by the names that stand in braces there

IN_PATHS: Final[Mapping[str, Parameter]] = {
    parameter.name: parameter
    for parameter in (
        Parameter(
            name="agentId",
            where="path",
            # Its reserved words are not excluded: they make other addresses, which come first.
            shape=IDENTIFIER,
            description="An agent.",
            example="order-service-1",
        ),
        Parameter(
            name="group",
            where="path",
            shape=rules.GroupName,
            description="A group that an agent has declared.",
            example="order-service-prod",
        ),
        Parameter(
            name="commandId",
            where="path",
            shape=COMMAND_ID,
            description="A command, by the id in the answer to issuing it.",
            example="01a2090e-3fdd-751c-a875-3287a4af1059",
        ),
        Parameter(
            name="tokenId",
            where="path",
            shape=str,
            description="A token, by the id in the answer to making it.",
            example="01a2090e-3fdd-751c-a875-3287a4af1060",
        ),
        Parameter(
            name="keyId",
            where="path",
            shape=str,
            description="A key, by its thumbprint.",
            example="1IG2tMH7J2wbJZnO8VQYnI8ImxRHq1zQYpTVO8_cOvM",
        ),
        Parameter(
            name="use",
            where="path",
            shape=Use,
            description="What the key signs.",
            example="command",
        ),
    )
}

# In queries


def _any_of(name: str, shape: Any, description: str, example: str) -> Parameter:
    return Parameter(
        name=name,
        where="query",
        shape=tuple[shape, ...],
        description=f"{description} Repeated, comma-separated, or both.",
        example=[example],
    )


AGENT_STATUSES: Final = _any_of(
    "status", AgentStatus, "Only agents of these statuses, in any case.", "LIVE"
)
LAPSED_STATUSES: Final = Parameter(
    name="status",
    where="query",
    shape={
        "type": "array",
        "items": {"type": "string", "enum": [str(status) for status in sorted(LAPSED)]},
        "minItems": 1,
    },
    description="Agents of these statuses, in any case. Repeated, comma-separated, or both.",
    example=["DEAD"],
    required=True,
)
GROUPS_TO_FORGET: Final = _any_of(
    "group", rules.GroupName, "Only agents of these groups.", "order-service-prod"
)
COMMAND_STATUSES: Final = _any_of(
    "status", CommandStatus, "Only commands of these statuses, in any case.", "PENDING"
)
COMMAND_TYPES: Final = _any_of(
    "type", CommandType, "Only commands of these types, in any case.", "config-update"
)
COMMAND_TARGETS: Final = _any_of(
    "agentId",
    rules.AgentId,
    "Only commands that were issued for one of these agents, whatever has become of it.",
    "order-service-1",
)
COMMAND_GROUPS: Final = _any_of(
    "group",
    rules.GroupName,
    "Only commands that were meant for one of these groups, or for an agent that was in one of "
    "them when the command was issued.",
    "order-service-prod",
)
BEFORE: Final = Parameter(
    name="before",
    where="query",
    shape=COMMAND_ID,
    description="Only commands that were issued before this one, which may be forgotten by now.",
    example="01a2090e-3fdd-751c-a875-3287a4af1059",
)
DELIVERY_STATES: Final = _any_of(
    "status", DeliveryState, "Only deliveries in these states, in any case.", "PENDING"
)
EVENT_TYPES: Final = _any_of(
    "types", FeedType, "Only events of these types, in any case.", "agent-status"
)
EVENT_GROUPS: Final = _any_of(
    "group", rules.GroupName, "Only events about these groups.", "order-service-prod"
)
LAST_EVENT_ID_IN_QUERY: Final = Parameter(
    name="lastEventId",
    where="query",
    shape=str,
    description="For clients that cannot set the header `Last-Event-ID`, which counts first.",
    example="1795448257000017",
)
GROUPS: Final = _any_of("group", str, "Only agents of these groups.", "order-service-prod")
LIMIT: Final = Parameter(
    name="limit",
    where="query",
    shape={"type": "integer", "minimum": 1, "maximum": LARGEST_NUMBER},
    description="At most so many; where more follow, the answer has a `Link` to the next page.",
    example=100,
)
AFTER: Final = Parameter(
    name="after",
    where="query",
    shape=str,
    description="Only agents that follow this id, which need not be one of an agent.",
    example="order-service-1",
)
WAIT: Final = Parameter(
    name="wait",
    where="query",
    shape={"type": "number", "minimum": 0, "maximum": LONGEST_WAIT},
    description="Seconds that the answer may take until nothing of the command is PENDING.",
    example=2.5,
)

# In the heads of requests

VERSION: Final = Parameter(
    name=VERSION_HEADER,
    where="header",
    shape={"type": "string", "enum": list(SUPPORTED_VERSIONS)},
    description="The version of the protocol that the client speaks.",
    example=SUPPORTED_VERSIONS[-1],
)
IDEMPOTENCY_KEY: Final = Parameter(
    name=IDEMPOTENCY_HEADER,
    where="header",
    # In quotes or without them; without, some characters cannot be told from the syntax.
    shape={
        "type": "string",
        "pattern": r'^("([ !#-\[\]-~]|\\["\\]){1,255}"|[!#-+.-:<-\[\]-~-]{1,255})$',
    },
    description="A key of the client's own: the same request with the same key, within an hour, "
    "is answered with the same command, which is issued once.",
    example='"8e03978e-40d5-43e8-bc93-6894a57f9324"',
)
LAST_EVENT_ID: Final = Parameter(
    name="Last-Event-ID",
    where="header",
    shape=str,
    description="The last event that was seen. The feed goes on behind it; an agent's stream "
    "accepts it, and replays nothing.",
    example="01a2090e-3fdd-751c-a875-3287a4af1059",
)

# In the heads of responses

OF_EVERY_RESPONSE: Final = (VERSION_HEADER, INSTANCE_HEADER, TIME_HEADER, "Cache-Control")

HEADERS: Final[Mapping[str, Header]] = {
    VERSION_HEADER: Header(
        description="The version of the protocol that the server speaks.",
        schema={"type": "string", "const": SUPPORTED_VERSIONS[-1]},
        example=SUPPORTED_VERSIONS[-1],
    ),
    INSTANCE_HEADER: Header(
        description="The process that answered, drawn at random when it was started.",
        schema={"type": "string", "pattern": "^[0-9a-f]{8}$"},
        example="5f0c1a9e",
    ),
    TIME_HEADER: Header(
        description="The server's time of day when it answered. Deadlines are judged by it: a "
        "`Date` may be that of a proxy.",
        schema={"type": "string", "format": "date-time"},
        example="2026-11-23T08:15:30.123Z",
    ),
    "Cache-Control": Header(
        description="Answers are of the moment; those of streams are not to be transformed.",
        schema={"type": "string", "enum": ["no-store", "no-store, no-transform"]},
        example="no-store",
    ),
    "Link": Header(
        description="The next page, where there is one (RFC 8288).",
        schema={"type": "string", "pattern": '^<[^>]+>; rel="next"$'},
        example='</api/v1/agents?limit=1&after=order-service-1>; rel="next"',
        required=False,
    ),
    "Retry-After": Header(
        description="Seconds after which to try again, drawn anew each time.",
        schema={"type": "integer", "minimum": RETRY_AFTER[0], "maximum": RETRY_AFTER[1]},
        example=RETRY_AFTER[0],
    ),
    "WWW-Authenticate": Header(
        description="How to show a credential (RFC 6750).",
        schema={"type": "string", "pattern": "^Bearer( |$)"},
        example="Bearer",
    ),
    "Set-Cookie": Header(
        description="The session, which no script can read.",
        schema={"type": "string"},
        example="cameleer-e3b0c442=…; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict",
    ),
    "Allow": Header(
        description="The methods that the address takes.",
        schema={"type": "string", "pattern": "^[A-Z]+(, [A-Z]+)*$"},
        example="GET, HEAD",
    ),
    "X-Accel-Buffering": Header(
        description="Asks nginx to pass on each event at once.",
        schema={"type": "string", "const": "no"},
        example="no",
    ),
}
