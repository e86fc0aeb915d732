"""How long a node has been cut off, and what it may still do.

A node is in contact when its own entries come back. For some seconds without that nothing is
concluded: servers elect a leader, and everybody waits. After that nothing is promised any more that
could not be kept, and later the node's streams are ended, so that their agents go elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define

from ...errors import NotInContact

WAITING: Final = 3.0
"""Seconds after which whoever reads is told as of when that is."""

REFUSING: Final = 15.0
"""Seconds after which nothing is changed any more: longer than any election."""

ENDING: Final = 30.0
"""Seconds after which streams are ended, and none are opened."""


@define
class Contact:
    """When the newest own entry came back."""

    clock: Callable[[], float]
    seen: float = 0.0

    def note(self) -> None:
        """Note that an own entry has come back."""
        self.seen = self.clock()

    @property
    def silent(self) -> float:
        """For how many seconds none has."""
        return self.clock() - self.seen

    def check(self) -> None:
        """Raise NotInContact if nothing may be changed any more."""
        if self.silent > REFUSING:
            raise NotInContact(
                f"this node has not heard from the others for {self.silent:.0f} s; "
                "nothing was changed"
            )

    def check_stream(self) -> None:
        """Raise NotInContact if no stream may be opened any more."""
        if self.silent > ENDING:
            raise NotInContact(
                f"this node has not heard from the others for {self.silent:.0f} s; "
                "another node has the commands"
            )
