"""A fleet that comes all at once, and that comes back when the server was restarted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

from .. import agents, http, servers
from ..figures import Aim, Figures, Row
from ..fleet import fleet
from ..scale import Scale


def measure(scale: Scale) -> Iterator[Row]:
    """Connect everybody at once, restart the server, and have everybody back."""
    requests = [http.stream(agent_id) for agent_id in http.agent_ids(scale.fleet)]
    with ExitStack() as stack:
        with servers.product() as server:
            port = server.address[1]
            streams = stack.enter_context(fleet(server.address))
            agents.register(server, scale.fleet)
            first = streams.open(requests, at_once=scale.fleet)
            began = time.monotonic()
        stopping = time.monotonic() - began
        began = time.monotonic()
        with servers.product(port=port) as server:
            agents.register(server, scale.fleet)
            second = streams.open(requests, at_once=scale.fleet)
            back = time.monotonic() - began
            streams.close()
    yield _row(f"{scale.fleet:,} agents connect at once", first.seconds)
    yield _row(f"the server stops with {scale.fleet:,} streams open", stopping)
    yield _row(
        f"from the start of a new server until {scale.fleet:,} agents have registered and "
        "connected again",
        back,
    )
    yield Row(
        measure="connections refused in both",
        unit="",
        product=Figures((float(first.refused + second.refused),)),
        aim=Aim(0),
    )


def _row(measure: str, seconds: float) -> Row:
    return Row(measure=measure, unit="s", product=Figures((seconds,)))
