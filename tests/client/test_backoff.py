"""Trying again, on virtual time."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cameleer_registry import AtCapacity, InternalError, RegistryError, ServerUnreachable
from cameleer_registry.client import backoff
from cameleer_registry.errors import (
    AgentNotRegistered,
    BodyTooLarge,
    CommandExpired,
    RequestTimeout,
    TooManyPending,
    UnexpectedAnswer,
)

from .support import virtual_time

pytestmark = virtual_time


class Failing:
    """A call that fails so often, and then returns when it succeeded."""

    def __init__(self, times: float, error: Exception | None = None) -> None:
        self.times = times
        self.error = error or ServerUnreachable("no")
        self.calls: list[float] = []

    async def __call__(self) -> float:
        self.calls.append(asyncio.get_running_loop().time() - 1000)
        if len(self.calls) <= self.times:
            raise self.error
        return self.calls[-1]


async def persist(call: Failing, **more: Any) -> tuple[float, list[float]]:
    """Return what the call returns, and the delays between the attempts, as they were told."""
    told: list[float] = []
    options: dict[str, Any] = {"least": lambda: 2.0, **more}
    result = await backoff.persist(call, told=lambda _, delay: told.append(delay), **options)
    gaps = [later - earlier for earlier, later in zip(call.calls, call.calls[1:], strict=False)]
    assert pytest.approx(gaps) == told
    return result, told


async def test_no_failure_no_delay() -> None:
    """It returns what the call returns."""
    assert (0, []) == await persist(Failing(0))


async def test_delays_grow_at_random() -> None:
    """From at least as long as was said, in a range that doubles, up to the longest."""
    delays = [(await persist(Failing(8)))[1] for _ in range(50)]
    for number in range(8):
        of_this_number = [each[number] for each in delays]
        most = min(backoff.LONGEST, 4 * 2**number)
        assert all(2 <= delay <= most for delay in of_this_number)
        assert max(of_this_number) - min(of_this_number) > (most - 2) / 2, "spread over the range"


async def test_there_is_always_chance_in_it() -> None:
    """Also where the least is longer than the longest should be: many wait for the same server."""
    delays = [(await persist(Failing(1), least=lambda: 90.0))[1][0] for _ in range(50)]
    assert all(90 <= delay <= 180 for delay in delays)
    assert max(delays) - min(delays) > 45


async def test_what_the_server_says_counts() -> None:
    """A Retry-After is followed to the letter: the server has drawn it at random."""
    full = RegistryError.told(
        code="at-capacity", status=503, title="", detail="full", retry_after=17
    )
    assert isinstance(full, AtCapacity)
    assert [17, 17] == (await persist(Failing(2, full)))[1]
    for nothing in (0.0, 0.001, 0.99):
        full.retry_after = nothing
        assert all(2 <= delay for delay in (await persist(Failing(8, full)))[1]), "some rest"


@pytest.mark.parametrize("said", [61.0, 3600.0, 1e300])
async def test_what_the_server_says_is_at_most_a_minute(said: float) -> None:
    """And at random, as it may have said the same to everybody."""
    full = RegistryError.told(
        code="at-capacity", status=503, title="", detail="full", retry_after=said
    )
    delays = (await persist(Failing(50, full)))[1]
    assert all(30 <= delay <= 60 for delay in delays)
    assert max(delays) - min(delays) > 10


@pytest.mark.parametrize(
    "error",
    [
        ServerUnreachable("no"),
        UnexpectedAnswer("502"),
        InternalError("log"),
        RequestTimeout("slow"),
        TooManyPending("a", 1),
        AtCapacity("a", 1),
    ],
)
async def test_what_passes_is_tried_again(error: Exception) -> None:
    """The same request may be answered otherwise the next time."""
    assert 1 == len((await persist(Failing(1, error)))[1])


@pytest.mark.parametrize(
    "error",
    [
        AgentNotRegistered("a"),
        BodyTooLarge(1),
        CommandExpired("c", agent_id="a"),
        ValueError("a bug"),
    ],
)
async def test_what_does_not_pass_is_raised(error: Exception) -> None:
    """At once."""
    call = Failing(1, error)
    with pytest.raises(type(error)):
        await persist(call)
    assert [0] == call.calls


async def test_it_ends_when_no_time_is_left() -> None:
    """With what was raised last, and without waiting for what would come too late."""
    call, loop = Failing(math.inf), asyncio.get_running_loop()
    with pytest.raises(ServerUnreachable):
        await persist(call, most=lambda: 5.0, seconds_left=lambda: 1060 - loop.time())
    assert 58 <= call.calls[-1] < 60, "but for as long as the least delay leaves any"
    assert loop.time() - 1000 == call.calls[-1]
    assert len(call.calls) > 10


async def test_being_cancelled_is_no_failure() -> None:
    """Neither during a call nor during a delay."""
    call = Failing(math.inf)
    task = asyncio.create_task(persist(call))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    waiting = asyncio.create_task(
        backoff.persist(asyncio.Event().wait, least=lambda: 1.0, told=lambda *_: None)
    )
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@given(st.floats(0.001, 60))
def test_spread(least: float) -> None:
    """From the least to twice that."""
    assert least <= backoff.spread(least) <= 2 * least
