"""What many wait for together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cameleer_registry.node.journal.shared import Shared


async def test_those_on_the_list_are_called_at_once_and_whoever_awaits_goes_on_after_them() -> None:
    shared, told = Shared(), list[str]()

    async def wait() -> None:
        await shared
        told.append("awaited")

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    for name in ("first", "second"):
        shared.call(lambda _, name=name: told.append(name))  # type: ignore[misc]
    shared.finish()
    assert ["first", "second"] == told
    await waiting
    assert ["first", "second", "awaited"] == told
    shared.finish()
    assert 3 == len(told), "it is done once"


async def test_one_that_fails_is_nothing_to_the_others() -> None:
    shared, told, complaints = Shared(), list[Any](), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    def fail(_: Shared) -> None:
        raise LookupError("one")

    shared.call(fail)
    shared.call(told.append)
    shared.finish()
    assert [shared] == told
    assert ["one"] == [str(complaint["exception"]) for complaint in complaints]


async def test_an_error_reaches_everybody() -> None:
    shared, told = Shared(), list[BaseException | None]()
    shared.call(lambda done: told.append(done.exception()))
    shared.finish(LookupError("all"))
    assert ["all"] == [str(error) for error in told]
    with pytest.raises(LookupError, match="all"):
        await shared
