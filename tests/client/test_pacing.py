"""How long to wait for the next stream."""

from __future__ import annotations

import pytest

from cameleer_registry.client.pacing import SHORTEST, Pacing


def waits(ages: list[float], *, cleanly: bool, retry: float = 3.5) -> list[float]:
    """Return the average wait after each of these streams."""
    rounds = []
    for _ in range(200):
        pacing = Pacing()
        rounds.append([pacing.after(age, cleanly=cleanly, retry=retry) for age in ages])
    return [sum(each) / len(rounds) for each in zip(*rounds, strict=True)]


@pytest.mark.parametrize("age", [15, 20, 30, 60, 100, 300, 3600])
def test_connected_for_more_than_95_percent(age: float) -> None:
    """Whatever age a balancer has set for responses, whether it ends them or breaks them off."""
    for wait in (*waits([age] * 3, cleanly=True), *waits([age] * 3, cleanly=False)[1:]):
        assert wait <= 2 * 3.5
        assert age / (age + wait) > 0.95


def test_one_that_breaks_may_be_one_of_many() -> None:
    """The server may have gone, and a fleet shall not come back in one instant."""
    first, other, again = waits([20, 100, 101], cleanly=False)
    assert first > 3.5
    assert other > 3.5
    assert again < 4


def test_after_an_hour_the_server_has_its_say() -> None:
    """From as long as it said, to twice that."""
    draws = [Pacing().after(3600, cleanly=True, retry=3.5) for _ in range(500)]
    assert 3.5 <= min(draws) <= max(draws) <= 7
    assert max(draws) - min(draws) > 2


def test_never_before_the_server_has_noticed() -> None:
    """Or it would be a takeover."""
    assert SHORTEST == Pacing().after(10, cleanly=True, retry=0.001)
