"""Changing the keys of a registry that runs: the file first, then everybody is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import evolve

from ...core import inputs as core_inputs
from ...errors import NotInContact, OutcomeUnknown, SettingsError, StorageUnavailable
from ...logs import get_logger
from ...security import keyfile
from ...security.desk import check_held
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

LOOK_FOR_KEYS: Final = 1.0
"""Seconds between two looks at the file of keys, and for what the other nodes hold."""

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
    if node.shared is not None:
        await _change_for_all(node, ring, changed)
        return changed
    if node.authority.keys_path is not None:
        try:
            keyfile.save(Path(node.authority.keys_path), changed)
        except SettingsError as error:
            raise ValueError(str(error)) from None
    await node.office.publish(changed)
    return changed


async def _change_for_all(node: Node, before: KeyRing, changed: KeyRing) -> None:
    """Have all nodes go by other keys.

    A key that is to sign must be at each of them already, so it is announced first, and the file is
    given to the others. A new private half is in this node's file before anybody is told of it.
    """
    assert node.shared is not None
    assert node.shared.replica is not None
    holding = node.authority.holding
    if holding is None:
        raise ValueError("this node has no keys")
    made = changed.private.keys() - before.private.keys()
    check_held(changed.keys, node.shared.replica.members, but=[node.shared.boot])
    if made:
        try:
            holding.hold(evolve(before, private={**before.private, **changed.private}))
        except SettingsError as error:
            raise ValueError(str(error)) from None
        await node.shared.submit(core_inputs.Hold(holds=holding.holds))
    await node.office.publish(changed)
    try:
        holding.keep(changed)
    except SettingsError as error:  # it has all keys; the newest set is known to all nodes
        log.warning("the file of keys has an older key set", reason=str(error))


async def tell_of_keys(node: Node) -> None:
    """Tell the other nodes which keys this one holds, and publish a newer key set. Never ends.

    A key set counts when each node can sign by it, so it may have to wait for the others.
    """
    told = None
    while True:
        await asyncio.sleep(LOOK_FOR_KEYS)
        shared, holding = node.shared, node.authority.holding
        if shared is None or holding is None or not shared.takes_part:
            continue
        holding.read_again()
        try:
            if shared.holds != holding.holds:
                await shared.submit(core_inputs.Hold(holds=holding.holds))
            await publish_held(node)
        except (NotInContact, OutcomeUnknown):
            pass  # again in a moment
        except ValueError as error:
            if str(error) != told:
                told = str(error)
                log.warning("the key set of the file is not published yet", reason=told)


async def publish_held(node: Node) -> None:
    """Publish the key set of this node's file, if it is newer than what is published.

    Raises ValueError if other nodes could not sign by it.
    """
    holding, published = node.authority.holding, node.authority.credentials.key_set
    if holding is None or (
        published is not None and holding.ring.keys.version <= published.version
    ):
        return
    assert node.shared is not None
    assert node.shared.replica is not None
    check_held(holding.ring.keys, node.shared.replica.members)
    await node.office.publish(holding.ring)


async def drop_outdated_keys(node: Node) -> None:
    """Drop keys whose time is over, also while nobody changes any. Never ends.

    If that cannot be done, because the root's private key is elsewhere for instance, they stay
    until the key set is changed by hand: nothing is signed with them.
    """
    told = ""
    while True:
        before = node.authority.ring
        if before is not None and (node.shared is None or node.shared.is_first):
            try:
                changed = await change_keys(node, lambda ring, _: ring)
            except (ValueError, StorageUnavailable, NotInContact, OutcomeUnknown) as error:
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
