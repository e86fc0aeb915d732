"""The exception tree: as it is drawn, and as the contract has it."""

from __future__ import annotations

import inspect
import re
from collections import Counter

import attrs
import pytest

import cameleer_registry
from cameleer_registry import errors
from cameleer_registry.errors import Fault, InvalidRequest, RegistryError, SettingsError

CONTRACT = {
    "malformed-json": 400,
    "invalid-request": 400,
    "unsupported-protocol-version": 400,
    "credential-in-url": 400,
    "unauthenticated": 401,
    "invalid-token": 401,
    "token-expired": 401,
    "credential-revoked": 401,
    "cross-site-request": 403,
    "group-not-allowed": 403,
    "insufficient-role": 403,
    "not-your-agent": 403,
    "proxied-without-auth": 403,
    "agent-not-registered": 404,
    "group-not-found": 404,
    "command-not-found": 404,
    "not-found": 404,
    "method-not-allowed": 405,
    "agent-id-in-use": 409,
    "auth-off": 409,
    "command-expired": 410,
    "body-too-large": 413,
    "unknown-host": 421,
    "too-many-attempts": 429,
    "too-many-pending": 429,
    "at-capacity": 503,
    "storage-slow": 503,
    "storage-unavailable": 503,
    "internal-error": 500,
}
"""Every code that the contracts promise, with its status."""

CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == errors.__name__
}
PROBLEMS = [
    kind
    for kind in CLASSES.values()
    if issubclass(kind, RegistryError) and kind is not RegistryError
]


def drawn() -> dict[str, tuple[str, str, str]]:
    """Return the tree in the docstring: each class with its parent's name, status and code."""
    tree: dict[str, tuple[str, str, str]] = {}
    above: list[str] = ["RegistryError"]
    for line in (errors.__doc__ or "").splitlines():
        if found := re.fullmatch(r"    ((?:[│ ]   )*)[├└]── (\w+) +(\d{3}) ([a-z-]+)", line):
            depth = len(found[1]) // 4
            above[depth + 1 :] = [found[2]]
            tree[found[2]] = (above[depth], found[3], found[4])
    return tree


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    """Each class with its parent, status and code; none is missing and none made up."""
    classes = {
        kind.__name__: (kind.__bases__[0].__name__, str(kind.status), kind.code)
        for kind in PROBLEMS
    }
    assert drawn() == classes


def test_the_docstring_names_every_class() -> None:
    """Those that stand at a root, too."""
    assert [] == [name for name in CLASSES if not re.search(rf"\b{name}\b", errors.__doc__ or "")]


def test_codes_are_unique() -> None:
    """One code, one meaning: clients tell problems apart by nothing else."""
    assert [] == [code for code, n in Counter(kind.code for kind in PROBLEMS).items() if n > 1]


@pytest.mark.parametrize(("code", "status"), CONTRACT.items())
def test_every_code_of_the_contract_has_its_class(code: str, status: int) -> None:
    """With the status that the contract gives it."""
    assert [status] == [kind.status for kind in PROBLEMS if kind.code == code]


def test_no_code_goes_beyond_the_contract_but_few() -> None:
    """It is silent about bodies that do not arrive or are compressed, keys, and the feed.

    What clusters refuse stands in a contract of its own.

    RFC 9110 has 408, 415 and 503 for these, and draft-ietf-httpapi-idempotency-key-header 422.
    """
    assert {
        "request-timeout": 408,
        "unsupported-content-encoding": 415,
        "idempotency-key-reused": 422,
        "too-many-feeds": 503,
        "not-in-contact": 503,
        "node-behind": 503,
        "outcome-unknown": 503,
    } == {kind.code: kind.status for kind in PROBLEMS if kind.code not in CONTRACT}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_titles_are_for_people_and_say_the_same_for_every_occurrence(
    kind: type[RegistryError],
) -> None:
    """One line, set by the class and not inherited from another problem (RFC 9457, 3.1.3)."""
    assert kind.title.isprintable()
    assert kind.title
    same = [other for other in PROBLEMS if other is not kind and other.title == kind.title]
    assert [] == same


@pytest.mark.parametrize("kind", PROBLEMS)
def test_every_problem_is_public(kind: type[RegistryError]) -> None:
    """A host application can catch each by its name."""
    assert kind is getattr(cameleer_registry, kind.__name__)
    assert kind.__name__ in cameleer_registry.__all__


def test_the_detail_is_what_the_exception_says() -> None:
    """And there are no faults where the refusal is not about a body."""
    error = errors.NotFound("there is nothing at /x")
    assert str(error) == "there is nothing at /x"
    assert error.detail == "there is nothing at /x"
    assert error.errors == ()


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (errors.AgentNotRegistered("a-1"), "agent 'a-1' is not registered"),
        (errors.GroupNotFound("g"), "no agent has ever declared the group 'g'"),
        (errors.CommandNotFound("c"), "there is no command 'c'"),
        (errors.CommandNotFound("c", agent_id="a"), "there is no command 'c' for agent 'a'"),
        (errors.AgentIdInUse("a"), "agent 'a' is LIVE, and this token may not take it over"),
        (
            errors.GroupNotAllowed("a"),
            "the credential does not let 'a' be registered in that group",
        ),
        (errors.NotYourAgent("a"), "the credential does not belong to agent 'a'"),
        (
            errors.InsufficientRole("viewer", "command"),
            "the role 'viewer' does not have the permission 'command'",
        ),
        (errors.CommandExpired("c", agent_id="a"), "command 'c' has expired for agent 'a'"),
        (errors.BodyTooLarge(10), "the body is larger than 10 bytes"),
        (errors.TooManyPending("a", 5), "agent 'a' already has 5 pending commands"),
        (
            errors.AtCapacity("a", 5),
            "agent 'a' is new and the registry is full (5 agents)",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_messages_name_the_ids(error: RegistryError, detail: str) -> None:
    """Of whatever was asked for."""
    assert detail == str(error)


def test_a_refused_credential_says_what_would_do() -> None:
    """In ``WWW-Authenticate`` (RFC 6750, section 3): an error only where there was a credential."""
    assert "Bearer" == errors.Unauthenticated.challenge
    for kind in (errors.InvalidToken, errors.TokenExpired, errors.CredentialRevoked):
        assert issubclass(kind, errors.Unauthenticated)
        assert kind.challenge.startswith('Bearer error="invalid_token"')


def test_who_tries_too_often_is_told_when_to_try_again() -> None:
    """In whole seconds in the text, and as it is for ``Retry-After``."""
    error = errors.TooManyAttempts(5.5)
    assert 5.5 == error.retry_after
    assert "again in 6 s" in str(error)


@pytest.mark.parametrize("kind", PROBLEMS)
def test_what_a_server_told_becomes_the_same_exception(kind: type[RegistryError]) -> None:
    """In the server's words, whatever arguments the class takes where it is raised first."""
    error = RegistryError.told(
        code=kind.code,
        status=kind.status,
        title=kind.title,
        detail="so it is",
        errors=[Fault("$", "bad")],
        retry_after=7,
    )
    assert kind is type(error)
    assert ("so it is", "so it is") == (str(error), error.detail)
    assert ((Fault("$", "bad"),), 7) == (error.errors, error.retry_after)


def test_a_code_of_tomorrow_is_told_as_it_came() -> None:
    """A client that is older than its server still says what the server said."""
    error = RegistryError.told(code="teapot", status=418, title="A teapot", detail="no coffee")
    assert RegistryError is type(error)
    assert ("teapot", 418, "A teapot") == (error.code, error.status, error.title)
    assert ((), None) == (error.errors, error.retry_after)


def test_an_invalid_request_tells_its_first_fault_and_how_many_more() -> None:
    """The whole list is in ``errors``."""
    first, second = Fault("$.a", "bad"), Fault("$.b", "worse")
    assert str(InvalidRequest([first])) == "$.a: bad"
    assert str(InvalidRequest(iter([first, second]))) == "$.a: bad (and 1 more)"
    assert InvalidRequest(iter([first, second])).errors == (first, second)


def test_a_fault_is_a_fact() -> None:
    """It cannot be changed and is equal to another that says the same."""
    fault = Fault("$.a", "bad")
    assert fault == Fault("$.a", "bad")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        fault.path = "$"  # type: ignore[misc]


def test_a_settings_error_is_never_on_the_wire() -> None:
    """It is a ValueError, as a program expects of a bad argument, and no RegistryError."""
    assert issubclass(SettingsError, ValueError)
    assert not issubclass(SettingsError, RegistryError)
