"""How much is tried: little where somebody waits for it, more where nobody does."""

from __future__ import annotations

import os
from typing import Final

from attrs import frozen


@frozen
class Scale:
    """Numbers that decide how long the tests take, and what they can find."""

    examples: int
    """Examples that hypothesis makes for each property."""
    fuzz_runs: int
    """Inputs that atheris makes for each target."""
    slow_connections: int
    """Connections that send a byte at a time, all at once."""


SHORT: Final = Scale(examples=150, fuzz_runs=20_000, slow_connections=200)
LONG: Final = Scale(examples=1_000, fuzz_runs=1_000_000, slow_connections=400)

IS_LONG: Final = os.environ.get("CAMELEER_SOAK") == "1"
SCALE: Final = LONG if IS_LONG else SHORT
