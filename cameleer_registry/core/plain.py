"""Parts of facts and of records as plain values, which JSON can express, and back.

The order of the elements is for ever, as is that of a fact's fields: see :mod:`.encoding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .idempotency import Idempotency
from .instant import Instant
from .model import Ack, Order, Outcome, Registration, Target, TargetLevel
from .targets import Targets

Value = Any
"""What JSON can express, made of lists, strings, numbers and the JSON of clients."""


class UnknownFact(ValueError):
    """A kept fact is of a kind, or of a form, that this version does not know."""


def instant(value: Instant) -> list[int]:
    """Return a moment as a list."""
    return [value.wall, value.steady, value.lease]


def optional_instant(value: Instant | None) -> list[int] | None:
    """Return a moment as a list, or None where there is none."""
    return None if value is None else [value.wall, value.steady, value.lease]


def to_instant(value: Sequence[int]) -> Instant:
    """Return the moment that a list stands for."""
    return Instant(*value)


def to_optional_instant(value: Sequence[int] | None) -> Instant | None:
    """Return the moment that a list stands for, or None."""
    return None if value is None else Instant(*value)


def registration(value: Registration) -> list[Value]:
    """Return what an agent declares as a list."""
    return [
        value.agent_id,
        value.group,
        value.name,
        value.version,
        value.route_ids,
        value.capabilities,
        value.instance_id,
    ]


def to_registration(value: Sequence[Value]) -> Registration:
    """Return the registration that a list stands for."""
    agent_id, group, name, version, route_ids, capabilities, instance_id = value
    return Registration(
        agent_id=agent_id,
        group=group,
        name=name,
        version=version,
        route_ids=route_ids,
        capabilities=capabilities,
        instance_id=instance_id,
    )


def target(value: Target) -> list[str]:
    """Return a target as a list: its level, and whom it names."""
    named = getattr(value, "agent_id", None) or getattr(value, "group", None)
    return [value.level.value] if named is None else [value.level.value, named]


def to_target(value: Sequence[str]) -> Target:
    """Return the target that a list stands for."""
    match value[0]:
        case TargetLevel.AGENT:
            return Target.agent(value[1])
        case TargetLevel.GROUP:
            return Target.of_group(value[1])
        case TargetLevel.ALL:
            return Target.all()
        case level:
            raise UnknownFact(f"a target of the level {level!r}")


def order(value: Order) -> list[Value]:
    """Return an order as a list."""
    return [value.type.value, value.payload]


def to_order(value: Sequence[Value]) -> Order:
    """Return the order that a list stands for."""
    return Order(type=value[0], payload=value[1])


def ack(value: Ack) -> list[Value]:
    """Return an agent's answer as a list."""
    if value.message is None and value.data is None:
        return [value.status.value]
    return [value.status.value, value.message, value.data]


def to_ack(value: Sequence[Value]) -> Ack:
    """Return the answer that a list stands for."""
    if len(value) == 1:
        return SUCCESS if value[0] == Outcome.SUCCESS else Ack(status=value[0])
    return Ack(status=value[0], message=value[1], data=value[2])


SUCCESS: Final = Ack()


def idempotency(value: Idempotency | None) -> list[str] | None:
    """Return a key with its fingerprint as a list, or None where there is none."""
    return None if value is None else [value.key, value.fingerprint.hex()]


def to_idempotency(value: Sequence[str] | None) -> Idempotency | None:
    """Return the key that a list stands for, or None."""
    return None if value is None else Idempotency(value[0], bytes.fromhex(value[1]))


def some(agent_ids: Sequence[str], targets: Targets | None) -> list[Value]:
    """Return some of a command's targets as a list: where each run of them begins and ends.

    One alone stands there by its id, as do those of a command that is not known any more.
    """
    if targets is None or len(agent_ids) == 1:
        return list(agent_ids)
    if agent_ids == targets:
        return [0, len(targets)]
    places, found = targets.places, list[int]()
    end = -1
    if not all(map(places.__contains__, agent_ids)):
        return list(agent_ids)
    for place in sorted(map(places.__getitem__, agent_ids)):
        if place != end:
            found += [place, place]
        end = place + 1
        found[-1] = end
    return found


def to_some(found: Sequence[Value], targets: Targets | None) -> tuple[str, ...]:
    """Return the targets that a list stands for; none where their command is not known."""
    if not found or not isinstance(found[0], int):
        return tuple(found)
    if targets is None:
        return ()
    if list(found) == [0, len(targets)]:
        return targets
    starts_and_ends = zip(found[::2], found[1::2], strict=True)
    return tuple(agent_id for start, end in starts_and_ends for agent_id in targets[start:end])
