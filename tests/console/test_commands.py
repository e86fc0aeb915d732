"""Sending a command, and watching what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Route, expect

from cameleer_registry import Settings

from ..support import Served, serving, within
from .agents import fleet
from .browser import Console, looking


async def choose(console: Console, level: str, command: str = "config-update") -> Locator:
    """Open the form and choose whom and what; return the dialog."""
    await console.page.locator(".top").get_by_role("button", name="Send command").click()
    dialog = console.page.locator("dialog.send")
    await dialog.get_by_label(level, exact=True).check()
    await dialog.get_by_role("radio", name=command).check()
    return dialog


async def test_a_command_to_a_group(served: Served, console: Console) -> None:
    """How many it will reach is said before; then the bar fills, and failures say why."""
    page = console.page
    ids = [f"order-{number}" for number in range(8)]
    await served.register("other", "elsewhere")
    async with fleet(served, ids, "orders") as agents:
        await served.register("order-unconnected", "orders")
        await console.open()
        dialog = await choose(console, "A group")
        await dialog.get_by_label("Group", exact=True).select_option("orders")
        reach = dialog.locator(".reach")
        await expect(reach).to_have_text("Reaches 9 agents; 1 of them without an open stream.")
        await dialog.locator("textarea").fill('{"id": 12345678901234567890}')
        await dialog.get_by_role("button", name="Send to 9 agents").click()
        bar = page.locator(".pane .progress")
        await expect(bar).to_have_attribute("aria-valuenow", "0")
        await expect(bar).to_have_attribute("aria-valuemax", "9")
        await expect(page.locator(".pane h2")).to_have_text("config-update")

        def said(agent_id: str) -> dict[str, Any]:
            failed = agent_id in ("order-3", "order-5")
            return {"status": "FAILURE", "message": f"no disk on {agent_id}"} if failed else {}

        await within(agents.obey(said))
        await expect(bar).to_have_attribute("aria-valuenow", "8")
        text = "6 succeeded, 2 failed, 1 pending"
        await expect(page.locator(".pane .numbers")).to_have_text(text)
        rows = page.locator(".per-agent .rows > .row")
        await expect(rows.first).to_contain_text("no disk on order-3")
        await expect(rows.nth(1)).to_contain_text("no disk on order-5")
        await page.get_by_role("button", name="Failed 2").click()
        await expect(rows).to_have_count(2)
        [command] = (await served.request("GET", "/agents/order-3/commands")).json()
        assert {"id": 12345678901234567890} == command["payload"], "as it was typed"
        await served.ack("order-unconnected", command["commandId"])
        await expect(page.locator(".pane-head .status")).to_have_text("Partly failed")
        await expect(page.locator("body > .said")).to_have_text(
            "config-update is done: 7 succeeded, 2 failed"
        )


async def test_a_command_to_an_agent(served: Served, console: Console) -> None:
    """The one that is looked at is meant, whatever its status."""
    await served.register("a")
    await console.open("#/agents/a")
    await console.page.locator(".pane").get_by_role("button", name="Send command").click()
    dialog = console.page.locator("dialog.send")
    await expect(dialog.get_by_label("Agent id")).to_have_value("a")
    await expect(dialog.locator(".reach")).to_contain_text("Reaches 1 agent, which is LIVE")
    await dialog.get_by_label("Agent id").fill("b")
    await expect(dialog.locator(".reach")).to_have_text("No agent of that id is registered.")
    await expect(dialog.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await dialog.get_by_label("Agent id").fill("a")
    await dialog.get_by_role("button", name="Send", exact=True).click()
    await expect(console.page.locator(".pane .numbers")).to_have_text("1 pending")


async def test_numbers_are_shown_and_indented_without_loss(
    served: Served, console: Console
) -> None:
    """In a payload, in what an agent says, in its capabilities, and while they are typed."""
    page = console.page
    await served.register("a", capabilities={"limit": [9007199254740993, 2.0]})
    await console.open("#/agents/a")
    await expect(page.locator(".capabilities dd")).to_have_text("[9007199254740993,2.0]")
    dialog = await choose(console, "One agent")
    await dialog.locator("textarea").fill('{"n":9007199254740993,"f":1.0}')
    await dialog.get_by_role("button", name="Indent").click()
    shown = '{\n  "n": 9007199254740993,\n  "f": 1.0\n}'
    await expect(dialog.locator("textarea")).to_have_value(shown)
    await dialog.get_by_role("button", name="Send", exact=True).click()
    await page.locator(".pane .facts summary").click()
    await expect(page.locator(".pane pre")).to_have_text(shown)
    [command] = (await served.request("GET", "/agents/a/commands")).json()
    body = b'{"status":"SUCCESS","data":{"v":9007199254740993,"w":1.0}}'
    path = f"/agents/a/commands/{command['commandId']}/ack"
    assert 200 == (await served.request("POST", path, raw=body)).status
    said = '{"v":9007199254740993,"w":1.0}'
    await expect(page.locator(".per-agent .said-it")).to_have_text(said)


async def test_a_command_to_all_asks_first(served: Served, console: Console) -> None:
    """Nothing goes out before it is confirmed."""
    page = console.page
    for agent_id in ("a", "b"):
        await served.register(agent_id)
    await console.open()
    dialog = await choose(console, "All agents", "deep-trace")
    await dialog.get_by_role("button", name="Send to 2 agents").click()
    sure = page.locator("dialog.confirm")
    await sure.get_by_role("button", name="Cancel").click()
    assert [] == (await served.request("GET", "/agents/a/commands")).json()
    await dialog.get_by_role("button", name="Send to 2 agents").click()
    await sure.get_by_role("button", name="Send to 2 agents").click()
    await expect(page.locator(".pane .numbers")).to_have_text("2 pending")
    await expect(dialog).to_be_hidden()
    assert 1 == len((await served.request("GET", "/agents/a/commands")).json())


async def test_a_command_to_nobody(served: Served, console: Console) -> None:
    """It says so before, and after."""
    await console.open()
    dialog = await choose(console, "All agents")
    await expect(dialog.locator(".reach")).to_have_text("Nobody is reached: there is no agent.")
    await dialog.get_by_role("button", name="Send", exact=True).click()
    await console.page.locator("dialog.confirm .danger").click()
    await expect(console.page.locator(".pane-head .status")).to_have_text("Nobody to reach")


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        ('{"a": 1,}', "Line 1, column 9: A comma must not stand before }"),
        ('{\n  "a": tru\n}', "Line 2, column 8: “tru” is no value"),
        ("[1]", "Line 1, column 1: The payload must be an object: { … }"),
        (
            '{"n": 99999999999999999999}',
            "Line 1, column 7: This integer does not fit into 64 bits: send it as text",
        ),
    ],
)
async def test_the_payload_is_checked_as_it_is_typed(
    served: Served, console: Console, payload: str, fault: str
) -> None:
    """With the place of the fault; what is at fault can't be sent."""
    await served.register("a")
    await console.open()
    dialog = await choose(console, "A group")
    await expect(dialog.locator(".reach")).to_have_text("Which group?")
    await dialog.get_by_label("Group", exact=True).select_option("g")
    await dialog.locator("textarea").press_sequentially(payload)
    await expect(dialog.locator(".fault")).to_have_text(fault)
    send = dialog.locator("button.primary")
    await expect(send).to_be_disabled()
    await dialog.locator("textarea").fill('{"a":[1]}')
    await expect(dialog.locator(".fault")).to_have_text("")
    await expect(send).to_be_enabled()
    await dialog.get_by_role("button", name="Indent").click()
    await expect(dialog.locator("textarea")).to_have_value('{\n  "a": [\n    1\n  ]\n}')


async def test_what_the_server_refuses_is_told_in_the_form(browser: Browser) -> None:
    """In its words, and what was typed stays."""
    settings = Settings(max_pending_per_agent=1)
    async with serving(settings) as served, looking(browser, served.url) as console:
        console.forgiven.append("429")
        await served.register("a")
        await served.issue("/agents/a")
        await console.open("#/agents/a")
        await console.page.locator(".pane").get_by_role("button", name="Send command").click()
        dialog = console.page.locator("dialog.send")
        await dialog.locator("textarea").fill('{"a": 1}')
        await dialog.get_by_role("button", name="Send", exact=True).click()
        await expect(dialog.get_by_role("alert")).to_contain_text("pending")
        await expect(dialog.locator("textarea")).to_have_value('{"a": 1}')


async def test_a_command_whose_answer_was_lost_can_be_sent_again(
    served: Served, console: Console
) -> None:
    """It is one command, unless something of it is changed; or the form was opened anew."""
    page = console.page
    console.forgiven.append("net::ERR")
    await served.register("a")
    await console.open("#/agents/a")

    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    async def send(*, lost: bool) -> None:
        if lost:
            await console.once("POST", "**/agents/a/commands", lose)
        await dialog.get_by_role("button", name="Send", exact=True).click()
        if lost:
            await expect(dialog.locator(".refusal[role=alert]")).to_contain_text(
                "Sent again as it is, it is still carried out once."
            )
        else:
            await expect(dialog).to_be_hidden()

    for issued in (1, 2):
        await page.locator(".top").get_by_role("button", name="Send command").click()
        dialog = page.locator("dialog.send")
        await dialog.get_by_label("One agent", exact=True).check()
        await dialog.get_by_label("Agent id").fill("a")
        await dialog.locator("textarea").fill('{"n": 1}')
        await send(lost=True)
        assert issued == len(served.node.agent_deliveries("a"))
        await send(lost=False)
        assert issued == len(served.node.agent_deliveries("a"))
    await page.locator(".top").get_by_role("button", name="Send command").click()
    await dialog.get_by_label("One agent", exact=True).check()
    await dialog.get_by_label("Agent id").fill("a")
    await send(lost=True)
    await dialog.locator("textarea").fill('{"n": 2}')
    await send(lost=False)
    payloads = [delivery.payload for delivery in served.node.agent_deliveries("a")]
    assert [{"n": 2}, {"n": 1}, {"n": 1}, {"n": 1}] == payloads


async def test_failures_are_counted_once(served: Served, console: Console) -> None:
    """By the pane that reads the deliveries and by the list that is told of them, alike."""
    page = console.page
    ids = [f"a{number}" for number in range(6)]
    for agent_id in ids:
        await served.register(agent_id)
    command = (await served.issue("/agents")).json()["commandId"]
    await console.open(f"#/commands/{command}")
    numbers = page.locator(".pane .numbers")
    outcome = page.locator(".commands .rows .progress")
    for count, agent_id in enumerate(ids[:5], start=1):
        await served.ack(agent_id, command, {"status": "FAILURE"})
        left = f"{count} failed, {6 - count} pending"
        await expect(numbers).to_have_text(left)
        await expect(outcome).to_have_attribute("aria-valuetext", left)
        if count == 2:  # what it has been told is read as well
            await console.go("#/commands")
            await console.go(f"#/commands/{command}")
    await served.ack(ids[5], command, {"status": "SUCCESS"})
    await expect(numbers).to_have_text("1 succeeded, 5 failed")
    await expect(outcome).to_have_attribute("aria-valuetext", "1 succeeded, 5 failed")


async def test_an_answer_that_the_feed_has_overtaken_changes_nothing(
    served: Served, console: Console
) -> None:
    """The answer is on its way while the acknowledgements are told: they count."""
    page = console.page
    for agent_id in ("a", "b", "c"):
        await served.register(agent_id)
    await console.open()
    command = (await served.issue("/agents")).json()["commandId"]

    async def late(route: Route) -> None:
        response = await route.fetch()
        for agent_id in ("a", "b", "c"):
            await served.ack(agent_id, command, {"status": "FAILURE"})
        told = page.locator(".commands .rows .progress")
        await expect(told).to_have_attribute("aria-valuenow", "3")
        await route.fulfill(response=response)

    await console.once("GET", f"**/api/v1/commands/{command}", late)
    await console.go(f"#/commands/{command}")
    await expect(page.locator(".pane .numbers")).to_have_text("3 failed")
    await expect(page.locator(".per-agent .failure")).to_have_count(3)
    outcome = page.locator(".commands .rows .progress")
    await expect(outcome).to_have_attribute("aria-valuetext", "3 failed")


async def test_what_nobody_acknowledges_expires(browser: Browser) -> None:
    """In the list as in the command itself, without anybody asking."""
    settings = Settings(command_ttl=1.0)
    async with serving(settings) as served, looking(browser, served.url) as console:
        await served.register("a")
        await console.open("#/commands")
        command = (await served.issue("/agents/groups/g")).json()["commandId"]
        row = console.page.locator(".commands .rows > .row")
        await expect(row).to_contain_text("1 pending")
        await expect(row).to_contain_text("1 expired")
        await console.go(f"#/commands/{command}")
        await expect(console.page.locator(".pane-head .status")).to_have_text("Expired")


async def test_a_command_that_is_none(console: Console) -> None:
    """It says so, in words."""
    console.forgiven.append("404")
    await console.open("#/commands")
    await console.page.get_by_role("searchbox").fill("0193a1b2-0000-7000-8000-00000000000f")
    await console.page.keyboard.press("Enter")
    await expect(console.page.get_by_text("There is no such command")).to_be_visible()


async def test_groups_and_their_counts(served: Served, console: Console) -> None:
    """Each leads to its agents, and to the form that commands them."""
    page = console.page
    for number in range(3):
        await served.register(f"a{number}", "orders")
    await served.register("b", "billing")
    await console.open("#/groups")
    rows = page.locator(".groups .rows > .row")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(1).locator(".of-live")).to_have_text("3")
    await rows.nth(1).get_by_role("button").click()
    dialog = page.locator("dialog.send")
    text = "Reaches 3 agents; none with an open stream."
    await expect(dialog.locator(".reach")).to_have_text(text)
    await page.keyboard.press("Escape")
    await page.locator(".groups").get_by_text("billing").click()
    await expect(page.locator(".agents .rows > .row")).to_have_count(1)
