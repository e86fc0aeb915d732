"""What the number of registered agents changes about everything else: nothing, if all is well."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from cameleer_registry.core import rules
from cameleer_registry.core.instant import NANOSECONDS, Instant
from cameleer_registry.core.model import AgentStatus, Registration
from cameleer_registry.core.registry import SWEEP_LIMIT, Limits, Registry

from .. import agents, http, servers
from ..figures import Aim, Figures, Row, percentile
from ..requests import caller, paced
from ..scale import Scale
from ..servers import Server

FLAT: Final = Aim(1.5)
HOLD: Final = Aim(20.0)
PAGE: Final = 100
PER_SECOND: Final = 500.0
TIMES: Final = 200
"""Requests of a kind in a turn."""

# Long enough that nobody goes STALE while a million register.
FLAGS: Final = ("--stale-after", "1h", "--log-level", "warning")


def measure(scale: Scale) -> Iterator[Row]:
    """Ask servers that know few and many agents the same, in turn; and sweep registries."""
    yield from _requests(scale)
    yield from _sweeps(scale)


def _requests(scale: Scale) -> Iterator[Row]:
    times = min(TIMES, scale.requests)
    with ExitStack() as stack:
        known: dict[int, Server] = {}
        for size in scale.registered:
            known[size] = stack.enter_context(servers.product(*FLAGS))
            agents.register(known[size], size)
        medians: dict[tuple[str, int], list[float]] = {}
        holds: dict[int, list[float]] = {size: [] for size in known}
        for turn in range(scale.turns + 1):
            for size, server in known.items():
                with caller(server.address) as client, _probe(server, scale.turn) as longest:
                    for what, request in _questions(size, turn):
                        took = [client.seconds_until_end(request()) for _ in range(times)]
                        if turn:
                            medians.setdefault((what, size), []).append(percentile(took, 50))
                if turn:
                    holds[size] += longest
    few, *many = scale.registered
    for (what, size), seconds in medians.items():
        if size != few:
            yield _flat(what, size, few, seconds, medians[what, few])
    for size in many:
        yield Row(
            measure=f"longest hold of the loop during that, {size:,} registered",
            unit="ms",
            product=Figures(seconds * 1000 for seconds in holds[size]),
            yardstick=f"{few:,} registered",
            compared=Figures(seconds * 1000 for seconds in holds[few]),
        )


def _questions(size: int, turn: int) -> Iterator[tuple[str, Callable[[], bytes]]]:
    middle = f"agent-{size // 2:07}"
    newcomers = iter(range(turn * TIMES, (turn + 1) * TIMES))
    yield "a heartbeat", lambda: http.heartbeat(middle)
    yield "a registration", lambda: http.registration(f"newcomer-{next(newcomers)}")
    yield (
        "GET /agents?status=STALE, where nobody is",
        lambda: http.request("GET", f"{http.API}/agents?status=STALE"),
    )
    yield (
        f"a page of {PAGE} of GET /agents",
        lambda: http.request("GET", f"{http.API}/agents?limit={PAGE}&after={middle}"),
    )
    yield "GET /agents/groups", lambda: http.request("GET", f"{http.API}/agents/groups")


@contextmanager
def _probe(server: Server, seconds: float) -> Iterator[list[float]]:
    """See how long heartbeats take at most meanwhile, and for so many seconds at least."""
    longest: list[float] = []

    def watch() -> None:
        heartbeat = http.heartbeat(next(http.agent_ids(1)))
        longest.append(
            max(paced(server.address, heartbeat, seconds=seconds, per_second=PER_SECOND))
        )

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield longest
    finally:
        thread.join()


# What no request asks for


def _sweeps(scale: Scale) -> Iterator[Row]:
    """Sweep agents that went STALE, and ask for them, in registries of each size."""
    registries = {size: _registry(size) for size in scale.registered}
    few, *many = scale.registered
    due = min(SWEEP_LIMIT, few)
    taken: dict[tuple[str, int], list[float]] = {}
    now = _at(20)
    for size, registry in registries.items():
        ask = partial(registry.agents, now=now, statuses=(AgentStatus.STALE,), limit=10 * due)
        sweep = partial(registry.sweep_leases, now=now)
        asked = f"asking the registry for {due} that are STALE"
        steps: tuple[tuple[str, Callable[[], object]], ...] = (
            (f"{asked}, not yet swept", ask),
            (f"one sweep of {due}", sweep),
            (f"{asked}, swept", ask),
        )
        for what, act in steps:
            began = time.perf_counter()
            act()
            taken[what, size] = [time.perf_counter() - began]
    for (what, size), seconds in taken.items():
        if size in many:
            yield _flat(what, size, few, seconds, taken[what, few])


def _registry(size: int) -> Registry:
    """Make a registry in which as many as one sweep looks at are due, and the others are not."""
    registry = Registry(
        Limits(stale_after=10 * NANOSECONDS, dead_after=NANOSECONDS, command_ttl=NANOSECONDS)
    )
    ids, group = list(http.agent_ids(size)), rules.group_name("fleet")
    for agent_id in ids:
        declared = Registration(agent_id=rules.agent_id(agent_id), group=group)
        registry.register(declared, now=_at(0))
    for agent_id in ids[SWEEP_LIMIT:]:
        registry.heartbeat(agent_id, now=_at(15))
    return registry


def _at(seconds: int) -> Instant:
    return Instant(*[seconds * NANOSECONDS] * 3)


def _flat(what: str, size: int, few: int, seconds: list[float], of_few: list[float]) -> Row:
    return Row(
        measure=f"{what}, {size:,} registered",
        unit="ms",
        product=Figures(sample * 1000 for sample in seconds),
        yardstick=f"{few:,} registered",
        compared=Figures(sample * 1000 for sample in of_few),
        aim=FLAT,
    )
