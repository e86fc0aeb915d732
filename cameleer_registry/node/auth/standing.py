"""What stands on a credential while it is open: streams and feeds, which end when it does, and
whoever waits for a command.

A revocation is looked for in all of them at once. Expiry is looked for when the first can expire;
a token that is renewed meanwhile extends the stream of its agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from ...core.events import CloseReason
from ...core.instant import NANOSECONDS
from ...errors import RegistryError, TokenExpired
from ...logs import get_logger
from ...security.principals import Principal
from ..clock import Clock
from ..streams.outgoing import OutgoingStream
from .authority import Authority
from .beginning import read_files_again

log = get_logger(__name__)

TURN: Final = 500
"""Streams that are looked at before others get their turn: a millisecond of work at most."""

PACE: Final = 0.25
"""Seconds between two looks at the clock."""


FILES_EVERY: Final = NANOSECONDS // 2
"""Nanoseconds after which files of tokens are looked at again: one stat of each."""


class Standing:
    """Ends streams whose credentials are over."""

    def __init__(
        self, authority: Authority, clock: Clock, streams: Callable[[], Iterable[OutgoingStream]]
    ) -> None:
        self._authority = authority
        self._clock = clock
        self._streams = streams
        # No stream ends before that, in steady time; None while none does.
        self._first: int | None = None
        # Set when something was revoked.
        self._revoked = False
        # True while a node begins anew, and knows less than it has.
        self.rests = False
        # When the files of tokens are looked at next, in steady time.
        self._next_read = 0

    def opened(self, stream: OutgoingStream, principal: Principal | None) -> None:
        """Have a stream stand on a credential, or on another one from now on.

        That may have been taken away since it was looked at, and all others looked at since.
        """
        stream.principal = principal
        if principal is not None and self._is_over(principal):
            self._revoked = True
        if principal is not None and principal.expires is not None:
            end = principal.expires.steady
            self._first = end if self._first is None else min(self._first, end)

    def revoked(self) -> None:
        """Have all streams looked at: something was revoked."""
        self._revoked = True

    async def watch(self) -> None:
        """End streams whose credentials are over. Never ends itself."""
        while True:
            await asyncio.sleep(PACE)
            if self.rests:
                continue
            self._read_files()
            if self._revoked or (
                self._first is not None and self._clock.now().steady >= self._first
            ):
                await self.look()

    def _read_files(self) -> None:
        if self._authority.files is not None and self._clock.now().steady >= self._next_read:
            now = self._clock.now()
            self._next_read = now.after(FILES_EVERY).steady
            if read_files_again(self._authority, now=now):
                self.revoked()

    async def look(self) -> None:
        """Look at all streams, and end those whose credentials are over."""
        self._revoked, self._first = False, None
        first: int | None = None
        for count, stream in enumerate(self._streams(), start=1):
            if (principal := stream.principal) is not None:
                if self._is_over(principal):
                    stream.lose(CloseReason.CREDENTIAL_OVER)
                elif principal.expires is not None:
                    end = principal.expires.steady
                    first = end if first is None else min(first, end)
            if count % TURN == 0:
                await asyncio.sleep(0)
        if first is not None:  # others may have been opened meanwhile
            self._first = first if self._first is None else min(self._first, first)

    def check(self, principal: Principal | None) -> None:
        """Let somebody wait on whose credential is still good.

        Raises TokenExpired or CredentialRevoked.
        """
        if principal is not None and not self.rests:
            self._recheck(principal)

    def _recheck(self, principal: Principal) -> None:
        now = self._clock.now()
        if not principal.of_host:
            self._authority.verifier.recheck(principal, now=now)
        elif principal.expires is not None and now.steady >= principal.expires.steady:
            raise TokenExpired

    def _is_over(self, principal: Principal) -> bool:
        try:
            self._recheck(principal)
        except RegistryError as error:
            log.debug("a stream ends with its credential", by=principal.issuer, why=error.code)
            return True
        return False
