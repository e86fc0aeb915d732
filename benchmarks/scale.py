"""How much is measured: for a person in a hurry, for the record, or only to see that it runs."""

from __future__ import annotations

from typing import Final

from attrs import frozen


@frozen(kw_only=True)
class Scale:
    """The sizes of every measure. Durations are seconds."""

    name: str
    fleets: tuple[int, ...]
    """Agents that are connected, where a command goes to all of them."""
    fleet: int
    """Agents that are connected or registered, where one number is enough."""
    rounds: int
    """Turns that each side gets, where a turn is short."""
    turns: int
    """Turns that each side gets, where a turn takes a second or more."""
    turn: float
    """How long such a turn takes."""
    pushes: int
    """Commands to one agent in a turn."""
    requests: int
    """Registrations, or acknowledgements, in a turn."""
    idle: float
    """How long a fleet is watched that does nothing but live."""
    registered: tuple[int, ...]
    """Sizes of a registry; the first is what the others are compared with."""
    kept: int
    """Agents, and commands to one each, of a registry that is loaded."""
    streams_of_nodes: int
    """Streams of a cluster."""
    shared: int
    """Agents of a cluster that a node joins."""
    starts: int
    """Processes of each kind that are started."""


TINY: Final = Scale(
    name="tiny",
    fleets=(10,),
    fleet=10,
    rounds=2,
    turns=1,
    turn=0.1,
    pushes=5,
    requests=20,
    idle=0.2,
    registered=(10, 20),
    kept=20,
    streams_of_nodes=10,
    shared=20,
    starts=1,
)
"""Only to see that the measures still run: their figures mean nothing."""

SHORT: Final = Scale(
    name="short",
    fleets=(5_000,),
    fleet=5_000,
    rounds=11,
    turns=3,
    turn=1.0,
    pushes=500,
    requests=3_000,
    idle=10.0,
    registered=(1_000, 30_000),
    kept=20_000,
    streams_of_nodes=3_000,
    shared=20_000,
    starts=5,
)

LONG: Final = Scale(
    name="long",
    fleets=(5_000, 10_000),
    fleet=10_000,
    rounds=31,
    turns=7,
    turn=3.0,
    pushes=2_000,
    requests=10_000,
    idle=60.0,
    registered=(1_000, 100_000, 1_000_000),
    kept=100_000,
    streams_of_nodes=7_000,
    shared=100_000,
    starts=15,
)
