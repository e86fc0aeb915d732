"""docs/operations.md says what is counted, and docs/alerts.yml what is to be done about it."""

from __future__ import annotations

import re

from ..exposition import scrape
from ..support import Served
from .pages import OPERATIONS, ROOT, rows


async def test_every_metric_is_in_a_table_and_no_other(served: Served) -> None:
    """By its name, type and labels."""
    await served.register("a")
    exposed = {}
    for family in (await scrape(served)).families:
        name = family.name + "_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        exposed[name] = (family.type, labels)
    tables = rows(OPERATIONS, "Metric") + rows(OPERATIONS, "Metric of the process")
    documented = {name: (kind, {*re.findall(r"\w+", labels)}) for name, kind, labels, _ in tables}
    assert len(tables) == len(documented)
    assert exposed == documented
    assert all(told for *_, told in tables)


def test_every_alert_is_in_the_table_and_no_other() -> None:
    """In the order of the rules."""
    alerts = re.findall(r"- alert: (\w+)", (ROOT / "docs" / "alerts.yml").read_text("utf-8"))
    assert alerts == [name for name, *_ in rows(OPERATIONS, "Alert")]
