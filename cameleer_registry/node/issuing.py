"""Issuing commands: at once if a node is alone, and by the log if many share the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uuid_utils

from .. import wire
from ..core import inputs, rules, views
from ..core.idempotency import Idempotency
from ..core.model import Command, CommandEvent, Order, Target
from ..errors import IdempotencyKeyReused, OutcomeUnknown, RegistryError
from ..logs import get_logger
from ..security.principals import Principal
from .fingerprints import fingerprint
from .reading import own_key
from .sharing.shared import Shared
from .streams import frames
from .streams.push import Push

if TYPE_CHECKING:
    from .node import Node

log = get_logger(__name__)


class Issuing:
    """Issues the commands that are asked of one node."""

    def __init__(self, node: Node, push: Push) -> None:
        self._node = node
        self._push = push

    async def issue(
        self, order: Order, target: Target, *, idempotency_key: str | None, by: Principal | None
    ) -> Command:
        """Issue a command: see :meth:`~cameleer_registry.node.node.Node.issue`."""
        node = self._node
        idempotency = None
        if idempotency_key is not None:
            key = rules.idempotency_key(idempotency_key)
            idempotency = Idempotency(own_key(key, by), fingerprint(order, target))
        now, command_id = node.clock.now(), str(uuid_utils.uuid7())
        # Encoded once and before anything has changed, for all streams.
        event = CommandEvent(
            command_id=command_id,
            type=order.type,
            payload=order.payload,
            created_at=views.time_of_day(now),
            expires_at=views.time_of_day(now.after(node.registry.limits.command_ttl)),
        )
        if node.shared is not None:
            # It is signed, and its frame is made, where it comes from the log: at each node.
            wish = inputs.Issue(
                command_id=command_id,
                order=order,
                target=target,
                size=wire.footprint(frames.event(event).plain),
                payload_size=wire.length_of(order.payload),
                idempotency=idempotency,
                by=None if by is None else by.issuer,
            )
            try:
                return await self._issue_shared(node.shared, wish)
            except IdempotencyKeyReused:
                raise IdempotencyKeyReused(idempotency_key or "") from None
        node.journal.check()
        line = node.signer.command(event, target, now=now)
        frame = frames.event(event, line)
        self._push.prepare(command_id, frame)
        try:
            record, facts = node.registry.issue(
                command_id,
                order,
                target,
                now=now,
                size=wire.footprint(frame.plain) + len(line or b""),
                payload_size=wire.length_of(order.payload),
                idempotency=idempotency,
                by=None if by is None else by.issuer,
                line=None if line is None else line.decode(),
            )
        except RegistryError as error:
            self._push.cancel(command_id)
            if isinstance(error, IdempotencyKeyReused) and idempotency_key is not None:
                raise IdempotencyKeyReused(idempotency_key) from None
            raise
        if record.command_id != command_id:
            self._push.cancel(command_id)
            log.info("command requested again", command_id=record.command_id)
            node.meters.commands_repeated[record.order.type] += 1
        node.carry_out(facts)
        await node.kept()
        await self._push.written(record.command_id)
        return views.command(record, node.clock.now())

    async def _issue_shared(self, shared: Shared, wish: inputs.Issue) -> Command:
        node = self._node
        try:
            record = await shared.submit(wish)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(
                f"{error}; whether command {wish.command_id} was issued is not known: ask for it, "
                "or again under the same Idempotency-Key",
                command_id=wish.command_id,
            ) from None
        if record.command_id != wish.command_id:
            log.info("command requested again", command_id=record.command_id)
            node.meters.commands_repeated[record.order.type] += 1
        await self._push.written(record.command_id)
        return views.command(record, node.clock.now())
