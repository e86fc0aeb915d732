"""The console, in front of somebody who notices whatever should not happen in it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from attrs import define, field
from playwright.async_api import Browser, Page, Route

from ..browser import watching

WIDE: Final = (1280, 800)
NARROW: Final = (400, 800)

TYPES: Final = ("application/json", "application/problem+json")

GO: Final = """route => new Promise(done => {
  const before = location.href;
  location.hash = route;
  if (location.href === before) done();
  else addEventListener("hashchange", () => done(), { once: true });  // behind the console's own
})"""

Handler = Callable[[Route], Awaitable[Any]]
"""What answers a request in place of the server."""


@define
class Console:
    """One page of a browser that shows the console."""

    page: Page
    url: str
    forgiven: list[str]
    """Parts of complaints of the browser that a test brings about on purpose."""
    _queues: dict[str, deque[Handler]] = field(factory=dict)
    """Handlers of requests by pattern, each for one request; the pattern itself stays routed."""

    async def open(self, route: str = "") -> None:
        """Show a route, and wait until the fleet has been read."""
        await self.page.goto(f"{self.url}/{route}")
        await self.page.locator("html[data-connection=live]").wait_for()

    async def go(self, route: str) -> None:
        """Go somewhere else without loading the page again, and wait until it is shown."""
        await self.page.evaluate(GO, route)

    async def once(self, method: str, pattern: str, handler: Handler) -> None:
        """Let a handler answer the next such request; the ones after it are as before.

        Not ``page.route(…, times=1)``: Playwright takes a route that is used up back in the
        background, and with it the one that was made for the same pattern meanwhile. And not
        without a method: a pane may read what a test means to be written to.
        """
        key = f"{method} {pattern}"
        if key not in self._queues:
            queue = self._queues[key] = deque()

            async def answer(route: Route) -> None:
                if queue and route.request.method == method:
                    await queue.popleft()(route)
                else:
                    await route.fallback()

            await self.page.route(pattern, answer)
        self._queues[key].append(handler)

    async def answers(self, path: str, body: Any, status: int = 200) -> None:
        """Answer an address below /api/v1 with that, from now on."""

        async def answer(route: Route) -> None:
            given = body() if callable(body) else body
            await route.fulfill(json=given, status=status, content_type=TYPES[status >= 400])

        await self.page.route(re.compile(rf"/api/v1/{path}(\?.*)?$"), answer)

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
