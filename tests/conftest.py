from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator

import pytest

from .support import Served, serving


def pytest_configure() -> None:
    # looptime 0.9 asks for the current event loop in every test, also where there is none. Python
    # would make one then and leave it open; told that there is to be none, it says so instead.
    asyncio.set_event_loop(None)


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
