"""For everybody: axe-core on every view, in light and dark, narrow and wide."""

from __future__ import annotations

from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from ..support import Served, streaming
from .browser import NARROW, WIDE, Console, looking, violations
from .test_server import AWAY, SERVER


@pytest_asyncio.fixture(loop_scope="session")
async def routes(served: Served) -> dict[str, str]:
    """What there is to see, once agents have done something; what to wait for on each view."""
    for number in range(3):
        await served.register(
            f"a{number}",
            "orders",
            name=f"Service {number}",
            routeIds=["in", "out"],
            capabilities=["replay"],
        )
    async with streaming(served, "a0"):
        command = (await served.issue("/agents/groups/orders", payload={"a": 1})).json()[
            "commandId"
        ]
    await served.ack("a0", command, {"status": "FAILURE", "message": "no such key"})
    await served.ack("a1", command)
    return {
        "#/agents": ".agents .rows > .row",
        "#/agents?q=nobody": ".empty-title",
        "#/agents/a0": ".deliveries li",
        "#/groups": ".groups .rows > .row",
        "#/commands": ".commands .rows > .row",
        f"#/commands/{command}": ".per-agent .rows > .row",
        "#/timeline": ".timeline .rows > .row",
        "#/nodes": ".empty-title",
    }


at_each_size = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
in_each_scheme = pytest.mark.parametrize("scheme", ["light", "dark"])


@at_each_size
@in_each_scheme
async def test_every_view(
    served: Served,
    browser: Browser,
    axe: str,
    routes: dict[str, str],
    scheme: Literal["light", "dark"],
    size: tuple[int, int],
) -> None:
    """axe-core finds nothing, and nothing is wider than the page."""
    async with looking(browser, served.url, size, color_scheme=scheme) as console:
        page = console.page
        await console.open()
        for route, there in routes.items():
            await console.go(route)
            await page.locator(there).locator("visible=true").first.wait_for()
            assert [] == await violations(page, axe), route
            assert size[0] == await page.evaluate("document.documentElement.scrollWidth"), route
        await page.locator(".top").get_by_role("button", name="Send command").click()
        await page.locator("dialog.send textarea").fill("{")
        assert [] == await violations(page, axe), "the form"
        await page.keyboard.press("Escape")
        await console.go("#/agents/a0")
        await page.locator(".pane").get_by_role("button", name="Forget agent").click()
        assert [] == await violations(page, axe), "the question"
        await page.keyboard.press("Escape")
        await page.context.set_offline(True)
        console.forgiven.append("net::ERR")
        for follower in list(served.node.feed.streams):
            follower.transport.abort()
        await page.locator(".banner").wait_for()
        assert [] == await violations(page, axe), "without a server"


@at_each_size
@in_each_scheme
async def test_what_opens_on_top(
    served: Served,
    browser: Browser,
    axe: str,
    routes: dict[str, str],
    scheme: Literal["light", "dark"],
    size: tuple[int, int],
) -> None:
    """Likewise: facets, what is chosen, menus, notices, an entry of the timeline, signing in."""
    async with looking(browser, served.url, size, color_scheme=scheme) as console:
        page = console.page
        await console.answers("server", {**SERVER, "resumed": AWAY})
        await console.answers("auth", {"required": False, "methods": ["token"]})

        async def check(what: str) -> None:
            assert [] == await violations(page, axe), what
            assert size[0] == await page.evaluate("document.documentElement.scrollWidth"), what

        await console.open()
        await page.get_by_role("region", name="Restart").wait_for()
        await page.locator(".about summary").click()
        await check("the server")
        await page.locator(".who button").click()
        await check("signing in")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Facets", exact=True).click()
        await page.locator(".value").first.click()
        await check("facets")
        await page.get_by_role("button", name="Close facets").click()
        await page.get_by_role("checkbox", name="Select all").check()
        await page.locator(".chosen .export summary").click()
        await check("what is chosen")
        await page.locator(".chosen").get_by_role("button", name="Send command").click()
        await check("a command to several")
        await page.keyboard.press("Escape")
        await page.locator(".chosen").get_by_role("button", name="Forget").click()
        await check("forgetting several")
        await page.keyboard.press("Escape")
        await console.go("#/timeline")
        await page.locator(".timeline .rows > .row time").last.click()
        await page.locator(".mentions .rows > .row").first.wait_for()
        await check("an entry")


async def test_wide_letters(served: Served, browser: Browser, routes: dict[str, str]) -> None:
    """A font that runs wide, or letters spaced out as WCAG 1.4.12 has it: the page still fits."""
    async with looking(browser, served.url, NARROW) as console:
        page = console.page
        await console.open()
        await page.evaluate("document.body.style.letterSpacing = '0.12em'")
        for route, there in routes.items():
            await console.go(route)
            await page.locator(there).locator("visible=true").first.wait_for()
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert NARROW[0] == width, route


async def test_axe_would_find_something(console: Console, axe: str) -> None:
    """Otherwise the tests above would show nothing."""
    await console.open()
    search = "document.querySelector('.list .search')"
    await console.page.evaluate(f"{search}.removeAttribute('aria-label')")
    await console.page.evaluate(f"{search}.removeAttribute('placeholder')")
    assert any("label" in violation for violation in await violations(console.page, axe))


async def test_the_theme_is_chosen_and_remembered(served: Served, console: Console) -> None:
    """The system's, light or dark; and dark from the first moment on after that."""
    page = console.page

    async def ground() -> str:
        color = "getComputedStyle(document.body).backgroundColor"
        return str(await page.evaluate(color))

    await page.emulate_media(color_scheme="light")
    await console.open()
    light = await ground()
    theme = page.locator("button.theme")
    assert "Theme: system" == await theme.get_attribute("aria-label")
    await theme.click()
    await theme.click()
    assert "Theme: dark" == await theme.get_attribute("aria-label")
    dark = await ground()
    assert light != dark
    await page.reload()
    assert dark == await ground()
    await page.emulate_media(color_scheme="dark")
    await theme.click()
    assert "Theme: system" == await theme.get_attribute("aria-label")
    assert dark == await ground()


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.textContent.slice(0, 40)"))


async def test_the_keyboard_leads_everywhere(served: Served, console: Console) -> None:
    """Past the top at once; to the heading of a view that was gone to; back where a dialog was."""
    page = console.page
    await served.register("a")
    await console.open()
    await page.keyboard.press("Tab")
    assert "To the content" == await focused(page)
    await page.keyboard.press("Enter")
    assert "Agents" == await focused(page)
    await page.get_by_role("link", name="Timeline").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_be_focused()
    assert "Timeline" == await focused(page)
    send = page.locator(".top").get_by_role("button", name="Send command")
    await send.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("dialog.send")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(send).to_be_focused()


async def test_a_narrow_page_shows_one_thing_at_a_time(served: Served, browser: Browser) -> None:
    """The list, or what was opened from it, which then has the focus."""
    await served.register("a")
    async with looking(browser, served.url, NARROW) as console:
        page = console.page
        await console.open()
        await page.locator(".agents .rows > .row").click()
        await expect(page.locator(".pane h2")).to_be_focused()
        await expect(page.locator(".grid.agents")).to_be_hidden()
        await page.go_back()
        await expect(page.locator(".agents .rows > .row")).to_be_visible()
