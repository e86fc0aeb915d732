"""Catching up: what was sent while there was no stream is fetched, each time one has opened.

What comes on the stream meanwhile waits until that is done, so that all of it is carried out in the
order in which it was issued. It does not wait for ever: where the list cannot be had, it is asked
for again later, and the stream goes on without it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ..core.model import AgentDelivery, CommandEvent
from ..errors import AgentNotRegistered, RegistryError, Unauthenticated
from ..logs import get_logger
from . import backoff
from .believing import Believing
from .connection import Connection
from .inbox import Inbox, SendAck
from .membership import Membership
from .trust import Distrusted

log = get_logger(__name__)

FIRST_DELAY: Final = 1.0
"""Seconds before the list is asked for again, to twice that; then longer."""

MOST_HELD: Final = 1000
"""Commands of a stream that may wait for the list. A server that lets an agent have more pending
than that has been set to."""


class Missed:
    """Brings an agent's commands to its inbox: those of its streams, and those between them.

    An agent that shall not ``catch_up`` has those of its streams only.
    """

    def __init__(
        self,
        connection: Connection,
        agent_id: str,
        membership: Membership,
        inbox: Inbox,
        *,
        catch_up: bool,
        believing: Believing | None = None,
        send_ack: SendAck | None = None,
    ) -> None:
        self._connection = connection
        self._agent_id = agent_id
        self._membership = membership
        self._inbox = inbox
        self._catch_up = catch_up
        self._believing = believing
        self._send_ack = send_ack
        # How many streams have opened so far.
        self._opened = 0
        # Set while a stream has opened since the list was asked for.
        self._wanted = asyncio.Event()
        # What has come on the stream and waits for the list; None while nothing has to.
        self._held: list[CommandEvent] | None = None

    def stream_opened(self) -> None:
        """Take note that a stream has opened: from now on its commands are known to come."""
        self._opened += 1
        if self._catch_up:
            # What the stream before has brought, and nobody has carried out, is in the list.
            self._held = []
            self._wanted.set()

    def offer(self, command: CommandEvent) -> None:
        """Take a command that has come on the stream."""
        if self._held is None:
            self._inbox.offer(command)
            return
        self._held.append(command)
        if len(self._held) > MOST_HELD:
            self._release()

    async def keep_fetching(self) -> None:
        """Fetch the list each time a stream has opened; never returns."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            stream = self._opened
            try:
                pending = await backoff.persist(
                    self._fetch,
                    least=lambda: FIRST_DELAY,
                    most=lambda: self._membership.longest_delay,
                    told=self._say_that_it_failed,
                )
            except RegistryError as error:  # for good; or it is not known, and registers again
                log.warning("cannot catch up", reason=str(error), agent_id=self._agent_id)
                pending = []
            for delivery in reversed(pending):
                if (command := await self._believed(delivery)) is not None:
                    self._inbox.offer(command, missed=True)
            if stream == self._opened:
                self._release()

    async def _believed(self, delivery: AgentDelivery) -> CommandEvent | None:
        if self._believing is None:
            return delivery
        try:
            return await self._believing.of_delivery(delivery)
        except Distrusted as refusal:
            if self._send_ack is not None:
                self._believing.refuse(refusal, self._send_ack)
            return None

    async def _fetch(self) -> list[AgentDelivery]:
        welcome = self._membership.welcome
        try:
            return await self._connection.ask(
                list[AgentDelivery],
                "GET",
                "agents",
                self._agent_id,
                "commands",
                query=[("status", "PENDING")],
            )
        except AgentNotRegistered:
            self._membership.forgotten(welcome)
            raise
        except Unauthenticated:
            self._membership.refused(welcome)
            raise

    def _say_that_it_failed(self, error: BaseException, delay: float) -> None:
        log.warning(
            "catching up failed",
            reason=str(error),
            again_in=round(delay, 1),
            agent_id=self._agent_id,
        )
        self._release()

    def _release(self) -> None:
        held, self._held = self._held or [], None
        for command in held:
            self._inbox.offer(command)
