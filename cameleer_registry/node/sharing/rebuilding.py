"""A node that has derived something else than the others begins anew, without ending.

It takes the newest snapshot and what the log has behind it, as a node does that starts. Its
streams stay open, and whoever waits for an entry goes on waiting: what comes of that is the new
registry's to say. What the log tells once more has been told before. Only the feed is made anew,
and whoever follows it comes back to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import orjson

from ...core.copies import Copy, UnknownCopy, to_replica
from ...core.events import CloseReason
from ...core.model import DeliveryState
from ...core.replica import Replica
from ...errors import NotInContact, SettingsError
from ...logs import get_logger
from ..log.port import LogLost, LogUnavailable

if TYPE_CHECKING:
    from .shared import Shared

log = get_logger(__name__)

AGAIN: Final = 1.0
"""Seconds after which it is tried again if the log does not answer."""

LOOKED_AT: Final = 200
"""Streams that are looked at in one turn of the loop."""


async def rebuild(shared: Shared) -> None:
    """Begin anew. What cannot be done for good ends the node's part."""
    log.error("this node has derived something else than the others and begins anew")
    while shared.lost is None:
        try:
            await _rebuild(shared)
        except LogUnavailable as error:
            log.warning("the log cannot be read yet", reason=str(error))
            await asyncio.sleep(AGAIN)
        except NotInContact:
            return  # the node ends
        except (LogLost, SettingsError, UnknownCopy, KeyError) as error:
            shared.lose(f"it has to begin anew, and cannot: {error}")
        else:
            log.warning("this node has begun anew", position=shared.position)
            return


async def _rebuild(shared: Shared) -> None:
    newest = await shared.log.load()
    _, head = await shared.log.bounds()
    if newest is None:
        raise LogLost("there is no snapshot")
    # Made beside what is shown meanwhile, and put into its place at once.
    copied: dict[str, Any] = await asyncio.to_thread(orjson.loads, newest.content)
    copy = Copy(about=copied["about"], rows=[tuple(row) for row in copied["rows"]])
    replica: Replica = await asyncio.to_thread(to_replica, copy)
    shared.is_level, shared.node.standing.rests = False, True
    try:
        await shared.log.unfollow()
        await shared.copies_written()
        head = max(head, shared.position)
        shared.begin_with(replica, copied, told=shared.position)
        await shared.catch_up(head)
    finally:
        shared.is_level, shared.node.standing.rests = True, False
    await _go_through_streams(shared, copied["about"]["issued"])


async def _go_through_streams(shared: Shared, issued: int) -> None:
    """Have this node's streams be what all nodes know of them, and write what they have missed.

    Of a command that was issued since the snapshot, by its number, nobody knows whether it was
    written to the right ones: so it is written again. Agents know what they have had.
    """
    node = shared.node
    number_of = node.registry.command_number
    for count, stream in enumerate(list(node.streams), start=1):
        record = node.registry.find_agent(stream.agent_id)
        if record is None or record.stream_id != stream.stream_id:
            node.streams.close(stream.stream_id, CloseReason.REPLACED)
            continue
        pending = node.iter_agent_deliveries(stream.agent_id, states=[DeliveryState.PENDING])
        missed = [
            each
            for each in pending
            if each.delivered_at is None or number_of(each.command_id) > issued
        ]
        node.catch_up_stream(stream, missed[::-1])
        if count % LOOKED_AT == 0:
            await asyncio.sleep(0)
