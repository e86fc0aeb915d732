"""What a fleet costs that does nothing but live."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from .. import agents, http, servers
from ..figures import Aim, Figures, Row
from ..fleet import Beat
from ..scale import Scale

AIM: Final = Aim(5.0)
HEARTBEAT_SECONDS: Final = 30
SETTLING: Final = 1.0


def measure(scale: Scale) -> Iterator[Row]:
    """Watch the server's CPU time while agents send heartbeats and get keepalives."""
    with ExitStack() as stack:
        server = stack.enter_context(servers.product())
        fleet = agents.connect(stack, server, scale.fleet)
        requests = tuple(map(http.heartbeat, http.agent_ids(scale.fleet)))
        rate = scale.fleet / HEARTBEAT_SECONDS
        for how, keep in (("that share connections", True), ("on a connection each", False)):
            fleet.streams.beat(Beat(requests=requests, per_second=rate, keep=keep))
            time.sleep(min(SETTLING, scale.idle))
            before, began = server.cpu(), time.monotonic()
            time.sleep(scale.idle)
            share = (server.cpu() - before) / (time.monotonic() - began)
            assert fleet.streams.beat(None) >= rate * scale.idle / 2
            yield Row(
                measure=f"{scale.fleet:,} idle agents, heartbeats every 30 s {how}, "
                "keepalives every 15 s",
                unit="% of a core",
                product=Figures((share * 100,)),
                aim=AIM,
            )
