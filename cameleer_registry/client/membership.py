"""Being known to the server, and staying LIVE: registering, and heartbeats."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from ..core.model import Registration, Welcome
from ..errors import (
    AgentNotRegistered,
    GroupNotAllowed,
    RegistryError,
    ServerUnreachable,
    Unauthenticated,
)
from ..logs import get_logger
from ..security.model import AgentRegistration
from . import backoff, bounds
from .addresses import Address
from .believing import Believing
from .connection import TIMEOUT, Connection
from .credentials import Credentials
from .trust import Distrusted

log = get_logger(__name__)

TIME_AGAIN: Final = 60.0
"""Seconds after a registration before the next one for the sake of the server's time."""

FIRST_DELAY: Final = 1.0
"""Seconds before a registration that failed is tried again, to twice that; then longer."""


class Membership:
    """One agent's registration and its heartbeats."""

    def __init__(
        self,
        connection: Connection,
        registration: Registration,
        credentials: Credentials | None = None,
        believing: Believing | None = None,
    ) -> None:
        self._connection = connection
        self._registration = registration
        self._credentials = credentials or Credentials(None)
        self._believing = believing
        if believing is not None:
            believing.on_expired = self._ask_for_time
        # When the last registration was answered, by the loop's clock.
        self._welcomed_at = 0.0
        self._log = log.bind(agent_id=registration.agent_id)
        # What the server answered to the last registration; None until it first did.
        self.welcome: Welcome | None = None
        # At which address it was asked, likewise.
        self.home: Address | None = None
        # Set while the server is believed to know this agent.
        self._known = asyncio.Event()
        # Set while there is something to tell the server.
        self._wanted = asyncio.Event()
        self._wanted.set()

    @property
    def is_known(self) -> bool:
        """Whether the server is believed to know this agent."""
        return self._known.is_set()

    @property
    def longest_delay(self) -> float:
        """The longest time in seconds to wait before something that failed is tried again.

        It is the heartbeat interval, if that is known: so an agent that has lost its server is back
        within two of them, however long the server was away.
        """
        longest = backoff.LONGEST
        return longest if self.welcome is None else min(longest, _interval(self.welcome))

    async def registered(self) -> Welcome:
        """Wait until the server knows this agent, and return what it answered to that."""
        await self._known.wait()
        assert self.welcome is not None
        return self.welcome

    def declare(self, registration: Registration) -> None:
        """Tell the server from now on that the agent is like this."""
        self._registration = registration
        if self._believing is not None:
            self._believing.trust.group = registration.group
        self._wanted.set()

    def forgotten(self, since: Welcome | None) -> None:
        """Take note that the server did not know the agent, although it had given that welcome."""
        if since is self.welcome and self._known.is_set():
            self._log.warning("the server does not know this agent any more")
            self._known.clear()
            self._wanted.set()

    def refused(self, since: Welcome | None) -> None:
        """Take note that the agent's token was not good, although it had been given with that."""
        if since is self.welcome and self._known.is_set():
            self._log.warning("the server does not take this agent's token any more")
            self._credentials.refused()
            self._known.clear()
            self._wanted.set()

    def _ask_for_time(self) -> None:
        """Register again, because only the answer to that tells the server's time, signed."""
        passed = asyncio.get_running_loop().time() - self._welcomed_at
        if self._known.is_set() and passed >= TIME_AGAIN:
            self._log.warning("a command has expired: asking for the server's time again")
            self._wanted.set()

    async def keep_registered(self) -> None:
        """Register, and again whenever that is wanted; never returns.

        Raises the RegistryError with which a first registration is refused for good. A later one
        is tried again: the agent is part of a service that should not lose it for that.
        """
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self.welcome = await backoff.persist(
                self._register,
                least=lambda: FIRST_DELAY,
                most=lambda: self.longest_delay,
                again=_may_pass if self.welcome is None else _is_answer,
                told=self._say_that_it_failed,
            )
            self._known.set()
            self._log.info("registered", resumed=self.welcome.resumed)

    async def send_heartbeats(self) -> None:
        """Send a heartbeat whenever one is due; never returns."""
        while True:
            welcome = await self.registered()
            # A fleet that registered in one moment shall not send its heartbeats in one.
            pause = _interval(welcome) * random.random()
            while self.is_known:
                await asyncio.sleep(pause)
                welcome = await self.registered()
                pause = _interval(welcome) * await self._send_heartbeat(welcome)

    async def _register(self) -> Welcome:
        body: Registration = self._registration
        if self._believing is not None:
            body = AgentRegistration.of(body, self._believing.trust.challenge())
        try:
            answer = await self._connection.send("POST", "agents", "register", body=body)
        except (Unauthenticated, GroupNotAllowed):
            self._credentials.refused()  # from now on as whoever enrols
            raise
        welcome = self._connection.read(answer, Welcome)
        # Before the keys are asked for: they are open to all, but a credential that is shown with
        # the question must be good.
        self._credentials.take(welcome.credential)
        if self._believing is not None:
            await self._believing.welcomed(answer.raw, welcome)
        self.home = answer.address
        self._welcomed_at = asyncio.get_running_loop().time()
        return welcome

    async def _send_heartbeat(self, welcome: Welcome) -> float:
        """Return after what part of the interval the next one should come."""
        timeout = min(TIMEOUT, _interval(welcome))
        try:
            await self._connection.tell(
                "POST", "agents", welcome.agent_id, "heartbeat", timeout=timeout
            )
        except AgentNotRegistered:
            self.forgotten(welcome)
            return 0
        except (Unauthenticated, GroupNotAllowed):
            self.refused(welcome)
            return 0
        except (ServerUnreachable, RegistryError) as error:
            self._log.warning("heartbeat failed", reason=str(error))
            return random.uniform(0.2, 0.3)  # sooner: three that are missed make an agent STALE
        if self._believing is not None:
            await self._believing.refresh()
        return random.uniform(0.9, 1)

    def _say_that_it_failed(self, error: BaseException, delay: float) -> None:
        self._log.warning("registration failed", reason=str(error), again_in=round(delay, 1))


def _interval(welcome: Welcome) -> float:
    return bounds.interval(welcome.config.heartbeat_interval_ms)


def _is_answer(error: BaseException) -> bool:
    return isinstance(error, RegistryError | ServerUnreachable | Distrusted)


def _may_pass(error: BaseException) -> bool:
    """Tell whether a first registration may succeed later.

    A token may be put in its place, or taken back by mistake: an agent does not end for that.
    """
    return backoff.is_passing(error) or isinstance(error, Unauthenticated | Distrusted)
