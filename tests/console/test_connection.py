"""Losing the server, and finding it again."""

from __future__ import annotations

import re
import signal

import pytest
from aiohttp import web
from playwright.async_api import Browser, Route, expect

from cameleer_registry import NODE, Settings, create_app
from cameleer_registry.node.feed import feed

from ..processes import server
from ..support import Served, eventually, running, serving, within
from .browser import Console, looking

FORGETFUL = ("--database", "memory")
"""Options of a server that begins with nothing, also when it is started again."""

ROWS = ".agents .rows > .row"
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
"""What a browser does to a tab when another one is chosen, and when this one is chosen again."""


async def test_the_server_is_restarted_under_it(browser: Browser) -> None:
    """It says that it has lost it; then it shows what the new one knows, and nothing else."""
    async with server(*FORGETFUL, "--port", "0") as first:
        port = first.url.rsplit(":", 1)[1]
        async with looking(browser, first.url) as console:
            console.forgiven.append("net::ERR")
            page = console.page
            async with first.client() as client:
                await client.post("/agents/register", json={"agentId": "old", "group": "g"})
            await console.open()
            await expect(page.locator(ROWS)).to_contain_text("old")
            await first.terminate(signal.SIGKILL)
            await expect(page.locator(".banner")).to_be_visible()
            await expect(page.locator(".connection")).to_have_text("No server")
            await expect(page.locator(ROWS)).to_contain_text("old")
            async with server(*FORGETFUL, "--port", port) as second, second.client() as client:
                await client.post("/agents/register", json={"agentId": "new", "group": "g"})
                await expect(page.locator(".banner")).to_be_hidden()
                await expect(page.locator(ROWS)).to_have_count(1)
                await expect(page.locator(ROWS)).to_contain_text("new")
                await client.post("/agents/register", json={"agentId": "newer", "group": "g"})
                await expect(page.locator(ROWS)).to_have_count(2)
                await console.go("#/timeline")
                await expect(page.get_by_text("registered").first).to_be_visible()
                await expect(page.locator(".timeline .row", has_text="old")).to_have_count(0)


async def test_the_server_is_lost_while_a_command_is_written(browser: Browser) -> None:
    """The form says why nothing can be sent, and keeps what was typed until it can."""
    async with server(*FORGETFUL, "--port", "0") as first:
        port = first.url.rsplit(":", 1)[1]
        async with looking(browser, first.url) as console:
            console.forgiven.append("net::ERR")
            page = console.page
            await console.open()
            await page.get_by_role("button", name="Send command").click()
            dialog = page.locator("dialog.send")
            await dialog.get_by_label("All agents", exact=True).check()
            await dialog.locator("textarea").fill('{"a": 1}')
            send = dialog.get_by_role("button", name="Send", exact=True)
            await expect(send).to_be_enabled()
            await first.terminate(signal.SIGKILL)
            said = dialog.get_by_text("The server does not answer.")
            await expect(said).to_be_visible()
            await expect(send).to_be_disabled()
            async with server(*FORGETFUL, "--port", port):
                await expect(said).to_be_hidden()
                await expect(send).to_be_enabled()
                await expect(dialog.locator("textarea")).to_have_value('{"a": 1}')


async def test_what_cannot_be_read_is_said_where_it_belongs(
    served: Served, console: Console
) -> None:
    """A request fails while the feed stands: the pane says it, and can be told to read again."""
    page = console.page
    console.forgiven.append("net::ERR")
    await served.register("a")
    command = (await served.issue("/agents/a")).json()["commandId"]
    await console.open()
    alert, again = page.locator(".pane .refusal"), page.get_by_role("button", name="Try again")
    for route, address, there in [
        (f"#/commands/{command}", "**/api/v1/commands/**", ".pane .numbers"),
        ("#/agents/a", "**/api/v1/agents/a", ".pane .facts dl"),
    ]:
        await page.route(address, lambda route: route.abort())
        await console.go(route)
        await expect(alert).to_contain_text("The server did not answer this request.")
        await expect(again).to_be_visible()
        await page.unroute(address)
        if "commands" in route:  # an agent is looked up every two seconds anyway
            await again.click()
        await expect(page.locator(there).first).to_be_visible()
        await expect(alert).to_have_count(0)


async def test_nothing_is_missed_while_the_way_to_the_server_is_cut(
    served: Served, console: Console
) -> None:
    """The feed goes on where it broke off; the lists are not read again for it."""
    page = console.page
    console.forgiven.append("ERR_INTERNET_DISCONNECTED")
    console.forgiven.append("net::ERR")
    await served.register("a")
    await console.open()
    lists: list[str] = []
    page.on("request", lambda r: lists.append(r.url) if "agents?limit" in r.url else None)
    await page.context.set_offline(True)
    for follower in list(served.node.feed.streams):
        follower.transport.abort()
    await expect(page.locator(".banner")).to_be_visible()
    await served.register("b")
    await served.request("DELETE", "/agents/a")
    await page.context.set_offline(False)
    await expect(page.locator(".banner")).to_be_hidden()
    await expect(page.locator(ROWS)).to_have_count(1)
    await expect(page.locator(ROWS)).to_contain_text("b")
    assert [] == lists


async def test_a_connection_on_which_nothing_comes_is_replaced(
    served: Served, console: Console
) -> None:
    """No keepalive for a long time: it may be dead. Nobody sees that, and nothing is lost."""
    page = console.page
    await page.clock.install()
    await console.open()
    await served.register("a")
    await expect(page.locator(ROWS)).to_have_count(1)
    async with page.expect_request("**/api/v1/events") as again:
        await page.clock.fast_forward(46_000)
    newest = str(served.node.feed._ring.newest)
    assert newest == (await again.value).headers["last-event-id"]
    await served.register("b")
    await expect(page.locator(ROWS)).to_have_count(2)
    await expect(page.locator(".banner")).to_be_hidden()


async def test_silence_is_told_before_the_connection_is_replaced(
    served: Served, console: Console
) -> None:
    """For how long nothing has come, as soon as a keepalive is missing; until something comes."""
    page = console.page
    await page.clock.install()
    await console.open()
    await page.clock.fast_forward(18_000)
    word = page.locator(".connection")
    await expect(word).to_contain_text("No sign for 1")
    await served.register("a")
    await expect(word).to_have_text("Connected")


async def test_a_server_that_stands_still_is_lost_by_the_pace_of_its_keepalives(
    browser: Browser,
) -> None:
    """Where they come often, a few seconds without one are long."""
    async with (
        server(*FORGETFUL, "--port", "0", "--keepalive-interval", "0.3") as still,
        looking(browser, still.url) as console,
    ):
        console.forgiven.append("net::ERR")
        page = console.page
        await page.clock.install()
        await console.open()
        async with still.client() as client, client.stream("GET", "/events") as events:
            lines, comments = events.aiter_lines(), 0
            while comments < 4:  # a greeting, and keepalives, which the page sees as well
                comments += (await within(anext(lines))).startswith(":")
        still.process.send_signal(signal.SIGSTOP)
        try:
            await page.clock.fast_forward(2200)
            await expect(page.locator(".connection")).to_have_text(
                re.compile("No sign for [2-5] s")
            )
            async with page.expect_request("**/api/v1/events"):
                await page.clock.fast_forward(1100)
            await page.clock.fast_forward(6100)
            await expect(page.locator(".banner")).to_be_visible()
        finally:
            still.process.send_signal(signal.SIGCONT)
        await expect(page.locator(".banner")).to_be_hidden()


@pytest.mark.parametrize("fails", [True, False])
async def test_a_request_without_an_answer_is_a_reason_to_look(
    served: Served, console: Console, fails: bool
) -> None:
    """It failed, or is overdue: the feed's connection may be dead as well, and is replaced."""
    page = console.page
    console.forgiven.append("net::ERR")
    await served.register("a")
    await page.clock.install()
    await console.open()
    await expect(page.locator(ROWS)).to_have_count(1)

    async def answer(route: Route) -> None:
        if fails:
            await route.abort()

    await page.route("**/api/v1/agents/a", answer)
    # From here on time stands still but where it is moved: no silence is long enough by itself, and
    # there is no other request that a leap in time could make overdue.
    await page.clock.pause_at(await page.evaluate("Date.now() / 1000 + 5"))
    await page.clock.fast_forward(6_000)  # the feed's connection is doubted after ten seconds
    async with page.expect_request("**/api/v1/events"):
        async with page.expect_request("**/api/v1/agents/a"):
            await console.go("#/agents/a")
        await page.clock.fast_forward(3_100)
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")


async def test_a_tab_that_nobody_looks_at_holds_no_connection(
    served: Served, console: Console
) -> None:
    """It goes on where it was when it is seen again, and reads no list for it."""
    page = console.page
    await served.register("a")
    await page.clock.install()
    await console.open()
    lists: list[str] = []
    page.on("request", lambda r: lists.append(r.url) if "agents?limit" in r.url else None)
    await page.evaluate(HIDE, True)
    await page.clock.fast_forward(4_000)
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    await page.clock.fast_forward(1_100)
    await eventually(lambda: not served.node.feed.streams)
    await expect(page).to_have_title("Paused – Cameleer")
    await served.register("b")
    await page.evaluate(HIDE, False)
    await expect(page).to_have_title("2 live – Cameleer")
    await expect(page.locator(ROWS)).to_have_count(2)
    await expect(page.locator(".connection")).to_have_text("Connected")
    assert [] == lists


async def test_the_past_is_gone_when_a_tab_is_seen_again(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More happened than the feed remembers: everything is read again."""
    monkeypatch.setattr(feed, "HISTORY", 5)
    async with serving() as served, looking(browser, served.url) as console:
        page = console.page
        await page.clock.install()
        await console.open()
        await page.evaluate(HIDE, True)
        await page.clock.fast_forward(5_100)
        await eventually(lambda: not served.node.feed.streams)
        for number in range(30):
            await served.register(f"a{number}")
        await page.evaluate(HIDE, False)
        await expect(page).to_have_title("30 live – Cameleer")


async def test_the_server_is_not_there_yet(browser: Browser) -> None:
    """A page that was loaded from a server that went away at once finds it later."""
    async with serving(Settings(max_feeds=1)) as served, looking(browser, served.url) as first:
        # It comes back for the past before its first connection has been seen to end.
        first.forgiven.append("503")
        await first.open()
        async with looking(browser, served.url) as second:
            second.forgiven.append("503")
            await second.page.goto(served.url)
            banner = second.page.locator(".banner")
            await expect(banner).to_contain_text("The server cannot be reached.")
            await expect(second.page.get_by_text("Nothing is known yet")).to_be_visible()
            await first.page.goto("about:blank")
            await eventually(lambda: not served.node.feed.streams)
            await banner.get_by_role("button", name="Try now").click()
            await expect(banner).to_be_hidden()


async def test_under_a_prefix_and_where_a_version_is_required(browser: Browser) -> None:
    """Every address is relative, and every request says which protocol it speaks."""
    host, registry = web.Application(), create_app(Settings(require_protocol_version=True))
    host.add_subapp("/registry/", registry)
    async with running(host) as (name, port):
        served = Served(registry[NODE], name, port, "/registry")
        async with looking(browser, served.url) as console:
            await console.page.goto(served.url)
            await expect(console.page.locator("html")).to_have_attribute("data-connection", "live")
            assert f"{served.url}/" == console.page.url
            version = {"X-Cameleer-Protocol-Version": "1"}
            body = {"agentId": "a", "group": "g"}
            await served.request("POST", "/agents/register", body, headers=version)
            await console.page.locator(ROWS).click()
            pane = console.page.locator(".pane")
            await pane.get_by_role("button", name="Send command").click()
            await console.page.locator("dialog.send .primary").click()
            await expect(pane.locator(".numbers").first).to_have_text("1 pending")
