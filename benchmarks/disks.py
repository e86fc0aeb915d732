"""The disk that a server keeps things on: the one that there is, or one that takes longer."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from .servers import YARDSTICKS, Server, product

DIRECTORY: Final = "BENCHMARK_DIRECTORY"
"""Names the variable that says on which file system things are kept; else that of /tmp."""

SLOWER_MS: Final = 2.0
"""As a disk in a network may be. The one of this machine may be unusually fast."""


@frozen
class Disk:
    """Where a server keeps things."""

    name: str
    folder: Path
    slower_ms: float = 0.0
    shim: Path | None = None
    """What makes it slower, to be loaded into a process before all else."""

    def environment(self) -> Mapping[str, str]:
        """Return what a process needs to be given for it to be that disk."""
        if self.shim is None:
            return {}
        return {"LD_PRELOAD": str(self.shim), "SLOW_FSYNC_MS": f"{self.slower_ms:g}"}

    @contextmanager
    def server(self, name: str) -> Iterator[Server]:
        """Run a server that keeps what it answers there."""
        flags = ("--database", str(self.folder / f"{name}.db"))
        with product(*flags, env=self.environment()) as server:
            yield server

    def fsync_seconds(self, count: int) -> list[float]:
        """Return how long it takes, so many times, to append 4 KiB and have them on the disk."""
        took = []
        path = self.folder / "fsync"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            for _ in range(count):
                began = time.perf_counter()
                os.write(descriptor, bytes(4096))
                os.fdatasync(descriptor)
                took.append(time.perf_counter() - began + self.slower_ms / 1000)
        finally:
            os.close(descriptor)
            path.unlink()
        return took


@contextmanager
def disks() -> Iterator[list[Disk]]:
    """Provide the disk that there is and, if there is a C compiler, one that takes longer."""
    with tempfile.TemporaryDirectory(prefix="kept-", dir=os.environ.get(DIRECTORY)) as name:
        folder = Path(name)
        found = [Disk("this disk", folder / "this")]
        if (compiler := shutil.which("cc")) is not None:
            shim = folder / "slow_fsync.so"
            source = YARDSTICKS / "slow_fsync.c"
            command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"]
            subprocess.run(command, check=True)
            slow = f"a disk whose fsync takes {SLOWER_MS:g} ms more"
            found.append(Disk(slow, folder / "slow", SLOWER_MS, shim))
        for disk in found:
            disk.folder.mkdir()
        yield found
