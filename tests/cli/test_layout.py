"""How wide the columns of a table are."""

from __future__ import annotations

import pytest
from rich.text import Text

from cameleer_registry.cli import views
from cameleer_registry.cli.layout import Column, cut, widths

# An agent in Kubernetes, whose name is that of its pod.
POD = [30, 18, 6, 9, 6, 9]


@pytest.mark.parametrize(
    ("wanted", "available", "expected"),
    [
        ([9, 6, 6, 9, 7, 9], 100, [9, 6, 6, 9, 7, 9]),
        (POD, 100, [*POD]),
        (POD, 80, [30, 18, 6, 9, None, 9]),  # the version is left out
        (POD, 79, [30, 17, 6, 9, None, 9]),  # the group is cut
        (POD, 78, [30, 16, 6, 9, None, 9]),
        (POD, 77, [30, 18, 6, 9, None, None]),  # the heartbeat is left out
        (POD, 60, [30, 18, 6, None, None, None]),
        (POD, 50, [24, 16, 6, None, None, None]),  # and only then the id is folded
        ([125, 6, 6, 9, 16, 9], 80, [42, 6, 6, 9, None, 9]),  # in three lines, not in six
        ([125, 60, 6, 9, 16, 9], 80, [43, 16, 6, 9, None, None]),
        (POD, 10, [12, 16, 6, None, None, None]),  # rich cuts off what is left
    ],
)
def test_what_gives_way(wanted: list[int], available: int, expected: list[int | None]) -> None:
    """What matters least first; never so much that an id cannot be read."""
    assert expected == widths(views.agent_columns(), wanted, available)


def test_of_two_columns_that_are_folded_the_widest_gives_way_first() -> None:
    """A long message next to a short id."""
    columns = [Column("AGENT"), Column("DELIVERY", no_wrap=True), Column("MESSAGE")]
    assert [20, 8, 48] == widths(columns, [20, 8, 400], 80)
    assert [60, 8, 8] == widths(columns, [100, 8, 8], 80)
    assert [34, 8, 34] == widths(columns, [100, 8, 90], 80)


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("order-service-prod", 18, "order-service-prod"),
        ("order-service-prod", 17, "order-se…ice-prod"),
        ("order-service-prod", 3, "o…d"),
        ("order-service-prod", 1, "…"),
        ("注文サービス", 8, "注文サ …"),
    ],
)
def test_cutting(text: str, width: int, expected: str) -> None:
    """Names differ at their ends; characters that are two columns wide are counted as such."""
    assert expected == cut(Text(text), width).plain.rstrip()
    assert width >= cut(Text(text), width).cell_len
