"""Choosing several agents, and what can be done with them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Route, expect

from ..support import Served
from .browser import Console

ROWS = ".agents .rows > .row"


async def enter(served: Served, count: int, **more: Any) -> None:
    for number in range(count):
        await served.register(f"a-{number}", "orders", **more)


def box(console: Console, agent_id: str) -> Locator:
    return console.page.get_by_role("checkbox", name=f"Choose {agent_id}", exact=True)


async def test_one_by_one_a_range_or_all(served: Served, console: Console) -> None:
    """By the mouse and by the keyboard; what is not listed any more is not chosen any more."""
    page = console.page
    await enter(served, 12)
    await console.open()
    chosen = page.locator(".chosen")
    await expect(chosen).to_be_hidden()
    await box(console, "a-2").check()
    await expect(chosen).to_contain_text("1 agent chosen")
    await box(console, "a-5").click(modifiers=["Shift"])
    await expect(chosen).to_contain_text("4 agents chosen")
    await box(console, "a-3").uncheck()
    await expect(chosen).to_contain_text("3 agents chosen")
    everyone = page.get_by_role("checkbox", name="Select all")
    assert await everyone.evaluate("box => box.indeterminate")
    await everyone.check()
    await expect(chosen).to_contain_text("12 agents chosen")
    await page.locator(".list .search").fill("a-1")  # a-1, a-10 and a-11
    await expect(chosen).to_contain_text("3 agents chosen")
    await page.locator(".list .search").fill("")
    await expect(chosen).to_contain_text("3 agents chosen")
    await served.request("DELETE", "/agents/a-10")
    await expect(chosen).to_contain_text("2 agents chosen")
    await chosen.get_by_role("button", name="Choose none").click()
    await expect(chosen).to_be_hidden()
    await page.locator(".grid.agents").focus()
    await page.keyboard.press("Home")
    await page.keyboard.press("Space")
    await expect(box(console, "a-0")).to_be_checked()
    await expect(page.locator(".pane")).to_be_hidden()


async def test_a_command_to_those_that_are_chosen(served: Served, console: Console) -> None:
    """Each gets one of its own, once, also where it is sent again to some."""
    page = console.page
    console.forgiven.append("net::ERR")
    await enter(served, 4)
    await console.open()
    for number in (0, 1, 2):
        await box(console, f"a-{number}").check()
    await page.locator(".chosen").get_by_role("button", name="Send command").click()
    dialog = page.locator("dialog.send")
    await expect(dialog).to_contain_text("To the 3 agents that you have chosen: a-0, a-1, a-2")
    await expect(dialog.locator(".reach")).to_have_text(
        "Reaches 3 agents; none with an open stream."
    )
    await dialog.get_by_role("radio", name="replay").check()
    await dialog.locator("textarea").fill('{"n": 9007199254740993}')

    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await console.once("POST", "**/agents/a-1/commands", lose)
    send = dialog.get_by_role("button", name="Send to 3 agents")
    await send.click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Not sent to all")
    await send.click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator(".commands .rows > .row")).to_have_count(3)
    for number, count in enumerate((1, 1, 1, 0)):
        found = (await served.request("GET", f"/agents/a-{number}/commands")).json()
        assert [{"n": 9007199254740993}] * count == [one["payload"] for one in found]


async def test_forgetting_those_that_are_chosen(served: Served, console: Console) -> None:
    """It asks first, and says how many of them are LIVE."""
    page = console.page
    console.forgiven.append("404")
    await enter(served, 9)
    await console.open()
    await page.get_by_role("checkbox", name="Select all").check()
    await box(console, "a-8").uncheck()
    await page.locator(".chosen").get_by_role("button", name="Forget").click()
    dialog = page.locator("dialog.confirm")
    await expect(dialog).to_contain_text("Forget 8 agents?")
    await expect(dialog).to_contain_text("and 2 more")
    await expect(dialog).to_contain_text("8 of them are LIVE")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(page.locator(ROWS)).to_have_count(9)
    await page.locator(".chosen").get_by_role("button", name="Forget").click()
    await served.request("DELETE", "/agents/a-3")  # by somebody else, meanwhile
    await dialog.get_by_role("button", name="Forget 8 agents").click()
    await expect(page.locator(ROWS)).to_have_count(1)
    await expect(page.locator(ROWS)).to_contain_text("a-8")
    await expect(page.locator(".chosen")).to_be_hidden()


async def test_those_that_cannot_be_forgotten_are_told(served: Served, console: Console) -> None:
    """By how many they are, and why; what was done is done."""
    page = console.page
    console.forgiven.append("503")
    await enter(served, 3)
    await console.open()
    problem = {
        "type": "urn:cameleer:problem:storage-unavailable",
        "title": "No space",
        "status": 503,
        "detail": "the disk is full",
    }
    await console.answers("agents/a-1", problem, 503)
    await page.get_by_role("checkbox", name="Select all").check()
    await page.locator(".chosen").get_by_role("button", name="Forget").click()
    dialog = page.locator("dialog.confirm")
    await dialog.get_by_role("button", name="Forget 3 agents").click()
    text = "1 agent could not be forgotten. a-1: the disk is full"
    await expect(dialog.get_by_role("alert")).to_contain_text(text)
    await expect(page.locator(ROWS)).to_have_count(1)


async def save(console: Console, menu: Locator, words: str, folder: Path) -> bytes:
    """Choose from an export menu; return what was saved."""
    await menu.locator("summary").click()
    async with console.page.expect_download() as download:
        await menu.get_by_role("button", name=words).click()
    path = folder / (await download.value).suggested_filename
    await (await download.value).save_as(path)
    return path.read_bytes()


async def test_what_is_listed_is_exported(served: Served, console: Console, tmp_path: Path) -> None:
    """As CSV that no spreadsheet takes for formulas, and as JSON with every number as it was."""
    page = console.page
    await served.register(
        "a-1",
        "orders",
        name='=HYPERLINK("evil")',
        version="1.0",
        routeIds=["in", "out, or not"],
        capabilities={"limit": 9007199254740993, "rate": 1.0},
    )
    await served.register("b-1", "billing")
    await console.open("#/agents?group=orders")
    await expect(page.locator(ROWS)).to_have_count(1)
    menu = page.locator(".list .filters .export")
    text = (await save(console, menu, "CSV", tmp_path)).decode("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(text))
    assert ("a-1", "LIVE", "false") == (row["agentId"], row["status"], row["connected"])
    assert '\'=HYPERLINK("evil")' == row["name"]
    assert ["in", "out, or not"] == json.loads(row["routeIds"])
    whole = (await save(console, menu, "JSON", tmp_path)).decode()
    [agent] = json.loads(whole)
    assert '"rate": 1.0' in whole
    assert {"limit": 9007199254740993, "rate": 1.0} == agent["capabilities"]
    assert "lastHeartbeatAt" in agent


@pytest.mark.parametrize(
    ("route", "there", "first"),
    [
        ("#/groups", ".groups .rows > .row", {"group": "orders", "agents": 1, "LIVE": 1}),
        ("#/commands", ".commands .rows > .row", {"type": "config-update", "failed": 1}),
        ("#/timeline", ".timeline .rows > .row", {"type": "delivery-acknowledged", "failures": 1}),
    ],
)
async def test_every_list_can_be_exported(
    served: Served,
    console: Console,
    tmp_path: Path,
    route: str,
    there: str,
    first: dict[str, Any],
) -> None:
    """In both forms, in the order in which it is shown."""
    await served.register("a-1", "orders")
    command = (await served.issue("/agents/a-1", payload={"a": 1})).json()["commandId"]
    await served.ack("a-1", command, {"status": "FAILURE"})
    await console.open(route)
    await expect(console.page.locator(there).first).to_be_visible()
    menu = console.page.locator(".list .export")
    found = json.loads(await save(console, menu, "JSON", tmp_path))[0]
    assert first == {name: found[name] for name in first}
    rows = csv.DictReader(
        io.StringIO((await save(console, menu, "CSV", tmp_path)).decode("utf-8-sig"))
    )
    row = next(rows)
    assert {name: str(value) for name, value in first.items()} == {n: row[n] for n in first}


async def test_what_agents_said_is_exported(
    served: Served, console: Console, tmp_path: Path
) -> None:
    """From the pane of a command."""
    await served.register("a-1", "orders")
    command = (await served.issue("/agents/a-1")).json()["commandId"]
    await served.ack("a-1", command, {"message": "done", "data": {"n": 9007199254740993}})
    await console.open(f"#/commands/{command}")
    menu = console.page.locator(".pane .export")
    text = (await save(console, menu, "CSV", tmp_path)).decode("utf-8-sig")
    [row] = csv.DictReader(io.StringIO(text))
    assert ("SUCCESS", "done", '{"n":9007199254740993}') == (
        row["outcome"],
        row["message"],
        row["data"],
    )
