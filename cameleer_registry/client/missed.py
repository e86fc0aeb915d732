"""Catching up: commands sent while there was no stream are fetched each time one has opened.

Commands that arrive on the stream in the meantime wait until that is done, so that all are carried
out in the order in which they were issued. They wait as they came: whether one is believed depends
on those that were taken before it. They do not wait for ever: if the list cannot be fetched, the
stream goes on without it, and the list is requested again later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Final

from attrs import frozen

from .. import wire
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


@frozen
class Arrived:
    """An event of the stream, as it came."""

    type: str
    line: str
    sent_as: str | None
    """The id of the event; None if it has none."""


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
        believing: Believing,
        send_ack: SendAck,
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
        self._held: deque[Arrived] | None = None
        # Held by whoever brings that to the inbox, since keys may have to be fetched for it.
        self._order = asyncio.Lock()
        # What brings it there although there is no list yet.
        self._releasing: set[asyncio.Task[None]] = set()

    def stream_opened(self) -> None:
        """Take note that a stream has opened: from now on its commands are known to come."""
        self._opened += 1
        if self._catch_up:
            # What the stream before has brought, and nobody has carried out, is in the list.
            self._held = deque()
            self._wanted.set()

    async def offer(self, arrived: Arrived) -> None:
        """Take what has come on the stream."""
        if self._held is None:
            await self._take(arrived)
            return
        self._held.append(arrived)
        if len(self._held) > MOST_HELD:
            await self._release()

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
                await self._release()

    async def _believed(self, delivery: AgentDelivery) -> CommandEvent | None:
        try:
            return await self._believing.of_delivery(delivery)
        except Distrusted as refusal:
            self._believing.refuse(refusal, self._send_ack)
            return None

    async def _take(self, arrived: Arrived) -> None:
        line = arrived.line
        try:
            command = await self._believing.command(
                line, arrived.sent_as, partial(wire.decode_answer, line, CommandEvent)
            )
        except Distrusted as refusal:
            self._believing.refuse(refusal, self._send_ack)
        except ValueError as error:
            log.warning(
                "event ignored",
                event_type=arrived.type,
                reason=str(error),
                agent_id=self._agent_id,
            )
        else:
            if command is not None:
                self._inbox.offer(command)

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
        task = asyncio.ensure_future(self._release())
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def _release(self) -> None:
        """Bring what waits to the inbox, unless another stream opens meanwhile."""
        held = self._held
        async with self._order:
            while held and self._held is held:
                await self._take(held.popleft())  # what comes meanwhile is put behind
            if self._held is held:
                self._held = None
