"""The credentials of a registry that many nodes share: moved by the log, and the same at each.

Commands are signed here, by every node and when their entry is applied. A signature of Ed25519
follows from key and message (RFC 8032), so that all nodes come to the same line; and the order of
commands, a number that each line carries, grows as the log does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core import inputs
from ...core.events import Event
from ...core.inputs import Input
from ...core.instant import Instant
from ...core.kept import Entity
from ...core.members import Members
from ...core.model import CommandEvent
from ...core.registry import Registry
from ...core.slices import SLICE, Slices
from ...core.views import time_of_day
from ...errors import CannotJoin, SettingsError
from ...security import kept
from ...security.desk import Desk, check_same_keys
from ...security.encoding import DECODERS, ENCODERS
from ...security.keys import Use
from ...security.store import Credentials
from .authority import Authority
from .holding import NO_KEYS
from .signing import Signer


class Replicated:
    """What stands beside the registry of one of many nodes."""

    def __init__(self, authority: Authority, signer: Signer, desk: Desk) -> None:
        self._authority = authority
        self._signer = signer
        self._desk = desk

    def admit(self, wish: inputs.Join, members: Members) -> None:
        """Let a node take part that has the keys of the others, if these have any."""
        check_same_keys(wish.registry, wish.root, members)
        if self._authority.credentials.key_set is None:
            return
        ring = self._authority.ring
        assert ring is not None
        if (wish.registry, wish.root) != (ring.registry, ring.root_id):
            raise CannotJoin(
                NO_KEYS
                if wish.root is None
                else f"the keys are those of the registry {wish.registry}, and this cluster is "
                f"that of {ring.registry}"
            )
        for use in Use:
            key = ring.keys.active(use)
            if key is not None and key.key_id not in wish.holds:
                raise CannotJoin(
                    f"the keys are older than those of the other nodes: {key.key_id}, which signs "
                    f"{use}s, is missing"
                )

    def give(
        self, given: Input, registry: Registry, members: Members, now: Instant
    ) -> tuple[Any, Sequence[Event]]:
        """Decide on what is asked of the credentials."""
        return self._desk.decide(given, registry, members, now)

    def line(self, given: inputs.Issue, now: Instant, expires: Instant) -> str | None:
        """Return the signed line of a command; None if no keys are published."""
        event = CommandEvent(
            command_id=given.command_id,
            type=given.order.type,
            payload=given.order.payload,
            created_at=time_of_day(now),
            expires_at=time_of_day(expires),
        )
        line = self._signer.command(event, given.target, now=now)
        return None if line is None else line.decode()

    def value(self) -> dict[str, Any]:
        """Return all of it as a value."""
        authority = self._authority
        return value(authority.credentials, authority.codes.value(), self._signer.order)

    def start_over(self, of: Mapping[str, Any]) -> Slices[None]:
        """Become what a value says, in slices.

        Raises SettingsError if this node does not have the keys for it.
        """
        authority = self._authority
        authority.credentials.start_over()
        told = of["credentials"]
        for start in range(0, len(told), SLICE):
            apply(told[start : start + SLICE], authority.credentials)
            yield
        authority.codes.start_over(of["codes"])
        self._signer.start_over(of["order"])
        self.use_published()

    def use_published(self) -> None:
        """Sign, and verify, by the key set that is published; raises SettingsError."""
        authority = self._authority
        published = authority.credentials.key_set
        if published is None:
            return
        if authority.holding is None:
            raise SettingsError(NO_KEYS)
        ring = authority.holding.by(published.line.encode())
        authority.use(ring)
        self._signer.use(ring)


def value(credentials: Credentials, codes: Sequence[Any], order: int) -> dict[str, Any]:
    """Return credentials, codes, and the order of the newest command, as a value."""
    told = [ENCODERS[type(fact)](fact) for fact in credentials.as_facts()]
    return {"credentials": told, "codes": codes, "order": order}


def apply(told: Sequence[Sequence[Any]], credentials: Credentials) -> None:
    """Give the facts of a value to a store of credentials."""
    for name, wall, steady, lease, *fields in told:
        credentials.apply((DECODERS[name](Instant(wall, steady, lease), fields),))


def rows(of: Mapping[str, Any]) -> list[tuple[str, str, str, Any]]:
    """Return the credentials of a value as the rows that a journal keeps of them."""
    credentials = Credentials()
    apply(of["credentials"], credentials)
    make = kept.maker(credentials)
    found = {
        each: None for fact in credentials.as_facts() for each in kept.TOUCHED[type(fact)](fact)
    }
    made = ((entity, make(entity)) for entity in found)
    return [(*_name(entity), content) for entity, content in made if content is not None]


def _name(entity: Entity) -> tuple[str, str, str]:
    return entity.table, entity.key, entity.part
