"""How much the tests of faults try: little in CI, much where CAMELEER_SOAK=1 asks for it."""

from __future__ import annotations

import os
from typing import Final

from attrs import frozen


@frozen(kw_only=True)
class Scale:
    """Numbers of what is tried."""

    schedules: int
    """Orders of steps that a race may have where all are tried."""
    draws: int
    """Orders of one that has more: so many from the beginning, and as many by chance."""


SHORT: Final = Scale(schedules=500, draws=500)
LONG: Final = Scale(schedules=20_000, draws=5_000)

SCALE: Final = LONG if os.environ.get("CAMELEER_SOAK") == "1" else SHORT
