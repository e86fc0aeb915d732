"""What it costs to keep things: the server as it is by default, next to one that keeps nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import Final

from .. import agents, disks, http, servers
from ..disks import Disk
from ..figures import Aim, Figures, Row, percentile
from ..requests import Caller, caller, saturate
from ..scale import Scale
from ..turns import Side, take_turns

CONNECTIONS: Final = 64
MEMORY: Final = "the same with --database memory"
NO_SLOWER: Final = Aim(0.97, at_least=True)
SHARED: Final = Aim(0.85, at_least=True)
BROADCAST: Final = Aim(1.1)
PUSH: Final = Aim(1.0)
AGENT: Final = "agent-under-test"


def measure(scale: Scale) -> Iterator[Row]:
    """Measure on the disk that there is, and on one that takes longer."""
    with disks.disks() as found:
        for disk in found:
            yield from _requests(disk, scale)
            yield from _pushes(disk, scale)
        yield from _broadcasts(found[0], scale)


def _requests(disk: Disk, scale: Scale) -> Iterator[Row]:
    with ExitStack() as stack:
        kept = stack.enter_context(disk.server("requests"))
        memory = stack.enter_context(servers.product())
        for server in (kept, memory):
            agents.register(server, scale.fleet)
        beating = agents.heartbeats(scale.fleet)
        newcomers = count(scale.fleet, scale.requests)

        def ask(server: servers.Server, requests: Iterator[bytes], seconds: float = 60.0) -> float:
            return saturate(
                server.address, requests, seconds=seconds, connections=CONNECTIONS
            ).per_second

        def heartbeats(server: servers.Server) -> float:
            return ask(server, beating, scale.turn)

        def registrations(server: servers.Server) -> float:
            ids = http.agent_ids(scale.requests, next(newcomers))
            return ask(server, map(http.registration, ids))

        def acknowledgements(server: servers.Server) -> float:
            command_id = agents.issue(server)
            ids = http.agent_ids(min(scale.requests, scale.fleet))
            return ask(server, (http.acknowledgement(each, command_id) for each in ids))

        for name, act, aim in (
            ("heartbeats", heartbeats, NO_SLOWER),
            ("acknowledgements", acknowledgements, SHARED),
            ("registrations of new agents", registrations, SHARED),
        ):
            outcomes = take_turns(
                [
                    Side("kept", kept, partial(act, kept)),
                    Side("memory", memory, partial(act, memory)),
                ],
                scale.turns,
            )
            of_kept, of_memory = outcomes["kept"], outcomes["memory"]
            # A turn of heartbeats is so many seconds, and another of so many requests: what a
            # second of CPU time comes to is compared.
            yield Row(
                measure=f"{name}, {CONNECTIONS} connections, on {disk.name}",
                unit="/s",
                product=of_kept.figures,
                yardstick=MEMORY,
                compared=of_memory.figures,
                aim=aim if disk.shim is None or act is heartbeats else None,
                cpu_ratio=None if act is heartbeats else of_kept.cpu.median / of_memory.cpu.median,
            )


def _pushes(disk: Disk, scale: Scale) -> Iterator[Row]:
    """Push to one agent, one command after the other, with the disk's own time in each turn."""
    times: dict[str, list[list[float]]] = {"kept": [], "memory": [], "fsync": []}
    with ExitStack() as stack:

        def side(name: str, server: servers.Server) -> Side:
            operator = stack.enter_context(caller(server.address))
            agent = stack.enter_context(caller(server.address))
            operator.ask(http.registration(AGENT))
            agent.open_stream(http.stream(AGENT))

            def turn() -> float:
                times[name].append([_push(operator, agent) for _ in range(scale.pushes)])
                if name == "kept":
                    times["fsync"].append(disk.fsync_seconds(scale.pushes))
                return 0.0

            return Side(name, server, turn)

        kept = stack.enter_context(disk.server("pushes"))
        memory = stack.enter_context(servers.product())
        take_turns([side("kept", kept), side("memory", memory)], scale.turns)
    for share in (50, 99):
        of_kept, of_memory, of_fsync = (
            [percentile(turn, share) * 1000 for turn in times[name][1:]]
            for name in ("kept", "memory", "fsync")
        )
        yield Row(
            measure=f"one command to one agent, p{share}, on {disk.name}",
            unit="ms",
            product=Figures(of_kept),
            yardstick=f"memory's {Figures(of_memory).median:.2g} ms and two fsyncs of "
            f"{Figures(of_fsync).median:.2g} ms",
            compared=Figures(
                one + 2 * fsync for one, fsync in zip(of_memory, of_fsync, strict=True)
            ),
            aim=PUSH if share == 99 else None,
        )


def _push(operator: Caller, agent: Caller) -> float:
    began = time.perf_counter()
    operator.send(http.order(f"{http.API}/agents/{AGENT}/commands"))
    agent.event()
    took = time.perf_counter() - began
    operator.ask(http.acknowledgement(AGENT, http.body_of(operator.answer())["commandId"]))
    return took


def _broadcasts(disk: Disk, scale: Scale) -> Iterator[Row]:
    size = scale.fleets[0]
    with ExitStack() as stack:

        def side(name: str, server: servers.Server) -> Side:
            fleet = agents.connect(stack, server, size)
            operator = stack.enter_context(caller(server.address))
            issued: list[str] = []

            def turn() -> float:
                fleet.streams.expect(size)
                began = time.monotonic()
                operator.send(http.order())
                answer = operator.answer()
                took = fleet.streams.arrived() - began
                issued.append(http.body_of(answer)["commandId"])
                return took * 1000

            return Side(name, server, turn, lambda: _acknowledged(server, size, issued.pop()))

        kept = stack.enter_context(disk.server("broadcasts"))
        memory = stack.enter_context(servers.product())
        outcomes = take_turns([side("kept", kept), side("memory", memory)], scale.rounds)
    yield Row(
        measure=f"one command to {size:,} agents, until the last has it, on {disk.name}",
        unit="ms",
        product=outcomes["kept"].figures,
        yardstick=MEMORY,
        compared=outcomes["memory"].figures,
        aim=BROADCAST,
        cpu_ratio=outcomes["kept"].cpu.median / outcomes["memory"].cpu.median,
    )


def _acknowledged(server: servers.Server, size: int, command_id: str) -> None:
    agents.acknowledge(server, size, command_id)
