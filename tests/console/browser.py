"""The console, in front of somebody who notices whatever should not happen in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from attrs import define
from playwright.async_api import Browser, Page

from ..browser import watching

WIDE: Final = (1280, 800)
NARROW: Final = (400, 800)


@define
class Console:
    """One page of a browser that shows the console."""

    page: Page
    url: str
    forgiven: list[str]
    """Parts of complaints of the browser that a test brings about on purpose."""

    async def open(self, route: str = "") -> None:
        """Show a route, and wait until the fleet has been read."""
        await self.page.goto(f"{self.url}/{route}")
        await self.page.locator("html[data-connection=live]").wait_for()

    async def go(self, route: str) -> None:
        """Go somewhere else without loading the page again."""
        await self.page.evaluate("route => { location.hash = route }", route)

    async def text(self, selector: str) -> str:
        """Return what the first such element says."""
        return await self.page.locator(selector).first.inner_text()


@asynccontextmanager
async def looking(
    browser: Browser, url: str, size: tuple[int, int] = WIDE, **more: Any
) -> AsyncIterator[Console]:
    """Make a page of its own; at its end nothing wrong must have been noticed."""
    forgiven: list[str] = []
    viewport = {"width": size[0], "height": size[1]}
    async with watching(browser, url, forgiven=forgiven, viewport=viewport, **more) as page:
        yield Console(page, url, forgiven)


async def violations(page: Page, axe: str) -> list[str]:
    """Return what axe-core finds wrong with a page as it is now, and where."""
    # By the debugger, which the page's policy does not bind: the policy stays as it is.
    await page.evaluate(axe)
    found = await page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{rule['id']}: {node['html'][:160]} ({node.get('failureSummary', '')[:300]})"
        for rule in found
        for node in rule["nodes"]
    ]
