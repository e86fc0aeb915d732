"""Signing in, being signed out, and what a role is offered, by a server that asks who you are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Route, expect

from cameleer_registry.node.auth.mode import Mode
from cameleer_registry.security.principals import Role

from ..closed import Closed, closed
from ..support import Served, eventually
from .browser import Console, looking

ROWS: Final = ".agents .rows > .row"


@pytest_asyncio.fixture(loop_scope="session")
async def guarded() -> AsyncIterator[Closed]:
    """A registry that asks for credentials, with the agent ``a`` of the group ``g``."""
    async with closed(agents={"a": "g"}) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def page_of(guarded: Closed, browser: Browser) -> AsyncIterator[Console]:
    """Its console, not yet opened."""
    async with looking(browser, guarded.url) as console:
        console.forgiven += ["401", "net::ERR"]
        yield console


async def sign_in(console: Console, token: str) -> Locator:
    """Sign in; return the dialog."""
    dialog = console.page.locator("dialog.signin")
    await dialog.get_by_label("Token").fill(token)
    await dialog.get_by_role("button", name="Sign in").click()
    return dialog


async def open_as(console: Console, token: str, route: str = "") -> None:
    """Show a route to whoever has that token."""
    await console.page.goto(f"{console.url}/{route}")
    await expect(await sign_in(console, token)).to_be_hidden()
    await expect(console.page.locator("html")).to_have_attribute("data-connection", "live")


async def sign_out(console: Console) -> None:
    """Sign out by the menu of the server."""
    await console.page.locator(".about summary").click()
    await console.page.get_by_role("button", name="Sign out").click()


async def token_id(served: Closed, role: str) -> str:
    """Return the id of the token of that role that is for all groups."""
    listed = (await served.ask("admin", "GET", "/auth/tokens")).json()
    [found] = [one for one in listed if (one["role"], one["groups"]) == (role, ["*"])]
    return str(found["tokenId"])


async def revoke(served: Closed, role: str) -> None:
    """Revoke that token."""
    path = f"/auth/tokens/{await token_id(served, role)}"
    assert 204 == (await served.ask("admin", "DELETE", path)).status


def lists_of(console: Console) -> list[str]:
    """Return where the times go that the page reads the list of agents, from now on."""
    lists: list[str] = []
    console.page.on("request", lambda r: lists.append(r.url) if "agents?limit" in r.url else None)
    return lists


async def test_it_asks_for_a_token_first(guarded: Closed, page_of: Console) -> None:
    """A wrong one is refused in the server's words; there is no way past it."""
    page = page_of.page
    await page.goto(f"{page_of.url}/")
    dialog = await sign_in(page_of, "camo_wrong")
    await expect(dialog.get_by_role("alert")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_visible()
    assert not guarded.node.feed.streams
    await expect(page.locator(ROWS)).to_have_count(0)
    await sign_in(page_of, guarded.tokens["viewer"])
    await expect(dialog).to_be_hidden()
    await expect(page.locator(ROWS)).to_have_count(1)
    assert "" == await dialog.get_by_label("Token").input_value(), "it is not kept"
    kept = await page.evaluate("document.cookie + JSON.stringify({...localStorage})")
    assert "camo" not in kept
    assert "cameleer-" not in kept, "no script reads the session"
    await page.reload()
    await expect(page.locator(ROWS)).to_have_count(1)
    await expect(dialog).to_be_hidden()


@pytest.mark.parametrize("role", ["enrol", "metrics"])
async def test_a_token_that_reads_nothing_signs_nobody_in(
    guarded: Closed, page_of: Console, role: str
) -> None:
    """It says what such a token is for, and no session is left behind."""
    page_of.forgiven += ["403"]  # what a token for enrolment is answered
    await page_of.page.goto(f"{page_of.url}/")
    dialog = await sign_in(page_of, guarded.tokens[role])
    await expect(dialog.get_by_role("alert")).to_contain_text(f"has the role {role}")
    assert [] == await page_of.page.context.cookies()
    await sign_in(page_of, guarded.tokens["viewer"])
    await expect(dialog).to_be_hidden()
    await expect(page_of.page.locator(ROWS)).to_have_count(1)


async def test_a_session_that_ends_takes_nothing_away(guarded: Closed, page_of: Console) -> None:
    """What was typed stays, what was known stays, and the feed goes on where it was."""
    page = page_of.page
    await open_as(page_of, guarded.tokens["operator"], "#/agents/a")
    await page.locator(".top").get_by_role("button", name="Send command").click()
    draft = page.locator("dialog.send textarea")
    await draft.fill('{"draft": 1}')
    lists = lists_of(page_of)
    feeds: list[str] = []
    page.on(
        "request",
        lambda r: feeds.append(r.headers["last-event-id"]) if r.url.endswith("/events") else None,
    )
    await revoke(guarded, "operator")
    dialog = page.locator("dialog.signin")
    await expect(dialog).to_contain_text("revoked")
    await eventually(lambda: not guarded.node.feed.streams)
    assert 201 == (await guarded.enrol("b")).status
    await sign_in(page_of, guarded.create(Role.OPERATOR))
    await expect(dialog).to_be_hidden()
    await expect(draft).to_have_value('{"draft": 1}')
    await expect(page).to_have_title("2 live – Cameleer")
    assert [] == lists
    assert feeds[-1] not in ("", "0"), "it resumes"


async def test_a_session_that_is_over_before_the_page_is_opened(
    guarded: Closed, page_of: Console
) -> None:
    """The cookie that the browser still has does not stand in the way of a new session."""
    await open_as(page_of, guarded.tokens["viewer"])
    await revoke(guarded, "viewer")
    await page_of.page.reload()
    dialog = page_of.page.locator("dialog.signin")
    await expect(dialog).to_contain_text("revoked")
    await sign_in(page_of, guarded.tokens["operator"])
    await expect(dialog).to_be_hidden()
    await expect(page_of.page.locator(ROWS)).to_have_count(1)


async def test_somebody_else_sees_something_else(guarded: Closed, page_of: Console) -> None:
    """Who signs in with another scope is shown nothing of what was there before."""
    page = page_of.page
    assert 201 == (await guarded.enrol("b", "other")).status
    await open_as(page_of, guarded.tokens["viewer"])
    await expect(page.locator(ROWS)).to_have_count(2)
    await sign_out(page_of)
    await expect(page.locator("dialog.signin")).to_contain_text("You have signed out.")
    assert [] == await page.context.cookies()
    await eventually(lambda: not guarded.node.feed.streams)
    lists = lists_of(page_of)
    await sign_in(page_of, guarded.tokens["viewer of g"])
    await expect(page.locator("html")).to_have_attribute("data-connection", "live")
    await eventually(lambda: lists)
    await expect(page.locator(ROWS)).to_have_count(1)


async def test_who_am_i(guarded: Closed, page_of: Console) -> None:
    """Role and scope stand in the menu of the server."""
    await open_as(page_of, guarded.create(Role.OPERATOR, groups=("order-*", "billing-*")))
    await page_of.page.locator(".about summary").click()
    who = page_of.page.locator(".who")
    await expect(who).to_contain_text("Signed in as operator, of order-*, billing-*")


async def test_a_viewer_is_offered_no_commands(guarded: Closed, page_of: Console) -> None:
    """Nor to forget anybody; but to look and to export."""
    page = page_of.page
    await open_as(page_of, guarded.tokens["viewer"], "#/agents/a")
    await expect(page.locator(".pane .facts dl").first).to_be_visible()
    await page.locator(".of-check input").first.check()
    await expect(page.locator(".chosen")).to_contain_text("1 agent selected")
    await page_of.go("#/groups")
    await expect(page.locator(".groups .rows > .row")).to_have_count(1)
    for name in ("Send command", "Forget", "Send"):
        await expect(page.get_by_role("button", name=name)).to_have_count(0)


async def test_an_operator_of_some_groups_is_not_offered_all_agents(
    guarded: Closed, page_of: Console
) -> None:
    """Which needs the scope of all."""
    await open_as(page_of, guarded.tokens["operator of g"])
    send = page_of.page.locator(".top").get_by_role("button", name="Send command")
    await send.click()
    dialog = page_of.page.locator("dialog.send")
    await expect(dialog.get_by_label("A group", exact=True)).to_be_visible()
    await expect(dialog.get_by_label("All agents", exact=True)).to_be_hidden()
    await page_of.page.keyboard.press("Escape")
    await sign_out(page_of)
    await expect(await sign_in(page_of, guarded.tokens["operator"])).to_be_hidden()
    await send.click()
    await expect(dialog.get_by_label("All agents", exact=True)).to_be_visible()


async def test_a_code_in_the_address_signs_in(guarded: Closed, page_of: Console) -> None:
    """It is spent, and does not stay in the address or its history."""
    page = page_of.page
    code = (await guarded.ask("operator", "POST", "/auth/session/code")).json()["code"]
    await page.goto(f"{page_of.url}/#code={code}")
    await expect(page.locator(ROWS)).to_have_count(1)
    await expect(page.locator("dialog.signin")).to_be_hidden()
    assert page.url.endswith("#/agents")
    await sign_out(page_of)
    dialog = page.locator("dialog.signin")
    await expect(dialog).to_be_visible()
    # Again, it is worth nothing, and there is the other way.
    await page.goto("about:blank")
    await page.goto(f"{page_of.url}/#code={code}")
    await expect(dialog).to_be_visible()
    await expect(await sign_in(page_of, guarded.tokens["viewer"])).to_be_hidden()
    await expect(page.locator(ROWS)).to_have_count(1)


async def test_a_server_without_credentials_asks_nothing(served: Served, console: Console) -> None:
    """Everything is offered, and nobody is somebody."""
    await served.register("a")
    await console.open("#/agents/a")
    pane = console.page.locator(".pane")
    await expect(pane.get_by_role("button", name="Forget agent")).to_be_visible()
    await console.page.locator(".about summary").click()
    await expect(console.page.locator(".who")).to_be_hidden()


async def test_whom_the_host_application_knows_signs_out_there(
    served: Served, console: Console
) -> None:
    """The registry has no session to end, and offers none to begin."""
    principal = {"tokenId": "host", "role": "viewer", "groups": ["*"]}
    await console.answers("auth", {"required": False, "methods": [], "principal": principal})
    await console.open()
    await console.page.locator(".about summary").click()
    who = console.page.locator(".who")
    await expect(who).to_contain_text("Signed in as viewer")
    await expect(who.get_by_role("button")).to_have_count(0)


async def test_where_it_is_not_required_one_may_sign_in(browser: Browser) -> None:
    """Or leave it; and whoever signs out again sees what anybody may."""
    async with (
        closed(mode=Mode.ACCEPT, agents={"a": "g"}) as served,
        looking(browser, served.url) as console,
    ):
        page = console.page
        await console.open()
        await page.locator(".about summary").click()
        who = page.locator(".who")
        await who.get_by_role("button", name="Sign in").click()
        dialog = page.locator("dialog.signin")
        await expect(dialog.get_by_label("Token")).to_be_focused()
        await dialog.get_by_role("button", name="Cancel").click()
        await expect(dialog).to_be_hidden()
        await page.locator(".about summary").click()
        await who.get_by_role("button", name="Sign in").click()
        await sign_in(console, served.tokens["viewer"])
        await expect(dialog).to_be_hidden()
        await expect(page.get_by_role("button", name="Send command")).to_have_count(0)
        await sign_out(console)
        await expect(page.get_by_role("button", name="Send command")).to_have_count(1)
        await expect(page.locator(ROWS)).to_have_count(1)


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
