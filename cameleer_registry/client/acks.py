"""Acknowledging: until it is done, or until it is too late."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from ..core.model import Ack, Delivery
from ..errors import (
    AgentNotRegistered,
    BodyTooLarge,
    InvalidRequest,
    MalformedJson,
    RegistryError,
    ServerUnreachable,
    Unauthenticated,
)
from ..logs import get_logger
from . import backoff
from .connection import Connection
from .membership import Membership

log = get_logger(__name__)

FIRST_DELAY: Final = 0.2
LONGEST_DELAY: Final = 5.0
"""Seconds between two attempts: short, since a command lives for a minute."""


class Acks:
    """Tells the server what became of commands."""

    def __init__(self, connection: Connection, agent_id: str, membership: Membership) -> None:
        self._connection = connection
        self._agent_id = agent_id
        self._membership = membership

    async def send(self, command_id: str, ack: Ack, expires_at: datetime) -> None:
        """Send an acknowledgement, and repeat it until ``expires_at`` if necessary.

        A failure is logged.
        """
        ids: dict[str, Any] = {"agent_id": self._agent_id, "command_id": command_id}

        def seconds_left() -> float:
            return self._connection.clock.seconds_until(expires_at)

        async def persist(ack: Ack) -> None:
            await backoff.persist(
                lambda: self._post(command_id, ack, seconds_left()),
                least=lambda: FIRST_DELAY,
                most=lambda: LONGEST_DELAY,
                again=_may_pass,
                told=say,
                seconds_left=seconds_left,
            )

        def say(error: BaseException, delay: float) -> None:
            log.info("acknowledgement failed", reason=str(error), again_in=round(delay, 1), **ids)

        try:
            try:
                await persist(ack)
            except (BodyTooLarge, InvalidRequest, MalformedJson) as error:
                # What became of the command is worth telling without the rest.
                note = f"the server refused what came with this: {error}"
                await persist(Ack(status=ack.status, message=note))
        except (ServerUnreachable, RegistryError) as error:
            log.warning("acknowledgement lost", outcome=str(ack.status), reason=str(error), **ids)

    async def _post(self, command_id: str, ack: Ack, seconds_left: float) -> None:
        welcome = self._membership.welcome
        try:
            # What is no delivery was answered by somebody else.
            await self._connection.ask(
                Delivery, "POST", "agents", self._agent_id, "commands", command_id, "ack", body=ack
            )
        except AgentNotRegistered:
            self._membership.forgotten(welcome)
            raise
        except Unauthenticated:
            self._membership.refused(welcome)
            # The other token, which is shown until there is a new one, acknowledges nothing.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, seconds_left)):
                    await self._membership.registered()
            raise


def _may_pass(error: BaseException) -> bool:
    """Tell whether an acknowledgement may succeed later: by another token of the agent's, too."""
    return backoff.is_passing(error) or isinstance(error, Unauthenticated)
