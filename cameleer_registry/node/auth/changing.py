"""Changing the keys of a registry that runs: the file first, then everybody is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...errors import SettingsError, StorageUnavailable
from ...logs import get_logger
from ...security import keyfile
from ...security.founding import time_of
from ...security.jwt import LONGEST_RENEWABLE
from ...security.keyring import KeyRing
from ...security.keys import Use

if TYPE_CHECKING:
    from ..node import Node

log = get_logger(__name__)

DAY: Final = timedelta(days=1)

LOOK_EVERY: Final = 3600.0
"""Seconds between two looks for keys that are outdated; agents read the key set as often."""

RETIRED_FOR: Final = {
    Use.TOKEN: timedelta(seconds=LONGEST_RENEWABLE) + DAY,
    Use.COMMAND: 2 * DAY,
}
"""How long a key that signs no more is still in the set: for as long as a token can be renewed, and
for longer than any command waits to be fetched, by default."""


async def change_keys(node: Node, change: Callable[[KeyRing, datetime], KeyRing]) -> KeyRing:
    """Have the keys of a node changed, in its file and for everybody; return them.

    Raises ValueError, with a line for people, if that makes no sense, the root's private key is
    elsewhere, or the file cannot be written: then nothing has changed.
    """
    ring = node.authority.ring
    if ring is None:
        raise ValueError("this registry has no keys")
    at = time_of(node.clock.now())
    changed = change(ring, at).without_outdated(at=at, retired_for=retired_for(node))
    if changed is ring:
        return ring
    if node.authority.keys_path is not None:
        try:
            keyfile.save(Path(node.authority.keys_path), changed)
        except SettingsError as error:
            raise ValueError(str(error)) from None
    await node.publish(changed)
    return changed


async def drop_outdated_keys(node: Node) -> None:
    """Drop keys whose time is over, also while nobody changes any. Never ends.

    If that cannot be done, because the root's private key is elsewhere for instance, they stay
    until the key set is changed by hand: nothing is signed with them.
    """
    told = ""
    while True:
        before = node.authority.ring
        if before is not None:
            try:
                changed = await change_keys(node, lambda ring, _: ring)
            except (ValueError, StorageUnavailable) as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("outdated keys stay in the key set", reason=told)
            else:
                if changed is not before:
                    gone = len(before.keys.keys) - len(changed.keys.keys)
                    log.info("outdated keys dropped", keys=gone, version=changed.keys.version)
        await asyncio.sleep(LOOK_EVERY)


def retired_for(node: Node) -> dict[Use, timedelta]:
    """Return how long what a key has signed may have to be verified after it signs no more."""
    waits = timedelta(seconds=node.settings.command_ttl) + DAY
    return {**RETIRED_FOR, Use.COMMAND: max(RETIRED_FOR[Use.COMMAND], waits)}
