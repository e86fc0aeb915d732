"""What heartbeats notice of commands to everybody that go out back to back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from .. import agents, http, servers
from ..figures import Aim, Figures, Row, percentile
from ..requests import caller, paced
from ..scale import Scale
from ..servers import Server

AIM: Final = Aim(3.0)
PER_SECOND: Final = 200.0


def measure(scale: Scale) -> Iterator[Row]:
    """Time heartbeats with and without broadcasts, in turn."""
    with ExitStack() as stack:
        # Nobody acknowledges anything here, and it is all to be sent nevertheless.
        server = stack.enter_context(servers.product("--max-pending-per-agent", "1000000"))
        agents.connect(stack, server, scale.fleet).streams.stand_back()
        heartbeat = http.heartbeat(next(http.agent_ids(1)))

        def times() -> list[float]:
            return paced(server.address, heartbeat, seconds=scale.turn, per_second=PER_SECOND)

        quiet, busy = [], []
        times()
        for _ in range(scale.turns):
            quiet.append(times())
            with _broadcasts(server):
                busy.append(times())
        for name, of in (
            ("p50", lambda turn: percentile(turn, 50)),
            ("p99", lambda turn: percentile(turn, 99)),
            ("worst", max),
        ):
            yield Row(
                measure=f"heartbeat, {name}, while commands to {scale.fleet:,} agents go out "
                "back to back",
                unit="ms",
                product=Figures(of(turn) * 1000 for turn in busy),
                yardstick="the same without",
                compared=Figures(of(turn) * 1000 for turn in quiet),
                aim=AIM if name == "p99" else None,
            )


@contextmanager
def _broadcasts(server: Server) -> Iterator[None]:
    """Issue one command to all after the other."""
    over = threading.Event()

    def issue() -> None:
        with caller(server.address) as operator:
            while not over.is_set():
                operator.ask(http.order())

    thread = threading.Thread(target=issue)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
