"""What credentials, signatures and TLS cost, next to the same without."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import count, cycle
from pathlib import Path
from typing import Final

from attrs import frozen

from .. import agents, closed, http, servers
from ..closed import Closed
from ..figures import Aim, Figures, Row
from ..fleet import Fleet, fleet
from ..requests import Caller, caller, saturate
from ..scale import Scale
from ..servers import Server
from ..turns import Outcome, Side, take_turns

HEARTBEATS: Final = Aim(0.93, at_least=True)
BROADCAST: Final = Aim(1.05)
COMEBACK: Final = Aim(1.4)
MEMORY: Final = Aim(48.0)

KIB: Final = 1024
WARM_UP: Final = 100
"""Agents that come first, so that what is made once is not counted."""

AT_ONCE: Final = 2_000
"""Agents of those that come back who connect in one moment: all of them would fill the backlog."""

OPEN: Final = "the same without credentials"


def measure(scale: Scale) -> Iterator[Row]:
    """Have servers of both kinds do the same, in turn."""
    with tempfile.TemporaryDirectory() as name:
        secrets = closed.found(Path(name))
        yield from _requests(scale, secrets)
        for size in scale.fleets:
            yield _broadcast(size, scale.rounds, secrets)
        yield from _comebacks(scale, secrets)
        yield _memory_under_tls(scale, secrets)


# Requests


def _requests(scale: Scale, secrets: Closed) -> Iterator[Row]:
    with ExitStack() as stack:
        of = {
            "open": stack.enter_context(servers.product()),
            "closed": stack.enter_context(servers.product(env=secrets.env)),
        }
        agents.register(of["open"], scale.fleet)
        tokens = secrets.enrol(of["closed"], scale.fleet)
        beating = {
            "open": agents.heartbeats(scale.fleet),
            "closed": cycle([http.heartbeat(one, token=text) for one, text in tokens.items()]),
        }
        newcomers = count(scale.fleet, scale.requests)

        def heartbeats(name: str) -> float:
            return saturate(of[name].address, beating[name], seconds=scale.turn).per_second

        def registrations(name: str) -> float:
            token = secrets.enrolment if name == "closed" else None
            ids = http.agent_ids(scale.requests, next(newcomers))
            requests = (http.registration(agent_id, token=token) for agent_id in ids)
            return saturate(of[name].address, requests).per_second

        for what, act, aim in (
            (f"heartbeats with a token, {scale.fleet:,} agents registered", heartbeats, HEARTBEATS),
            ("enrolments of new agents, each of which is given a token", registrations, None),
        ):
            sides = [Side(name, of[name], partial(act, name)) for name in of]
            yield _row(what, "/s", take_turns(sides, scale.turns), aim)


def _broadcast(size: int, rounds: int, secrets: Closed) -> Row:
    """A signed line to everybody."""
    with ExitStack() as stack:
        sides = []
        for name, token in (("open", None), ("closed", secrets.admin)):
            env = {} if token is None else secrets.env
            server = stack.enter_context(servers.product(env=env))
            tokens = _registered(server, size, None if token is None else secrets)
            streams = stack.enter_context(fleet(server.address))
            _open(streams, tokens)
            operator = stack.enter_context(caller(server.address))
            issued: list[str] = []
            act = partial(_seconds_to_last, streams, operator, size, token, issued)
            after = partial(_acknowledge, server, tokens, issued)
            sides.append(Side(name, server, act, after))
        outcomes = take_turns(sides, rounds)
    what = f"one signed command to {size:,} agents, until the last has it"
    return _row(what, "ms", outcomes, BROADCAST, factor=1000)


def _seconds_to_last(
    streams: Fleet, operator: Caller, size: int, token: str | None, issued: list[str]
) -> float:
    streams.expect(size)
    began = time.monotonic()
    answer = operator.ask(http.order(token=token))
    took = streams.arrived() - began
    issued.append(http.body_of(answer)["commandId"])
    return took


def _acknowledge(server: Server, tokens: Mapping[str, str | None], issued: list[str]) -> None:
    command_id = issued.pop()
    requests = (http.acknowledgement(one, command_id, token=text) for one, text in tokens.items())
    saturate(server.address, requests)


# A fleet that comes back


@frozen
class Comeback:
    """How a fleet comes back to a server that was started anew."""

    what: str
    env: Mapping[str, str]
    secrets: Closed | None = None
    tls: bool = False
    kept: bool = False
    """Whether the server has kept its agents, so that they open their streams only."""


def _comebacks(scale: Scale, secrets: Closed) -> Iterator[Row]:
    size = scale.fleet
    with tempfile.TemporaryDirectory() as name:
        database = {"CAMELEER_DATABASE": str(Path(name) / "registry.db")}
        memory, kept = [
            _comeback_of_both(
                size,
                scale.turns,
                Comeback("open", {} if not is_kept else database, kept=is_kept),
                Comeback(
                    "closed",
                    secrets.env if not is_kept else secrets.kept,
                    secrets=secrets,
                    kept=is_kept,
                ),
            )
            for is_kept in (False, True)
        ]
    again = f"from the start of a new server until {size:,} agents"
    yield _row(f"{again} have enrolled and connected again", "s", memory, COMEBACK)
    yield _row(f"{again} it knows have connected again, by their tokens", "s", kept, COMEBACK)
    tls = _comeback_of_both(
        size,
        1,
        Comeback("open", {}),
        Comeback("closed", secrets.tls, secrets=secrets, tls=True),
    )
    yield _row(f"{again} have enrolled and connected again, under TLS", "s", tls, None)


def _comeback_of_both(size: int, turns: int, *kinds: Comeback) -> dict[str, Outcome]:
    took: dict[str, list[float]] = {kind.what: [] for kind in kinds}
    cpu: dict[str, list[float]] = {kind.what: [] for kind in kinds}
    for _ in range(turns):
        for kind in kinds:
            seconds, used = _come_back(kind, size)
            took[kind.what].append(seconds)
            cpu[kind.what].append(used)
    return {name: Outcome(Figures(took[name]), Figures(cpu[name])) for name in took}


def _come_back(kind: Comeback, size: int) -> tuple[float, float]:
    """Return the seconds until all are back, and those of CPU that the server took for it."""
    tokens: Mapping[str, str | None] = {}
    if kind.kept:
        with servers.product(env=kind.env) as server:
            tokens = _registered(server, size, kind.secrets)
    began = time.monotonic()
    with (
        servers.product(env=kind.env) as server,
        fleet(server.address, tls=kind.tls) as streams,
    ):
        if not kind.kept:
            tokens = _registered(server, size, kind.secrets, tls=kind.tls)
        _open(streams, tokens, at_once=AT_ONCE)
        return time.monotonic() - began, server.cpu()


# Memory


def _memory_under_tls(scale: Scale, secrets: Closed) -> Row:
    grown = []
    for _ in range(scale.turns):
        with (
            servers.product(env=secrets.tls) as server,
            fleet(server.address, tls=True) as streams,
        ):
            first = _registered(server, WARM_UP, secrets, tls=True, start=scale.fleet)
            _open(streams, first)
            tokens = _registered(server, scale.fleet, secrets, tls=True)
            before = server.resident()
            _open(streams, tokens)
            grown.append((server.resident() - before) / scale.fleet / KIB)
    return Row(
        measure="memory of a stream under TLS", unit="KiB", product=Figures(grown), aim=MEMORY
    )


# For all of them


def _registered(
    server: Server, size: int, secrets: Closed | None, *, tls: bool = False, start: int = 0
) -> Mapping[str, str | None]:
    """Register agents; return what they show from then on, by their ids."""
    if secrets is not None:
        return {**secrets.enrol(server, size, start, tls=tls)}
    agents.register(server, size, start)
    return dict.fromkeys(http.agent_ids(size, start))


def _open(streams: Fleet, tokens: Mapping[str, str | None], *, at_once: int = 500) -> None:
    requests = (http.stream(agent_id, token=token) for agent_id, token in tokens.items())
    opened = streams.open(requests, at_once=at_once)
    assert not opened.refused, opened


def _row(
    measure: str, unit: str, outcomes: Mapping[str, Outcome], aim: Aim | None, factor: float = 1
) -> Row:
    product, without = outcomes["closed"], outcomes["open"]
    return Row(
        measure=measure,
        unit=unit,
        product=Figures(sample * factor for sample in product.figures.samples),
        yardstick=OPEN,
        compared=Figures(sample * factor for sample in without.figures.samples),
        aim=aim,
        # For requests a second the turns are equally long, and say nothing of CPU.
        cpu_ratio=None if unit == "/s" else product.cpu.median / without.cpu.median,
    )
