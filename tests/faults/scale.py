"""How much the tests of faults try: little in CI, much where CAMELEER_SOAK=1 asks for it."""

from __future__ import annotations

import os
from typing import Final

from attrs import frozen


@frozen(kw_only=True)
class Scale:
    """Numbers that decide how long the tests take, and what they can find."""

    examples: int
    """Examples that hypothesis makes for each property."""
    fuzz_runs: int
    """Inputs that atheris makes for each target."""
    slow_connections: int
    """Connections that send a byte at a time, all at once."""
    schedules: int
    """Orders of steps that a race may have where all are tried."""
    draws: int
    """Orders of one that has more: so many from the beginning, and as many by chance."""
    openings: int
    """Streams opened and closed at once, under a heap that is watched."""
    openings_of_process: int
    """The same, against a server in a process of its own."""
    takeovers: int
    """Times that two processes take one id from each other, as quickly as they can."""
    stalled_readers: int
    """Readers that stop reading, at once."""
    resets: int
    """Connections that are reset in the middle of a request."""
    half_open: int
    """Peers that vanish without a word, at once."""
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
    kills_of_a_kind: int
    """Times that a node or a NATS server is killed in each of five ways, under load."""
    rolling: int
    """Agents of two nodes that are restarted one after the other."""
    cut_off: tuple[int, ...]
    """Seconds for which a node is cut off from NATS, one test each."""


SHORT: Final = Scale(
    examples=150,
    fuzz_runs=20_000,
    slow_connections=200,
    schedules=500,
    draws=500,
    openings=500,
    openings_of_process=10_000,
    takeovers=500,
    stalled_readers=20,
    resets=300,
    half_open=5,
    commands=36_000,
    agents=22_000,
    refusals=2_000,
    visits=200,
    history=5_000,
    streams=5_000,
    fleet=100,
    kills_of_a_kind=1,
    rolling=150,
    cut_off=(20,),
)
LONG: Final = Scale(
    examples=1_000,
    fuzz_runs=1_000_000,
    slow_connections=400,
    schedules=20_000,
    draws=5_000,
    openings=10_000,
    openings_of_process=50_000,
    takeovers=5_000,
    stalled_readers=60,
    resets=5_000,
    half_open=50,
    commands=1_000_000,
    agents=100_000,
    refusals=100_000,
    visits=20_000,
    history=100_000,
    streams=5_000,
    fleet=1_000,
    kills_of_a_kind=5,
    rolling=2_000,
    cut_off=(5, 20, 60),
)

IS_LONG: Final = os.environ.get("CAMELEER_SOAK") == "1"
SCALE: Final = LONG if IS_LONG else SHORT
