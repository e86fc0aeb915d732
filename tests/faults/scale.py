"""How much the tests of faults try: little in CI, much where CAMELEER_SOAK=1 asks for it."""

from __future__ import annotations

import os
from typing import Final

from attrs import frozen


@frozen(kw_only=True)
class Scale:
    """Numbers of what is tried."""

    commands: int
    """Commands issued, and acknowledged or left to expire, under a heap that is watched."""
    agents: int
    """Agents registered and forgotten again, each in a group of its own."""
    refusals: int
    """Registrations beyond the limit."""
    visits: int
    """Agents that come, do everything there is to do, and go, over HTTP."""
    history: int
    """Deliveries of commands to remember meanwhile: so many that half of the commands fill it."""
    streams: int
    """Streams that are open when the process is told to end."""
    fleet: int
    """Agents of a server that is killed."""


SHORT: Final = Scale(
    commands=22_000,
    agents=22_000,
    refusals=2_000,
    visits=200,
    history=5_000,
    streams=5_000,
    fleet=100,
)
LONG: Final = Scale(
    commands=1_000_000,
    agents=100_000,
    refusals=100_000,
    visits=20_000,
    history=100_000,
    streams=5_000,
    fleet=1_000,
)

SCALE: Final = LONG if os.environ.get("CAMELEER_SOAK") == "1" else SHORT
