from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest

from cameleer_registry import Settings

from .support import Served, serving

STATE = "XDG_STATE_HOME"
STATE_OF_THE_SUITE = "CAMELEER_TESTS_STATE"


def pytest_configure() -> None:
    # Under nohup it is ignored, and would be so by every server that a test starts.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # A server that is told nothing else keeps its database in the user's directory for state. For
    # the whole run, and what is started in it, that is an empty one, which has to stay so.
    if STATE_OF_THE_SUITE not in os.environ:
        os.environ[STATE_OF_THE_SUITE] = tempfile.mkdtemp(prefix="cameleer-state-")
        os.environ.pop("STATE_DIRECTORY", None)
    os.environ[STATE] = os.environ[STATE_OF_THE_SUITE]
    # looptime 0.9 asks for the current event loop in every test, also where there is none. Python
    # would make one then and leave it open; told that there is to be none, it says so instead.
    asyncio.set_event_loop(None)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # whoever has started it will look
    state = Path(os.environ.pop(STATE_OF_THE_SUITE))
    if found := sorted(str(path) for path in state.rglob("*")):
        print(f"\ntests have written to the user's directory for state: {found}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    else:
        state.rmdir()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    # What a test has logged may be no UTF-8 on purpose, and reports go from process to process.
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A registry with default settings on a real socket."""
    async with serving() as served:
        yield served


@pytest.fixture
async def keeping(tmp_path: Path) -> AsyncIterator[Served]:
    """The same, that keeps what it answers in a file."""
    async with serving(Settings(database=str(tmp_path / "registry.db"))) as served:
        yield served
