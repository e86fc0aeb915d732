"""schemathesis as a program of its own, which asks a live server and is to find nothing."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Final

from ...processes import Server, environment
from ...support import within
from .contract import Contract

HERE: Final = Path(__file__).parent
CONFIGURATION: Final = (HERE / "schemathesis.toml").read_text()
"""What holds for every server."""

PATIENCE: Final = 280
"""Seconds. The longest run takes 15 if nothing else runs."""

LIMIT: Final = PATIENCE + 20
"""Seconds after which a test that asks once is ended."""


async def nothing_is_found(
    served: Server, folder: Path, configuration: str, *options: str, header: str
) -> None:
    """Have schemathesis ask every operation of a server; fail if it finds something.

    ``folder`` is one in which it may leave its cache.
    """
    path = folder / "schemathesis.toml"
    path.write_text(configuration)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", path),
        *("run", f"{served.api}/openapi.json", "--no-color", "--header", header, *options),
        cwd=folder,
        env=environment(SCHEMATHESIS_HOOKS=str(HERE / "hooks.py")),
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        out, _ = await within(process.communicate(), PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = out.decode()
    assert 0 == process.returncode, said
    # It leaves out the one by which it has got the document.
    operations = len(Contract.of().operations()) - 1
    assert f"{operations} selected / {operations} total" in said
