"""Each measure in its shortest form, so that it can be run when it is wanted."""

from __future__ import annotations

import json
import math
import socket

import pytest

from benchmarks import report, servers
from benchmarks.figures import Aim, Figures, Row, percentile
from benchmarks.measures import MEASURES
from benchmarks.scale import TINY


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_runs_and_has_figures(name: str) -> None:
    """Every row has figures that are numbers, of the product and of its yardstick."""
    rows = list(MEASURES[name](TINY))
    assert rows
    figures = [of for row in rows for of in (row.product, row.compared) if of is not None]
    assert all(math.isfinite(sample) for of in figures for sample in of.samples)
    assert len(rows) == len(json.loads(report.as_json(rows, {}))["rows"])


def test_a_yardstick_ends_with_all_that_it_has_started() -> None:
    """The `node` of a Python environment is a program that starts another."""
    with servers.node() as yardstick:
        address = yardstick.address
        socket.create_connection(address).close()
    with socket.socket() as late, pytest.raises(ConnectionRefusedError):
        late.connect(address)


def test_a_row_is_judged_by_its_ratio() -> None:
    """Medians are compared where there is a yardstick; else the figure itself counts."""
    product, yardstick = Figures((9.0, 10.0, 30.0)), Figures((1.0, 8.0, 9.0))
    row = Row(
        measure="m",
        unit="ms",
        product=product,
        yardstick="bare",
        compared=yardstick,
        aim=Aim(1.2),
    )
    assert (1.25, False) == (row.ratio, row.met)
    at_least = Row(
        measure="m",
        unit="/s",
        product=product,
        yardstick="bare",
        compared=yardstick,
        aim=Aim(1.2, at_least=True),
    )
    assert at_least.met is True
    assert Row(measure="m", unit="ms", product=product, aim=Aim(10.0)).met is True
    assert Row(measure="m", unit="ms", product=product).met is None


def test_a_row_in_the_table() -> None:
    """Medians with the quartiles around them, three digits that count, and the verdict."""
    row = Row(
        measure="heartbeats",
        unit="/s",
        product=Figures((12000.4, 12345.6, 13000.0)),
        yardstick="bare aiohttp",
        compared=Figures((15000.0,)),
        aim=Aim(0.9, at_least=True),
    )
    expected = (
        "| heartbeats | 12,346 /s (12,173–12,673) | bare aiohttp: 15,000 /s | 0.82 |  | ≥ 0.9 "
        "| **missed** |"
    )
    assert expected == report.as_table([row]).splitlines()[-1]


def test_percentiles() -> None:
    """The worst of a hundred is their 99th percentile, and the only one is every percentile."""
    assert 100 == percentile(range(1, 101), 99)
    assert 51 == percentile(range(1, 101), 50)
    assert 7 == percentile([7], 99)
