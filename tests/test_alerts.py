"""The alert rules: valid, of metrics that exist, and each shown to fire and not to fire."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from .exposition import scrape
from .node.sharing.world import world
from .processes import required
from .support import Served, serving, streaming

ROOT: Final = Path(__file__).parent.parent
RULES: Final = ROOT / "docs" / "alerts.yml"
RULE_TESTS: Final = ROOT / "tests" / "alerts.yml"
OPERATIONS: Final = ROOT / "docs" / "operations.md"
ALERTS: Final = re.findall(r"- alert: (\w+)", RULES.read_text("utf-8"))


def promtool(*args: str | Path, input: bytes = b"") -> str:
    """Run promtool; what it has to complain about is the test's failure."""
    command = [required("promtool"), *map(str, args)]
    done = subprocess.run(command, input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.decode()
    assert 0 == done.returncode, said
    return said


def test_prometheus_takes_the_rules() -> None:
    """All of them."""
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", RULES)


def test_prometheus_takes_what_is_to_be_pasted(tmp_path: Path) -> None:
    """The rule and the configuration that the documentation shows."""
    blocks = re.findall(r"^```yaml\n(\w+)(:.*?)^```$", OPERATIONS.read_text("utf-8"), re.M | re.S)
    of_prometheus = {"scrape_configs", "groups"}
    assert of_prometheus == {key for key, _ in blocks} - {"apiVersion"}
    for key, rest in blocks:
        if key not in of_prometheus:
            continue
        pasted = tmp_path / f"{key}.yml"
        pasted.write_text(key + rest)
        promtool("check", "rules" if key == "groups" else "config", pasted)


def test_the_rules_fire_when_they_should() -> None:
    """As tests/alerts.yml says, on series that rise and fall."""
    assert "SUCCESS" in promtool("test", "rules", RULE_TESTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_rule_is_shown_to_fire_and_not_to_fire(alert: str) -> None:
    """Otherwise the test above would show nothing."""
    text = RULE_TESTS.read_text("utf-8")
    assert re.search(rf"alertname: {alert}, .*exp_alerts: \[\]", text)
    assert re.search(rf"alertname: {alert}\n +eval_time: \w+\n +exp_alerts:\n +- ", text)


async def test_prometheus_takes_the_metrics() -> None:
    """By the rules that its own linter has for names, types and help."""
    async with serving() as served:
        await served.register("a")
        async with streaming(served, "a"):
            await served.issue("/agents/a")
            answer = await served.request("GET", "//metrics")
    assert "" == promtool("check", "metrics", input=answer.body)


async def test_the_rules_speak_of_metrics_that_exist(keeping: Served) -> None:
    """With labels and values that exist."""
    await keeping.register("a")
    async with world("a") as shared:  # as one of many nodes, it has no journal
        of_both = [*(await scrape(keeping)).series(), *(await scrape(shared.members[0])).series()]
    text = re.sub(r"#.*", "", RULES.read_text("utf-8"))
    selectors = re.findall(r"\b(cameleer_\w+)(?:{(.*?)})?", text)
    assert len(selectors) >= len(ALERTS)
    for name, matchers in selectors:
        series = [dict(labels) for of_series, labels in of_both if of_series == name]
        assert series, name
        for label, operator, values in re.findall(r'(\w+)(=~|!=|=)"(.*?)"', matchers):
            exist = {labels[label] for labels in series}
            assert set(values.split("|") if operator == "=~" else [values]) <= exist
