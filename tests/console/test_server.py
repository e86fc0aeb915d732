"""Which server it is, and what a restart of it means."""

from __future__ import annotations

from typing import Any

from playwright.async_api import expect

from ..support import Served
from .browser import NARROW, Console

SERVER = {
    "name": "Production EU",
    "color": "rebeccapurple",
    "version": "0.3.0",
    "instance": "7f3c9a12",
    "startedAt": "2021-01-01T00:00:00.000Z",
    "uptimeMs": 7_500_000,
}

AWAY = {
    "awayFrom": "2026-11-23T08:15:30.000Z",
    "awayUntil": "2026-11-23T08:17:30.000Z",
    "agents": 300,
    "notBack": 12,
}


async def test_the_page_names_the_server(console: Console) -> None:
    """With its colour; its release, since when it is up, and where there is more."""
    page = console.page
    await console.answers("server", SERVER)
    await console.open()
    await expect(page).to_have_title("0 live – Production EU")
    await expect(page.locator(".brand")).to_have_text("Production EU")
    color = "getComputedStyle(document.documentElement).getPropertyValue('--server')"
    assert "rebeccapurple" == await page.evaluate(color)
    about = page.locator(".about")
    await expect(about.locator("summary")).to_contain_text("0.3.0 · up 2 h")
    await about.locator("summary").click()
    for text in ("0.3.0", "7f3c9a12", f"{console.url}/"):
        await expect(about.locator(".menu-body")).to_contain_text(text)
    for name, path in [("API documentation", "/docs"), ("Metrics", "/metrics")]:
        link = about.get_by_role("link", name=name)
        assert f"{console.url}{path}" == await link.evaluate("link => link.href")
        assert 200 == (await page.request.get(f"{console.url}{path}")).status
    await page.keyboard.press("Escape")
    await expect(about.locator(".menu-body")).to_be_hidden()
    await page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    await expect(page.locator(".brand")).to_have_text("Production EU")
    assert NARROW[0] == await page.evaluate("document.documentElement.scrollWidth")


async def test_a_server_that_says_nothing_of_itself(console: Console) -> None:
    """What is not known is left out."""
    console.forgiven.append("404")
    problem = {"type": "urn:cameleer:problem:not-found", "title": "x", "status": 404}
    await console.answers("server", problem, 404)
    await console.open()
    await expect(console.page).to_have_title("0 live – Cameleer")
    await console.page.locator(".about summary").click()
    terms = console.page.locator(".about dt")
    await expect(terms).to_have_text(["Address"])


async def test_a_colour_that_is_none_is_left_out(console: Console) -> None:
    """Whatever it would do to a style sheet."""
    await console.answers("server", {**SERVER, "color": "red; background: url(x)"})
    await console.open()
    await expect(console.page.locator(".brand")).to_have_text("Production EU")
    assert await console.page.evaluate("!document.documentElement.hasAttribute('data-colored')")


async def test_a_restart_is_told_until_all_are_back(console: Console) -> None:
    """From when to when it was away, and how many have not come back yet."""
    page = console.page
    resumed: dict[str, Any] = dict(AWAY)
    await console.answers("server", lambda: {**SERVER, "resumed": resumed})
    await page.clock.install()
    await console.open()
    notice = page.get_by_role("region", name="Restart")
    await expect(notice).to_contain_text("The server was away from")
    await expect(notice).to_contain_text("(2 min)")
    await expect(notice).to_contain_text("12 of 300 agents have not come back yet.")
    resumed["notBack"] = 1
    await page.clock.fast_forward(3_100)
    await expect(notice).to_contain_text("1 of 300 agents")
    resumed["notBack"] = 0
    await page.clock.fast_forward(3_100)
    await expect(notice).to_contain_text("All 300 agents are back.")
    await page.clock.fast_forward(31_000)
    await expect(notice).to_be_hidden()


async def test_what_is_over_is_not_told(console: Console) -> None:
    """A page that is opened when all are back already; and what was dismissed stays so."""
    page = console.page
    resumed: dict[str, Any] = {**AWAY, "notBack": 0}
    await console.answers("server", lambda: {**SERVER, "resumed": resumed})
    await page.clock.install()
    await console.open()
    notice = page.get_by_role("region", name="Restart")
    await expect(page.locator(".brand")).to_have_text("Production EU")
    await expect(notice).to_be_hidden()
    resumed["notBack"] = 5
    await page.reload()
    await notice.get_by_role("button", name="Dismiss").click()
    await expect(notice).to_be_hidden()
    resumed["notBack"] = 4
    async with page.expect_response("**/api/v1/server"):
        await page.clock.fast_forward(3_100)
    await expect(notice).to_be_hidden()


async def test_another_release_asks_for_the_page_to_be_loaded_again(
    served: Served, console: Console
) -> None:
    """The page that is shown is the old one's."""
    page = console.page
    console.forgiven.append("net::ERR")
    version = {"version": "0.3.0"}
    await console.answers("server", lambda: {**SERVER, **version})
    await console.open()
    notice = page.get_by_role("region", name="Release")
    await expect(page.locator(".brand")).to_have_text("Production EU")
    await expect(notice).to_be_hidden()
    version["version"] = "0.4.0"
    for follower in list(served.node.feed.streams):
        follower.transport.abort()
    await expect(notice).to_contain_text("The server is of release 0.4.0 now")
    await notice.get_by_role("button", name="Reload the page").click()
    await expect(page.locator(".brand")).to_have_text("Production EU")
    await expect(notice).to_be_hidden()
