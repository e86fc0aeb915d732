"""Refusals: which an address can answer with, and their form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ...errors import (
    AgentNotRegistered,
    AtCapacity,
    BodyTooLarge,
    CredentialInUrl,
    CredentialRevoked,
    CrossSiteRequest,
    Fault,
    GroupNotAllowed,
    GroupNotFound,
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
    Unauthenticated,
    UnknownHost,
    UnsupportedEncoding,
    UnsupportedProtocolVersion,
)
from ...security.principals import OWN, Permission
from ...wire.faults import FAULTS_NAMED
from ..access import Rests
from ..gate import SAFE
from ..problems import MEDIA_TYPE, details, type_of
from . import examples
from .schemas import Schema, Schemas
from .terms import Operation

Kind = type[RegistryError]

_ANYWHERE: Final[tuple[Kind, ...]] = (InvalidRequest, MethodNotAllowed, InternalError)
"""A request may be no HTTP, ask with another method, or find a mistake of ours."""

_WITH_A_BODY: Final[tuple[Kind, ...]] = (
    MalformedJson,
    RequestTimeout,
    BodyTooLarge,
    UnsupportedEncoding,
)

_HEADERS: Final[Mapping[Kind, str]] = {
    MethodNotAllowed: "Allow",
    AtCapacity: "Retry-After",
    TooManyFeeds: "Retry-After",
    StorageUnavailable: "Retry-After",
    StorageSlow: "Retry-After",
    NotInContact: "Retry-After",
    NodeBehind: "Retry-After",
    OutcomeUnknown: "Retry-After",
    TooManyAttempts: "Retry-After",
    **dict.fromkeys(
        (Unauthenticated, InvalidToken, TokenExpired, CredentialRevoked), "WWW-Authenticate"
    ),
}

_EXAMPLES: Final[Mapping[Kind, RegistryError]] = {type(error): error for error in examples.PROBLEMS}


def possible(method: str, path: str, operation: Operation) -> list[Kind]:
    """Return every refusal that an address can answer with, in order of status and code."""
    kinds = {*_ANYWHERE, *operation.problems}
    if not operation.access.any_host:
        kinds.add(UnknownHost)
    access = operation.access
    if not (access.any_host and access.needs is None):
        kinds.add(ProxiedWithoutAuth)
    kinds |= {CredentialInUrl, InvalidToken, TokenExpired, CredentialRevoked}
    if access.needs is not None:
        kinds |= {Unauthenticated, InsufficientRole}
    if "{agentId}" in path:
        kinds |= {NotYourAgent, AgentNotRegistered}
        if access.needs in OWN:
            kinds.add(GroupNotAllowed)
    if "{group}" in path:
        kinds.add(GroupNotFound)
    if operation.access.rests is Rests.DONE:
        kinds.update((StorageUnavailable, StorageSlow, NotInContact, NodeBehind, OutcomeUnknown))
    elif operation.access.rests is Rests.READ:
        # What was read may be less than what was answered before, by this node or another one.
        kinds.update((StorageUnavailable, NotInContact, NodeBehind))
        if operation.access.changes:
            kinds.add(OutcomeUnknown)
    elif operation.access.unfailing:
        # Only for a node that has been cut off for half a minute, and whose streams have ended.
        kinds.add(NotInContact)
    elif access.needs is not None:
        kinds.update((NotInContact, NodeBehind))
        if access.needs is Permission.ACT:  # a heartbeat may change a status
            kinds.add(OutcomeUnknown)
    if operation.access.versioned:
        kinds.add(UnsupportedProtocolVersion)
    if method not in SAFE:
        kinds.add(CrossSiteRequest)
    if operation.body is not None:
        kinds.update(_WITH_A_BODY)
    if "{" in path:  # what is filled in may be nothing, or a word that is no agent id
        kinds.add(NotFound)
    return sorted(kinds, key=lambda kind: (kind.status, kind.code))


def headers_of(kinds: Iterable[Kind]) -> list[str]:
    """Return the names of the headers that come with such refusals only."""
    return list(dict.fromkeys(_HEADERS[kind] for kind in kinds if kind in _HEADERS))


def description_of(kinds: Iterable[Kind]) -> str:
    """Say what such refusals mean, in Markdown."""
    return "\n".join(f"- `{kind.code}`: {_meaning_of(kind)}" for kind in kinds)


def content_of(kinds: Iterable[Kind], schemas: Schemas) -> Schema:
    """Return the content of a response that is one of these refusals."""
    references = {kind.code: _schema_of(kind, schemas) for kind in kinds}
    schema: Schema = next(iter(references.values()))
    if len(references) > 1:
        mapping = {type_of(code): one["$ref"] for code, one in references.items()}
        schema = {
            "oneOf": list(references.values()),
            "discriminator": {"propertyName": "type", "mapping": mapping},
        }
    shown = {kind.code: {"value": details(_EXAMPLES[kind])} for kind in kinds}
    return {MEDIA_TYPE: {"schema": schema, "examples": shown}}


def _schema_of(kind: Kind, schemas: Schemas) -> Schema:
    problem = schemas.named("Problem", lambda: _problem(schemas))
    particular: dict[str, Any] = {
        "properties": {"type": {"const": type_of(kind.code)}, "status": {"const": kind.status}}
    }
    if kind is InvalidRequest:
        particular["required"] = ["errors"]
    return schemas.named(
        kind.__name__, lambda: {"description": _meaning_of(kind), "allOf": [problem, particular]}
    )


def _problem(schemas: Schemas) -> Schema:
    return {
        "description": "Why a request was refused (RFC 9457).",
        "type": "object",
        "properties": {
            "type": {
                "description": "Ends in the code, which is what programs should look at.",
                "type": "string",
                "format": "uri",
            },
            "title": {"description": "For people; always the same for a code.", "type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"description": "For people; describes this case.", "type": "string"},
            "errors": {
                "description": "The faults of a refused body or query.",
                "type": "array",
                "items": schemas.of(Fault),
                "minItems": 1,
                "maxItems": FAULTS_NAMED + 1,
            },
            "commandId": {
                "description": "With `outcome-unknown`: the command that may have been issued.",
                "type": "string",
            },
        },
        "required": ["type", "title", "status", "detail"],
    }


def _meaning_of(kind: Kind) -> str:
    return (kind.__doc__ or "").partition("\n")[0].replace("``", "`")
