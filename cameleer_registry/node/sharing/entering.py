"""How a node comes to take part: under a name of its own, and again if it was given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ...core import inputs
from ...core.events import CloseReason
from ...errors import CannotJoin, NodeNameInUse, NotInContact, OutcomeUnknown
from ...logs import get_logger
from ...version import __version__
from ..auth.changing import publish_held
from .part import Part

if TYPE_CHECKING:
    from ..node import Node

log = get_logger(__name__)

NAME_PATIENCE: Final = 12.0
"""Seconds in which a node of the same name may be found to be lost: one that was killed, and
started again."""

NAME_AGAIN: Final = 1.2
"""Seconds after which a name is tried again: longer than a living node says nothing."""

AGAIN: Final = 0.5
"""Seconds after which a node that was given up tries again to join."""


class Entering:
    """Has a node take part."""

    def __init__(self, node: Node, part: Part) -> None:
        self._node = node
        self._part = part
        # Held on to while it runs.
        self._rejoining: asyncio.Task[None] | None = None

    async def enter(self) -> None:
        """Take part, under a name that nobody else has; raises CannotJoin."""
        part = self._part
        until = part.time() + NAME_PATIENCE
        while True:
            if part.lost is not None:
                raise CannotJoin(part.lost)
            appender = part.begin_boot()
            wish, positions = self._wish(), self._positions()
            sending = asyncio.create_task(appender.run(), name="joining")
            try:
                part.number = await appender.submit(wish)
                await self._publish_keys()
                return
            except NodeNameInUse as error:
                await asyncio.sleep(NAME_AGAIN)
                if part.time() > until or self._is_alive(positions):
                    raise CannotJoin(str(error)) from None
            except (OutcomeUnknown, NotInContact) as error:
                log.warning("the log does not answer yet", reason=str(error))
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    def enter_again(self) -> None:
        """Join again: the others have given this node up, and what it had yet to say is void."""
        part = self._part
        log.warning("this node was given up by the others and joins again", node=part.name)
        assert part.appender is not None
        assert part.loop is not None
        part.appender.give_up(NotInContact("this node was given up by the others"))
        self._node.life.end_streams(CloseReason.NODE_LOST)
        part.number = None
        part.begin_boot()
        self._rejoining = part.loop.create_task(self._rejoin(), name="joining again")

    async def _rejoin(self) -> None:
        part = self._part
        while part.lost is None and not part.left:
            assert part.appender is not None
            try:
                part.number = await part.appender.submit(self._wish())
                return
            except CannotJoin as error:
                part.lose(str(error))
            except (OutcomeUnknown, NotInContact):
                await asyncio.sleep(AGAIN)

    async def _publish_keys(self) -> None:
        """Publish the keys of this node's file, if they are newer and all nodes hold them."""
        with contextlib.suppress(ValueError, OutcomeUnknown, NotInContact):  # again in a moment
            await publish_held(self._node)

    def _wish(self) -> inputs.Join:
        holding = self._node.authority.holding
        return inputs.Join(
            name=self._part.name,
            version=__version__,
            address=self._node.address,
            registry=None if holding is None else holding.ring.registry,
            root=None if holding is None else holding.ring.root_id,
            holds=() if holding is None else holding.holds,
        )

    def _positions(self) -> dict[str, int]:
        """Return how many entries each node that takes part has sent, by boot."""
        assert self._part.replica is not None
        return {boot: member.no for boot, member in self._part.replica.members.live.items()}

    def _is_alive(self, before: Mapping[str, int]) -> bool:
        """Tell whether the node of this name has said anything since."""
        assert self._part.replica is not None
        return any(
            member.name == self._part.name and member.no > before.get(boot, member.no)
            for boot, member in self._part.replica.members.live.items()
        )
