"""One command to all agents: from the POST until the last stream has it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Final

from attrs import evolve

from .. import agents, http, servers
from ..agents import Connected
from ..figures import Aim, Figures, Row
from ..requests import Caller, caller
from ..scale import Scale
from ..turns import Outcome, Side, take_turns

EVENT: Final = (
    "id: 0193f1aa-0000-7000-8000-000000000000\nevent: config-update\n"
    'data: {"commandId":"0193f1aa-0000-7000-8000-000000000000","type":"config-update",'
    '"payload":{"revision":7,"sampling":0.25,"routes":["orders-in","orders-out"]},'
    '"createdAt":"2026-11-23T08:15:30.123Z","expiresAt":"2026-11-23T08:16:30.123Z"}\n\n'
)
"""What the yardsticks write: as long as the product's event."""

LIMIT: Final = Aim(1.15)
NO_SLOWER: Final = Aim(1.0)


def measure(scale: Scale) -> Iterator[Row]:
    """Broadcast to fleets of each size, and to those of the yardsticks."""
    for size in scale.fleets:
        with ExitStack() as stack:
            yield from _broadcasts(stack, size, scale.rounds)


def _broadcasts(stack: ExitStack, size: int, rounds: int) -> Iterator[Row]:
    issued: list[str] = []
    own_seconds: list[float] = []  # the bare loop's own, for each of its turns
    generator: list[float] = []  # the load generator's CPU for each of those, likewise

    def product(fleet: Connected, operator: Caller) -> float:
        seconds, answer = _seconds_to_last(fleet, operator, http.order())
        issued.append(http.body_of(answer)["commandId"])
        return seconds

    def acknowledged(fleet: Connected) -> None:
        agents.acknowledge(fleet.server, size, issued.pop())

    def bare_loop(fleet: Connected, operator: Caller) -> float:
        before = servers.cpu_of(fleet.streams.pid)
        seconds, answer = _seconds_to_last(fleet, operator, _post("/push", EVENT))
        generator.append(servers.cpu_of(fleet.streams.pid) - before)
        own_seconds.append(float(http.body_of(answer)))
        return seconds

    def simple(fleet: Connected, operator: Caller) -> float:
        return _seconds_to_last(fleet, operator, _post("/push", EVENT))[0]

    def nchan(fleet: Connected, operator: Caller) -> float:
        data = EVENT.partition("data: ")[2].strip()
        return _seconds_to_last(fleet, operator, _post("/push", data))[0]

    kinds = [("product", servers.product, product), ("bare loop", servers.bare_loop, bare_loop)]
    if servers.has_nchan():
        kinds.append(("nchan", servers.nchan, nchan))
    if servers.has_node():
        kinds.append(("Node http", servers.node, simple))
    sides = []
    for name, run, act in kinds:
        server = stack.enter_context(run())
        fleet = agents.connect(stack, server, size, registered=name == "product")
        operator = stack.enter_context(caller(server.address))
        side = Side(name, server, partial(act, fleet, operator))
        if name == "product":
            side = evolve(side, after=partial(acknowledged, fleet))
        sides.append(side)
    outcomes = take_turns(sides, rounds)
    what = f"one command to {size:,} agents, until the last has it"
    product_took = _milliseconds(outcomes["product"].figures)
    for name, outcome in outcomes.items():
        if name != "product":
            yield Row(
                measure=what,
                unit="ms",
                product=product_took,
                yardstick=name,
                compared=_milliseconds(outcome.figures),
                aim={"bare loop": LIMIT, "nchan": NO_SLOWER}.get(name),
                cpu_ratio=outcomes["product"].cpu.median / outcome.cpu.median,
            )
    yield _headroom(size, outcomes["bare loop"], own_seconds[1:], generator[1:])


def _headroom(size: int, bare_loop: Outcome, own: list[float], generator: list[float]) -> Row:
    """Show that the load generator sees the last event as soon as it can have been written."""
    busy = max(g / seconds for g, seconds in zip(generator, bare_loop.figures.samples, strict=True))
    return Row(
        measure=f"headroom of the load generator at {size:,}: the last event is seen "
        f"(it was busy for at most {busy:.0%} of the time)",
        unit="ms",
        product=_milliseconds(bare_loop.figures),
        yardstick="bare loop's own time to write them",
        compared=_milliseconds(Figures(own)),
    )


def _seconds_to_last(fleet: Connected, operator: Caller, request: bytes) -> tuple[float, bytes]:
    fleet.streams.expect(fleet.count)
    began = time.monotonic()
    operator.send(request)
    answer = operator.answer()
    return fleet.streams.arrived() - began, answer


def _post(path: str, content: str) -> bytes:
    raw = content.encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


def _milliseconds(figures: Figures) -> Figures:
    return Figures(sample * 1000 for sample in figures.samples)
