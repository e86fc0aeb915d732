"""What a replica has beside its registry: credentials, of which the core knows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .events import Event
from .inputs import Input, Issue, Join
from .instant import Instant
from .members import Members
from .plain import Value
from .registry import Registry


class Beside(Protocol):
    """Is moved by the same entries as the registry, and is as equal at all nodes."""

    def admit(self, wish: Join, members: Members) -> None:
        """Let a node take part; raises CannotJoin."""

    def give(
        self, given: Input, registry: Registry, members: Members, now: Instant
    ) -> tuple[object, Sequence[Event]]:
        """Give it an input that is not the registry's; return the outcome, and facts.

        Raises RegistryError where it is refused. A refusal of which others are told is the outcome.
        """

    def line(self, given: Issue, now: Instant, expires: Instant) -> str | None:
        """Return the signed line by which a command's targets are told; None if nothing is signed.

        If it cannot be made although it should, whatever is raised ends the node: the others have
        one.
        """

    def value(self) -> Value:
        """Return all of it as a value: equal for what is equal."""
