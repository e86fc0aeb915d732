"""Requests a second on one core: heartbeats, registrations, acknowledgements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import Final

from .. import agents, http, servers
from ..figures import Aim, Row
from ..requests import saturate
from ..scale import Scale
from ..turns import Outcome, Side, take_turns

HEARTBEATS: Final = Aim(0.9, at_least=True)
WITH_BODY: Final = Aim(0.6, at_least=True)


def measure(scale: Scale) -> Iterator[Row]:
    """Have the product and bare handlers answer as fast as they can, in turn."""
    with ExitStack() as stack:
        product = stack.enter_context(servers.product())
        bare = stack.enter_context(servers.bare_aiohttp())
        agents.register(product, scale.fleet)
        beating = agents.heartbeats(scale.fleet)
        newcomers = count(scale.fleet, scale.requests)

        def heartbeats(server: servers.Server) -> float:
            return saturate(server.address, beating, seconds=scale.turn).per_second

        def registrations(server: servers.Server) -> float:
            ids = http.agent_ids(scale.requests, next(newcomers))
            return saturate(server.address, map(http.registration, ids)).per_second

        def acknowledgements(server: servers.Server) -> float:
            command_id = agents.issue(product)
            return agents.acknowledge(server, min(scale.requests, scale.fleet), command_id)

        for name, act, aim in (
            (f"heartbeats, {scale.fleet:,} agents registered", heartbeats, HEARTBEATS),
            ("acknowledgements", acknowledgements, WITH_BODY),
            ("registrations of new agents", registrations, WITH_BODY),
        ):
            outcomes = take_turns(
                [
                    Side("product", product, partial(act, product)),
                    Side("bare", bare, partial(act, bare)),
                ],
                scale.turns,
            )
            yield _row(name, outcomes, aim)


def _row(name: str, outcomes: dict[str, Outcome], aim: Aim) -> Row:
    # The servers do nothing else than this meanwhile, so it is what could be done in a second of
    # their CPU.
    product, bare = outcomes["product"], outcomes["bare"]
    return Row(
        measure=name,
        unit="/s",
        product=product.figures,
        yardstick="bare aiohttp handler",
        compared=bare.figures,
        aim=aim,
    )
