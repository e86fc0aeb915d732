"""A real Chromium, and what it complains about."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)
from yarl import URL

PATIENCE: Final = 45_000
"""Milliseconds for what should come soon: machines that run tests have much else to do."""

expect.set_options(timeout=PATIENCE)

ARGUMENTS: Final = [
    "--no-sandbox",  # in a container there is often no user but root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Return where Chromium is. Where it is not, skip; but never in CI, which installs it."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    assert not os.environ.get("CI"), "chromium is not installed"
    pytest.skip("chromium is not installed")


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Start a browser that knows nothing from before."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def watching(
    browser: Browser, url: str, *, forgiven: list[str] | None = None, **more: Any
) -> AsyncIterator[Page]:
    """Make a page for an address, yet to be opened.

    Nothing may be said on its console, and no other host be asked; but for complaints that have
    a part which is ``forgiven``, a list that may grow meanwhile.
    """
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{message.type}: {message.text}")

    def asked(request: Request) -> None:
        if URL(request.url).scheme != "data" and URL(request.url).authority != URL(url).authority:
            complaints.append(f"a request to another host: {request.url}")

    context = await browser.new_context(locale="en-GB", **more)
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(f"thrown: {error}"))
    page.on("request", asked)
    try:
        yield page
        assert [] == [c for c in complaints if not any(part in c for part in forgiven or ())]
    finally:
        await context.close()


@asynccontextmanager
async def looking(browser: Browser, url: str, **more: Any) -> AsyncIterator[Page]:
    """Open a page; nothing may be said on its console, and no other host be asked."""
    async with watching(browser, url, **more) as page:
        await page.goto(url)
        yield page
