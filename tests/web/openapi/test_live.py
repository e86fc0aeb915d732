"""schemathesis asks a live server whatever the document allows, and what it does not."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path
from typing import Final

import pytest

from ...processes import environment, server
from ...support import within
from .contract import Contract

HERE: Final = Path(__file__).parent
SECONDS: Final = 280
"""It takes 20 where nothing else runs."""


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.parametrize(
    ("settings", "phases"),
    [([], []), (["--require-protocol-version"], ["--phases", "coverage"])],
    ids=["by default", "with the version required"],
)
async def test_schemathesis_finds_nothing(
    settings: list[str], phases: list[str], tmp_path: Path
) -> None:
    """With all of its checks, of every operation, and of one after the other.

    But for those that schemathesis.toml leaves out, which --checks would bring back.
    """
    # Deadlines are short, because whoever waits for a command waits for its deadline.
    async with server("--port", "0", "--command-ttl", "0.3", *settings, stderr=DEVNULL) as served:
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "schemathesis.cli",
                "--config-file",
                HERE / "schemathesis.toml",
            ),
            *("run", f"{served.api}/openapi.json", "--no-color", *phases),
            *("--header", "X-Cameleer-Protocol-Version: 1"),
            cwd=tmp_path,  # it leaves a cache behind
            env=environment(SCHEMATHESIS_HOOKS=str(HERE / "hooks.py")),
            stdout=PIPE,
            stderr=STDOUT,
        )
        try:
            out, _ = await within(process.communicate(), SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
    said = out.decode()
    assert 0 == process.returncode, said
    # It leaves out the one by which it has got the document.
    operations = len(Contract.of().operations()) - 1
    assert f"{operations} selected / {operations} total" in said
