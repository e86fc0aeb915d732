"""What an agent believes, at work: keys are fetched when they are wanted, and refusals answered."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .. import wire
from ..core.model import Ack, AgentDelivery, CommandEvent, Outcome, Welcome
from ..errors import RegistryError, ServerUnreachable
from ..logs import get_logger
from .connection import Connection
from .trust import ROOT_VARIABLE, Distrusted, Pin, SeenBefore, Trust

log = get_logger(__name__)

LAST: Final = timedelta(seconds=60)
"""For how long a refusal is told whose command does not say credibly when it ends."""

SendAck = Callable[[str, Ack, datetime], Coroutine[Any, Any, None]]


class Believing:
    """One agent that takes commands from its registry only."""

    def __init__(self, connection: Connection, agent_id: str, group: str, pin: Pin) -> None:
        self._connection = connection
        self._agent_id = agent_id
        self.trust = Trust(agent_id=agent_id, group=group, pin=pin)
        # Refusals that are being told.
        self._telling: set[asyncio.Task[None]] = set()

    @classmethod
    def of(cls, connection: Connection, agent_id: str, group: str, token: str | None) -> Believing:
        """Return one that pins the root that its token, or the environment, names, if any."""
        pin = Pin.of(token=token, root_key=os.environ.get(ROOT_VARIABLE))
        return cls(connection, agent_id, group, pin)

    async def welcomed(self, raw: bytes, welcome: Welcome) -> None:
        """Take the answer to a registration; raises Distrusted if that cannot be believed."""
        if self.trust.wants_keys(offered=welcome.server_public_key is not None):
            await self._learn(first=True)
        try:
            self.trust.welcomed(raw)
        except Distrusted:
            if not self.trust.wants_keys():
                raise
            await self._learn()
            self.trust.welcomed(raw)

    async def command(self, line: str | None, fallback: CommandEvent) -> CommandEvent | None:
        """Return the command of a line, if it is to be carried out.

        ``fallback`` is what was sent as it stands: that is believed if no root is known. Raises
        Distrusted otherwise; None is for a command that has come before.
        """
        if not self.trust.is_pinned:
            return fallback
        raw = (line or "{}").encode()
        try:
            believed = self.trust.command(raw)
        except SeenBefore:
            return None
        except Distrusted as refusal:
            if not self.trust.wants_keys():
                raise self._about(refusal, fallback) from None
            await self._learn()
            try:
                believed = self.trust.command(raw)
            except SeenBefore:
                return None
            except Distrusted as again:
                raise self._about(again, fallback) from None
        self.trust.applied(believed)
        return wire.decode_answer(believed.message, CommandEvent)

    async def of_delivery(self, delivery: AgentDelivery) -> CommandEvent | None:
        """Do the same with a command that was fetched."""
        return await self.command(delivery.signed, delivery)

    def refuse(self, refusal: Distrusted, send: SendAck) -> None:
        """Tell the operator why a command was not carried out."""
        log.error(
            "command refused",
            agent_id=self._agent_id,
            command_id=refusal.command_id,
            reason=str(refusal),
        )
        if refusal.command_id is None:
            return
        ack = Ack(status=Outcome.FAILURE, message=f"refused: {refusal}")
        task = asyncio.ensure_future(send(refusal.command_id, ack, datetime.now(UTC) + LAST))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _learn(self, *, first: bool = False) -> None:
        """Fetch the key set and take it, if it can be believed.

        What is asked for at the beginning does not count against how often it may be.
        """
        if not first:
            self.trust.asking()
        try:
            answer = await self._connection.send("GET", "keys")
        except (RegistryError, ServerUnreachable) as error:
            log.warning("no keys", agent_id=self._agent_id, reason=str(error))
            return
        self.trust.learn(answer.raw)

    @staticmethod
    def _about(refusal: Distrusted, fallback: CommandEvent) -> Distrusted:
        refusal.command_id = refusal.command_id or fallback.command_id
        return refusal
