"""What the node signs: commands, and the answers to registrations.

A line is signed once, however many get it, and is kept with its command: who fetches what it has
missed is given the same line.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from attrs import frozen

from ... import wire
from ...core.instant import Instant
from ...core.model import CommandEvent, Target
from ...core.views import time_of_day
from ...security import lines
from ...security.ed25519 import SigningKey, spki
from ...security.keyring import KeyRing
from ...security.keys import Use
from ...security.lines import Kind
from ...wire.times import timestamp

_MILLISECOND: Final = 1_000_000


@frozen(kw_only=True)
class SignedCommand(CommandEvent):
    """The ``data`` of a command's event if there are keys, but for the signature at its end."""

    target: Target
    """Whom it was meant for."""
    order: int
    """A number that is higher than that of each command before it, also over restarts."""
    registry: str
    """The id of the registry."""
    signs: str
    """What the line is signed as: ``command/1``."""
    key_id: str
    """The thumbprint of the key that has signed it."""


class Signer:
    """Signs with the command key of one registry."""

    def __init__(self) -> None:
        self._ring: KeyRing | None = None
        # None as long as there is no key that signs commands.
        self._key: SigningKey | None = None
        # The order of the last command that was signed here, or by whoever was here before.
        self._order = 0
        # The key that signs, as base64 of its SubjectPublicKeyInfo; None if there is none. Every
        # agent that registers is told.
        self.public_key: str | None = None

    def use(self, ring: KeyRing) -> None:
        """Sign with these keys from now on."""
        self._ring = ring
        self._key = ring.signing(Use.COMMAND)
        self.public_key = None if self._key is None else spki(self._key.public)

    @property
    def order(self) -> int:
        """The order of the last command that was signed."""
        return self._order

    def start_over(self, order: int) -> None:
        """Have what is signed from now on follow that order, and nothing that was before."""
        self._order = order

    def goes_on_after(self, line: str) -> None:
        """Have what is signed from now on follow a line that was signed before."""
        try:
            order = orjson.loads(line)["order"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return
        if type(order) is int:
            self._order = max(self._order, order)

    def command(self, command: CommandEvent, target: Target, *, now: Instant) -> bytes | None:
        """Return a command as a signed line; None if there is no key.

        Raises TypeError if its payload is nothing that JSON can express.
        """
        if self._key is None or self._ring is None:
            return None
        # By the time of day, so that it grows over restarts of which nothing was kept; and by the
        # last one, so that it grows if that is set back.
        order = max(self._order + 1, now.wall // _MILLISECOND)
        message = wire.encode_line(
            SignedCommand(
                command_id=command.command_id,
                type=command.type,
                payload=command.payload,
                created_at=command.created_at,
                expires_at=command.expires_at,
                target=target,
                order=order,
                registry=self._ring.registry,
                signs=Kind.COMMAND,
                key_id=self._key.key_id,
            )
        )
        self._order = order
        return lines.sealed(message, self._key.sign)

    def registration(self, answer: bytes, challenge: str, *, now: Instant) -> bytes | None:
        """Return an answer to a registration as a signed line; None if there is no key.

        With the server's time in it, an agent can judge deadlines without trusting its own clock.
        """
        if self._key is None or self._ring is None:
            return None
        members: dict[str, Any] = orjson.loads(answer)
        members |= {
            "challenge": challenge,
            "serverTime": timestamp(time_of_day(now)),
            "registry": self._ring.registry,
            "keysVersion": self._ring.keys.version,
        }
        return lines.sign(members, Kind.REGISTRATION, self._key)
