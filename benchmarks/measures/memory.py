"""What an agent occupies: the growth of the server's resident memory, by agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Final

from .. import agents, http, servers
from ..figures import Aim, Figures, Row
from ..fleet import Fleet, fleet
from ..scale import Scale
from ..servers import Server

KIB: Final = 1024
CONNECTED: Final = Aim(12.0)
REGISTERED: Final = Aim(1.5)
WARM_UP: Final = 100
"""Agents that come first, so that what is made once is not counted."""


def measure(scale: Scale) -> Iterator[Row]:
    """Register and connect a fleet to new servers, and see what they grow by."""
    registered, connected = [], []
    for _ in range(scale.turns):
        with ExitStack() as stack:
            server = stack.enter_context(servers.product())
            streams = stack.enter_context(fleet(server.address))
            agents.register(server, WARM_UP, start=scale.fleet)
            _open(streams, WARM_UP, start=scale.fleet)
            before = server.resident()
            agents.register(server, scale.fleet)
            between = server.resident()
            _open(streams, scale.fleet)
            registered.append((between - before) / scale.fleet / KIB)
            connected.append((server.resident() - before) / scale.fleet / KIB)
    yield Row(
        measure="memory of a registered agent",
        unit="KiB",
        product=Figures(registered),
        aim=REGISTERED,
    )
    product = Figures(connected)
    yield Row(
        measure="memory of a registered and connected agent",
        unit="KiB",
        product=product,
        aim=CONNECTED,
    )
    yardsticks = {"bare loop": servers.bare_loop, "bare aiohttp": servers.bare_aiohttp}
    if servers.has_nchan():
        yardsticks["nchan"] = servers.nchan
    if servers.has_node():
        yardsticks["Node http"] = servers.node
    for name, run in yardsticks.items():
        yield Row(
            measure="memory of a stream that is nothing else",
            unit="KiB",
            product=product,
            yardstick=name,
            compared=Figures(_of_stream(run(), scale.fleet) for _ in range(scale.turns)),
        )


def _of_stream(run: AbstractContextManager[Server], count: int) -> float:
    with run as server, fleet(server.address) as streams:
        _open(streams, WARM_UP, start=count)
        before = server.resident()
        _open(streams, count)
        return (server.resident() - before) / count / KIB


def _open(streams: Fleet, count: int, start: int = 0) -> None:
    opened = streams.open(http.stream(agent_id) for agent_id in http.agent_ids(count, start))
    assert not opened.refused, opened
