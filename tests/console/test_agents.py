"""The fleet, as an operator sees it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route, expect

from cameleer_registry import Registration, Settings
from cameleer_registry.core.rules import AgentId, GroupName, Label, Note
from cameleer_registry.node.feed import feed

from ..support import Served, serving, streaming
from .browser import NARROW, WIDE, Console, looking

MANY = 10_000
WATCH = """() => {
    window.versions = new Set();
    const look = () => {
        for (const cell of document.querySelectorAll(".agents .rows .of-version")) {
            window.versions.add(cell.textContent);
        }
        requestAnimationFrame(look);
    };
    look();
}"""
"""Notes every version that the table shows from now on."""

ROWS = ".agents .rows > .row"


async def test_an_empty_registry_says_so(console: Console) -> None:
    """And how an agent gets into it."""
    await console.open()
    await expect(console.page.get_by_text("No agent has registered yet")).to_be_visible()
    await expect(console.page.get_by_text(f"{console.url}/api/v1/agents/register")).to_be_visible()


async def test_agents_appear_and_change_by_themselves(served: Served, console: Console) -> None:
    """In the table, in the totals and in the page's title; nobody touches anything."""
    page = console.page
    console.forgiven.append("404")  # it is read because of what happened, and is gone by then
    await console.open()
    await served.register("order-1", "orders", name="Order service", version="2.4.1")
    row = page.locator(ROWS)
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("order-1")
    await expect(row).to_contain_text("Order service")
    await expect(row).to_contain_text("Closed")
    async with streaming(served, "order-1"):
        await expect(row).to_contain_text("Open")
        await expect(page.locator(".tile.all")).to_contain_text("1 stream")
    await expect(row).to_contain_text("Closed")
    await served.register("order-1", "orders", name="Order service", version="2.5.0")
    await expect(row).to_contain_text("2.5.0")
    await expect(page).to_have_title("1 live – Cameleer")
    await served.request("DELETE", "/agents/order-1")
    await expect(row).to_have_count(0)
    await expect(page).to_have_title("0 live – Cameleer")


async def test_who_falls_silent_goes_stale_and_dead(browser: Browser) -> None:
    """And comes back with a heartbeat."""
    # Long enough for each status to be seen on a busy machine.
    settings = Settings(heartbeat_interval=1, stale_after=3, dead_after=3)
    async with serving(settings) as served, looking(browser, served.url) as console:
        await console.open()
        await served.register("a")
        status = console.page.locator(f"{ROWS} .of-status")
        for word in ("Live", "Stale", "Dead"):
            await expect(status).to_have_text(word)
        await expect(console.page.locator(".tile.dead .count")).to_have_text("1")
        await served.request("POST", "/agents/a/heartbeat")
        await expect(status).to_have_text("Live")
        await console.go("#/timeline")
        for text in ("a registered", "a went stale", "a went dead", "a went live"):
            await expect(console.page.get_by_text(text, exact=True).first).to_be_visible()


async def test_what_is_there_already_is_shown_with_its_history(
    served: Served, console: Console
) -> None:
    """Agents by the list; what happened before the page was opened by the feed."""
    await served.register("a", "orders")
    await served.request("DELETE", "/agents/a")
    await served.register("b", "orders")
    await console.open("#/timeline")
    texts = console.page.locator(".timeline .rows > .row")
    await expect(texts).to_have_count(2)
    await expect(texts.first).to_contain_text("2 agents registered")
    await expect(texts.first).to_contain_text("group orders")
    await expect(texts.nth(1)).to_contain_text("a was deleted")
    await console.go("#/agents")
    await expect(console.page.locator(ROWS)).to_have_count(1)


@pytest_asyncio.fixture(loop_scope="session")
async def crowd(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Console]:
    """A console in front of 10,000 agents, whose server is known to agents by another name.

    The feed remembers few of them: the others must come with the list, page by page.
    """
    monkeypatch.setattr(feed, "HISTORY", 100)
    async with serving(Settings(public_url="https://elsewhere.example")) as served:
        for number in range(MANY):
            await served.node.register(
                Registration(
                    agent_id=AgentId(f"agent-{number:05}"),
                    group=GroupName(f"group-{number % 40:02}"),
                    name=Label(f"Service {number % 7}"),
                    version=Note(f"1.{number % 3}.0"),
                )
            )
        async with looking(browser, served.url) as console:
            await console.open()
            yield console


async def test_ten_thousand_agents_are_scrolled(crowd: Console) -> None:
    """Only what is in sight is in the document, and all of it can be reached."""
    page = crowd.page
    await expect(page.locator(".tile.all .count")).to_have_text("10,000")
    grid = page.locator(".grid.agents")
    assert "10001" == await grid.get_attribute("aria-rowcount")
    elements = "document.querySelectorAll('*').length"
    at_first = await page.evaluate(elements)
    assert await page.locator(ROWS).count() < 60
    seen = []
    for part in range(1, 11):
        await grid.evaluate(
            "(grid, part) => { grid.scrollTop = grid.scrollHeight * part / 10 }", part
        )
        wanted = min(MANY - 1, MANY * part // 10)
        await expect(page.get_by_text(f"agent-{wanted:05}", exact=True)).to_be_visible()
        seen.append(await page.evaluate(elements))
    assert max(seen) < at_first + 500
    last = page.locator(ROWS).filter(has_text="agent-09999")
    assert "10001" == await last.get_attribute("aria-rowindex")


async def test_ten_thousand_agents_are_filtered_and_sorted(crowd: Console) -> None:
    """By text, status and group; what is shown stands in the address, and can be passed on."""
    page = crowd.page
    rows = page.locator(ROWS)
    await page.get_by_role("searchbox").fill("AGENT-0123")
    await expect(page.locator(".sum")).to_have_text("10 of 10,000")
    await expect(rows).to_have_count(10)
    await page.get_by_role("combobox", name="Group").select_option("group-34")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("agent-01234")
    await page.locator(".tile.dead").click()
    await expect(page.get_by_text("No agent matches")).to_be_visible()
    assert page.url.endswith("#/agents?q=AGENT-0123&group=group-34&status=DEAD")
    await expect(page.locator("body > .said")).to_have_text("0 of 10,000")
    await page.locator(".tile.dead").click()
    await rows.locator("a.id").click()
    await expect(page.locator(".pane h2")).to_have_text("agent-01234")
    await expect(page.locator(".sum")).to_have_text("1 of 10,000")
    await page.get_by_role("button", name="Clear filters").click()
    await expect(page.locator(".sum")).to_have_text("10,000 agents")
    await page.get_by_role("button", name="Agent", exact=True).click()
    await expect(rows.first).to_contain_text("agent-09999")
    header = page.get_by_role("columnheader", name="Agent")
    assert "descending" == await header.get_attribute("aria-sort")
    await page.get_by_role("button", name="Version", exact=True).click()
    await expect(rows.first).to_contain_text("agent-00000")
    await page.reload()
    await expect(page.locator("[aria-sort=ascending]")).to_contain_text("Version")


async def test_the_table_is_used_with_the_keyboard(crowd: Console) -> None:
    """Arrows, Page, Home and End move; Enter opens, Escape closes."""
    page = crowd.page
    grid = page.locator(".grid.agents")

    async def meant() -> str:
        row = await grid.get_attribute("aria-activedescendant")
        return await crowd.text(f"#{row} .id")

    await page.get_by_role("searchbox").focus()
    while not await grid.evaluate("grid => grid === document.activeElement"):
        await page.keyboard.press("Tab")
    assert "agent-00000" == await meant()
    for key, expected in [
        ("ArrowDown", "agent-00001"),
        ("End", "agent-09999"),
        ("ArrowDown", "agent-09999"),
        ("ArrowUp", "agent-09998"),
        ("Home", "agent-00000"),
    ]:
        await page.keyboard.press(key)
        assert expected == await meant()
    await page.keyboard.press("PageDown")
    assert "agent-00000" < await meant() < "agent-00030"
    there = await meant()
    await page.keyboard.press("Enter")
    await expect(page.locator(".pane h2")).to_have_text(there)
    await page.keyboard.press("Escape")  # from the table, where the focus has stayed
    await expect(page.locator(".pane")).to_be_hidden()
    await page.keyboard.press("Enter")
    await expect(page.locator(".pane")).to_be_visible()  # what is hidden takes no focus
    await page.locator(".pane .close").focus()
    await page.keyboard.press("Escape")
    await expect(page.locator(".pane")).to_be_hidden()
    await expect(grid).to_be_focused()
    assert there == await meant()


async def test_an_agent_in_full(served: Served, console: Console) -> None:
    """What it declared, its stream, its heartbeat's age as it ticks, and its last commands."""
    page = console.page
    await served.register(
        "a",
        "orders",
        name="Order service",
        version="2.4.1",
        routeIds=["orders-in", "orders-out"],
        capabilities={"replay": True, "tracing": {"rate": 0.5}},
        instanceId="7f3c",
    )
    done = (await served.issue("/agents/a")).json()["commandId"]
    await served.ack("a", done, {"status": "FAILURE", "message": "no such key", "data": [1]})
    await served.issue("/agents/a", "replay")
    await console.open("#/agents/a")
    pane = page.locator(".pane")
    for text in ("Order service", "orders-out", "7f3c", '{"rate":0.5}', "2 routes"):
        await expect(pane.get_by_text(text, exact=True)).to_be_visible()
    deliveries = pane.locator(".deliveries li")
    await expect(deliveries).to_have_count(2)
    await expect(deliveries.first).to_contain_text("Pending")
    await expect(deliveries.nth(1)).to_contain_text("Failed")
    await expect(deliveries.nth(1)).to_contain_text("no such key")
    age = pane.locator("dd time").nth(1)
    seconds = re.compile(r"^\d+ s ago$")
    await expect(age).to_have_text(seconds)
    first = await age.inner_text()
    await expect(age).not_to_have_text(first)
    await expect(age).to_have_text(seconds)
    await served.request("POST", "/agents/a/heartbeat")
    heard = (await served.request("GET", "/agents/a")).json()["lastHeartbeatAt"]
    await expect(age).to_have_attribute("datetime", heard)
    async with streaming(served, "a"):
        await expect(pane.locator(".stream")).to_have_text("Open")


async def test_an_agent_that_is_not_registered(console: Console) -> None:
    """It says so, in words; and shows it once it comes."""
    console.forgiven.append("404")
    await console.open("#/agents/nobody")
    await expect(console.page.get_by_text("This agent is not registered")).to_be_visible()


async def test_two_processes_under_one_id(served: Served, console: Console) -> None:
    """Where they are looked for: on the agent's page."""
    await served.register("a")
    await console.open("#/agents/a")
    async with AsyncExitStack() as streams:
        for _ in range(4):
            await streams.enter_async_context(streaming(served, "a"))
        warning = console.page.get_by_text("Several processes share this id")
        await expect(warning).to_be_visible()


async def test_forgetting_asks_first(served: Served, console: Console) -> None:
    """Cancel and Escape leave everything as it is."""
    page = console.page
    console.forgiven.append("404")  # the pane may read once more what was just forgotten
    await served.register("a")
    await served.register("b")
    await console.open("#/agents/a")
    forget = page.locator(".pane").get_by_role("button", name="Forget agent")
    dialog = page.locator("dialog.confirm")
    for leave in ("Enter", "Escape"):  # the focus is on Cancel
        await forget.click()
        await expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        await page.keyboard.press(leave)
        await expect(dialog).to_have_count(0)
    assert 200 == (await served.request("GET", "/agents/a")).status
    await forget.click()
    await dialog.get_by_role("button", name="Forget agent").click()
    await expect(page.locator(ROWS)).to_have_count(1)
    await expect(page.locator(".pane")).to_be_hidden()
    assert 404 == (await served.request("GET", "/agents/a")).status


async def test_what_was_forgotten_meanwhile_is_told_where_it_was_asked(
    served: Served, console: Console
) -> None:
    """In the dialog, in the server's words."""
    console.forgiven.append("404")
    await served.register("a")
    await console.open("#/agents/a")
    await console.page.locator(".pane").get_by_role("button", name="Forget agent").click()
    await served.request("DELETE", "/agents/a")
    dialog = console.page.locator("dialog.confirm")
    await dialog.get_by_role("button", name="Forget agent").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("agent 'a' is not registered")


HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>"


async def test_names_are_text_whatever_they_look_like(served: Served, console: Console) -> None:
    """Markup is shown as it was sent, and signs that turn the text around it as what they are."""
    page = console.page
    await served.register(
        "a",
        name=HOSTILE,
        version="\u202e1.2.3",
        routeIds=[HOSTILE],
        capabilities={HOSTILE: HOSTILE, "__proto__": 1},
        instanceId=HOSTILE,
    )
    command = (await served.issue("/agents/a", payload={HOSTILE: HOSTILE})).json()["commandId"]
    await served.ack("a", command, {"status": "FAILURE", "message": HOSTILE, "data": HOSTILE})
    await console.open("#/agents/a")
    await expect(page.locator(".deliveries .message")).to_have_text(HOSTILE)
    await expect(page.locator(".routes li")).to_have_text(HOSTILE)
    await expect(page.locator(f"{ROWS} .name")).to_have_text(HOSTILE)
    await expect(page.locator(f"{ROWS} .of-version")).to_have_text("⟨U+202E⟩1.2.3")
    await console.go(f"#/commands/{command}")
    await page.locator(".pane .facts summary").click()
    await expect(page.locator(".pane pre")).to_contain_text(HOSTILE)
    await expect(page.locator(".said-it")).to_contain_text(HOSTILE)
    await console.go("#/timeline")
    await expect(page.locator(".timeline .row").nth(1)).to_be_visible()
    assert 0 == await page.locator("main img, main script, dialog img").count()


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_long_names_of_capabilities_leave_room_for_values(
    served: Served, browser: Browser, size: tuple[int, int]
) -> None:
    """They are broken, and nothing goes beyond the pane's edge."""
    async with looking(browser, served.url, size) as console:
        await served.register("a", capabilities={"long-name-" + "x" * 190: "its value"})
        await console.open("#/agents/a")
        value = console.page.locator(".capabilities dd")
        await expect(value).to_have_text('"its value"')
        box = await value.bounding_box()
        assert box
        assert box["width"] > 150
        body = console.page.locator(".pane-body")
        assert await body.evaluate("body => body.scrollWidth <= body.clientWidth")


async def test_an_answer_that_the_feed_has_overtaken_is_read_again(
    served: Served, console: Console
) -> None:
    """What is told while an answer is on its way is newer, and stays."""
    page = console.page
    await served.register("a", version="1.0")
    await console.open()
    row = page.locator(ROWS)

    async def late(route: Route) -> None:
        response = await route.fetch()
        await served.register("a", version="2.0")
        await expect(row).to_contain_text("2.0")
        await page.evaluate(WATCH)
        await route.fulfill(response=response)

    await console.once("GET", "**/api/v1/agents/a", late)
    await console.go("#/agents/a")
    await expect(page.locator(".pane .facts dl")).to_contain_text("2.0")
    assert ["2.0"] == await page.evaluate("[...window.versions]")
