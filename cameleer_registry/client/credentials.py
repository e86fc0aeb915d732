"""What an agent shows: the enrolment token that it was given, and then its own, which it renews.

An enrolment token stands in ``CAMELEER_TOKEN``, or in the file that ``CAMELEER_TOKEN_FILE`` names,
unless the program passes one. The file is read each time that it is needed: a token that was put
there meanwhile counts. All durations are the server's and are measured by the steady clock: what
time it is here does not matter.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..core.model import AgentCredential
from ..errors import AgentNotRegistered, RegistryError, ServerUnreachable, Unauthenticated
from ..logs import get_logger
from ..security.model import CredentialShown
from . import bounds
from .connection import Connection

log = get_logger(__name__)

TOKEN_VARIABLE: Final = "CAMELEER_TOKEN"  # noqa: S105 - a name
TOKEN_FILE_VARIABLE: Final = "CAMELEER_TOKEN_FILE"  # noqa: S105 - a name

SOON: Final = 5.0
"""Seconds after which a renewal that failed is tried again, to twice that; up to a minute."""

_MOST: Final = 60.0


def token_given(token: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the token that somebody passes, or that the environment holds; None without one.

    Raises ValueError, which quotes none of it, if it is no token or its file cannot be read.
    """
    if token is None:
        token = environment.get(TOKEN_VARIABLE, "").strip() or None
    if token is None and (name := environment.get(TOKEN_FILE_VARIABLE)):
        try:
            token = Path(name).read_text("utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise ValueError(f"cannot read the token in {name}: {reason}") from None
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise ValueError("token: expected one word of ASCII characters")
    return token


class Credentials:
    """The credentials of one agent that runs."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        # The agent's own; None until it was given one, and when that is not good any more.
        self._own: AgentCredential | None = None
        # When that was given, by the steady clock.
        self._since = 0.0
        # Set while there is one to be renewed.
        self._given = asyncio.Event()

    def header(self) -> str | None:
        """Return what is shown with a request; None if there is nothing to show."""
        token = token_given(self._token) if self._own is None else self._own.access_token
        return None if token is None else f"Bearer {token}"

    def take(self, credential: AgentCredential | None) -> None:
        """Take what the server has given; None if it gives none."""
        self._own, self._since = credential, time.monotonic()
        if credential is None:
            self._given.clear()
        else:
            self._given.set()

    def refused(self) -> None:
        """Take note that the agent's own token is not good: from now on the other is shown."""
        self.take(None)

    async def keep_renewed(self, connection: Connection, agent_id: str) -> None:
        """Renew the agent's token whenever that is due; never returns."""
        delay = SOON
        while True:
            await self._given.wait()
            own = self._own
            assert own is not None
            await asyncio.sleep(self._due_in(own))
            if self._own is not own:
                continue  # it has registered meanwhile
            try:
                shown = await connection.ask(CredentialShown, "POST", "agents", agent_id, "token")
            except (Unauthenticated, AgentNotRegistered) as error:
                log.warning("token not renewed", agent_id=agent_id, reason=str(error))
                if self._own is own:
                    self.refused()
            except (ServerUnreachable, RegistryError) as error:
                log.info("token not renewed yet", agent_id=agent_id, reason=str(error))
                await asyncio.sleep(delay * random.uniform(1, 2))
                delay = min(2 * delay, _MOST)
            else:
                delay = SOON
                if self._own is own:
                    self.take(shown.credential)

    def _due_in(self, own: AgentCredential) -> float:
        return max(0.0, bounds.interval(own.renew_after_ms) - (time.monotonic() - self._since))
