"""All refusals of this project, as exceptions with their wire code and HTTP status.

::

    RegistryError
    ├── MalformedJson               400 malformed-json
    ├── InvalidRequest              400 invalid-request
    ├── UnsupportedProtocolVersion  400 unsupported-protocol-version
    ├── CredentialInUrl             400 credential-in-url
    ├── Unauthenticated             401 unauthenticated
    │   ├── InvalidToken            401 invalid-token
    │   ├── TokenExpired            401 token-expired
    │   └── CredentialRevoked       401 credential-revoked
    ├── CrossSiteRequest            403 cross-site-request
    ├── GroupNotAllowed             403 group-not-allowed
    ├── InsufficientRole            403 insufficient-role
    ├── NotYourAgent                403 not-your-agent
    ├── ProxiedWithoutAuth          403 proxied-without-auth
    ├── NotFound                    404 not-found
    │   ├── AgentNotRegistered      404 agent-not-registered
    │   ├── GroupNotFound           404 group-not-found
    │   └── CommandNotFound         404 command-not-found
    ├── MethodNotAllowed            405 method-not-allowed
    ├── RequestTimeout              408 request-timeout
    ├── AgentIdInUse                409 agent-id-in-use
    ├── AuthOff                     409 auth-off
    ├── CommandExpired              410 command-expired
    ├── BodyTooLarge                413 body-too-large
    ├── UnsupportedEncoding         415 unsupported-content-encoding
    ├── UnknownHost                 421 unknown-host
    ├── IdempotencyKeyReused        422 idempotency-key-reused
    ├── TooManyAttempts             429 too-many-attempts
    ├── TooManyPending              429 too-many-pending
    ├── InternalError               500 internal-error
    ├── AtCapacity                  503 at-capacity
    ├── TooManyFeeds                503 too-many-feeds
    ├── StorageUnavailable          503 storage-unavailable
    │   └── StorageSlow             503 storage-slow
    ├── NotInContact                503 not-in-contact
    ├── NodeBehind                  503 node-behind
    └── OutcomeUnknown              503 outcome-unknown
    SettingsError                   (never on the wire: the server does not start)
    CannotListen                    (likewise)
    CannotOpenDatabase              (likewise)
    CannotJoin                      (likewise)
    └── NodeNameInUse               (likewise)
    ServerUnreachable               (raised by the client: no answer came)
    └── UnexpectedAnswer            (likewise: an answer came, but not from a registry)

The web layer reads ``status``, ``code`` and ``title``, and knows none of these classes by name. The
client raises them again from the server's answers: :meth:`RegistryError.told`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from attrs import frozen


@frozen
class Fault:
    """One fault of a request: its place (``$.routeIds[2]``), and what is wrong there."""

    path: str
    message: str


class RegistryError(Exception):
    """The base of every refusal. ``str()`` of it is the problem's ``detail``."""

    status: int = 500
    code: str = "internal-error"
    title: str = "Internal error"
    # Every fault of a refused body or query; empty if the refusal is about something else.
    errors: tuple[Fault, ...] = ()
    # Seconds after which to try again, if a server has said so; otherwise None.
    retry_after: float | None = None
    # The id of the command that may have been issued, if that is what is not known.
    command_id: str | None = None
    # True if many nodes share the registry and their log has settled it: no other knows better.
    settled: bool = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @staticmethod
    def told(
        *,
        code: str,
        status: int,
        title: str,
        detail: str,
        errors: Iterable[Fault] = (),
        retry_after: float | None = None,
        command_id: str | None = None,
    ) -> RegistryError:
        """Return the exception that a server has raised: the class of that code, with its texts.

        An unknown code, from a newer server, makes a plain RegistryError that carries the code.
        """
        kind = next((kind for kind in _kinds(RegistryError) if kind.code == code), RegistryError)
        error = kind.__new__(kind, detail)
        RegistryError.__init__(error, detail)
        error.code, error.status, error.title = code, status, title
        error.errors, error.retry_after = tuple(errors), retry_after
        if command_id is not None:
            error.command_id = command_id
        return error


def _kinds(base: type[RegistryError]) -> Iterator[type[RegistryError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


class MalformedJson(RegistryError):
    """The body is not JSON, is not UTF-8, or is missing."""

    status = 400
    code = "malformed-json"
    title = "The body is not JSON"


class InvalidRequest(RegistryError):
    """The request can be parsed, but is not what this address takes."""

    status = 400
    code = "invalid-request"
    title = "The request is not valid"

    def __init__(self, errors: Iterable[Fault]) -> None:
        faults = tuple(errors)
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{faults[0].path}: {faults[0].message}{more}")
        self.errors = faults


class UnsupportedProtocolVersion(RegistryError):
    """The client speaks a version of the protocol that this server does not."""

    status = 400
    code = "unsupported-protocol-version"
    title = "Unsupported protocol version"


class CredentialInUrl(RegistryError):
    """The address contains a credential, which logs and histories would keep."""

    status = 400
    code = "credential-in-url"
    title = "A credential in the URL"

    def __init__(self, parameter: str = "token") -> None:
        super().__init__(
            f"send the credential in the header Authorization: Bearer, not as ?{parameter}=;"
            " others may know the one that was sent"
        )


class Unauthenticated(RegistryError):
    """The address needs a credential, and none was sent."""

    status = 401
    code = "unauthenticated"
    title = "A credential is needed"
    # The value of WWW-Authenticate (RFC 6750, section 3).
    challenge: str = "Bearer"
    # The detail, unless there is more to say.
    usual: str = "send a token in the header Authorization: Bearer"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(self.usual if detail is None else detail)


class InvalidToken(Unauthenticated):
    """The credential is malformed, or not one of this registry's."""

    code = "invalid-token"
    title = "The credential is not valid"
    challenge = 'Bearer error="invalid_token"'
    usual = "the token is not one of this registry's"


class TokenExpired(Unauthenticated):
    """The credential was good, but its time or its uses are over."""

    code = "token-expired"
    title = "The credential has expired"
    challenge = 'Bearer error="invalid_token", error_description="the token has expired"'
    usual = "the token has expired"


class CredentialRevoked(Unauthenticated):
    """The credential was good, but has been revoked."""

    code = "credential-revoked"
    title = "The credential is revoked"
    challenge = 'Bearer error="invalid_token", error_description="the token is revoked"'
    usual = "the token is revoked"


class CrossSiteRequest(RegistryError):
    """A browser on another site asks for a change."""

    status = 403
    code = "cross-site-request"
    title = "Cross-site request refused"


class GroupNotAllowed(RegistryError):
    """The group, or the agent's present group, is outside of the credential's scope."""

    status = 403
    code = "group-not-allowed"
    title = "Group not allowed"

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"the credential does not let {agent_id!r} be registered in that group")


class InsufficientRole(RegistryError):
    """The credential is good, but its role does not allow this."""

    status = 403
    code = "insufficient-role"
    title = "The role does not allow it"

    def __init__(self, role: str, permission: str, *, scope: bool = False) -> None:
        super().__init__(
            f"{permission!s} for all groups needs a credential with the scope '*'"
            if scope
            else f"the role '{role!s}' does not have the permission '{permission!s}'"
        )


class NotYourAgent(RegistryError):
    """An agent asks for another agent, which may or may not exist."""

    status = 403
    code = "not-your-agent"
    title = "Not your agent"

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"the credential does not belong to agent {agent_id!r}")


class ProxiedWithoutAuth(RegistryError):
    """The request came through a proxy, and the server is open to everybody."""

    status = 403
    code = "proxied-without-auth"
    title = "A proxy in front of a server without credentials"

    def __init__(self, header: str) -> None:
        super().__init__(
            f"the request has {header}, and a proxy would open this server to everybody:"
            ' run "cameleer-registry auth init", or start it with --auth off'
        )


class NotFound(RegistryError):
    """There is nothing at this address."""

    status = 404
    code = "not-found"
    title = "Not found"


class AgentNotRegistered(NotFound):
    """There is no such agent: it should register (again)."""

    code = "agent-not-registered"
    title = "Agent not registered"

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"agent {agent_id!r} is not registered")


class GroupNotFound(NotFound):
    """No agent has ever declared that group."""

    code = "group-not-found"
    title = "Group not found"

    def __init__(self, group: str) -> None:
        super().__init__(f"no agent has ever declared the group {group!r}")


class CommandNotFound(NotFound):
    """There is no such command (any more), or it was not for this agent."""

    code = "command-not-found"
    title = "Command not found"

    def __init__(self, command_id: str, *, agent_id: str | None = None) -> None:
        of_agent = f" for agent {agent_id!r}" if agent_id is not None else ""
        super().__init__(f"there is no command {command_id!r}{of_agent}")


class MethodNotAllowed(RegistryError):
    """The address exists, but does not take this method."""

    status = 405
    code = "method-not-allowed"
    title = "Method not allowed"


class RequestTimeout(RegistryError):
    """The body did not arrive in time."""

    status = 408
    code = "request-timeout"
    title = "The body did not arrive in time"


class AgentIdInUse(RegistryError):
    """The agent is LIVE, and the token may take over only agents that are not."""

    status = 409
    code = "agent-id-in-use"
    title = "Agent id in use"

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"agent {agent_id!r} is LIVE, and this token may not take it over")


class AuthOff(RegistryError):
    """The server asks for no credentials, so none can be made or shown."""

    status = 409
    code = "auth-off"
    title = "Authentication is off"

    def __init__(self) -> None:
        super().__init__(
            'this server asks for no credentials; "cameleer-registry auth init" changes that'
        )


class CommandExpired(RegistryError):
    """The acknowledgement came after the deadline."""

    status = 410
    code = "command-expired"
    title = "Command expired"

    def __init__(self, command_id: str, *, agent_id: str) -> None:
        super().__init__(f"command {command_id!r} has expired for agent {agent_id!r}")


class BodyTooLarge(RegistryError):
    """The body is larger than ``max_body``."""

    status = 413
    code = "body-too-large"
    title = "The body is too large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


class UnsupportedEncoding(RegistryError):
    """The body is compressed, which the server does not undo."""

    status = 415
    code = "unsupported-content-encoding"
    title = "Unsupported content encoding"

    def __init__(self, encoding: str) -> None:
        super().__init__(f"the body is encoded as {encoding!r}; send it without an encoding")


class UnknownHost(RegistryError):
    """The request names a host that this server does not know as its own."""

    status = 421
    code = "unknown-host"
    title = "Unknown host"

    def __init__(self, host: str) -> None:
        super().__init__(
            f"this server is not known as {host[:255]!r}; the settings allowed_hosts, public_url "
            "and host are the names by which it may be addressed"
        )


class IdempotencyKeyReused(RegistryError):
    """The same ``Idempotency-Key`` was used for a different command."""

    status = 422
    code = "idempotency-key-reused"
    title = "Idempotency key reused"

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} was used for a different command")


class TooManyAttempts(RegistryError):
    """Too many sign-ins from that address have failed recently."""

    status = 429
    code = "too-many-attempts"
    title = "Too many attempts"

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many sign-ins have failed; try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class TooManyPending(RegistryError):
    """The agent already has ``max_pending_per_agent`` pending commands."""

    status = 429
    code = "too-many-pending"
    title = "Too many pending commands"

    def __init__(self, agent_id: str, limit: int) -> None:
        super().__init__(f"agent {agent_id!r} already has {limit} pending commands")


class InternalError(RegistryError):
    """Something else went wrong; the log has the traceback."""


class AtCapacity(RegistryError):
    """The registry already has ``max_agents`` agents."""

    status = 503
    code = "at-capacity"
    title = "The registry is full"

    def __init__(self, agent_id: str, limit: int) -> None:
        super().__init__(f"agent {agent_id!r} is new and the registry is full ({limit} agents)")


class TooManyFeeds(RegistryError):
    """The operators' feed already has ``max_feeds`` followers."""

    status = 503
    code = "too-many-feeds"
    title = "Too many followers of the feed"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the feed already has {limit} followers")


class StorageUnavailable(RegistryError):
    """The change could not be stored, so nothing was done: the disk is full, or has failed."""

    status = 503
    code = "storage-unavailable"
    title = "Nothing can be stored"


class StorageSlow(StorageUnavailable):
    """Too much waits to be stored: the disk is too slow for the requests."""

    code = "storage-slow"
    title = "The storage is too slow"


class NotInContact(RegistryError):
    """The node is cut off from the others, so it has changed nothing, and will not."""

    status = 503
    code = "not-in-contact"
    title = "The node is cut off from the others"


class NodeBehind(RegistryError):
    """The node does not know yet what another one has answered; in a moment it will."""

    status = 503
    code = "node-behind"
    title = "The node is behind the others"


class OutcomeUnknown(RegistryError):
    """Whether something has been done cannot be known at present: no answer came from the log."""

    status = 503
    code = "outcome-unknown"
    title = "The outcome is unknown"

    def __init__(self, detail: str, *, command_id: str | None = None) -> None:
        super().__init__(detail)
        self.command_id = command_id


class SettingsError(ValueError):
    """A setting is invalid. ``str()`` of it is one line that says which and why."""


class CannotListen(Exception):
    """The server cannot listen on the address. ``str()`` of it is one line with the reason."""


class CannotOpenDatabase(Exception):
    """The database cannot be used. ``str()`` of it is one line that names it and says why."""


class CannotJoin(Exception):
    """A node cannot take part in its cluster. ``str()`` of it is one line that says why."""


class NodeNameInUse(CannotJoin):
    """Another node of that name takes part."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"another node takes part under the name {name!r}; "
            "give this one a --node-name of its own"
        )


class ServerUnreachable(Exception):
    """No answer came: no connection, or it broke, or it took too long. ``str()`` says which."""


class UnexpectedAnswer(ServerUnreachable):
    """Something other than a registry answered: a proxy's error page, another service.

    ``status`` is that of the answer; None if the answer is a success of the wrong form.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def reason_of(error: OSError) -> str:
    """Return why the system refused something, in the system's words.

    asyncio wraps these in a sentence of its own; getaddrinfo's codes are below 0.
    """
    code = error.errno or 0
    return os.strerror(code) if code > 0 else error.strerror or str(error)
