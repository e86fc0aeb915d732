"""A broadcast to thousands, with the console looking on."""

from __future__ import annotations

import asyncio
import resource
from typing import Any, Final

from playwright.async_api import Browser, expect

from cameleer_registry import NODE, create_app

from ..processes import server
from ..support import Served, connected, within
from .agents import fleet
from .browser import looking

FLEET: Final = 2000

WATCH: Final = """() => {
  window.watched = { began: performance.now(), held: 0 };
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.watched.held += task.duration;
  }).observe({ type: "longtask" });
}"""

SHARE: Final = "() => watched.held / (performance.now() - watched.began)"
"""How much of the time was spent in tasks of more than 50 ms, in which a page does not answer."""


async def newest_event(served: Served) -> int:
    """Return the id of the newest event of the feed, as a reset tells it."""
    async with connected(served) as connection:
        connection.writer.write(
            b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0\r\n\r\n"
        )
        assert 200 == (await connection.head()).status
        event = await within(connection.event())
        assert "reset" == event["event"]
        return int(event["id"])


async def test_the_page_stays_responsive(browser: Browser) -> None:
    """It answers while 2,000 agents acknowledge, and the feed tells them in a few events."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ids = [f"agent-{number:04}" for number in range(FLEET)]
    async with server("--database", "memory", "--port", "0") as process:
        # Only its address is used: the registry of this one is empty.
        served = Served(create_app()[NODE], "127.0.0.1", int(process.url.rsplit(":", 1)[1]))
        async with fleet(served, ids, "fleet") as agents, looking(browser, served.url) as console:
            page = console.page
            await console.open()
            await expect(page.locator(".tile.live .count")).to_have_text("2,000")
            before = await newest_event(served)
            await page.evaluate(WATCH)
            command = (await served.issue("/agents/groups/fleet")).json()["commandId"]
            acknowledged = asyncio.Event()

            async def acknowledge() -> None:
                def said(agent_id: str) -> dict[str, Any]:
                    failed = agent_id.endswith("7")
                    return {"status": "FAILURE", "message": "out of memory"} if failed else {}

                await agents.obey(said)
                acknowledged.set()

            acting = asyncio.create_task(acknowledge())
            # What somebody does meanwhile is answered, while it goes on.
            answered = 0
            while not acknowledged.is_set():
                await page.get_by_role("searchbox").fill(f"agent-{answered % 1000:04}")
                await expect(page.locator(".agents .rows > .row")).to_have_count(1)
                answered += 1
            await acting
            share = await page.evaluate(SHARE)
            await console.go(f"#/commands/{command}")
            text = "1,800 succeeded, 200 failed"
            await expect(page.locator(".pane .numbers")).to_have_text(text)
            await expect(
                page.locator(".per-agent .row", has_text="out of memory").first
            ).to_be_visible()
            events = await newest_event(served) - before
        print(f"answered {answered} times; {share:.1%} in long tasks; {events} events")
        # How often it answers and how long its tasks take depends on who else uses the machine.
        assert answered >= 1
        assert share < 0.9
        assert events < FLEET / 10
