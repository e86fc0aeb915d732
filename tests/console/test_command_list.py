"""The list of commands, as the server remembers them."""

from __future__ import annotations

from typing import Any, Final

import pytest
from attrs import define, field
from playwright.async_api import Locator, Route, expect
from yarl import URL

from ..support import Served, eventually
from .browser import Console

ROWS: Final = ".commands .rows > .row"

BEGINNING: Final = "2026-01-01T00:00:00.000Z"


def command(number: int, **more: Any) -> dict[str, Any]:
    """Make a command as the server lists it; a higher number is a newer one."""
    counts = {"PENDING": 0, "ACKNOWLEDGED": 1, "EXPIRED": 0}
    return {
        "commandId": f"0193a1b2-{number:04x}-7000-8000-000000000000",
        "type": "config-update",
        "payload": {"revision": number},
        "target": {"level": "group", "group": "orders"},
        "status": "ACKNOWLEDGED",
        "createdAt": BEGINNING,
        "expiresAt": BEGINNING,
        "targetCount": 1,
        "connectedCount": 1,
        "skipped": [],
        "counts": counts,
        "outcomes": {"SUCCESS": 1, "FAILURE": 0},
        **more,
    }


def failed(number: int, failures: int, targets: int) -> dict[str, Any]:
    """Make a command that some of its targets could not carry out."""
    return command(
        number,
        targetCount=targets,
        counts={"PENDING": 0, "ACKNOWLEDGED": targets, "EXPIRED": 0},
        outcomes={"SUCCESS": targets - failures, "FAILURE": failures},
    )


@define(slots=False)  # Playwright notes something in whose method it is given
class History:
    """What a server remembers, in pages."""

    commands: list[dict[str, Any]]
    asked: list[URL] = field(factory=list)
    """What was asked for, in order."""
    broken: bool = False

    async def was_asked(self, **query: str) -> None:
        """Wait until the last question is that one: rows that fit are shown before it is asked."""
        await eventually(lambda: query.items() <= dict(self.asked[-1].query).items())

    async def answer(self, route: Route) -> None:
        """Answer as ``GET /api/v1/commands`` does, by status, type and limit."""
        url = URL(route.request.url)
        self.asked.append(url)
        if self.broken:
            await route.abort()
            return
        before = url.query.get("before", "~")
        found = [
            one
            for one in sorted(self.commands, key=lambda one: one["commandId"], reverse=True)
            if one["commandId"] < before
            and url.query.get("status", one["status"]) == one["status"]
            and url.query.get("type", one["type"]) == one["type"]
            and url.query.get("agentId", "") in str(one.get("reached", ""))
        ]
        limit = int(url.query["limit"])
        page = found[:limit]
        headers = {}
        if len(found) > limit:
            query = {**url.query, "before": page[-1]["commandId"]}
            following = URL("https://elsewhere.example/api/v1/commands").with_query(query)
            headers["Link"] = f'<{following}>; rel="next"'
        await route.fulfill(json=page, headers=headers)


async def remember(console: Console, commands: list[dict[str, Any]]) -> History:
    """Let the server remember these commands, and no other."""
    history = History(commands)
    await console.page.route("**/api/v1/commands?*", history.answer)
    return history


async def ids(rows: Locator) -> list[str]:
    return [
        (await link.get_attribute("href") or "").rpartition("/")[2]
        for link in await rows.locator(".of-type a").all()
    ]


async def test_the_server_has_more_than_the_feed(console: Console) -> None:
    """Newest first, with the payload in the row; the next page comes when it is scrolled to."""
    page = console.page
    history = await remember(console, [command(number) for number in range(250)])
    await console.open("#/commands")
    rows = page.locator(ROWS)
    await expect(rows.first).to_contain_text('{"revision":249}')
    await expect(page.locator(".sum").first).to_have_text("100 so far")
    shown = await ids(rows)
    assert sorted(shown, reverse=True) == shown
    grid = page.locator(".grid.commands")
    for so_far in ("200 so far", "250 commands", "250 commands"):
        await grid.evaluate("grid => { grid.scrollTop = grid.scrollHeight }")
        await expect(page.locator(".sum").first).to_have_text(so_far)
    await page.wait_for_timeout(200)  # in which one more question would have been asked
    await expect(rows.last).to_contain_text('{"revision":0}')
    assert 3 == len(history.asked)
    await expect(page.locator(".foot")).to_be_hidden()


async def test_what_is_filtered_by_is_asked_of_the_server(console: Console) -> None:
    """It stands in the address of the page, and in that of the question."""
    page = console.page
    commands = [command(1), command(2, type="replay"), command(3, status="EXPIRED")]
    commands[0]["reached"] = "a-7"
    history = await remember(console, commands)
    await console.open("#/commands")
    rows = page.locator(ROWS)
    await expect(rows).to_have_count(3)
    await page.get_by_role("combobox", name="Type").select_option("replay")
    await expect(rows).to_have_count(1)
    await history.was_asked(type="replay")
    assert page.url.endswith("#/commands?type=replay")
    await page.get_by_role("combobox", name="Type").select_option("")
    await page.get_by_role("button", name="Expired", exact=True).click()
    await expect(rows).to_have_count(1)
    await history.was_asked(status="EXPIRED")
    await console.go("#/commands?agentId=a-7")
    await expect(rows).to_have_count(1)
    await history.was_asked(agentId="a-7")
    await page.get_by_role("button", name="Remove filter: to a-7").click()
    await expect(rows).to_have_count(3)


async def test_a_search_goes_on_through_the_pages(console: Console) -> None:
    """It says how far it has looked, and looks further when it is told to."""
    page = console.page
    history = await remember(console, [command(number) for number in range(2500)])
    history.commands[7]["payload"] = {"needle": True}
    await console.open("#/commands")
    await page.locator(".list .search").fill("NEEDLE")
    foot = page.locator(".foot")
    await expect(foot).to_contain_text("Looked through the newest 2,")
    await expect(page.locator(ROWS)).to_have_count(0)
    await foot.get_by_role("button", name="Look further").click()
    await expect(page.locator(ROWS)).to_have_count(1)
    await expect(page.locator(ROWS)).to_contain_text('{"needle":true}')
    await expect(page.locator(".sum").first).to_have_text("1 command")


async def test_failures_are_looked_for(console: Console) -> None:
    """A command that all have failed says so, and one that some have failed, too."""
    page = console.page
    await remember(console, [command(1), failed(2, 3, 3), failed(3, 1, 400)])
    await console.open("#/commands")
    rows = page.locator(ROWS)
    for row, status, outcome in [
        (0, "Partly failed", "1 failed, 399 succeeded"),
        (1, "Failed", "3 failed"),
        (2, "Succeeded", "1 succeeded"),
    ]:
        await expect(rows.nth(row).locator(".of-status")).to_have_text(status)
        await expect(rows.nth(row).locator(".of-outcome")).to_have_text(outcome)
    await page.get_by_role("button", name="Failed", exact=True).click()
    await expect(rows).to_have_count(2)
    await page.get_by_role("button", name="Succeeded", exact=True).click()
    await expect(rows).to_have_count(1)


async def test_a_long_payload_is_left_out_of_the_list(console: Console) -> None:
    """And said to be long."""
    long = command(1, payloadTruncated=True)
    del long["payload"]
    await remember(console, [long])
    await console.open("#/commands")
    await expect(console.page.locator(f"{ROWS} .of-payload")).to_have_text("more than 4 KiB")


async def test_what_is_sent_meanwhile_comes_with_its_payload(
    served: Served, console: Console
) -> None:
    """The feed tells of it at once, without the payload; which is read soon after."""
    page = console.page
    history = await remember(console, [command(1)])
    await served.register("a", "orders")
    await console.open("#/commands")
    await expect(page.locator(ROWS)).to_have_count(1)
    issued = (await served.issue("/agents/a", payload={"fresh": 1})).json()
    history.commands.append({**issued, "outcomes": {"SUCCESS": 0, "FAILURE": 0}})
    await expect(page.locator(ROWS)).to_have_count(2)
    await expect(page.locator(ROWS).first).to_contain_text('{"fresh":1}')


async def test_a_list_that_cannot_be_read_says_so(console: Console) -> None:
    """With a way to read it again."""
    page = console.page
    console.forgiven.append("net::ERR")
    history = await remember(console, [command(1)])
    history.broken = True
    await console.open("#/commands")
    await expect(page.locator(".foot")).to_contain_text("The list could not be read.")
    history.broken = False
    await page.locator(".foot").get_by_role("button", name="Try again").click()
    await expect(page.locator(ROWS)).to_have_count(1)
    await expect(page.locator(".foot")).to_be_hidden()


@pytest.mark.parametrize("typed", ["upper", "lower"])
async def test_a_command_is_opened_by_its_id(served: Served, console: Console, typed: str) -> None:
    """As it is pasted."""
    await served.register("a")
    issued = (await served.issue("/agents/a")).json()["commandId"]
    await console.open("#/commands")
    search = console.page.locator(".list .search")
    await search.fill(getattr(issued, typed)())
    await search.press("Enter")
    await expect(console.page.locator(".pane .numbers")).to_have_text("1 pending")


async def test_what_succeeds_is_shown_as_it_comes(served: Served, console: Console) -> None:
    """With what the agent said, while others are still pending."""
    page = console.page
    for agent_id in ("a", "b"):
        await served.register(agent_id)
    issued = (await served.issue("/agents")).json()["commandId"]
    await console.open(f"#/commands/{issued}")
    await expect(page.locator(".pane .numbers")).to_have_text("2 pending")
    await served.ack("a", issued, {"message": "revision 42 is applied"})
    said = page.locator(".per-agent .row", has_text="Succeeded").locator(".said-it")
    await expect(said).to_have_text("revision 42 is applied")
    await expect(page.locator(".pane .numbers")).to_have_text("1 succeeded, 1 pending")
