"""The nodes that share a registry; and that each request brings along how far it had come."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Request, Route, expect

from ..node.sharing.world import world
from ..support import Served
from .browser import NARROW, WIDE, Console, looking, violations

ROWS = ".nodes .rows > .row"
POSITION = "x-cameleer-position"


def node(name: str, status: str = "LIVE", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": "0.4.0",
        "address": f"http://{name}.cameleer.svc.cluster.local:8081",
        "status": status,
        "own": False,
        "position": 1_234_567,
        "streams": 25_000,
        "joinedAt": f"2026-11-23T08:15:30.{len(name):03}Z",
        "lastSeenAt": "2026-11-23T08:17:30.000Z",
        "endedAt": None,
        **more,
    }


NODES = [
    node("registry-0", own=True),
    node("registry-1", version="0.4.1"),
    node("registry-2-with-a-name-that-is-rather-long-for-a-node", "LOST", streams=0),
    node("registry-3", "LEFT", address=None, streams=0),
]


async def test_a_server_that_is_alone_says_so(served: Served, console: Console) -> None:
    """In a line, and in the menu that leads there."""
    page = console.page
    await console.open()
    await page.locator(".about summary").click()
    link = page.locator(".about dd a")
    await expect(link).to_have_text("This one alone")
    await link.click()
    await expect(page.locator("main h1")).to_have_text("Nodes")
    await expect(page.locator(".empty-title")).to_have_text("This server is alone")
    await expect(page.locator(ROWS)).to_have_count(0)
    assert page.url.endswith("#/nodes")


async def test_nodes_are_shown_as_they_are_now(console: Console) -> None:
    """Name, status, streams, position, release, address and last sign; and again each 2 s."""
    page = console.page
    listed = [*NODES]
    await console.answers("nodes", lambda: listed)
    await page.clock.install()
    await console.open("#/nodes")
    await expect(page.locator(ROWS)).to_have_count(4)
    first = page.locator(ROWS).first
    for text in ("registry-0", "this one", "Live", "25,000", "1,234,567", "0.4.0", "svc.cluster"):
        await expect(first).to_contain_text(text)
    await expect(page.locator(".sum")).to_have_text("4 nodes: 2 live, 1 lost, 1 left")
    await expect(page.locator(ROWS).nth(2)).to_contain_text("Lost")
    await expect(page.locator(ROWS).nth(3).locator(".of-address")).to_have_text("–")
    await page.locator(".about summary").click()
    await expect(page.locator(".about dd a")).to_have_text("4 nodes: 2 live, 1 lost, 1 left")
    listed[1] = node("registry-1", "LOST")
    await page.clock.fast_forward(2_100)
    await expect(page.locator(ROWS).nth(1)).to_contain_text("Lost")


async def test_two_real_nodes(browser: Browser) -> None:
    """Which share a log."""
    async with world("a", "b") as of, looking(browser, of.members[0].url) as console:
        await console.open("#/nodes")
        await expect(console.page.locator(f"{ROWS} .of-node")).to_have_text(
            ["a\u00a0(this one)", "b"]
        )
        await expect(console.page.locator(f"{ROWS} .of-state")).to_have_text(["Live", "Live"])


async def test_a_refusal_is_shown_and_ends(console: Console) -> None:
    """Where nodes cannot be read; and what was read stays when they cannot be read any more."""
    page = console.page
    console.forgiven.append("403")
    status, body = 403, {"type": "urn:cameleer:problem:forbidden", "title": "No", "status": 403}
    answer: dict[str, Any] = {"status": status, "json": body}

    async def answered(route: Route) -> None:
        await route.fulfill(
            **answer, content_type=f"application/{'problem+' * (answer['status'] > 400)}json"
        )

    await page.route("**/api/v1/nodes", answered)
    await page.clock.install()
    await console.open("#/nodes")
    await expect(page.locator(".list .refusal")).to_contain_text("No")
    answer |= {"status": 200, "json": NODES}
    await page.clock.fast_forward(2_100)
    await expect(page.locator(ROWS)).to_have_count(4)
    await expect(page.locator(".list .refusal")).to_be_hidden()
    answer |= {"status": status, "json": body}
    async with page.expect_response("**/api/v1/nodes"):
        await page.clock.fast_forward(2_100)
    await expect(page.locator(ROWS)).to_have_count(4)
    await expect(page.locator(".list .refusal")).to_be_hidden()


@pytest.mark.parametrize("size", [WIDE, (700, 800), NARROW], ids=["wide", "middle", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_cut_and_axe_finds_nothing(
    served: Served,
    browser: Browser,
    axe: str,
    scheme: Literal["light", "dark"],
    size: tuple[int, int],
) -> None:
    """What a node is called may be longer than there is room; its figures are seen whole."""
    async with looking(browser, served.url, size, color_scheme=scheme) as console:
        page = console.page
        await console.answers("nodes", NODES)
        await console.open("#/nodes")
        await expect(page.locator(ROWS)).to_have_count(4)
        assert [] == await violations(page, axe)
        assert size[0] == await page.evaluate("document.documentElement.scrollWidth")
        assert [] == await page.evaluate(
            """() => [...document.querySelectorAll(
                ".nodes .head .cell, .nodes .of-state, .nodes .of-streams, .nodes .of-position"
            )].filter(cell => cell.checkVisibility() && cell.scrollWidth > cell.clientWidth)
                .map(cell => cell.className + " " + cell.textContent)"""
        )


async def test_each_request_brings_along_how_far_the_registry_had_come(browser: Browser) -> None:
    """So that another node, which may be behind, waits until it knows as much."""
    async with world("a") as of, looking(browser, of.members[0].url) as console:
        [a] = of.members
        page = console.page
        await a.enter("x")
        sent: dict[str, str | None] = {}

        def note(request: Request) -> None:
            sent[request.url.rpartition("/")[2]] = request.headers.get(POSITION)

        await console.open("#/agents/x")
        await page.locator(".top").get_by_role("button", name="Send command").click()
        async with page.expect_response(lambda seen: seen.request.method == "POST") as answered:
            await page.locator("dialog.send button[type=submit]").click()
        said = (await (await answered.value).all_headers())[POSITION]
        page.on("request", note)
        async with page.expect_request("**/api/v1/nodes"):
            await console.go("#/nodes")
        assert said == sent["nodes"]
