"""The fuzzer of tests/faults/fuzz.py, for a fixed number of runs that begin with the same seed."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from ..processes import environment
from ..support import within
from .scale import IS_LONG, SCALE

COSTS: Final = {"body": 1, "address": 1, "setting": 3, "answer": 6, "configuration": 150}
"""The targets, and how much longer than the quickest each takes for an input."""

SECONDS: Final = 600 if IS_LONG else 100

if (
    importlib.util.find_spec("atheris") is None
):  # on a Python or a processor that it is not made for
    assert not os.environ.get("CI"), "atheris is not installed"
    pytest.skip("atheris is not installed", allow_module_level=True)


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.parametrize("target", COSTS)
async def test_the_fuzzer_finds_nothing(
    target: str, tmp_path: Path, record_property: Callable[[str, Any], None]
) -> None:
    """Whatever it makes of what is known to be valid, with an eye on the code that this reaches."""
    folder = tmp_path / target
    folder.mkdir()
    seed = 0 if IS_LONG else 1  # 0: another one each time
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.fuzz", target, folder),
        *(f"-runs={SCALE.fuzz_runs // COSTS[target]}", f"-seed={seed}"),
        env=environment(),
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
    )
    try:
        _, err = await within(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
    said = err.decode("utf-8", "replace")
    assert 0 == process.returncode, said[-5000:]
    found = re.search(r"#(\d+)\s+DONE\s+cov: (\d+)", said)
    assert found, said[-5000:]
    runs, reached = int(found[1]), int(found[2])
    print(f"{target}: {runs} inputs, {reached} branches reached")
    record_property("inputs", runs)
    record_property("branches reached", reached)
