"""What time it is for the server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from cameleer_registry.client.server_clock import REMEMBERED, ServerClock
from cameleer_registry.core.instant import NANOSECONDS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Steady:
    """A steady clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 5000.0

    def __call__(self) -> int:
        return round(self.seconds * NANOSECONDS)


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def clock(steady: Steady) -> ServerClock:
    return ServerClock(steady=steady)


def date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def test_it_goes_by_the_date_of_an_answer(clock: ServerClock, steady: Steady) -> None:
    """And on from there, whatever our own time of day is."""
    clock.heard(date(NOON))
    assert 60 == clock.seconds_until(NOON + timedelta(minutes=1))
    steady.seconds += 61.5
    assert -1.5 == clock.seconds_until(NOON + timedelta(minutes=1))


def test_the_answer_that_tells_most_counts(clock: ServerClock, steady: Steady) -> None:
    """One that was long on its way says that it is later than it thought."""
    clock.heard(date(NOON))
    steady.seconds += 10
    clock.heard(date(NOON + timedelta(seconds=3)))
    assert 0 == clock.seconds_until(NOON + timedelta(seconds=10))
    clock.heard(date(NOON + timedelta(seconds=11)))
    assert -1 == clock.seconds_until(NOON + timedelta(seconds=10))


def test_a_clock_that_is_set_back_is_noticed(clock: ServerClock, steady: Steady) -> None:
    """By seconds: after so many answers, not by one that was late."""
    clock.heard(date(NOON))
    for _ in range(REMEMBERED - 1):
        clock.heard(date(NOON - timedelta(seconds=30)))
        assert 0 == clock.seconds_until(NOON)
    clock.heard(date(NOON - timedelta(seconds=30)))
    assert 30 == clock.seconds_until(NOON)


def test_a_clock_that_is_set_back_by_far_is_noticed_at_once(clock: ServerClock) -> None:
    """No answer can be so late; else every command would seem expired for many heartbeats."""
    clock.heard(date(NOON))
    clock.heard(date(NOON - timedelta(days=1)))
    assert 86_400 == clock.seconds_until(NOON)
    clock.heard(date(NOON))
    assert 0 == clock.seconds_until(NOON)


@pytest.mark.parametrize("nothing", [None, "", "yesterday", "Mon, 99 Nov 2026 12:00:00 GMT"])
def test_our_own_time_where_no_server_tells(clock: ServerClock, nothing: str | None) -> None:
    """It is all there is."""
    clock.heard(nothing)
    until = clock.seconds_until(datetime.now(UTC) + timedelta(hours=1))
    assert pytest.approx(3600, abs=60) == until
