"""Trying again: after growing random delays, and only if that can help.

The delays are those of tenacity's ``wait_random_exponential``: random in a range that doubles with
each failure, so that a fleet that lost its server does not come back all at once.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from ..errors import RegistryError, ServerUnreachable
from . import bounds

T = TypeVar("T")

LONGEST: Final = bounds.LONGEST_WAIT
"""Seconds after which the delays no longer grow."""

_PASSING: Final = frozenset({408, 429})


def is_passing(error: BaseException) -> bool:
    """Tell whether the same request may be answered otherwise the next time."""
    if isinstance(error, RegistryError):
        return error.status >= 500 or error.status in _PASSING
    return isinstance(error, ServerUnreachable)


def spread(least: float) -> float:
    """Return a delay in seconds of ``least`` to twice that, at random."""
    return random.uniform(least, 2 * least)


async def persist(
    call: Callable[[], Awaitable[T]],
    *,
    least: Callable[[], float],
    most: Callable[[], float] = lambda: LONGEST,
    again: Callable[[BaseException], bool] = is_passing,
    told: Callable[[BaseException, float], None],
    seconds_left: Callable[[], float] = lambda: math.inf,
) -> T:
    """Call until it succeeds, and return its result.

    The first delay is between ``least`` and twice that, in seconds; later ones are up to ``most``,
    or up to ``seconds_left`` if that is less. If the server has named a delay, that is used. If it
    has named more than a minute, the delay is random, of half a minute to a minute. Less than a
    second is ignored. Raises the last exception if it is not one to try ``again`` upon, or if no
    time would be left after the delay. ``told`` is called with each other exception, and the delay.
    """

    async def attempt() -> T:
        return await call()  # tenacity awaits nothing but coroutine functions

    def wait(state: RetryCallState) -> float:
        said = getattr(_error(state), "retry_after", None) or 0.0
        if said > bounds.LONGEST_WAIT:
            # It says so to a whole fleet, perhaps, which shall not come back in one moment.
            return random.uniform(bounds.LONGEST_WAIT / 2, bounds.LONGEST_WAIT)
        # Of 0, nobody would get any rest.
        if said >= bounds.SHORTEST_WAIT:
            return float(said)
        first = least()
        # As long as there is time for another attempt, it shall not pass unused.
        longest = max(first, min(max(2 * first, most()), seconds_left()))
        return wait_random_exponential(multiplier=2 * first, min=first, max=longest)(state)

    def stop(state: RetryCallState) -> bool:
        return state.upcoming_sleep >= seconds_left()

    def before_sleep(state: RetryCallState) -> None:
        told(_error(state), state.upcoming_sleep)

    retrying = AsyncRetrying(
        sleep=asyncio.sleep,
        wait=wait,
        stop=stop,
        retry=retry_if_exception(again),
        before_sleep=before_sleep,
        reraise=True,
    )
    return await retrying(attempt)


def _error(state: RetryCallState) -> BaseException:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert error is not None
    return error
