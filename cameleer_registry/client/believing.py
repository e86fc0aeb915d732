"""What an agent believes, at work: keys are fetched when they are wanted, and refusals answered."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .. import wire
from ..core.model import Ack, AgentDelivery, CommandEvent, Outcome, Welcome
from ..errors import RegistryError, ServerUnreachable
from ..logs import get_logger
from .connection import Connection
from .trust import ROOT_VARIABLE, Distrusted, Expired, Pin, SeenBefore, Trust

log = get_logger(__name__)

LAST: Final = timedelta(seconds=60)
"""How long to repeat the refusal of a command that has no credible expiry."""

_ID: Final = re.compile("[0-9A-Za-z-]{1,64}")
"""What a command is called, and what may become part of an address."""

SendAck = Callable[[str, Ack, datetime], Coroutine[Any, Any, None]]


class Believing:
    """One agent that takes commands from its registry only."""

    def __init__(self, connection: Connection, agent_id: str, group: str, pin: Pin) -> None:
        self._connection = connection
        self._agent_id = agent_id
        self.trust = Trust(agent_id=agent_id, group=group, pin=pin)
        # Has the agent register again, because the server may have another time by now.
        self.on_expired: Callable[[], None] = lambda: None
        # Refusals that are being told.
        self._telling: set[asyncio.Task[None]] = set()

    @classmethod
    def of(cls, connection: Connection, agent_id: str, group: str, token: str | None) -> Believing:
        """Return one that pins the root that its token, or the environment, names, if any."""
        pin = Pin.of(token=token, root_key=os.environ.get(ROOT_VARIABLE))
        return cls(connection, agent_id, group, pin)

    async def welcomed(self, raw: bytes, welcome: Welcome) -> None:
        """Take the answer to a registration; raises Distrusted if that cannot be believed.

        That includes a server that says it signs and whose keys cannot be had: unsigned commands
        are for servers that have none.
        """
        offered = welcome.server_public_key is not None
        if self.trust.wants_keys(offered=offered):
            await self._learn(first=True)
            if offered and not self.trust.is_pinned:
                raise Distrusted("its keys cannot be had")
        try:
            self.trust.welcomed(raw)
        except Distrusted:
            if not self.trust.wants_keys():
                raise
            await self._learn()
            self.trust.welcomed(raw)

    async def refresh(self) -> None:
        """Look for a newer key set when that is due: a key may be revoked while none signs."""
        if self.trust.is_pinned and self.trust.wants_keys():
            await self._look()

    async def command(
        self, line: str | None, sent_as: str | None, read: Callable[[], CommandEvent]
    ) -> CommandEvent | None:
        """Return the command of a line, if it is to be carried out.

        ``read`` returns what was sent as it stands, unsigned: that is believed if no root is known,
        and not looked at otherwise. Raises Distrusted, or what ``read`` raises; None is for a
        command that has come before. Who refuses it does so under the id that it was ``sent_as``,
        or else by its own word: neither is signed if the line is not, and a line of which a byte
        was changed may not even be JSON.
        """
        if not self.trust.is_pinned:
            return read()
        raw = (line or "{}").encode()
        try:
            believed = self.trust.command(raw)
        except SeenBefore:
            return None
        except Expired as refusal:
            # It is refused. But if the server's clock was set back, all that follow would be, too.
            self.on_expired()
            raise self._about(refusal, sent_as) from None
        except Distrusted as refusal:
            if not self.trust.wants_keys():
                raise self._about(refusal, sent_as) from None
            await self._look()
            try:
                believed = self.trust.command(raw)
            except SeenBefore:
                return None
            except Distrusted as again:
                raise self._about(again, sent_as) from None
        self.trust.applied(believed)
        return wire.decode_answer(believed.message, CommandEvent)

    async def of_delivery(self, delivery: AgentDelivery) -> CommandEvent | None:
        """Do the same with a command that was fetched."""
        return await self.command(delivery.signed, delivery.command_id, lambda: delivery)

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

    async def _look(self) -> None:
        """Fetch the key set; one that cannot be believed changes nothing."""
        try:
            await self._learn()
        except Distrusted as refusal:
            log.error("keys refused", agent_id=self._agent_id, reason=str(refusal))

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
    def _about(refusal: Distrusted, sent_as: str | None) -> Distrusted:
        command_id = sent_as or refusal.command_id
        refusal.command_id = command_id if command_id and _ID.fullmatch(command_id) else None
        return refusal
