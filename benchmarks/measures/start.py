"""From the launch of the process to the line that says it is ready."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

from .. import machine, servers
from ..figures import Aim, Figures, Row
from ..scale import Scale

AIM: Final = Aim(1.6)


def measure(scale: Scale) -> Iterator[Row]:
    """Start the server, and a Python that only imports aiohttp.web, in turn."""
    ours, theirs = [], []
    for turn in range(scale.starts + 1):  # the first reads files from the disk, and compiles
        began = time.monotonic()
        with servers.product():
            took = time.monotonic() - began
        began = time.monotonic()
        with machine.core_of_servers():
            command = [sys.executable, "-c", "import aiohttp.web"]
            subprocess.run(command, env=servers.ENVIRONMENT, check=True)
        if turn:
            ours.append(took * 1000)
            theirs.append((time.monotonic() - began) * 1000)
    yield Row(
        measure="start, from launch to the ready line",
        unit="ms",
        product=Figures(ours),
        yardstick="python -c 'import aiohttp.web'",
        compared=Figures(theirs),
        aim=AIM,
    )
