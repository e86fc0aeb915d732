"""An aiohttp with other insides is noticed at the start, and served all the same."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import web

from cameleer_registry import serving
from cameleer_registry.web import aiohttp_internals
from cameleer_registry.web.inline import InlineRunner


async def test_nothing_is_missing_in_the_version_that_is_installed() -> None:
    """Or every request would take the slower way."""
    loop = asyncio.get_running_loop()
    assert [] == aiohttp_internals.missing(loop)
    assert InlineRunner is serving._runner_of(loop)


@pytest.mark.parametrize("name", ["_waiter", "_messages", "_buffer_paused"])
async def test_a_version_that_lacks_something_is_served_with_the_plain_runner(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says what is missing."""
    others = tuple(each for each in aiohttp_internals._ATTRIBUTES if each != name)
    monkeypatch.setattr(aiohttp_internals, "_ATTRIBUTES", (*others, f"{name}_of_tomorrow"))
    with caplog.at_level(logging.WARNING):
        assert web.AppRunner is serving._runner_of(asyncio.get_running_loop())
    [record] = caplog.records
    assert f"RequestHandler.{name}_of_tomorrow" in str(vars(record)["missing"])


async def test_a_method_that_is_missing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only attributes."""
    monkeypatch.setattr(aiohttp_internals, "HttpRequestParser", object)
    missing = aiohttp_internals.missing(asyncio.get_running_loop())
    assert ["HttpRequestParser.message_consumed()"] == missing
