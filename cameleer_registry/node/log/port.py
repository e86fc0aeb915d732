"""What a node expects of a log, whichever keeps it.

Entries are bytes with an id. Each has a position, from 1 on and one more than the one before, and a
stamp: the time of day, in nanoseconds, at which the log stored it. Everybody who follows the log is
given the same entries with the same positions and stamps, in order and each once.

That an entry has been appended is known when it comes back to who follows, and by nothing else: a
time-out is no refusal, and what has timed out may be stored later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from attrs import field, frozen


class LogUnavailable(Exception):
    """The log has not answered. Whatever was asked of it may have been done, or be done yet."""


class LogLost(Exception):
    """The log is gone, or is another one. ``str()`` of it is one line that says so."""


class TooLargeForLog(Exception):
    """An entry is larger than the log takes."""


FOUNDER_SECONDS: Final = 60.0
"""For which a node that has nothing waits for one that has said that it founds the log: its
database may be large, and new streams slow."""

Take = Callable[[int, int, bytes], None]
"""Is given the position, the stamp and the content of each entry. It must not block."""


@frozen
class Snapshot:
    """What somebody has come to at a position, so that nobody has to begin at the first entry."""

    position: int
    content: bytes = field(repr=False)


class Log(Protocol):
    """A log that many nodes share. It is used on the loop on which it was opened."""

    @property
    def lineage(self) -> str:
        """By which this log is told from all others; known when it is open."""

    @property
    def max_entry(self) -> int:
        """How many bytes an entry may take; known when it is open."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the log at present, for what that is worth."""

    @property
    def behind(self) -> int:
        """How many entries there are behind the newest that was given, as far as is known here."""

    async def open(self, known: str | None = None, *, founds: bool = False) -> None:
        """Connect, and make the log if there is none; raises CannotJoin.

        ``known`` is the lineage of the log to which this node's database belongs: that log is not
        made anew when it is gone, or it could not be restored under its name. ``founds`` says that
        it has something to found an empty log with, which others are to wait for. Waits for as long
        as nobody is there who could answer.
        """

    async def append(self, content: bytes, entry_id: str) -> None:
        """Append an entry, unless one of that id has been appended lately.

        Returns when the log has confirmed it. Raises LogUnavailable and TooLargeForLog.
        """

    async def bounds(self) -> tuple[int, int]:
        """Return the oldest position that is still there, and the newest.

        In an empty log the oldest is one more than the newest. Raises LogUnavailable and LogLost.
        """

    def follow(self, after: int, take: Take, on_lost: Callable[[str], None]) -> None:
        """Give all entries after a position to ``take``, now and as they come.

        ``on_lost`` is told why, if the log is gone or is another one: then nothing comes any more.
        """

    async def unfollow(self) -> None:
        """Give nothing any more to whoever follows, until somebody follows again."""

    async def found(self, content: bytes) -> bool:
        """Save the snapshot of position 0, unless there is one; tell whether it was saved.

        Nobody appends anything to a log that has not been founded. Raises LogUnavailable.
        """

    async def founding_seconds(self) -> float:
        """Return for how long a node that has nothing leaves it to others to found the log.

        One of them may have a database to found it with, and be started in the same moment. It is
        longer if one has said so. Raises LogUnavailable and LogLost.
        """

    async def save(self, snapshot: Snapshot) -> None:
        """Save a snapshot, and keep the one before it; raises LogUnavailable."""

    async def load(self) -> Snapshot | None:
        """Return the newest snapshot that is whole, or None if there is none.

        Raises LogUnavailable, and LogLost if there are some but none is whole.
        """

    async def kept(self) -> int:
        """Return the position of the older of the snapshots that are kept; 0 if there is none.

        Raises LogUnavailable.
        """

    async def trim(self, position: int) -> None:
        """Forget all entries up to a position; raises LogUnavailable."""

    async def close(self) -> None:
        """Follow no longer, and leave."""
