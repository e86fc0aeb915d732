"""The suite leaves the user's directory for state alone.

It is pointed at an empty one for the whole run, and the run fails if something is in it at the end
(``conftest.py``). Here it is shown that this is where a server would have written.
"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.servers import ENVIRONMENT
from cameleer_registry.database import default_path

from .conftest import STATE, STATE_OF_THE_SUITE
from .processes import environment, server


def test_the_users_directory_is_another_one_for_the_run() -> None:
    """So nothing that a test forgets can touch what its user has."""
    assert Path(os.environ[STATE_OF_THE_SUITE]) in default_path().parents
    assert os.environ[STATE] == os.environ[STATE_OF_THE_SUITE]


def test_processes_are_told_to_keep_nothing() -> None:
    """Those of tests, of the snippets on pages, and of benchmarks."""
    assert "memory" == environment()["CAMELEER_DATABASE"]
    assert "memory" == ENVIRONMENT["CAMELEER_DATABASE"]


def databases(folder: Path) -> list[str]:
    """Return the names of the databases below a folder."""
    return [path.name for path in folder.rglob("*.db")]


async def test_a_server_writes_there_only_when_nobody_tells_it_otherwise(tmp_path: Path) -> None:
    """So the empty directory at the end of the run proves something."""
    for database, written in (("memory", []), ("", ["registry.db"])):
        env = {STATE: str(tmp_path), "CAMELEER_DATABASE": database}
        async with server("--port", "0", env=env) as served:
            await served.terminate()
        assert written == databases(tmp_path)
