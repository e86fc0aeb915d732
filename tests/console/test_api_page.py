"""The page at /docs: the API is read there, and tried."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from aiohttp import web
from playwright.async_api import Browser, Locator, Page, expect

from cameleer_registry import NODE, Settings, create_app

from ..browser import looking, watching
from ..support import Served, eventually, running
from .browser import NARROW, WIDE, violations


@asynccontextmanager
async def mounted(settings: Settings | None = None) -> AsyncIterator[Served]:
    """A registry below a prefix of another application."""
    host, registry = web.Application(), create_app(settings)
    host.add_subapp("/tools/registry", registry)
    async with running(host) as (name, port):
        yield Served(registry[NODE], name, port, "/tools/registry")


async def opened(page: Page, operation: str) -> Locator:
    """Unfold an operation."""
    found = page.locator(f"#{operation}")
    await found.locator("summary").click()
    await found.locator("form").wait_for()
    return found


async def sent(found: Locator) -> None:
    await found.get_by_role("button", name="Send").click()


async def test_all_of_the_document_is_shown(served: Served, browser: Browser) -> None:
    """Each operation but HEAD's, and each model; all of it can be unfolded."""
    document = (await served.request("GET", "/openapi.json")).json()
    ids = {
        operation["operationId"]
        for item in document["paths"].values()
        for method, operation in item.items()
        if method != "head"
    }
    async with looking(browser, f"{served.url}/docs") as page:
        await page.locator("details").first.wait_for()
        shown = await page.locator("details.operation").evaluate_all("all => all.map(e => e.id)")
        assert sorted(ids) == sorted(shown)
        models = await page.locator("details.model").evaluate_all("all => all.map(e => e.id)")
        assert {f"model-{name}" for name in document["components"]["schemas"]} == set(models)
        await page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
        await expect(page.locator("details:not(:has(.inside > *))")).to_have_count(0)
        text = await page.locator("main").inner_text()
        for item in document["paths"].values():
            for method, operation in item.items():
                assert method == "head" or operation["summary"] in text
        for wrong in ("undefined", "[object", "NaN"):
            assert wrong not in text
        dead = "all => all.filter(a => !document.getElementById(a.hash.slice(1))).map(a => a.href)"
        assert [] == await page.locator("a[href^='docs#']").evaluate_all(dead)


async def test_a_request_is_tried(browser: Browser) -> None:
    """Below a prefix, on a server that names another host and requires the version."""
    settings = Settings(require_protocol_version=True, public_url="https://registry.example")
    async with mounted(settings) as served, looking(browser, f"{served.url}/docs") as page:
        register = await opened(page, "registerAgent")
        await sent(register)
        await expect(register.locator(".shown .status")).to_have_text("201")
        await expect(register.locator(".shown")).to_contain_text("x-cameleer-protocol-version: 1")
        await expect(register.locator(".shown")).to_contain_text('"agentId": "order-service-1"')
        assert ["order-service-1"] == [agent.agent_id for agent in served.node.agents()]
        await sent(register)
        await expect(register.locator(".shown .status")).to_have_text("200")


async def test_what_is_typed_is_what_is_sent(served: Served, browser: Browser) -> None:
    """In the path, the query, the headers and the body, as curl's line says beforehand."""
    await served.register("a.b")
    async with looking(browser, f"{served.url}/docs") as page:
        issue = await opened(page, "issueToAgent")
        await issue.get_by_label("agentId").fill("a.b")
        await issue.get_by_label("Idempotency-Key").fill('"it\'s"')
        payload = '{"type":"replay","payload":{"n":9007199254740993,"f":1.0}}'
        await issue.locator("textarea").fill(payload)
        curl = issue.locator(".curl")
        await expect(curl).to_contain_text("-X POST -H 'Idempotency-Key: \"it'\\''s\"'")
        await expect(curl).to_contain_text(f"--data-binary '{payload}'")
        await expect(curl).to_contain_text(f"'{served.api}/agents/a.b/commands'")
        await sent(issue)
        await expect(issue.locator(".shown .status")).to_have_text("202")
        await expect(issue.locator(".shown")).to_contain_text('"n": 9007199254740993')
        await expect(issue.locator(".shown")).to_contain_text('"f": 1.0')
        [delivery] = (await served.request("GET", "/agents/a.b/commands")).json()
        assert json.loads(payload)["payload"] == delivery["payload"]
        agents = await opened(page, "listAgents")
        await agents.get_by_label("status").fill("live,stale")
        await agents.get_by_label("limit").fill("1")
        await expect(agents.locator(".curl")).to_contain_text("?status=live%2Cstale&limit=1'")
        await sent(agents)
        await expect(agents.locator(".shown .status")).to_have_text("200")


async def test_what_is_required_is_asked_for(served: Served, browser: Browser) -> None:
    """And nothing is sent without it."""
    async with looking(browser, f"{served.url}/docs") as page:
        remove = await opened(page, "removeAgent")
        await remove.get_by_label("agentId").fill("")
        await sent(remove)
        await expect(remove.get_by_role("alert")).to_have_text("agentId is missing.")
        await expect(remove.get_by_label("agentId")).to_be_focused()
        await expect(remove.locator(".shown")).to_be_hidden()
        await remove.get_by_label("agentId").fill("a")
        await expect(remove.get_by_role("alert")).to_be_hidden()


async def test_a_stream_is_shown_as_it_comes(served: Served, browser: Browser) -> None:
    """Until it is stopped, which closes it."""
    async with looking(browser, f"{served.url}/docs") as page:
        feed = await opened(page, "followEvents")
        await sent(feed)
        await expect(feed.locator(".shown")).to_contain_text("event: position")
        await served.register("newcomer")
        await expect(feed.locator(".shown")).to_contain_text('"agentId":"newcomer"')
        await expect(feed.get_by_role("button", name="Send")).to_be_disabled()
        await feed.get_by_role("button", name="Stop").click()
        await expect(feed.locator(".note")).to_have_text("Stopped.")
        await expect(feed.get_by_role("button", name="Send")).to_be_enabled()
        await eventually(lambda: not served.node.feed.streams)


async def test_an_address_leads_to_its_place(served: Served, browser: Browser) -> None:
    """Unfolded, with the focus on it; so does a link to a model."""
    async with looking(browser, f"{served.url}/docs#registerAgent") as page:
        await expect(page.locator("#registerAgent summary")).to_be_focused()
        await page.locator("#registerAgent").get_by_role("link", name="Registration").click()
        await expect(page.locator("#model-Registration")).to_contain_text("routeIds")
        await expect(page.locator("#model-Registration summary")).to_be_focused()


async def test_a_document_that_cannot_be_read_is_said(served: Served, browser: Browser) -> None:
    """Rather than an empty page."""
    async with watching(browser, served.url) as page:
        await page.route("**/openapi.json", lambda route: route.fulfill(body="no JSON"))
        await page.goto(f"{served.url}/docs")
        await expect(page.get_by_role("alert")).to_contain_text("The document cannot be read")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_for_everybody(
    served: Served,
    browser: Browser,
    axe: str,
    scheme: Literal["light", "dark"],
    size: tuple[int, int],
) -> None:
    """axe-core finds nothing, with all of it unfolded, and nothing is wider than the page."""
    viewport = {"width": size[0], "height": size[1]}
    address = f"{served.url}/docs"
    async with looking(browser, address, viewport=viewport, color_scheme=scheme) as page:
        await page.locator("details").first.wait_for()
        await page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
        await expect(page.locator("details:not(:has(.inside > *))")).to_have_count(0)
        await sent(page.locator("#listAgents"))
        await expect(page.locator("#listAgents .shown .status")).to_have_text("200")
        assert [] == await violations(page, axe)
        assert size[0] == await page.evaluate("document.documentElement.scrollWidth")
