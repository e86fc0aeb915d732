"""How often somebody may try to sign in."""

from __future__ import annotations

import pytest

from cameleer_registry.errors import TooManyAttempts
from cameleer_registry.security.attempts import Attempts

from .support import SECOND, instant


@pytest.fixture
def attempts() -> Attempts:
    return Attempts(burst=3, interval=6 * SECOND, sources=2)


def fail(attempts: Attempts, source: str = "a", *, at: float = 0, times: int = 1) -> None:
    for _ in range(times):
        attempts.check(source, instant(at))
        attempts.failed(source, instant(at))


def test_so_many_may_fail_in_a_row(attempts: Attempts) -> None:
    """Then one every so many seconds, and it is said when."""
    fail(attempts, times=3)
    with pytest.raises(TooManyAttempts) as refused:
        attempts.check("a", instant())
    assert 6 == refused.value.retry_after
    with pytest.raises(TooManyAttempts, match="again in 1 s"):
        attempts.check("a", instant(5.9))
    fail(attempts, at=6)
    with pytest.raises(TooManyAttempts):
        attempts.check("a", instant(6))
    fail(attempts, at=100, times=3)


def test_attempts_that_succeed_do_not_count(attempts: Attempts) -> None:
    """However many there are."""
    for _ in range(100):
        attempts.check("a", instant())


def test_one_source_locks_out_no_other(attempts: Attempts) -> None:
    """That is what it is for."""
    fail(attempts, times=3)
    fail(attempts, "b", times=3)
    with pytest.raises(TooManyAttempts):
        attempts.check("b", instant())


def test_sources_are_remembered_up_to_a_number(attempts: Attempts) -> None:
    """The one that failed longest ago is forgotten first."""
    fail(attempts, "a", times=2)
    fail(attempts, "b", times=3)
    fail(attempts, "a")
    fail(attempts, "c")
    fail(attempts, "b", times=3)
    assert 2 == len(attempts._recovered)


def test_failures_on_the_way_count_although_they_were_let_pass(attempts: Attempts) -> None:
    """Attempts side by side are all checked before the first of them has failed."""
    for _ in range(5):
        attempts.failed("a", instant())
    with pytest.raises(TooManyAttempts) as refused:
        attempts.check("a", instant())
    assert 18 == refused.value.retry_after
