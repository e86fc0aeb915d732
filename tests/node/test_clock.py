"""The clock: what counts as a pause, and what a pause does."""

from __future__ import annotations

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
