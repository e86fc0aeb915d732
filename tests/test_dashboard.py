"""The dashboard: of metrics that exist, in a language that Prometheus understands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from .exposition import scrape
from .node.sharing.world import world
from .support import Served
from .test_alerts import promtool

DASHBOARD: Final = Path(__file__).parent.parent / "docs" / "dashboard.json"
CONTENT: Final[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))
SELECTED: Final = 'job=~"$job",instance=~"$instance"'


def expressions() -> Iterator[str]:
    """Return whatever is asked of Prometheus."""
    for panel in CONTENT["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (annotation["expr"] for annotation in CONTENT["annotations"]["list"])


async def test_every_metric_on_it_exists(keeping: Served) -> None:
    """With the labels by which it is looked at."""
    await keeping.register("a")
    labels: dict[str, set[str]] = {}
    async with world("a") as shared:  # as one of many nodes, it has no journal
        of_both = (await scrape(keeping)).families + (await scrape(shared.members[0])).families
    for family in of_both:
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
        if family.type == "counter":  # those without samples yet
            labels.setdefault(f"{family.name}_total", set())
        if family.type == "histogram":
            labels.setdefault(f"{family.name}_bucket", set()).add("le")
    for expression in expressions():
        for name, selector in re.findall(r"\b((?:cameleer|process)_\w+){([^}]*)}", expression):
            assert name in labels
            own = selector.replace(SELECTED, "").strip(",")
            assert set(re.findall(r"(\w+)=", own)) <= labels[name]
        assert len(re.findall(r"\b(?:cameleer|process)_\w+", expression)) == len(
            re.findall(r"\b(?:cameleer|process)_\w+{", expression)
        )


def test_every_part_of_the_server_is_on_it(tmp_path: Path) -> None:
    """Whoever adds an alert finds its metric here, too."""
    alerts = (DASHBOARD.parent / "alerts.yml").read_text("utf-8")
    shown = " ".join(expressions())
    assert set(re.findall(r"cameleer_[a-z_]+", alerts)) <= set(
        re.findall(r"cameleer_[a-z_]+", shown)
    )


def test_prometheus_understands_what_is_asked(tmp_path: Path) -> None:
    """Each question, as a rule."""
    rules = [
        {"record": f"question:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions())
    ]
    file = tmp_path / "rules.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


def test_panels_have_places_of_their_own() -> None:
    """24 columns, none on top of another; each says what it shows."""
    taken: set[tuple[int, int]] = set()
    for panel in CONTENT["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        assert panel["type"] == "row" or panel["description"].endswith(".")
    assert len({panel["id"] for panel in CONTENT["panels"]}) == len(CONTENT["panels"])
