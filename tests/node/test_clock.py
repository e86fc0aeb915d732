"""The clock: what counts as a pause, and what a pause does."""

from __future__ import annotations

from cameleer_registry.core.instant import Instant
from cameleer_registry.node.clock import Clock
from cameleer_registry.system import steady_ns

SECOND = 1_000_000_000


class Hands:
    """Clock hands that a test moves."""

    def __init__(self) -> None:
        self.steady = 5 * SECOND
        self.wall = 1_795_000_000 * SECOND

    def clock(self) -> Clock:
        return Clock(tick=SECOND // 2, steady=lambda: self.steady, wall=lambda: self.wall)

    def move(self, nanoseconds: int) -> None:
        self.steady += nanoseconds
        self.wall += nanoseconds


def test_lease_time_goes_with_real_time_while_somebody_looks() -> None:
    """Gaps of up to two ticks are nobody's pause."""
    hands = Hands()
    clock = hands.clock()
    start = clock.now()
    for gap in (SECOND // 2, SECOND, 1, 0, SECOND):
        hands.move(gap)
        clock.now()
    assert hands.steady - start.steady == clock.now().lease - start.lease
    assert 0 == clock.paused


def test_a_pause_is_taken_out_of_lease_time_and_of_no_other() -> None:
    """The moment somebody looks again, before anything is judged."""
    hands = Hands()
    clock = hands.clock()
    start = clock.now()
    hands.move(100 * SECOND)
    now = clock.now()
    assert (start.lease, start.steady + 100 * SECOND) == (now.lease, now.steady)
    hands.move(SECOND)
    assert start.lease + SECOND == clock.now().lease
    assert 100 * SECOND == clock.paused


def test_what_came_before_the_first_look_is_no_pause() -> None:
    """A clock may be made long before it is used."""
    hands = Hands()
    clock = hands.clock()
    hands.move(1000 * SECOND)
    now = clock.now()
    assert now.steady == now.lease


def test_a_step_of_the_wall_clock_moves_nothing_else() -> None:
    """By a day, in either direction."""
    hands = Hands()
    clock = hands.clock()
    before = clock.now()
    for step in (86_400, -2 * 86_400):
        hands.wall += step * SECOND
        now = clock.now()
        assert (before.steady, before.lease) == (now.steady, now.lease)
        assert hands.wall == now.wall


def test_the_real_clock_only_moves_forward() -> None:
    """Whatever it is on this system."""
    looks = [steady_ns() for _ in range(100)]
    assert sorted(looks) == looks


def test_a_clock_goes_on_where_another_process_left_it() -> None:
    """Steady time goes on through the time between, and lease time does not."""
    last = Instant(wall=1000 * SECOND, steady=500 * SECOND, lease=400 * SECOND)
    clock = Clock(steady=lambda: 77 * SECOND, wall=lambda: 1_050 * SECOND)
    resumed = clock.resume(last, system=70 * SECOND)
    assert Instant(1_050 * SECOND, 507 * SECOND, 400 * SECOND) == resumed


def test_after_a_start_of_the_host_the_time_of_day_says_how_long_it_was() -> None:
    """The system's steady time has begun anew then."""
    last = Instant(wall=1000 * SECOND, steady=500 * SECOND, lease=400 * SECOND)
    clock = Clock(steady=lambda: 3 * SECOND, wall=lambda: 1_050 * SECOND)
    assert 550 * SECOND == clock.resume(last, system=None).steady
    back = Clock(steady=lambda: 3 * SECOND, wall=lambda: 900 * SECOND)
    assert 500 * SECOND == back.resume(last, system=None).steady, "it never goes back"


def test_what_passes_after_it_counts() -> None:
    """As if there had been one process."""
    hands = [70 * SECOND]
    clock = Clock(steady=lambda: hands[0], wall=lambda: 0)
    clock.resume(Instant(0, 500 * SECOND, 400 * SECOND), system=70 * SECOND)
    hands[0] += clock.tick
    now = clock.now()
    assert (500 * SECOND + clock.tick, 400 * SECOND + clock.tick) == (now.steady, now.lease)
