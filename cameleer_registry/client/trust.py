"""Which lines an agent trusts: those that a key of its registry has signed, and that are meant for
it.

::

    trust = Trust(agent_id="order-service-1", group="order-service", pin=Pin.of(token=…))

    registration["challenge"] = trust.challenge()
    …
    if trust.wants_keys(offered=welcome.server_public_key is not None):
        trust.learn(key_set)                # the bytes of GET /keys
    trust.welcomed(answer)                  # the bytes of the answer to the registration
    …
    try:
        command = trust.command(line)       # the bytes of a data: line, or of "signed"
    except Distrusted as refusal:
        …                                   # FAILURE, "refused: <why>"

The root key is pinned by its thumbprint: from the enrolment token, from ``CAMELEER_ROOT_KEY``,
from an earlier run, else from the first key set that comes. From then on nothing unsigned is
believed, and no key set of an earlier version. If no root is known and the server offers no key,
everything is believed as it comes.

**Time.** Whether a command has expired is judged by the server's time that a signed answer told,
which had to repeat a nonce, and by the steady clock since the nonce was made. So the agent's own
time of day does not matter, and somebody who delays the answer makes commands expire sooner, not
later. A command is believed once: its id is kept until it has expired.

Nothing here waits or asks. The holder fetches the key set when :meth:`Trust.wants_keys` says so,
and then tries again with a line that was signed by an unknown key.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from attrs import evolve, frozen

from ..core.instant import NANOSECONDS
from ..core.model import CommandType, TargetLevel
from ..security import ed25519, lines, tokens
from ..security.keys import KeySet, Use
from ..security.lines import Kind, LineRefused, UnknownKey
from ..system import steady_ns

ROOT_VARIABLE: Final = "CAMELEER_ROOT_KEY"

ASK_AGAIN: Final = 60 * NANOSECONDS
"""Nanoseconds between two requests for unknown keys if the first one brought no newer key set, so
that forged signatures cannot make a fleet request the keys again and again. A newer key set comes
from the root key, so it does not count: keys that are rotated and then revoked are each noticed at
once.
"""

FRESH: Final = 3600 * NANOSECONDS
"""Nanoseconds after which a key set is looked at again, so that a revoked key is noticed even
if no other key signs."""

CHALLENGE_BYTES: Final = 24

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Distrusted(Exception):
    """A line is not trusted. ``str()`` of it says why, in a few words for the operator."""

    # The command that was refused, by its own word; None if there is none to answer for.
    command_id: str | None = None


class Expired(Distrusted):
    """The command has expired, by the time that the last registration told."""


class SeenBefore(Distrusted):
    """The command has come before. The first delivery of it is acknowledged."""


@frozen(kw_only=True)
class Pin:
    """What an agent holds on to; it can be kept in a file from one run to the next."""

    root: str | None = None
    """The thumbprint of the root key; None until there is one."""
    registry: str | None = None
    """The registry's id; None until a key set has named it."""
    version: int = 0
    """The highest version of a key set that was seen."""
    order: int = 0
    """The ``order`` of the last configuration that was taken."""

    @classmethod
    def of(cls, *, token: str | None = None, root_key: str | None = None) -> Pin:
        """Return what an agent that is started knows by its enrolment token and the environment.

        ``root_key`` is a thumbprint, or a public key as base64 of its SubjectPublicKeyInfo. Raises
        ValueError if it is neither, or the two name different roots.
        """
        named = None
        if root_key is not None:
            named = root_key.strip()
            if not ed25519.is_thumbprint(named):
                named = ed25519.thumbprint(ed25519.from_spki(named))
        enrolled = _root_in(token) if token is not None else None
        if named is not None and enrolled is not None and named != enrolled:
            raise ValueError(f"{ROOT_VARIABLE} and the enrolment token name different root keys")
        return cls(root=named or enrolled)


def _root_in(token: str) -> str | None:
    try:
        return tokens.parse(token.strip()).root
    except tokens.NoToken:  # an agent's own token, or one that was made elsewhere
        return None


@frozen(kw_only=True)
class Believed:
    """A command that is genuine, meant for this agent, in time, and new."""

    message: bytes
    """The JSON that was signed, without the signature."""
    order: int = 0
    """The place of the command among all commands of the registry; 0 if nothing is signed."""


class Trust:
    """What one agent believes. ``steady`` is for tests."""

    def __init__(
        self,
        *,
        agent_id: str,
        group: str,
        pin: Pin | None = None,
        steady: Callable[[], int] = steady_ns,
    ) -> None:
        self.agent_id = agent_id
        self.group = group
        """The group that it declares now."""
        self.pin = pin or Pin()
        """The state to be stored, if it is stored at all; a new object after each change."""
        self._steady = steady
        # The newest set that was seen in this run; None until there is one.
        self._keys: KeySet | None = None
        # When it came, in steady time.
        self._learned = 0
        # When it was last asked for; None if nothing newer could be expected since.
        self._asked: int | None = None
        # Whether something came that a newer set may explain.
        self._puzzled = False
        # The nonce of the last registration, and when it was made; None once it came back.
        self._challenge: tuple[str, int] | None = None
        # Nanoseconds from steady time to the server's time of day; None until that was told.
        self._offset: int | None = None
        # The commands that were believed, by their ids, until the server's time when they expire.
        self._seen: dict[str, int] = {}
        # The order of the newest configuration that was believed in this run.
        self._order = self.pin.order

    @property
    def is_pinned(self) -> bool:
        """Whether a root is known, so that nothing unsigned is believed."""
        return self.pin.root is not None

    # Keys

    def wants_keys(self, *, offered: bool = False) -> bool:
        """Tell whether the key set should be fetched now.

        ``offered`` is for an agent that knows no root: whether the server says that it signs, by a
        ``serverPublicKey``. One that knows a root wants a set at first, when the one it has is an
        hour old, and when a line came that is signed by an unknown key. After a set that was not
        newer, or none, it wants one once a minute at most.
        """
        if self._keys is None:
            return self.is_pinned or offered
        now = self._steady()
        outdated = self._puzzled or now - self._learned >= FRESH
        return outdated and (self._asked is None or now - self._asked >= ASK_AGAIN)

    def asking(self) -> None:
        """Note that the key set is being fetched, whatever comes of it."""
        self._asked = self._steady()

    def learn(self, line: bytes) -> None:
        """Take the key set of a registry, and pin its root if none is pinned.

        Raises Distrusted if the root does not vouch for it, it goes back to an earlier version,
        or it is of another registry.
        """
        try:
            keys = KeySet.read(line, root=self.pin.root)
        except LineRefused as error:
            raise Distrusted(str(error)) from None
        if self.pin.registry not in (None, keys.registry):
            raise Distrusted("the key set belongs to another registry")
        if keys.version < self.pin.version:
            raise Distrusted("the key set is older than one that was seen")
        if keys.version > self.pin.version:
            self._asked = None
        self._keys = keys
        self._learned = self._steady()
        self._puzzled = False
        self.pin = evolve(self.pin, root=keys.root_id, registry=keys.registry, version=keys.version)

    # Registration

    def challenge(self) -> str:
        """Return the nonce to register with; the answer to another registration is not awaited."""
        nonce = secrets.token_urlsafe(CHALLENGE_BYTES)
        self._challenge = (nonce, self._steady())
        return nonce

    def welcomed(self, line: bytes) -> None:
        """Take the server's time from its answer to the registration with the last nonce.

        Raises Distrusted if that cannot be believed. Then it is not known which commands have
        expired, and none is believed that an earlier answer does not let be judged.
        """
        if not self.is_pinned:
            return
        members = self._verified(line, Kind.REGISTRATION)
        if self._challenge is None or members.get("challenge") != self._challenge[0]:
            raise Distrusted("the answer is not to this registration")
        if members.get("agentId") != self.agent_id:
            raise Distrusted("the answer is for another agent")
        self._offset = _nanoseconds(members.get("serverTime")) - self._challenge[1]
        self._challenge = None
        version = members.get("keysVersion")
        self._puzzled |= isinstance(version, int) and version > self.pin.version

    # Commands

    def command(self, line: bytes) -> Believed:
        """Return the command of a line; raises Distrusted if it is not to be carried out."""
        if not self.is_pinned:
            return Believed(message=line)
        try:
            members = self._verified(line, Kind.COMMAND)
            order = self._check_command(members)
        except Distrusted as refusal:
            refusal.command_id = _command_id_in(line)
            raise
        return Believed(message=lines.split(line).message, order=order)

    def applied(self, command: Believed) -> None:
        """Note that a configuration was applied: none that was ordered before is from now on."""
        self.pin = evolve(self.pin, order=max(self.pin.order, command.order))

    def _check_command(self, members: Mapping[str, Any]) -> int:
        if not self._is_meant_by(members.get("target")):
            raise Distrusted("not meant for this agent")
        if self._offset is None:
            raise Distrusted("the server's time is not known")
        now = self._steady() + self._offset
        expires = _nanoseconds(members.get("expiresAt"))
        if now >= expires:
            raise Expired("expired")
        self._seen = {known: end for known, end in self._seen.items() if now < end}
        command_id, order = members.get("commandId"), members.get("order")
        if not isinstance(command_id, str) or type(order) is not int:
            raise Distrusted("it has no id or no order")
        if command_id in self._seen:
            raise SeenBefore("seen before")
        if members.get("type") == CommandType.CONFIG_UPDATE:
            if order <= self._order:
                raise Distrusted("older than the configuration that was taken last")
            self._order = order
        self._seen[command_id] = expires
        return order

    def _is_meant_by(self, target: Any) -> bool:
        match target:
            case {"level": TargetLevel.AGENT, "agentId": str(agent_id)}:
                return agent_id == self.agent_id
            case {"level": TargetLevel.GROUP, "group": str(group)}:
                return group == self.group
            case {"level": TargetLevel.ALL}:
                return True
            case _:
                return False

    # Lines

    def _verified(self, line: bytes, kind: Kind) -> dict[str, Any]:
        keys = self._keys

        def find(key_id: str) -> bytes:
            if keys is None:
                raise UnknownKey(key_id)
            return keys.verifying(key_id, Use.COMMAND)

        try:
            members = lines.verify(line, kind, find)
        except UnknownKey as error:
            self._puzzled = True
            raise Distrusted(str(error)) from None
        except LineRefused as error:
            raise Distrusted(str(error)) from None
        if members.get("registry") != self.pin.registry:
            raise Distrusted("of another registry")
        return members


def _nanoseconds(text: Any) -> int:
    """Return a moment on the wire as nanoseconds since 1970; raises Distrusted if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        moment = datetime.min
    if moment.tzinfo is None:
        raise Distrusted("it does not say when")
    # By whole numbers: a float of such a size is exact to 200 ns only.
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def _command_id_in(line: bytes) -> str | None:
    """Return the id that a line gives itself, so that its refusal can be answered."""
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    found = members.get("commandId") if isinstance(members, dict) else None
    return found if isinstance(found, str) else None
