"""One command to one agent: from the POST until the agent has it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from .. import agents, http, servers
from ..figures import Aim, Figures, Row, percentile
from ..fleet import Beat
from ..requests import Caller, caller
from ..scale import Scale
from ..servers import Server
from ..turns import Side, take_turns

AIM: Final = Aim(1.5)
AGENT: Final = "agent-under-test"
HEARTBEAT_SECONDS: Final = 30


def measure(scale: Scale) -> Iterator[Row]:
    """Push to one agent while nothing else happens, and among the traffic of a fleet."""
    with ExitStack() as stack:
        product = stack.enter_context(servers.product())
        bare = stack.enter_context(servers.bare_aiohttp())
        yield from _pushes(product, bare, scale, "idle")
        for server in (product, bare):
            fleet = agents.connect(stack, server, scale.fleet, registered=server is product)
            requests = tuple(map(http.heartbeat, http.agent_ids(scale.fleet)))
            rate = scale.fleet / HEARTBEAT_SECONDS
            fleet.streams.beat(Beat(requests=requests, per_second=rate, keep=True))
        traffic = f"with the normal traffic of {scale.fleet:,} agents"
        yield from _pushes(product, bare, scale, traffic)


def _pushes(product: Server, bare: Server, scale: Scale, when: str) -> Iterator[Row]:
    with ExitStack() as stack:
        times: dict[str, list[list[float]]] = {"product": [], "bare": []}

        def side(name: str, server: Server) -> Side:
            operator = stack.enter_context(caller(server.address))
            agent = stack.enter_context(caller(server.address))
            if name == "product":
                operator.ask(http.registration(AGENT))
            agent.open_stream(http.stream(AGENT))

            def turn() -> float:
                times[name].append(
                    [_push(operator, agent, name == "product") for _ in range(scale.pushes)]
                )
                return 0.0

            return Side(name, server, turn)

        take_turns([side("product", product), side("bare", bare)], scale.turns)
        for share in (50, 99):
            of_product, of_bare = (
                Figures(percentile(turn, share) * 1000 for turn in times[name][1:])
                for name in ("product", "bare")
            )
            yield Row(
                measure=f"one command to one agent, p{share}, {when}",
                unit="ms",
                product=of_product,
                yardstick="bare aiohttp handler",
                compared=of_bare,
                aim=AIM,
            )


def _push(operator: Caller, agent: Caller, acknowledge: bool) -> float:
    began = time.perf_counter()
    operator.send(http.order(f"{http.API}/agents/{AGENT}/commands"))
    agent.event()
    took = time.perf_counter() - began
    answer = operator.answer()
    if acknowledge:
        operator.ask(http.acknowledgement(AGENT, http.body_of(answer)["commandId"]))
    return took
