"""How much the tests of faults try: little in CI, much where CAMELEER_SOAK=1 asks for it."""

from __future__ import annotations

import os
from typing import Final

from attrs import frozen


@frozen(kw_only=True)
class Scale:
    """Numbers of what is tried."""

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


SHORT: Final = Scale(
    openings=500,
    openings_of_process=10_000,
    takeovers=500,
    stalled_readers=20,
    resets=300,
    half_open=5,
)
LONG: Final = Scale(
    openings=10_000,
    openings_of_process=50_000,
    takeovers=5_000,
    stalled_readers=60,
    resets=5_000,
    half_open=50,
)

SCALE: Final = LONG if os.environ.get("CAMELEER_SOAK") == "1" else SHORT
