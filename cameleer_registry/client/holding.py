"""The stream that an agent holds: it is kept open, and what comes on it is passed on."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, Final

from attrs import define, field

from ..core.model import Welcome
from ..errors import (
    AgentNotRegistered,
    GroupNotAllowed,
    RegistryError,
    ServerUnreachable,
    Unauthenticated,
)
from ..logs import get_logger
from . import backoff, bounds
from .connection import Connection
from .membership import Membership
from .missed import Arrived, Missed
from .pacing import LASTING, Pacing
from .stream import EventStream

log = get_logger(__name__)

RETRY: Final = 3.0
"""Seconds before a stream is opened again, if the server has not said how long."""

SILENT_KEEPALIVES: Final = 3
"""Keepalives that may be missing before a stream is taken for dead."""


SENT_ON: Final = 1.0
"""Seconds for which a stream must last that a node ends with the word to come back at once. If it
lasted less, the node that ends was asked again: that is done ever more rarely."""


class _EndedSoon(ServerUnreachable):
    """The server has ended a stream soon after it was opened."""


@define(eq=False)
class HeldStream:
    """The event stream of one agent, during one run of it."""

    _connection: Connection
    _agent_id: str
    _membership: Membership
    _missed: Missed
    connected: bool = field(default=False, init=False)
    """Whether the stream is open."""
    # Seconds to wait before the stream is opened again, as the server said last.
    _retry: float = field(default=RETRY, init=False)
    _log: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._log = log.bind(agent_id=self._agent_id)

    async def keep_open(self) -> None:
        """Open the stream again whenever it ends; never returns."""
        ended_soon, pacing = False, Pacing()

        def most() -> float:
            # Of two processes under one id, one is connected nearly always.
            return backoff.LONGEST if ended_soon else self._membership.longest_delay

        def told(error: BaseException, delay: float) -> None:
            nonlocal ended_soon
            ended_soon = isinstance(error, _EndedSoon)
            self._say_that_it_failed(error, delay)

        while True:
            pause = await backoff.persist(
                lambda: self._listen(pacing),
                least=lambda: self._retry,
                most=most,
                again=lambda error: isinstance(error, ServerUnreachable | RegistryError),
                told=told,
            )
            await asyncio.sleep(pause)

    async def _listen(self, pacing: Pacing) -> float:
        """Open the stream, and take what comes until it ends; return how long to wait then.

        Raises ServerUnreachable or RegistryError if it could not be opened, or did not last.
        """
        membership = self._membership
        welcome = await membership.registered()
        try:
            stream = await self._open(welcome)
        except AgentNotRegistered:
            membership.forgotten(welcome)
            stream = await self._open(await membership.registered())
        except (Unauthenticated, GroupNotAllowed):
            membership.refused(welcome)
            stream = await self._open(await membership.registered())
        loop, address = asyncio.get_running_loop(), self._connection.addresses.current
        opened = loop.time()
        self._log.info("stream opened")
        self.connected = True
        self._missed.stream_opened()
        broke: ServerUnreachable | None = None
        try:
            await self._take(stream)
        except ServerUnreachable as error:
            broke = error
        finally:
            self.connected = False
            self._retry = stream.retry or self._retry
            stream.close()
        lasted = loop.time() - opened
        if stream.is_sent_away:
            self._connection.addresses.leave(address)
            if lasted >= SENT_ON:
                self._log.info("stream ended by a node that ends itself")
                return backoff.spread(self._retry)
        if lasted < LASTING:
            raise broke or _EndedSoon("the server ended the stream soon after it was opened")
        if broke is None:
            self._log.info("stream ended by the server")
        else:
            self._log.warning("stream lost", reason=str(broke))
        return pacing.after(lasted, cleanly=broke is None, retry=self._retry)

    async def _open(self, welcome: Welcome) -> EventStream:
        # A limit of 0 would be none, and a stream that is dead would be held for ever.
        silence = SILENT_KEEPALIVES * bounds.interval(welcome.config.keepalive_interval_ms)
        response = await self._connection.stream(
            welcome.sse_endpoint,
            "agents",
            self._agent_id,
            "events",
            home=self._membership.home,
            silence=silence,
        )
        return EventStream(response)

    async def _take(self, stream: EventStream) -> None:
        async with aclosing(stream.events()) as events:
            async for event in events:
                await self._missed.offer(Arrived(event.event, event.data, event.id))

    def _say_that_it_failed(self, error: BaseException, delay: float) -> None:
        self._log.warning("no stream", reason=str(error), again_in=round(delay, 1))
