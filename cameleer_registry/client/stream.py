"""An agent's event stream, from the agent's side.

launchdarkly-eventsource parses the events, over a connection of ours. It does not pass ``retry:``
on, so that is read here. This protocol has it in the stream's first line, and once more just before
the end of a stream whose client shall come back sooner, to another node.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import aiohttp
from ld_eventsource.actions import Event
from ld_eventsource.async_client import AsyncSSEClient
from ld_eventsource.config.async_connect_strategy import (
    AsyncConnectionClient,
    AsyncConnectionResult,
    AsyncConnectStrategy,
)
from ld_eventsource.config.error_strategy import ErrorStrategy

from ..errors import ServerUnreachable
from . import bounds

_RETRY: Final = re.compile(rb"^retry: ?(\d{1,18})\r?\n", re.MULTILINE)
_LONGEST_RETRY_LINE: Final = 64

LONGEST_EVENT: Final = 2**29
"""Bytes that may come without an end of an event: as many as an answer may have."""

_ENDS: Final = (b"\n\n", b"\n\r\n", b"\r\r")

_INSIDE: Final = b"."
"""In place of the beginning of a line that is longer than those that are looked for."""

# Told of none, the library would add a handler to one of its own for each stream that is opened.
_log: Final = logging.getLogger(__name__)


class EventStream:
    """One connection to a stream that has been opened."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        # Seconds to wait before reconnecting, as the server said last, but a minute at most; None
        # until it has.
        self.retry: float | None = None
        # How often it has.
        self._said = 0

    @property
    def is_sent_away(self) -> bool:
        """Whether the server ends, while others go on: it has said anew when to come back."""
        return self._said > 1

    async def events(self) -> AsyncGenerator[Event, None]:
        """Return the events as they come, until the server ends the stream.

        Raises ServerUnreachable if the connection breaks, or falls silent.
        """
        async with AsyncSSEClient(
            _Opened(self), error_strategy=ErrorStrategy.always_fail(), logger=_log
        ) as client:
            try:
                async for event in client.events:
                    yield event
            except TimeoutError:
                raise ServerUnreachable("nothing has arrived on the stream for too long") from None
            except (aiohttp.ClientError, OSError, ValueError) as error:  # not UTF-8, for one
                reason = str(error) or type(error).__name__
                raise ServerUnreachable(f"the stream broke: {reason}") from None

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Return what comes, as it comes; raises ValueError if an event does not end."""
        line = b""  # what has come of the one that is not complete
        last, unended = b"", 0  # what may be a part of an end, and how much has come since one
        async for chunk in self._response.content.iter_any():
            seen = last + chunk
            ends = [at + len(end) for end in _ENDS if (at := seen.rfind(end)) >= 0]
            unended = len(seen) - max(ends) if ends else unended + len(chunk)
            if unended > LONGEST_EVENT:
                raise ValueError(f"an event is longer than {LONGEST_EVENT} bytes")
            last = seen[-2:]
            text = line + chunk
            for found in _RETRY.finditer(text):
                self.retry = min(int(found[1]) / 1000, bounds.LONGEST_WAIT)
                self._said += 1
            line = text[text.rfind(b"\n") + 1 :]
            if len(line) > _LONGEST_RETRY_LINE:
                line = _INSIDE
            yield chunk


class _Opened(AsyncConnectStrategy, AsyncConnectionClient):
    """How the library gets to a stream that is open already."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    def create_client(self, _logger: logging.Logger) -> AsyncConnectionClient:
        return self

    async def connect(self, _last_event_id: str | None) -> AsyncConnectionResult:
        return AsyncConnectionResult(stream=self._stream.chunks(), closer=None)
