"""A server that is alone, and the version before it, in one run: nothing must have become slower.

``--before DIRECTORY`` says where the version before is, as a checkout of this repository; without,
the present one is compared with itself, which shows how much of a ratio is noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from .. import agents, http, servers
from ..figures import Aim, Figures, Row
from ..requests import caller, saturate
from ..scale import Scale
from ..servers import Server
from ..turns import Side, take_turns

NO_SLOWER: Final = Aim(1.03)

Act = Callable[[Server], float]


def measure(scale: Scale, before: Path = servers.HERE.parent) -> Iterator[Row]:
    """Have both do the same in turn; what is compared is the CPU that their processes use.

    Each is measured during its own turns only, so nothing may happen by itself at a later time: it
    would be counted for one side and not for the other.
    """
    with ExitStack() as stack:
        sides = {
            "now": stack.enter_context(servers.product(*servers.NO_ENDS)),
            "before": stack.enter_context(servers.product(*servers.NO_ENDS, directory=before)),
        }
        fleet = min(scale.fleet, 2 * scale.requests)
        beating = agents.heartbeats(fleet)
        newcomers = {server.pid: count(fleet, scale.requests) for server in sides.values()}
        for server in sides.values():
            agents.connect(stack, server, fleet)

        def heartbeats(server: Server) -> float:
            return saturate(server.address, beating, seconds=scale.turn).answered

        def registrations(server: Server) -> float:
            ids = http.agent_ids(scale.requests, next(newcomers[server.pid]))
            return saturate(server.address, map(http.registration, ids)).answered

        def commands(server: Server) -> float:
            with caller(server.address) as operator:
                for agent_id in http.agent_ids(min(fleet, scale.requests // 10)):
                    operator.ask(http.order(f"{http.API}/agents/{agent_id}/commands"))
            return min(fleet, scale.requests // 10)

        def broadcasts(server: Server) -> float:
            number = min(fleet, scale.requests)
            agents.acknowledge(server, number, agents.issue(server))
            return number

        for name, act in (
            ("a heartbeat", heartbeats),
            ("a registration", registrations),
            ("a command to one agent", commands),
            ("a command to all and its acknowledgements, each", broadcasts),
        ):
            yield _row(name, sides, act, scale.turns)


def _row(name: str, sides: dict[str, Server], act: Act, turns: int) -> Row:
    outcomes = take_turns([Side(n, s, partial(act, s)) for n, s in sides.items()], turns)
    each = {
        side: Figures(
            used / done * 1e6
            for used, done in zip(outcome.cpu.samples, outcome.figures.samples, strict=True)
        )
        for side, outcome in outcomes.items()
    }
    return Row(
        measure=f"CPU of a server that is alone, for {name}",
        unit="µs",
        product=each["now"],
        yardstick="the version before",
        compared=each["before"],
        aim=NO_SLOWER,
    )
