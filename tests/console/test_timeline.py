"""What happened: in order, counted, and in full."""

from __future__ import annotations

from typing import Any

from playwright.async_api import expect

from ..support import Served
from .browser import Console
from .modules import evaluate

ROWS = ".timeline .rows > .row"

TELL = """events => {
    const timeline = new m.Timeline();
    let id = 0;
    for (const [type, seconds, data] of events) {
        const at = new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString();
        timeline.add({ id: ++id, type, data: { at, ...data } });
    }
    return timeline;
}"""


async def told(console: Console, events: list[Any], show: str) -> Any:
    """Tell a timeline of events, with their times in seconds; return what ``show`` says of it."""
    return await evaluate(console, "timeline.js", f"({show})(({TELL})(a))", events)


async def test_an_entry_stands_at_the_time_that_it_shows(console: Console) -> None:
    """It moves up when it is joined: what is above is never older."""
    events = [
        ("agent-registered", 0, {"agentId": "a"}),
        ("stream-opened", 0.5, {"agentId": "a"}),
        ("agent-registered", 1, {"agentId": "b"}),
        ("agent-status", 0.2, {"agentId": "c", "from": "LIVE", "to": "STALE"}),  # told late
        ("stream-opened", 1.5, {"agentId": "b"}),
    ]
    show = "timeline => timeline.newest().map(({ type, at, id }) => [type, at.slice(17, 23), id])"
    assert [
        ["stream-opened", "01.500", 2],
        ["agent-registered", "01.000", 1],
        ["agent-status", "00.200", 4],
    ] == await told(console, events, show)


async def test_agents_are_counted_as_agents(console: Console) -> None:
    """And events as events: one agent that comes a hundred times is one."""
    again = ("agent-registered", 0, {"agentId": "a", "resumed": True})
    events = [again] * 100 + [("agent-registered", 0, {"agentId": "b", "resumed": True})]
    show = "timeline => timeline.newest().map(one => [one.agents.size, one.count])"
    assert [[2, 101]] == await told(console, events, show)


async def test_what_goes_on_for_long_is_several_entries(console: Console) -> None:
    """However close its events are."""
    events = [("stream-opened", second, {"agentId": "a"}) for second in range(130)]
    show = "timeline => timeline.newest().map(one => one.count)"
    assert [8, 61, 61] == await told(console, events, show)


async def test_no_more_is_dropped_than_must_be(console: Console) -> None:
    """One at a time, the oldest first."""
    events = [("agent-removed", 10 * number, {"agentId": f"a{number}"}) for number in range(10_002)]
    show = "timeline => [timeline.size, ...timeline.newest().at(-1).agents.keys()]"
    assert [10_000, "a2"] == await told(console, events, show)


async def test_an_entry_is_opened(served: Served, console: Console) -> None:
    """With each agent that it is about, and what it said; failures first."""
    page = console.page
    for number in (1, 2, 10):
        await served.register(f"order-{number}", "orders")
    issued = (await served.issue("/agents", payload={"a": 1})).json()["commandId"]
    await console.open("#/timeline")
    await served.ack("order-1", issued)
    await served.ack("order-2", issued, {"status": "FAILURE", "message": "no disk"})
    await served.ack("order-10", issued)
    row = page.locator(ROWS, has_text="1 failed")
    await expect(row).to_contain_text("2 succeeded")
    await row.locator("time").click()
    agents = page.locator(".mentions .rows > .row")
    await expect(agents).to_have_count(3)
    await expect(agents.first).to_contain_text("order-2")
    await expect(agents.first).to_contain_text("no disk")
    await expect(agents.nth(1).locator(".id")).to_have_text("order-1")
    await expect(agents.nth(2).locator(".id")).to_have_text("order-10")
    await page.locator(".pane .search").fill("10")
    await expect(agents).to_have_count(1)
    await page.locator(".pane").get_by_role("link", name="config-update").click()
    await expect(page.locator(".pane .numbers").first).to_have_text("2 succeeded, 1 failed")
    await page.go_back()
    await expect(page.locator(".pane h2").last).to_have_text("config-update: 1 failed")
    await page.locator(".pane .close").press("Escape")
    await expect(page.locator(".pane")).to_be_hidden()


async def test_the_newest_events_lead_to_the_timeline(served: Served, console: Console) -> None:
    """From the panel beside the agents, which keeps the numbers in sight."""
    page = console.page
    await page.set_viewport_size({"width": 1440, "height": 900})
    for number in range(12):
        await served.register(f"order-service-prod-7d9f8b6c5d-{number:05}", "order-service-prod")
    await console.open()
    what = page.locator(".activity .what")
    await expect(what).to_have_text("12 agents registered")
    assert await what.evaluate("what => what.scrollWidth <= what.clientWidth")
    await page.locator(".activity .rows > .row").click()
    await expect(page.locator(".mentions .rows > .row")).to_have_count(12)


async def test_an_entry_that_is_no_more(console: Console) -> None:
    """It says so, in words."""
    await console.open("#/timeline/1")
    await expect(console.page.get_by_text("This entry is no more")).to_be_visible()


async def test_the_timeline_is_searched_by_any_agent_in_it(
    served: Served, console: Console
) -> None:
    """Also by those that an entry does not name."""
    page = console.page
    for number in range(30):
        await served.register(f"a-{number}")
    await console.open("#/timeline")
    await expect(page.locator(ROWS)).to_have_count(1)
    search = page.locator(".list .search")
    await search.fill("a-29")
    await expect(page.locator(ROWS)).to_have_count(1)
    await search.fill("a-30")
    await expect(page.locator(ROWS)).to_have_count(0)
