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


def date(moment: datetime) -> dict[str, str]:
    return {"Date": format_datetime(moment, usegmt=True)}


def own(moment: datetime) -> dict[str, str]:
    """Return a head in which the server says its time, behind a proxy whose clock is wrong."""
    of_a_proxy = date(moment + timedelta(hours=1))
    return {"X-Cameleer-Time": moment.isoformat(timespec="milliseconds"), **of_a_proxy}


def test_it_goes_by_what_the_server_says(clock: ServerClock, steady: Steady) -> None:
    """To the millisecond, and on from there, whatever our own time of day is, or a proxy's."""
    clock.heard(own(NOON + timedelta(milliseconds=250)))
    assert 59.75 == clock.seconds_until(NOON + timedelta(minutes=1))
    steady.seconds += 61.5
    assert -1.75 == clock.seconds_until(NOON + timedelta(minutes=1))
    assert NOON + timedelta(seconds=61.75) == clock.now()


def test_a_date_counts_only_where_no_server_says_more(clock: ServerClock) -> None:
    """An answer without it, after one with it, tells nothing, nor does one that came before."""
    clock.heard(date(NOON + timedelta(hours=2)))
    clock.heard(own(NOON))
    clock.heard(date(NOON + timedelta(hours=2)))
    assert 60 == clock.seconds_until(NOON + timedelta(minutes=1))


def test_an_older_server_is_told_by_its_date(clock: ServerClock, steady: Steady) -> None:
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


@pytest.mark.parametrize(
    "nothing",
    [
        *("", "yesterday", "Mon, 99 Nov 2026 12:00:00 GMT"),
        "Mon, 23 Nov 99999999999 12:00:00 GMT",
        "Mon, 23 Nov 2026 12:00:00 +99999999999999",
    ],
)
@pytest.mark.parametrize("header", ["Date", "X-Cameleer-Time", "X-Other"])
def test_our_own_time_where_no_server_tells(clock: ServerClock, header: str, nothing: str) -> None:
    """It is all there is."""
    clock.heard({header: nothing})
    until = clock.seconds_until(datetime.now(UTC) + timedelta(hours=1))
    assert pytest.approx(3600, abs=60) == until
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_time_without_its_zone_is_none(clock: ServerClock) -> None:
    """It may be that of anywhere."""
    clock.heard({"X-Cameleer-Time": "2026-11-23T12:00:00.000"})
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
