"""What a user pastes from the README and from docs/ works, in the order of the page."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import expect

from cameleer_registry.client import Agent

from ..browser import browsing, chromium, watching
from ..support import serving
from .pages import CTRL_C, GUIDES, ROOT, SECURITY, Block, blocks
from .reader import Reader, reading

SNIPPETS: Final = {"sh", "python", "console"}
TEXTS: Final = {
    "http": "test_http_api.py",
    "ini": "test_operations.py",
    "bash": "test_cli.py",
    "fish": "test_cli.py",
    "java": "../security/test_other_languages.py",
    "mermaid": "test_architecture.py, where it draws a table",
    "nginx": "../peers/test_nginx.py",
    "sql": "test_operations.py",
    "text": "reader.py and test_architecture.py",
    "toml": "reader.py",
    "yaml": "../test_alerts.py",
}
"""What is no snippet, and which test looks at it."""

NOT_RUN: Final = {"sh ci": 1, "console elsewhere": 5}
"""Snippets that no test of a page runs, by what marks them, and how many there are.

``ci``: the line that runs all tests, this one among them; what runs in CI is that line.
``elsewhere``: what ``agents --watch``, ``nodes``, ``commands``, ``forget --dead`` and ``simulate``
print; tests/cli/ runs them.
"""

WORD: Final = re.compile(r"ci|elsewhere|stays|exit=[0-9]+|[\w-]+\.(?:java|py|sh|toml)")

WITH_SNIPPETS: Final = [page for page in GUIDES if any(blocks(page, *SNIPPETS))]


def is_run(block: Block) -> bool:
    return not {"ci", "elsewhere"} & set(block.words)


@asynccontextmanager
async def prepared(page: Path, reader: Reader) -> AsyncIterator[None]:
    """Run what a page takes for granted."""
    if page.name not in ("cli.md", "client.md"):
        yield  # it begins with nothing
        return
    async with AsyncExitStack() as stack, serving() as served:
        reader.ports["8081"] = served.port
        if page.name == "cli.md":
            await stack.enter_async_context(fleet(reader))
        yield


@asynccontextmanager
async def fleet(reader: Reader) -> AsyncIterator[None]:
    """Run the three agents that the page shows."""
    group = "order-service-prod"
    agents = [
        Agent(reader.url, agent_id="billing-1", group="billing", version="4.9.0"),
        Agent(
            reader.url,
            agent_id="order-service-1",
            group=group,
            name="Order service 1",
            version="4.9.0",
            route_ids=["orders-in", "orders-out"],
            capabilities={"config-update": True, "deep-trace": {"depth": 3}},
        ),
        Agent(reader.url, agent_id="order-service-2", group=group, version="4.8.1"),
    ]

    async def apply(_: object) -> None: ...

    async def refuse(_: object) -> None:
        raise RuntimeError("revision 7 needs Camel 4.9")

    for agent, handler in zip(agents, (apply, apply, refuse), strict=True):
        agent.on("config-update")(handler)
    tasks = [asyncio.create_task(agent.run()) for agent in agents]
    try:
        await reader.connected(len(agents))
        yield
    finally:
        for agent in agents:
            agent.stop()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=lambda page: page.name)
async def test_snippets_of_a_page_work_in_their_order(page: Path, tmp_path: Path) -> None:
    """They end as they should, and show what the page says they show."""
    async with reading(tmp_path) as reader, prepared(page, reader):
        await reader.read([block for block in blocks(page) if is_run(block)])


async def test_from_open_to_closed_in_five_minutes(tmp_path: Path) -> None:
    """A closed server, an agent, an operator, and a console that is signed in."""
    chromium()
    async with reading(tmp_path) as reader:
        section = SECURITY.read_text("utf-8").partition("\n## ")[2].partition("\n## ")[0]
        first = [block for block in blocks(SECURITY) if block.text in section]
        assert "console" in first[-1].text
        await reader.read(first)
        [page] = reader.opened
        async with browsing() as browser, watching(browser, reader.url, forgiven=[page]) as console:
            await console.goto(page)
            await expect(console).to_have_url(re.compile(re.escape(reader.url)))
            await expect(console.locator("html")).to_have_attribute("data-connection", "live")
            await expect(console.get_by_text("order-service-1").first).to_be_visible()
            await console.locator(".about summary").click()
            await expect(console.get_by_role("button", name="Sign out")).to_be_visible()
        kept = [one for one in os.scandir(tmp_path) if one.name.endswith(".token")]
        assert 3 == len(kept)
        assert [] == [one.name for one in kept if one.stat().st_mode & 0o077]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    """In words that mean something, so that nothing is left out by a slip of the pen."""
    for block in blocks(page):
        assert block.language in {*SNIPPETS, *TEXTS, CTRL_C}, f"{block} is in no language"
        for word in block.words:
            assert WORD.fullmatch(word), f"{block}: {word!r} means nothing"


def test_every_language_is_still_spoken() -> None:
    """Or a test that looks at it would look at nothing."""
    spoken = {block.language for page in GUIDES for block in blocks(page)}
    assert {*SNIPPETS, *TEXTS} == spoken - {CTRL_C}


def test_what_is_not_run_is_little() -> None:
    """And each of it for a reason."""
    left_out = [
        f"{block.language} {block.words[0]}"
        for page in GUIDES
        for block in blocks(page)
        if not is_run(block)
    ]
    assert sorted(NOT_RUN) == sorted(set(left_out))
    assert NOT_RUN == {mark: left_out.count(mark) for mark in left_out}


def test_the_line_that_runs_all_tests_is_what_runs_in_ci() -> None:
    """As it stands."""
    [line] = [block.text for page in GUIDES for block in blocks(page) if "ci" in block.words]
    assert line in (ROOT / ".ci" / "run").read_text("utf-8")


def test_every_file_that_is_saved_is_used() -> None:
    """Otherwise it would only look as if it had been tried."""
    for page in WITH_SNIPPETS:
        found = list(blocks(page))
        for number, block in enumerate(found):
            if block.file is not None:
                rest = (later.text for later in found[number + 1 :] if later.language in SNIPPETS)
                assert any(block.file in text for text in rest), f"{block} is never used"
