"""What can be said of an operation: the terms in which its entry is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

from ...errors import RegistryError
from ..access import READ, Access
from .schemas import Schema

Shape = Any
"""The type of a model, or a schema if there is no model."""


@frozen(kw_only=True)
class Parameter:
    """Something an address takes besides a body."""

    name: str
    where: Literal["path", "query", "header"]
    shape: Shape
    description: str
    example: Any
    required: bool = False
    """What is in a path always is."""


@frozen(kw_only=True)
class Header:
    """Something a response says besides its body."""

    description: str
    schema: Schema
    example: str | int
    required: bool = True


@frozen(kw_only=True)
class Link:
    """An operation that can follow, and where this answer contains its parameters."""

    operation_id: str
    parameters: Mapping[str, str]


@frozen(kw_only=True)
class Answer:
    """One way in which a request succeeds."""

    status: int
    description: str
    shape: Shape = None
    """None if there is no body."""
    media_types: tuple[str, ...] = ("application/json",)
    """The media types among which clients can choose."""
    example: Any = None
    headers: tuple[str, ...] = ()
    """Names of those that other answers do not have."""
    links: tuple[Link, ...] = ()


def one_answer(
    description: str,
    shape: Shape,
    example: Any,
    *,
    status: int = 200,
    links: tuple[Link, ...] = (),
) -> tuple[Answer, ...]:
    """Return the answers of an operation that succeeds in one way, with JSON."""
    return (
        Answer(status=status, description=description, shape=shape, example=example, links=links),
    )


def no_content(description: str) -> tuple[Answer, ...]:
    """Return the answers of an operation that succeeds in one way, and then has nothing to say."""
    return (Answer(status=204, description=description),)


def page_of(items: str, shape: Shape, example: Any) -> Answer:
    """Return the answer of a list that can be read in pages."""
    return Answer(
        status=200,
        description=f"The {items}, or a page of them.",
        shape=list[shape],
        example=[example],
        headers=("Link",),
    )


@frozen(kw_only=True)
class Operation:
    """What an address does when it is asked with one method."""

    operation_id: str
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    """Of its query and its own headers; the others follow from its address."""
    body: type | None = None
    """The model that clients send; None if no body is read."""
    body_required: bool = True
    body_example: Any = None
    answers: tuple[Answer, ...]
    access: Access = READ
    """What stands before it: taken from the table of routes."""
    problems: tuple[type[RegistryError], ...] = ()
    """Of its own; the others follow from its address, its method and its body."""
