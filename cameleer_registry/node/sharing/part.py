"""A node's part in a shared registry: who it is among the others, and what it may say to them.

Everything else of this folder goes by what is kept here, and puts inputs into the log from here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from ...core.inputs import Input
from ...core.members import Member
from ...core.replica import Replica
from ...errors import CannotJoin, NodeBehind, NotInContact
from ...logs import get_logger
from ..log.port import Log
from .appender import Appender
from .contact import Contact
from .lag import Positions

log = get_logger(__name__)


class Part:
    """What this node is to the others, from its first start of this process to its end."""

    def __init__(self, shared_log: Log, *, name: str, has_started: Callable[[], bool]) -> None:
        self.log = shared_log
        self.name = name
        self._has_started = has_started
        # Set when the node begins with a copy, and again when it begins anew.
        self.replica: Replica | None = None
        # False while this node begins anew: what it shows is what was before.
        self.is_level = True
        # By which this start of the node is known to the others.
        self.boot = ""
        # Under which number it takes part; None while it does not.
        self._number: int | None = None
        self._numbered = asyncio.Event()
        self.appender: Appender | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.contact = Contact(self.time)
        self.positions = Positions(shared_log, lambda: self.position)
        # Why this node takes part no more, for good; None while it does.
        self.lost: str | None = None
        self.on_lost: Callable[[str], None] = lambda _: None
        # Whether it has ended.
        self.left = False

    def time(self) -> float:
        """Return the time of the event loop; 0 before there is one."""
        return 0.0 if self.loop is None else self.loop.time()

    def begin_boot(self) -> Appender:
        """Be a new node to the others; what comes back of the one before counts no more."""
        self.boot = uuid4().hex[:12]
        self.appender = Appender(self.log, self.boot)
        return self.appender

    def lose(self, reason: str) -> None:
        """Take part no more: the log is lost, or is another one."""
        if self.lost is not None or self.left:
            return
        self.lost = reason
        if self.appender is not None:
            self.appender.give_up(NotInContact(reason))
        if not self._has_started():  # whoever waits for that is told
            self.positions.give_up(CannotJoin(reason))
            return
        log.error("this node cannot take part any more", reason=reason)
        self.positions.give_up(NotInContact(reason))
        self.on_lost(reason)

    # Its place among the others

    @property
    def number(self) -> int | None:
        """Under which number this node takes part; None while it does not."""
        return self._number

    @number.setter
    def number(self, number: int | None) -> None:
        self._number = number
        if number is None:
            self._numbered.clear()
        else:
            self._numbered.set()

    async def numbered(self, seconds: float) -> None:
        """Wait until this node takes part, but not longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._numbered.wait()

    @property
    def position(self) -> int:
        """The position of the newest entry that has been applied."""
        return 0 if self.replica is None else self.replica.position

    @property
    def takes_part(self) -> bool:
        """Whether this node is one of those that take part, as far as it knows."""
        return self.number is not None and self.lost is None and not self.left

    @property
    def is_first(self) -> bool:
        """Whether this node does what one of them has to do."""
        if self.replica is None:
            return False
        first: Member | None = next(iter(self.replica.members.live.values()), None)
        return first is not None and first.boot == self.boot

    @property
    def holds(self) -> tuple[str, ...]:
        """The names of the keys that the others believe to be here."""
        assert self.replica is not None
        member = self.replica.members.live.get(self.boot)
        return () if member is None else member.holds

    # What it may do

    def check_level(self, *, started: bool) -> None:
        """Raise NotInContact or NodeBehind while this node knows less than the others."""
        if not started:
            raise NotInContact("this node joins the others, and has yet to learn what they know")
        if not self.is_level:
            raise NodeBehind("this node begins anew, and has yet to learn what the others know")

    def check(self) -> None:
        """Raise NotInContact if nothing may be changed."""
        if self.lost is not None:
            raise NotInContact(self.lost)
        if self.left or self.appender is None:
            raise NotInContact("this node does not take part at present; nothing was changed")
        self.contact.check()

    def check_stream(self) -> int:
        """Return this node's number; raises NotInContact if no stream may be opened."""
        if self.lost is not None or self.left or self.number is None:
            raise NotInContact("this node does not take part at present")
        self.contact.check_stream()
        return self.number

    # Putting inputs into the log

    def submit(self, given: Input, *, waits: bool = True) -> asyncio.Future[Any]:
        """Put an input into the log; return what is done when it has come back."""
        self.check()
        assert self.appender is not None
        return self.appender.submit(given, waits=waits)

    def submit_for_long(self, given: Input) -> asyncio.Future[Any]:
        """Do the same however long it takes, and also if this node is cut off."""
        assert self.appender is not None
        return self.appender.submit(given, for_long=True)

    def tell(self, given: Input) -> None:
        """Put an input into the log for which nobody waits; nothing happens while cut off."""
        if self.left or self.lost is not None or self.appender is None:
            return
        with contextlib.suppress(Exception):
            forget(self.appender.submit(given, waits=False))

    async def send(self) -> None:
        """Send what waits, of whichever boot this node has. Never ends."""
        while True:
            assert self.appender is not None
            appender = self.appender
            sending = asyncio.ensure_future(appender.run())
            try:
                while self.appender is appender and not sending.done():
                    await asyncio.wait([sending], timeout=0.2)
                if sending.done():
                    sending.result()
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)


def forget(future: asyncio.Future[Any]) -> None:
    """Have nobody told that something failed for which nobody waits."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
