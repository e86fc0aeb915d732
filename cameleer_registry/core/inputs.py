"""What comes to a registry from outside, as data.

A registry alone is called: its methods are its inputs. Many nodes that share one registry put what
comes to each of them into one log first, as the inputs of this module, and every node gives them to
its own copy of the registry in the order of the log (:mod:`~.replica`). An input is a wish: what
comes of it, or whether it is refused, is decided by the registry at its place in the log, and is
the same everywhere. So its name is an imperative, and a fact's is in the past tense.

As a value an input is a list: its name, and its fields in the order in which they stand here. Names
and their order are for ever. Within one version of the format fields are only added, at the end and
with a default; an input that is not known is refused, and never left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from typing import Any, Final

import attrs
from attrs import frozen

from . import plain
from .events import CloseReason, Event
from .idempotency import Idempotency
from .instant import Instant
from .ledger import CommandRecord, DeliveryRecord
from .model import Ack, AgentStatus, Order, Registration, Target
from .plain import Value
from .registry import Events, Registry
from .selection import LapsedAgents
from .targets import Targets

FORMAT: Final = 1
"""The version of the format of entries and inputs."""


class UnknownInput(ValueError):
    """An input is of a kind, or of a form, that this version does not know."""


@frozen(kw_only=True)
class Input:
    """Something that came from outside."""


# What agents and operators ask for


@frozen(kw_only=True)
class Register(Input):
    """An agent declares itself. The outcome is whether it was known."""

    registration: Registration
    by: str | None = None


@frozen(kw_only=True)
class Hear(Input):
    """Agents have sent heartbeats. Those that are not registered are passed over."""

    agent_ids: tuple[str, ...]


@frozen(kw_only=True)
class Remove(Input):
    """Somebody wants an agent to be forgotten."""

    agent_id: str
    by: str | None = None


@frozen(kw_only=True)
class RemoveLapsed(Input):
    """Agents are to be forgotten if they have lapsed. The outcome is how many were."""

    agent_ids: tuple[str, ...]
    agents: LapsedAgents
    by: str | None = None


@frozen(kw_only=True)
class OpenStream(Input):
    """A connection wants to be its agent's stream. The outcome is how many commands there were."""

    agent_id: str
    stream_id: int


@frozen(kw_only=True)
class CloseStream(Input):
    """A stream has ended."""

    agent_id: str
    stream_id: int
    reason: CloseReason


@frozen(kw_only=True)
class Issue(Input):
    """An operator wants a command issued. The outcome is a handle on the command."""

    command_id: str
    order: Order
    target: Target
    size: int = 0
    payload_size: int = 0
    idempotency: Idempotency | None = None
    by: str | None = None


@frozen(kw_only=True)
class NotePushed(Input):
    """A command was written to streams of some of its targets: those whose bits are set.

    The first of its targets is bit 0 of the number. So thousands take a few hundred bytes.
    """

    command_id: str
    bits: int


@frozen(kw_only=True)
class Acknowledge(Input):
    """An agent answers a command. The outcome is a handle on the delivery."""

    agent_id: str
    command_id: str
    ack: Ack
    size: int = 0
    by: str | None = None


# What nodes say of themselves


@frozen(kw_only=True)
class Join(Input):
    """A node begins to take part, under a name. The outcome is the number that it is given."""

    name: str
    version: str
    address: str | None = None
    registry: str | None = None
    """Whose keys it has; None if it has none."""
    root: str | None = None
    """The thumbprint of their root."""
    holds: tuple[str, ...] = ()
    """The names of the private keys that it has."""


@frozen(kw_only=True)
class Hold(Input):
    """A node has other private keys by now."""

    holds: tuple[str, ...]


@frozen(kw_only=True)
class Leave(Input):
    """A node ends, on purpose. What is told by then is cut off, as by :class:`Mark`."""


@frozen(kw_only=True)
class Tick(Input):
    """A node is there: it has applied the log up to a position, and what it derived sums up so."""

    position: int
    checksum: int
    streams: int


@frozen(kw_only=True)
class Barrier(Input):
    """Nothing: whoever sees it has seen all that came before."""


@frozen(kw_only=True)
class Mark(Input):
    """Here a copy of everything may be made: nothing is left half told."""


REGISTRY_INPUTS: Final = (
    Register,
    Hear,
    Remove,
    RemoveLapsed,
    OpenStream,
    CloseStream,
    Issue,
    NotePushed,
    Acknowledge,
)
"""Inputs that are a registry's; the others are those of its nodes."""


def apply(registry: Registry, given: Input, now: Instant) -> tuple[Any, Events]:
    """Give an input to a registry; return the outcome, and the facts that it has caused.

    Raises what the registry's method does where it refuses.
    """
    return _APPLIERS[type(given)](registry, given, now)


def issue(
    registry: Registry, given: Issue, now: Instant, line: str | None = None
) -> tuple[CommandRecord, Events]:
    """Do the same with a command, which its targets are told by a signed line if there is one."""
    return registry.issue(
        given.command_id,
        given.order,
        given.target,
        now=now,
        size=given.size + len(line or ""),
        payload_size=given.payload_size,
        idempotency=given.idempotency,
        by=given.by,
        line=line,
    )


ONE: Final = ord("1")
AS_NUMBERS: Final = bytes.maketrans(b"01", b"\0\1")


def bits_of(agent_ids: Iterable[str], targets: Targets) -> int:
    """Return the number in which the bits are set of those agents that are a command's targets."""
    digits = bytearray(b"0" * (len(targets) + 1))
    for place in map(targets.places.get, agent_ids):
        if place is not None:
            digits[~place] = ONE
    return int(digits, 2)


def of_bits(bits: int, targets: Targets) -> tuple[str, ...]:
    """Return the targets whose bits are set in a number."""
    if bits.bit_count() == len(targets):
        return targets
    if bits.bit_length() > len(targets):
        raise IndexError("there are not so many targets")
    return tuple(compress(targets, f"{bits:b}".encode()[::-1].translate(AS_NUMBERS)))


def _register(registry: Registry, given: Register, now: Instant) -> tuple[bool, Events]:
    known = given.registration.agent_id in registry
    return known, registry.register(given.registration, now=now, by=given.by)


def _hear(registry: Registry, given: Hear, now: Instant) -> tuple[None, Events]:
    return None, registry.hear(given.agent_ids, now=now)


def _remove(registry: Registry, given: Remove, now: Instant) -> tuple[None, Events]:
    return None, registry.remove(given.agent_id, now=now, by=given.by)


def _remove_lapsed(registry: Registry, given: RemoveLapsed, now: Instant) -> tuple[int, Events]:
    removed, facts = 0, list[Event]()
    for agent_id in given.agent_ids:
        of_one = registry.remove_lapsed(agent_id, given.agents, now=now, by=given.by)
        removed += bool(of_one)
        facts += of_one
    return removed, tuple(facts)


def _open_stream(registry: Registry, given: OpenStream, now: Instant) -> tuple[int, Events]:
    facts = registry.stream_opened(given.agent_id, given.stream_id, now=now)
    return registry.count_issued(), facts


def _close_stream(registry: Registry, given: CloseStream, now: Instant) -> tuple[None, Events]:
    return None, registry.stream_closed(given.agent_id, given.stream_id, given.reason, now=now)


def _note_pushed(registry: Registry, given: NotePushed, now: Instant) -> tuple[None, Events]:
    targets = registry.targets_of(given.command_id)
    if not targets or not given.bits:
        return None, ()
    return None, registry.pushed(given.command_id, of_bits(given.bits, targets), now=now)


def _acknowledge(
    registry: Registry, given: Acknowledge, now: Instant
) -> tuple[DeliveryRecord, Events]:
    return registry.acknowledge(
        given.agent_id, given.command_id, given.ack, now=now, size=given.size, by=given.by
    )


_APPLIERS: Final[Mapping[type[Input], Callable[[Registry, Any, Instant], tuple[Any, Events]]]] = {
    Register: _register,
    Hear: _hear,
    Remove: _remove,
    RemoveLapsed: _remove_lapsed,
    OpenStream: _open_stream,
    CloseStream: _close_stream,
    Issue: issue,
    NotePushed: _note_pushed,
    Acknowledge: _acknowledge,
}


# As values


def encode(given: Input) -> list[Value]:
    """Return an input as a value."""
    return _ENCODERS[type(given)](given)


def decode(value: Sequence[Value]) -> Input:
    """Return the input that a value stands for; raises UnknownInput.

    It was checked where it came in, so it is not checked once more.
    """
    try:
        name, *fields = value
        with attrs.validators.disabled():
            return _DECODERS[name](fields)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UnknownInput(f"{str(value)[:80]} is no input that is known here") from error


_ENCODERS: Final[Mapping[type[Input], Callable[[Any], list[Value]]]] = {
    Register: lambda of: ["register", plain.registration(of.registration), of.by],
    Hear: lambda of: ["hear", of.agent_ids],
    Remove: lambda of: ["remove", of.agent_id, of.by],
    RemoveLapsed: lambda of: [
        "remove-lapsed",
        of.agent_ids,
        sorted(of.agents.statuses),
        sorted(of.agents.groups),
        of.agents.dead_for,
        of.by,
    ],
    OpenStream: lambda of: ["open-stream", of.agent_id, of.stream_id],
    CloseStream: lambda of: ["close-stream", of.agent_id, of.stream_id, of.reason.value],
    Issue: lambda of: [
        "issue",
        of.command_id,
        plain.order(of.order),
        plain.target(of.target),
        of.size,
        of.payload_size,
        plain.idempotency(of.idempotency),
        of.by,
    ],
    NotePushed: lambda of: ["note-pushed", of.command_id, f"{of.bits:x}"],
    Acknowledge: lambda of: [
        "acknowledge",
        of.agent_id,
        of.command_id,
        plain.ack(of.ack),
        of.size,
        of.by,
    ],
    Join: lambda of: [
        "join",
        of.name,
        of.version,
        of.address,
        of.registry,
        of.root,
        of.holds,
    ],
    Hold: lambda of: ["hold", of.holds],
    Leave: lambda of: ["leave"],
    Tick: lambda of: ["tick", of.position, of.checksum, of.streams],
    Barrier: lambda of: ["barrier"],
    Mark: lambda of: ["mark"],
}

_DECODERS: Final[Mapping[str, Callable[[Sequence[Value]], Input]]] = {
    "register": lambda of: Register(registration=plain.to_registration(of[0]), by=of[1]),
    "hear": lambda of: Hear(agent_ids=tuple(of[0])),
    "remove": lambda of: Remove(agent_id=of[0], by=of[1]),
    "remove-lapsed": lambda of: RemoveLapsed(
        agent_ids=tuple(of[0]),
        agents=LapsedAgents(
            statuses=frozenset(map(AgentStatus, of[1])), groups=tuple(of[2]), dead_for=of[3]
        ),
        by=of[4],
    ),
    "open-stream": lambda of: OpenStream(agent_id=of[0], stream_id=of[1]),
    "close-stream": lambda of: CloseStream(
        agent_id=of[0], stream_id=of[1], reason=CloseReason(of[2])
    ),
    "issue": lambda of: Issue(
        command_id=of[0],
        order=plain.to_order(of[1]),
        target=plain.to_target(of[2]),
        size=of[3],
        payload_size=of[4],
        idempotency=plain.to_idempotency(of[5]),
        by=of[6],
    ),
    "note-pushed": lambda of: NotePushed(command_id=of[0], bits=int(of[1], 16)),
    "acknowledge": lambda of: Acknowledge(
        agent_id=of[0], command_id=of[1], ack=plain.to_ack(of[2]), size=of[3], by=of[4]
    ),
    "join": lambda of: Join(
        name=of[0], version=of[1], address=of[2], registry=of[3], root=of[4], holds=tuple(of[5])
    ),
    "hold": lambda of: Hold(holds=tuple(of[0])),
    "leave": lambda of: Leave(),
    "tick": lambda of: Tick(position=of[0], checksum=of[1], streams=of[2]),
    "barrier": lambda of: Barrier(),
    "mark": lambda of: Mark(),
}


# Entries of the log


@frozen(kw_only=True)
class Entry:
    """Inputs that one node has put into the log together."""

    boot: str
    """Which start of which node it comes from."""
    no: int
    """Counted by that, from 1, so that none is applied twice."""
    inputs: Sequence[Input]

    @property
    def id(self) -> str:
        """By which the log recognizes an entry that it has been given before."""
        return f"{self.boot}.{self.no}"


def entry(of: Entry) -> list[Value]:
    """Return an entry as a value."""
    return [FORMAT, of.boot, of.no, [encode(each) for each in of.inputs]]


def to_entry(
    value: Sequence[Value], *, decode: Callable[[Sequence[Value]], Input] = decode
) -> Entry:
    """Return the entry that a value stands for; raises UnknownInput.

    ``decode`` knows inputs, these and more.
    """
    try:
        version, boot, no, inputs = value
    except (TypeError, ValueError):
        raise UnknownInput(f"{str(value)[:80]} is no entry that is known here") from None
    if version != FORMAT:
        raise UnknownInput(f"an entry of the format {version}; this version knows {FORMAT}")
    return Entry(boot=boot, no=no, inputs=[decode(each) for each in inputs])
