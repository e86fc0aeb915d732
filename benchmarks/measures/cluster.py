"""Many nodes: what two of them save, what they add to every change, and what a new one reads.

Three NATS servers, each of which syncs what it confirms, and two nodes. All of it shares the cores
of one machine, where the wall's clock says little of two nodes; so streams and inputs are told in
CPU seconds of the nodes.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Final

import nats as nats_py

from .. import agents, http, servers
from ..figures import Aim, Figures, Row, percentile
from ..fleet import Fleet, fleet
from ..requests import Caller, caller, saturate
from ..scale import Scale
from ..servers import Server

STREAMS: Final = Aim(1.8, at_least=True)
FOLLOWS: Final = 2.5
"""Appends that a change may take longer than alone."""

HALF_MILLION: Final = 500_000
"""Where ids of agents begin that take part in latencies."""

SETTLED: Final = 1.5
"""Seconds in which a node has said and applied all that follows from a change, at most."""

_POSITION: Final = re.compile(rb"(?i)\r\nx-cameleer-position: *(\S+)")


def measure(scale: Scale) -> Iterator[Row]:
    """Run all of it over the same servers."""
    with ExitStack() as stack:
        nats = stack.enter_context(servers.nats(3))
        more = ("--database", "memory", *servers.NO_ENDS)
        one, two = (stack.enter_context(servers.node_of_cluster(n, nats, *more)) for n in "ab")
        alone = stack.enter_context(servers.product())
        yield from _latencies(scale, nats, alone, one, two)
        yield from _inputs(scale, one, two)
        yield _streams(scale, one, two)
    yield _joining(scale)


def _streams(scale: Scale, one: Server, two: Server) -> Row:
    """Broadcast to all streams at one node, then to half of them at each; in CPU."""
    count = scale.streams_of_nodes
    agents.register(one, count)
    _settle(scale)
    ids = list(http.agent_ids(count))
    figures: dict[str, list[float]] = {"one": [], "two": []}
    for turn in range(scale.turns + 1):
        for name, shares in (("one", (ids, [])), ("two", (ids[::2], ids[1::2]))):
            # Opened anew in each turn: an agent has one stream over all nodes.
            with ExitStack() as stack:
                held = []
                for server, share in zip((one, two), shares, strict=True):
                    streams = stack.enter_context(fleet(server.address))
                    opened = streams.open(map(http.stream, share))
                    assert not opened.refused, opened
                    held.append((streams, len(share)))
                _settle(scale)
                used = _broadcast(scale, one, two, held)
                _settle(scale)
                if turn:
                    figures[name].append(max(used) / count * 1e6)
    return Row(
        measure=f"CPU of the busier node for a stream and command, {count:,} streams: two nodes "
        "carry so many times what one does",
        unit="µs",
        product=Figures(figures["one"]),
        yardstick="half of them at each of two nodes",
        compared=Figures(figures["two"]),
        aim=STREAMS,
    )


def _broadcast(
    scale: Scale, one: Server, two: Server, held: Sequence[tuple[Fleet, int]]
) -> tuple[float, float]:
    """Issue one command at the first node; return the CPU seconds of both, to the end of it."""
    idle = _idle(scale, one, two)
    for streams, count in held:
        if count:
            streams.expect(count)
    before = one.cpu(), two.cpu()
    began = time.monotonic()
    command = agents.issue(one)
    for streams, count in held:
        if count:
            streams.arrived()
    _settle(scale)  # to whom it was pushed is told to the others a moment later
    took = time.monotonic() - began
    used = one.cpu() - before[0], two.cpu() - before[1]
    agents.acknowledge(one, sum(count for _, count in held), command)
    # What a node does when nothing happens is no part of it.
    return used[0] - idle[0] * took, used[1] - idle[1] * took


def _settle(scale: Scale) -> float:
    """Let that time pass, or less where figures mean nothing; return how long that was."""
    seconds = min(SETTLED, 2 * scale.turn)
    time.sleep(seconds)
    return seconds


def _idle(scale: Scale, one: Server, two: Server) -> tuple[float, float]:
    """Return the CPU seconds a second of both while nothing is asked of them."""
    before = one.cpu(), two.cpu()
    seconds = _settle(scale)
    return (one.cpu() - before[0]) / seconds, (two.cpu() - before[1]) / seconds


def _latencies(
    scale: Scale, nats: Sequence[str], alone: Server, one: Server, two: Server
) -> Iterator[Row]:
    """Send a command at one node to an agent at the other, and its answer back; in turns."""
    pushes: dict[str, list[float]] = {"alone": [], "two": []}
    seen: dict[str, list[float]] = {"alone": [], "two": []}
    appends: list[float] = []
    with ExitStack() as stack:
        sides = {}
        for number, (name, here, there) in enumerate((("alone", alone, alone), ("two", one, two))):
            agent_id = next(http.agent_ids(1, HALF_MILLION + number))
            operator, agent, asks = (
                stack.enter_context(caller(each.address)) for each in (here, there, there)
            )
            operator.ask(http.registration(agent_id))
            agent.open_stream(http.stream(agent_id))
            sides[name] = (agent_id, operator, agent, asks)
        for turn in range(scale.turns + 1):
            raw = asyncio.run(_appends(nats, scale.pushes))
            for name, (agent_id, operator, agent, asks) in sides.items():
                both = [
                    _there_and_back(agent_id, operator, agent, asks) for _ in range(scale.pushes)
                ]
                if turn:
                    pushes[name].append(percentile([push for push, _ in both], 50) * 1000)
                    seen[name].append(percentile([back for _, back in both], 50) * 1000)
            if turn:
                appends.append(percentile(raw, 50) * 1000)
    yield Row(
        measure="a raw append to the log, three replicas, p50",
        unit="ms",
        product=Figures(appends),
    )
    for what, figures in (
        ("command at one node, event at the other, p50", pushes),
        ("acknowledged at one node, seen at the other, p50", seen),
    ):
        bounds = [
            of + FOLLOWS * append for of, append in zip(figures["alone"], appends, strict=True)
        ]
        yield Row(
            measure=f"{what} (alone: {Figures(figures['alone']).median:.2g} ms)",
            unit="ms",
            product=Figures(figures["two"]),
            yardstick="alone and 2.5 appends",
            compared=Figures(bounds),
            aim=Aim(1.0),
        )


def _there_and_back(
    agent_id: str, operator: Caller, agent: Caller, asks: Caller
) -> tuple[float, float]:
    """Return how long a command took to its agent, and how long until its answer was seen."""
    began = time.perf_counter()
    operator.send(http.order(f"{http.API}/agents/{agent_id}/commands"))
    agent.event()
    pushed = time.perf_counter() - began
    command_id = http.body_of(operator.answer())["commandId"]
    began = time.perf_counter()
    answer = asks.ask(http.acknowledgement(agent_id, command_id))
    found = _POSITION.search(answer)
    header = "" if found is None else f"X-Cameleer-Position: {found[1].decode()}\r\n"
    shown = operator.ask(http.request("GET", f"{http.API}/commands/{command_id}", header=header))
    assert http.body_of(shown)["status"] == "ACKNOWLEDGED"
    return pushed, time.perf_counter() - began


async def _appends(nats: Sequence[str], count: int) -> list[float]:
    """Publish one message after the other to a stream like the log's; return what each took."""
    client = await nats_py.connect(list(nats))
    stream = client.jetstream()
    await stream.add_stream(name="raw", subjects=["raw"], num_replicas=min(3, len(nats)))
    took = []
    for _ in range(count):
        began = time.perf_counter()
        await stream.publish("raw", b"x" * 300)
        took.append(time.perf_counter() - began)
    await client.close()
    return took


def _inputs(scale: Scale, one: Server, two: Server) -> Iterator[Row]:
    """Have one node register agents and take heartbeats; tell what the other one does for that."""
    here: list[float] = []
    there: list[float] = []
    count = scale.requests
    for turn in range(scale.turns + 1):
        idle = _idle(scale, one, two)
        before, began = (one.cpu(), two.cpu()), time.monotonic()
        ids = http.agent_ids(count, HALF_MILLION * 2 + turn * count)
        saturate(one.address, map(http.registration, ids))
        _settle(scale)
        took = time.monotonic() - began
        if turn:
            here.append((one.cpu() - before[0] - idle[0] * took) / count * 1e6)
            there.append((two.cpu() - before[1] - idle[1] * took) / count * 1e6)
    yield Row(
        measure="CPU of the other node for a registration that it applies",
        unit="µs",
        product=Figures(there),
        yardstick="that of the node where it came in",
        compared=Figures(here),
    )


def _joining(scale: Scale) -> Row:
    """Start a node that has nothing where so many agents are registered, until it is ready."""
    took = []
    with ExitStack() as stack:
        nats = stack.enter_context(servers.nats(3))
        one = stack.enter_context(servers.node_of_cluster("a", nats, *servers.NO_ENDS))
        agents.register(one, scale.shared)
        for turn in range(min(3, scale.turns)):
            began = time.monotonic()
            with servers.node_of_cluster(f"new-{turn}", nats):
                took.append(time.monotonic() - began)
    return Row(
        measure=f"a node without a database joins where {scale.shared:,} agents are registered",
        unit="s",
        product=Figures(took),
    )
