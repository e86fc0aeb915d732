"""Signing in, being signed out, and what a role is offered."""

from __future__ import annotations

from typing import Any, Final

import pytest
from attrs import define, field
from playwright.async_api import Browser, Locator, Route, expect
from yarl import URL

from ..support import Served, eventually
from .browser import Console, looking

GOOD: Final = "camo_right"

ROWS: Final = ".agents .rows > .row"

REFUSALS: Final = {
    "unauthenticated": "a credential is needed",
    "invalid-token": "the token is not one of this server's",
    "credential-revoked": "the token was revoked",
}


@define(slots=False)  # Playwright notes something in whose method it is given
class Gate:
    """What a server that wants credentials does, in front of one that does not."""

    role: str = "admin"
    groups: tuple[str, ...] = ("*",)
    open: bool = False
    why: str = "unauthenticated"
    feeds: list[str] = field(factory=list)
    """The ``Last-Event-ID`` of each feed that was let in."""
    codes: list[str] = field(factory=list)

    async def answer(self, route: Route) -> None:
        """Answer what has to do with sessions, and refuse all else until there is one."""
        path = URL(route.request.url).path.partition("/api/v1")[2]
        if path == "/auth":
            await route.fulfill(json=self.auth())
        elif path == "/auth/session":
            await self.session(route)
        elif not self.open:
            await self.refuse(route, self.why)
        elif path == "/events":
            self.feeds.append(route.request.headers["last-event-id"])
            await route.fallback()
        else:
            await route.fallback()

    def auth(self) -> dict[str, Any]:
        """Say whether a credential is needed, and whose is shown."""
        found: dict[str, Any] = {"required": True, "methods": ["token"], "registry": "r"}
        if self.open:
            found["principal"] = {"tokenId": "t1", "role": self.role, "groups": self.groups}
        return found

    async def session(self, route: Route) -> None:
        """Open or end a session."""
        if route.request.method == "DELETE":
            self.open = False
            await route.fulfill(status=204)
            return
        body = route.request.post_data_json or {}
        self.open = body.get("token") == GOOD or "code" in body
        self.codes.append(body.get("code", ""))
        if self.open:
            await route.fulfill(status=204)
        else:
            await self.refuse(route, "invalid-token")

    async def refuse(self, route: Route, code: str) -> None:
        """Refuse a request as the contract has it."""
        problem = {
            "type": f"urn:cameleer:problem:{code}",
            "title": "Unauthorized",
            "status": 401,
            "detail": REFUSALS[code],
        }
        await route.fulfill(status=401, json=problem, content_type="application/problem+json")


async def guard(console: Console, **more: Any) -> Gate:
    """Put a gate in front of the server."""
    gate = Gate(**more)
    console.forgiven.append("401")
    await console.page.route("**/api/v1/**", gate.answer)
    return gate


async def sign_in(console: Console, token: str = GOOD) -> Locator:
    """Sign in; return the dialog."""
    dialog = console.page.locator("dialog.signin")
    await dialog.get_by_label("Token").fill(token)
    await dialog.get_by_role("button", name="Sign in").click()
    return dialog


async def test_it_asks_for_a_token_first(served: Served, console: Console) -> None:
    """A wrong one is refused in the server's words; there is no way past it."""
    page = console.page
    await served.register("a")
    gate = await guard(console)
    await page.goto(f"{console.url}/")
    dialog = await sign_in(console, "camo_wrong")
    await expect(dialog.get_by_role("alert")).to_contain_text("is not one of this server's")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_visible()
    assert [] == gate.feeds
    await expect(page.locator(ROWS)).to_have_count(0)
    await sign_in(console)
    await expect(dialog).to_be_hidden()
    await expect(page.locator(ROWS)).to_have_count(1)
    assert "" == await dialog.get_by_label("Token").input_value(), "it is not kept"


async def test_a_session_that_ends_takes_nothing_away(served: Served, console: Console) -> None:
    """What was typed stays, what was known stays, and the feed goes on where it was."""
    page = console.page
    await served.register("a")
    gate = await guard(console, open=True)
    console.forgiven.append("net::ERR")
    await console.open("#/agents/a")
    await page.locator(".top").get_by_role("button", name="Send command").click()
    draft = page.locator("dialog.send textarea")
    await draft.fill('{"draft": 1}')
    gate.open, gate.why = False, "credential-revoked"
    lists: list[str] = []
    page.on("request", lambda r: lists.append(r.url) if "agents?limit" in r.url else None)
    for follower in list(served.node.feed.streams):
        follower.transport.abort()
    dialog = page.locator("dialog.signin")
    await expect(dialog).to_contain_text("the token was revoked")
    await eventually(lambda: not served.node.feed.streams)
    await served.register("b")
    await sign_in(console)
    await expect(dialog).to_be_hidden()
    await expect(draft).to_have_value('{"draft": 1}')
    await expect(page).to_have_title("2 live – Cameleer")
    assert [] == lists
    assert gate.feeds[-1] not in ("", "0"), "it resumes"


async def test_somebody_else_sees_something_else(served: Served, console: Console) -> None:
    """Who signs in with another scope is shown nothing of what was there before."""
    page = console.page
    await served.register("a")
    gate = await guard(console, open=True)
    await console.open()
    await expect(page.locator(ROWS)).to_have_count(1)
    gate.open = False
    gate.groups = ("other-*",)
    await page.locator(".about summary").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator("dialog.signin")).to_contain_text("You have signed out.")
    lists: list[str] = []
    page.on("request", lambda r: lists.append(r.url) if "agents?limit" in r.url else None)
    await sign_in(console)
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    await eventually(lambda: lists)
    assert "0" in gate.feeds[1:], "it began anew"


async def test_who_am_i(served: Served, console: Console) -> None:
    """Role and scope stand beside the server's name."""
    await guard(console, open=True, role="operator", groups=("order-*", "billing-*"))
    await console.open()
    await console.page.locator(".about summary").click()
    who = console.page.locator(".who")
    await expect(who).to_contain_text("Signed in as operator, of order-*, billing-*")
    await expect(who).to_contain_text("t1")


async def test_a_viewer_is_offered_no_commands(served: Served, console: Console) -> None:
    """Nor to forget anybody; but to look and to export."""
    page = console.page
    await served.register("a", "orders")
    await guard(console, open=True, role="viewer")
    await console.open("#/agents/a")
    await expect(page.locator(".pane .facts dl").first).to_be_visible()
    await page.locator(".of-check input").first.check()
    await expect(page.locator(".chosen")).to_contain_text("1 agent chosen")
    await console.go("#/groups")
    await expect(page.locator(".groups .rows > .row")).to_have_count(1)
    for name in ("Send command", "Forget", "Send"):
        await expect(page.get_by_role("button", name=name)).to_have_count(0)


async def test_an_operator_of_some_groups_is_not_offered_all_agents(
    served: Served, console: Console
) -> None:
    """Which needs the scope of all."""
    await served.register("a", "orders")
    gate = await guard(console, open=True, role="operator", groups=("orders",))
    await console.open()
    send = console.page.locator(".top").get_by_role("button", name="Send command")
    await send.click()
    dialog = console.page.locator("dialog.send")
    await expect(dialog.get_by_label("A group", exact=True)).to_be_visible()
    await expect(dialog.get_by_label("All agents", exact=True)).to_be_hidden()
    gate.groups = ("*",)
    await console.page.reload()
    await send.click()
    await expect(dialog.get_by_label("All agents", exact=True)).to_be_visible()


async def test_a_code_in_the_address_signs_in(served: Served, console: Console) -> None:
    """It is spent, and does not stay in the address or its history."""
    gate = await guard(console)
    await console.page.goto(f"{console.url}/#code=once-Only_1")
    await expect(console.page.locator("html")).to_have_attribute("data-connection", "live")
    assert ["once-Only_1"] == gate.codes
    assert console.page.url.endswith("#/agents")


async def test_a_server_without_credentials_is_as_before(served: Served, console: Console) -> None:
    """It knows no such address: nothing is asked, and everything is offered."""
    console.forgiven.append("404")
    problem = {"type": "urn:cameleer:problem:not-found", "title": "x", "status": 404}
    await console.answers("auth", problem, 404)
    await served.register("a")
    await console.open("#/agents/a")
    pane = console.page.locator(".pane")
    await expect(pane.get_by_role("button", name="Forget agent")).to_be_visible()
    await console.page.locator(".about summary").click()
    await expect(console.page.locator(".who")).to_be_hidden()


async def test_where_it_is_not_required_one_may_sign_in(served: Served, console: Console) -> None:
    """Or leave it."""
    page = console.page
    await console.answers("auth", {"required": False, "methods": ["token"]})
    await console.open()
    await page.locator(".about summary").click()
    await page.locator(".who").get_by_role("button", name="Sign in").click()
    dialog = page.locator("dialog.signin")
    await expect(dialog.get_by_label("Token")).to_be_focused()
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_be_hidden()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": 401, "body": "login"}, "with 401"),
        ({"status": 200, "body": "<p>Log in", "content_type": "text/html"}, "with a page"),
        ({"status": 302, "headers": {"Location": "/login"}}, "by sending it elsewhere"),
    ],
    ids=["401", "page", "redirect"],
)
async def test_a_login_of_a_proxy_that_has_expired(
    served: Served, browser: Browser, answer: dict[str, Any], said: str
) -> None:
    """It says what happened, and what helps, which is not to wait."""
    async with looking(browser, served.url) as console:
        console.forgiven += ["401", "net::ERR"]
        page = console.page
        await console.open()

        async def intercept(route: Route) -> None:
            await route.fulfill(**answer)

        await page.route("**/api/v1/**", intercept)
        for follower in list(served.node.feed.streams):
            follower.transport.abort()
        banner = page.locator(".banner")
        await expect(banner).to_contain_text(f"answered {said}")
        await expect(banner).to_contain_text("Reload the page to sign in again")
        await expect(page.locator("dialog.signin")).to_be_hidden()
        await page.unroute("**/api/v1/**")
        await banner.get_by_role("button", name="Reload the page").click()
        await expect(page.locator("html")).to_have_attribute("data-connection", "live")
