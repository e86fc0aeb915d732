"""schemathesis asks a live server whatever the document allows, and what it does not."""

from __future__ import annotations

from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import Final

import pytest

from ...processes import server
from .asking import CONFIGURATION, LIMIT, nothing_is_found

VERSION: Final = "X-Cameleer-Protocol-Version: 1"

OF_THE_VERSION: Final = """
[phases.coverage]
# Which methods there are does not depend on it.
unexpected-methods = []

[[operations]]
include-name-regex = "^HEAD "
# The same stands before GET and HEAD.
phases.coverage.enabled = false
"""

QUICK: Final = ("--port", "0", "--command-ttl", "0.3")
"""Deadlines are short, because whoever waits for a command waits for its deadline."""


@pytest.mark.timeout(LIMIT)
async def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """With all of its checks, of every operation, and of one after the other.

    But for those that schemathesis.toml leaves out, which --checks would bring back.
    """
    async with server(*QUICK, stderr=DEVNULL) as served:
        await nothing_is_found(served, tmp_path, CONFIGURATION, header=VERSION)


@pytest.mark.timeout(LIMIT)
async def test_schemathesis_finds_nothing_if_the_version_is_required(tmp_path: Path) -> None:
    """Every operation says that the header is needed, and none answers without it."""
    configuration = CONFIGURATION + OF_THE_VERSION
    async with server(*QUICK, "--require-protocol-version", stderr=DEVNULL) as served:
        phases = ("--phases", "examples,coverage")
        await nothing_is_found(served, tmp_path, configuration, *phases, header=VERSION)
