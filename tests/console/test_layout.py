"""What stands where: nothing that matters is cut, at any width."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Page, expect

from ..support import Served, streaming
from .browser import Console, looking

ROWS = ".agents .rows > .row"
POD = "order-service-prod-7d9f8b6c5d-{:05}"
CUT = """() => [...document.querySelectorAll(
    ".agents .head .cell, .agents .of-status, .agents .of-connected, .agents .of-statusChangedAt"
)].filter(cell => cell.checkVisibility() && (
    cell.scrollWidth > cell.clientWidth ||
    cell.getBoundingClientRect().right > cell.closest(".grid").getBoundingClientRect().right
)).map(cell => cell.className + " " + cell.textContent)"""


@pytest.mark.parametrize("width", [400, 700, 1000, 1024, 1280, 1440, 1920, 2560])
@pytest.mark.parametrize("route", ["#/agents", "#/agents/" + POD.format(1)], ids=["list", "pane"])
async def test_no_column_is_cut(served: Served, browser: Browser, width: int, route: str) -> None:
    """Not beside an open pane, either; and the page is as wide as the window."""
    async with looking(browser, served.url, (width, 800)) as console:
        for number in range(3):
            await served.register(POD.format(number), "order-service-prod", version="2.14.10")
        async with streaming(served, POD.format(2)):
            await console.open(route)
            page = console.page
            if width >= 1000 or route == "#/agents":
                await expect(page.locator(ROWS)).to_have_count(3)
            assert [] == await page.evaluate(CUT)
            assert width == await page.evaluate("document.documentElement.scrollWidth")


async def seen_whole(page: Page, selector: str) -> bool:
    """Tell whether an element is in sight in its whole width."""
    code = """element => {
        const { left, right } = element.getBoundingClientRect();
        const cell = element.closest(".cell").getBoundingClientRect();
        return left >= cell.left && right <= cell.right + 1;
    }"""
    return bool(await page.locator(selector).first.evaluate(code))


@pytest.mark.parametrize("size", [(400, 800), (1024, 768)])
async def test_the_end_of_a_long_id_is_seen(
    served: Served, browser: Browser, size: tuple[int, int]
) -> None:
    """In which the pods of one service differ; all of it on the tip, and in the pane."""
    pod = "a-service-with-quite-a-long-name-in-production-7d9f8b6c5d-x2x4z"
    async with looking(browser, served.url, size) as console:
        page = console.page
        await served.register(pod, "orders")
        await console.open()
        link = page.locator(f"{ROWS} a.id")
        await expect(link).to_have_text(pod)
        assert await seen_whole(page, f"{ROWS} .id-tail")
        assert pod == await link.get_attribute("title")
        await link.click()
        heading = page.locator(".pane h2")
        await expect(heading).to_have_text(pod)
        assert await heading.evaluate("h2 => h2.scrollWidth <= h2.clientWidth")


async def test_ids_are_copied(served: Served, console: Console) -> None:
    """From the row and from the pane; also where the browser has no clipboard."""
    page = console.page
    await served.register(POD.format(1), "orders")
    await console.open()
    await page.evaluate("""() => {
        window.copied = [];
        addEventListener("copy", () => window.copied.push(getSelection().toString() ||
            document.activeElement.value.slice(0, document.activeElement.selectionEnd)));
        Object.defineProperty(navigator, "clipboard", { value: undefined });
    }""")
    await page.locator(ROWS).hover()
    await page.locator(f"{ROWS} .copy").click()
    await expect(page.locator(f"{ROWS} .copy")).to_have_attribute("aria-label", "Copied")
    await expect(page.locator(".pane")).to_be_hidden()
    await page.locator(f"{ROWS} a.id").click()
    await page.locator(".pane-head .copy").click()
    await expect(page.locator(".pane-head .copy")).to_have_attribute("aria-label", "Copied")
    assert [POD.format(1)] * 2 == await page.evaluate("window.copied")


async def test_how_long_a_status_has_lasted(served: Served, console: Console) -> None:
    """In words that read as a sentence."""
    await served.register("a")
    await console.open("#/agents/a")
    status = console.page.locator(".pane dd").first
    await expect(status).to_have_text("Live for 2 s")


async def test_groups_are_in_their_natural_order(served: Served, console: Console) -> None:
    """1, 2, 10; sorted by what is asked for, and found by name."""
    page = console.page
    for number in (10, 2, 1, 11):
        for agent in range(number):
            await served.register(f"{number}-{agent}", f"group-{number}", version=f"1.{agent % 2}")
    await console.open("#/groups")
    names = page.locator(".groups .rows .of-group")
    await expect(names).to_have_text(["group-1", "group-2", "group-10", "group-11"])
    await page.get_by_role("button", name="Agents", exact=True).click()
    await expect(names).to_have_text(["group-11", "group-10", "group-2", "group-1"])
    await page.get_by_role("button", name="Agents", exact=True).click()
    await expect(names.first).to_have_text("group-1")
    await page.locator(".list .search").fill("GROUP-1")
    await expect(names).to_have_text(["group-1", "group-10", "group-11"])
    assert page.url.endswith("#/groups?sort=-agents&q=GROUP-1")
    versions = page.locator(".groups .rows .of-versions").nth(1)
    await expect(versions).to_have_text("1.0 (5), 1.1 (5)")
    await page.locator(".list .search").fill("nothing")
    await expect(page.get_by_text("No group matches")).to_be_visible()
    await page.locator(".list .search").fill("")
    await page.locator(".top").get_by_role("button", name="Send command").click()
    options = page.locator("dialog.send select option")
    await expect(options).to_have_text(
        ["Choose a group", "group-1", "group-2", "group-10", "group-11"]
    )
