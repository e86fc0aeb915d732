from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from ..browser import browsing
from ..npm import install
from ..support import Served, serving
from .browser import Console, looking

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests on one loop: they share a browser, whose start takes longer than most."""
    for item in items:
        if item.path.is_relative_to(HERE) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium; each test has pages of its own in it, which share nothing."""
    async with browsing() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def served() -> AsyncIterator[Served]:
    """A registry with default settings on a real socket."""
    async with serving() as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def console(served: Served, browser: Browser) -> AsyncIterator[Console]:
    """The console of ``served``, not yet opened."""
    async with looking(browser, served.url) as console:
        yield console


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core."""
    folder = install(tmp_path_factory.mktemp("axe"), "axe-core@4")
    return (folder / "node_modules/axe-core/axe.min.js").read_text("utf-8")
