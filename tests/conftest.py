from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from .support import Served, serving


def pytest_configure() -> None:
    # looptime 0.9 asks for the current event loop in every test, also where there is none. Python
    # would make one then and leave it open; told that there is to be none, it says so instead.
    asyncio.set_event_loop(None)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A registry with default settings on a real socket."""
    async with serving() as served:
        yield served
