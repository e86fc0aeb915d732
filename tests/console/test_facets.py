"""How a fleet is spread over versions, routes and capabilities."""

from __future__ import annotations

from playwright.async_api import Browser, Locator, Page, expect

from ..support import Served
from .browser import NARROW, Console, looking

ROWS = ".agents .rows > .row"


async def enter(served: Served) -> None:
    for number in range(6):
        await served.register(
            f"a-{number}",
            "orders",
            version="1.10" if number < 4 else "1.9",
            routeIds=["in", "out"] if number % 2 else ["in"],
            capabilities=["replay"] if number == 5 else {},
        )
    await served.register("b", "billing")


def values(page: Page, name: str) -> Locator:
    return page.get_by_role("list", name=name).locator("button")


async def test_the_spread_is_shown_and_filters(served: Served, console: Console) -> None:
    """Each value with how many have it; a facet counts what another value of it would give."""
    page = console.page
    await enter(served)
    await console.open()
    await page.get_by_role("button", name="Facets", exact=True).click()
    await expect(values(page, "Version")).to_have_text(["1.104", "1.92", "Not said1"])
    await expect(values(page, "Route")).to_have_text(["in6", "out3"])
    await expect(values(page, "Capability")).to_have_text(["replay1"])
    await values(page, "Version").nth(1).click()
    await expect(page.locator(ROWS)).to_have_count(2)
    await expect(values(page, "Version")).to_have_text(["1.104", "1.92", "Not said1"])
    await expect(values(page, "Route")).to_have_text(["in2", "out1"])
    await values(page, "Route").nth(1).click()
    await expect(page.locator(ROWS)).to_have_count(1)
    await expect(page.locator(ROWS)).to_contain_text("a-5")
    assert page.url.endswith("#/agents?version=1.9&route=out")
    await values(page, "Version").nth(0).click()  # either version
    await expect(page.locator(ROWS)).to_have_count(3)
    await page.get_by_role("button", name="Take back Route: out").click()
    await expect(page.locator(ROWS)).to_have_count(6)
    await page.get_by_role("button", name="Clear filters").click()
    await values(page, "Version").nth(2).click()  # those that say none
    await expect(page.locator(ROWS)).to_have_count(1)
    await expect(page.locator(ROWS)).to_contain_text("b")
    await page.reload()
    await expect(page.locator(ROWS)).to_have_count(1)


async def test_routes_and_capabilities_are_found_by_text(served: Served, console: Console) -> None:
    """By the field that filters by all else."""
    await enter(served)
    await console.open()
    search = console.page.locator(".list .search")
    await search.fill("OUT")
    await expect(console.page.locator(ROWS)).to_have_count(3)
    await search.fill("replay")
    await expect(console.page.locator(ROWS)).to_have_count(1)


async def test_what_an_agent_declares_anew_is_read(served: Served, console: Console) -> None:
    """The feed says that it registered, and not what it declares."""
    page = console.page
    await enter(served)
    await console.open("#/agents?route=fresh")
    await expect(page.get_by_text("No agent matches")).to_be_visible()
    await served.register("a-0", "orders", routeIds=["fresh"])
    await expect(page.locator(ROWS)).to_contain_text("a-0")
    for number in range(30):  # so many that the list is read
        await served.register(f"c-{number}", "orders", routeIds=["fresh"])
    await expect(page.locator(".sum").first).to_have_text("31 of 37")


async def test_what_the_lists_say_is_not_asked_for_again(served: Served, console: Console) -> None:
    """The feed tells of the past as well, which the lists are newer than."""
    asked: list[str] = []
    page = console.page
    page.on("request", lambda r: asked.append(r.url) if "/v1/agents" in r.url else None)
    await enter(served)
    await page.clock.install()
    await console.open()
    await page.clock.fast_forward(1000)  # twice as long as registrations gather
    await expect(page.locator(ROWS)).to_have_count(7)
    assert 1 == len(asked)


async def test_many_values_are_searched(served: Served, console: Console) -> None:
    """The first few at first, and all when they are asked for; numbers in their order."""
    page = console.page
    await served.register("a", routeIds=[f"route-{number}" for number in range(30)])
    await console.open()
    await page.get_by_role("button", name="Facets", exact=True).click()
    routes = values(page, "Route")
    await expect(routes).to_have_count(8)
    await expect(routes.nth(2)).to_contain_text("route-2")
    await page.get_by_role("button", name="Show 30").click()
    await expect(routes).to_have_count(30)
    await page.get_by_role("searchbox", name="Find a route").fill("29")
    await expect(routes).to_have_count(1)


async def test_a_wide_screen_shows_them_by_itself(served: Served, console: Console) -> None:
    """And not where they were closed."""
    page = console.page
    await page.set_viewport_size({"width": 1920, "height": 1000})
    await enter(served)
    await console.open()
    facets = page.locator(".facets")
    await expect(facets).to_be_visible()
    await page.get_by_role("button", name="Close facets").click()
    await expect(facets).to_be_hidden()
    button = page.get_by_role("button", name="Facets", exact=True)
    await expect(button).to_have_attribute("aria-expanded", "false")
    await expect(button).to_be_focused()


async def test_on_a_narrow_one_they_take_the_place_of_the_list(
    served: Served, browser: Browser
) -> None:
    """Until they are closed."""
    async with looking(browser, served.url, NARROW) as console:
        page = console.page
        await enter(served)
        await console.open()
        await page.get_by_role("button", name="Facets", exact=True).click()
        await expect(page.locator(ROWS).first).to_be_hidden()
        await values(page, "Version").nth(1).click()
        assert NARROW[0] == await page.evaluate("document.documentElement.scrollWidth")
        await page.get_by_role("button", name="Close facets").click()
        await expect(page.locator(ROWS)).to_have_count(2)
