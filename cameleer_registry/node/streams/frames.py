"""What is written to an event stream, as bytes encoded once and shared by every stream.

The format is that of WHATWG HTML, section 9.2 (server-sent events), with LF line ends. HTTP/1.1
carries it in chunks (RFC 9112, section 7.1); HTTP/1.0 as it is, to the end of the connection.
"""

from __future__ import annotations

import random
from typing import Final

from attrs import frozen

from ... import wire
from ...core.model import CommandEvent

RETRY_MS: Final = (2000, 5000)
"""Bounds of the delay that a client is told to reconnect after. Drawn for each stream, so that
clients which lost their server together do not come back together."""


MOVE_MS: Final = (100, 300, 2000)
"""Bounds of the same delay for a client whose node ends while others go on: the least, the most
for a few streams, and the most for many. It should be back at once, but not all together: see
:func:`moving`."""

STREAMS_A_MS: Final = 5
"""Streams of one node whose clients may come to the others in a millisecond."""


@frozen
class Frame:
    """One piece of an event stream, ready to be written."""

    chunked: bytes
    plain: bytes

    @classmethod
    def of(cls, content: bytes) -> Frame:
        """Frame some lines of an event stream."""
        return cls(b"%x\r\n%b\r\n" % (len(content), content), content)


KEEPALIVE: Final = Frame.of(b":\n")
"""A comment line without a blank one, which some clients take for an empty event."""

END: Final = Frame(b"0\r\n\r\n", b"")


def opening() -> Frame:
    """Return what a stream begins with: the reconnection delay and a comment.

    No blank line ends it: some clients would dispatch an empty event upon that.
    """
    return Frame.of(b"retry: %d\n: connected\n" % random.randint(*RETRY_MS))


def moving(streams: int) -> Frame:
    """Return what a stream ends with if its client shall move to another node at once.

    It is a new reconnection delay, which replaces that of the opening. The more ``streams`` a node
    has, the longer is the time over which their clients are spread.
    """
    least, few, most = MOVE_MS
    bound = min(most, few + streams // STREAMS_A_MS)
    return Frame.of(b"retry: %d\n" % random.randint(least, bound))


def lines(event_id: str, event_type: str, data: bytes) -> bytes:
    """Return the lines of an event; ``data`` is one line."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), event_type.encode(), data)


def event(command: CommandEvent, line: bytes | None = None) -> Frame:
    """Return the event by which a command reaches its targets; its data is ``line`` if signed."""
    data = wire.encode_line(command) if line is None else line
    return Frame.of(lines(command.command_id, command.type, data))
