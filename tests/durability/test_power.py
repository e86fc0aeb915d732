"""The power is cut: what was answered is on the disk, and not only on its way there.

On a file system of its own, on a loop device whose image is copied while the server stands still:
what the kernel had not written to the device by then is not in the copy. That tests whether answers
wait for the disk; it does not test a disk that says it has written what it has not. It needs root.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..faults.figures import tell
from ..faults.scale import IS_LONG
from ..processes import READY, environment, server
from ..support import within
from .load import Worker, connected
from .test_kills import SETTINGS

CUTS = 10
WORKERS = 8

pytestmark = pytest.mark.skipif(
    not IS_LONG or os.geteuid() != 0, reason="takes long, and needs root"
)

SERVER = """
import sys
from cameleer_registry.cli import main
from cameleer_registry.node.journal.sqlite import file
if sys.argv.pop(1) == "normal":
    names = [name for name, _, _ in file._PRAGMAS]
    pragmas = list(file._PRAGMAS)
    pragmas[names.index("synchronous")] = ("synchronous", "normal", 1)
    file._PRAGMAS = pragmas
main()
"""


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount a file system that is in a file."""
    place.mkdir(exist_ok=True)
    mount = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip(f"nothing can be mounted here: {mount.stderr.decode()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


async def cut(directory: Path, synchronous: str, chance: random.Random) -> tuple[int, bool]:
    """Cut the power once; return how much had been answered, and whether all of it is there."""
    image, copy = directory / "image", directory / "copy"
    with image.open("wb") as file:
        file.truncate(128 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)  # noqa: ASYNC221
    workers = [Worker(f"w{number}", random.Random(chance.random())) for number in range(WORKERS)]
    with mounted(image, directory / "disk") as disk:
        path = disk / "registry.db"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SERVER, synchronous, "serve", *SETTINGS),
            *("--database", str(path)),
            env=environment(),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        line = (await within(process.stdout.readline())).decode()
        url = line.removeprefix(READY).strip()
        work = [asyncio.create_task(worker.work(url)) for worker in workers]
        await asyncio.sleep(chance.uniform(0.5, 3))
        process.send_signal(signal.SIGSTOP)
        shutil.copy(image, copy)
        process.kill()
        await within(process.wait())
        await within(asyncio.gather(*work))
    with mounted(copy, directory / "later") as disk:
        async with server(*SETTINGS, "--database", str(disk / "registry.db")) as served:
            try:
                for worker in workers:
                    async with connected(served.url) as peer:
                        await worker.find_out(peer)
                        await worker.look(peer, everywhere=True)
            except AssertionError:
                return sum(worker.answered for worker in workers), False
    return sum(worker.answered for worker in workers), True


@pytest.mark.parametrize("synchronous", ["full", "normal"])
async def test_the_power_is_cut(
    tmp_path: Path, synchronous: str, record_property: Callable[[str, object], None]
) -> None:
    """Nothing is lost; and where the disk is not waited for, this test sees that something is."""
    seed = random.randrange(2**32)
    chance, total, whole = random.Random(seed), 0, 0
    for _ in range(CUTS):
        answered, is_whole = await cut(tmp_path, synchronous, chance)
        total, whole = total + answered, whole + is_whole
    tell(record_property, seed=seed, cuts=CUTS, answered=total, whole=whole)
    assert CUTS == whole if synchronous == "full" else whole < CUTS
