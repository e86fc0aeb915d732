"""The keys of the registry: the set that readers trust, and what administrators do with them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ..errors import Fault, InvalidRequest, NotFound
from ..node.auth.changing import change_keys
from ..security.keyring import KeyRing
from ..security.keys import Use
from .answers import JSON, Answer
from .calls import Call, CallHandler


@CallHandler
async def show_keys(call: Call) -> Answer:
    """``GET /keys``: a JWKS, and a signed line of the root key; raises NotFound without keys."""
    node = call.node
    ring = node.authority.ring
    # Nobody shall expect signatures that not all nodes can make yet.
    unpublished = node.shared is not None and node.authority.credentials.key_set is None
    if ring is None or unpublished:
        raise NotFound("this registry has no keys")
    return Answer(ring.line, content_type=JSON)


@CallHandler
async def rotate(call: Call) -> Answer:
    """``POST /keys/{use}/rotate``: the next key signs; if there is none one is announced."""
    use = Use(call.address["use"])
    call.node.authority.check_on()
    held = call.node.authority.ring
    if held is None or held.keys.active(use) is None:
        raise NotFound(f"there is no key for {use}s to rotate")

    def change(ring: KeyRing, at: datetime) -> KeyRing:
        waits = ring.keys.next(use) is not None
        return ring.activated(use, at=at) if waits else ring.announced(use, at=at)

    return await _changed(call, change)


@CallHandler
async def revoke(call: Call) -> Answer:
    """``DELETE /keys/{keyId}``: everything that the key has signed becomes void."""
    call.node.authority.check_on()
    key_id = call.address["key_id"]
    ring = call.node.authority.ring
    if ring is None or ring.keys.find(key_id) is None:
        raise NotFound(f"there is no key {key_id!r}")
    return await _changed(call, lambda ring, at: ring.revoked(key_id, at=at))


async def _changed(call: Call, change: Callable[[KeyRing, datetime], KeyRing]) -> Answer:
    call.node.authority.check_on()
    try:
        ring = await change_keys(call.node, change)
    except ValueError as error:
        raise InvalidRequest([Fault("keys", str(error))]) from None
    return Answer(ring.line, content_type=JSON)
