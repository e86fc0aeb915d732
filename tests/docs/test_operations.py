"""docs/operations.md says what is counted, and docs/alerts.yml what is to be done about it."""

from __future__ import annotations

import re
import shlex
from configparser import ConfigParser
from pathlib import Path

from cameleer_registry.cli import exits

from ..cli.support import command, parent_context
from ..exposition import scrape
from ..support import Served
from .pages import OPERATIONS, ROOT, blocks, rows


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


def test_the_unit_of_systemd_starts_the_server_and_knows_its_exit_status(
    tmp_path: Path,
) -> None:
    """With flags that there are; what was set wrongly is not tried again."""
    [unit] = blocks(OPERATIONS, "ini")
    parsed = ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment]
    parsed.read_string(unit.text)
    program, *args = shlex.split(parsed["Service"]["ExecStart"])
    assert "cameleer-registry" == Path(program).name
    config = args.index("--config") + 1
    assert args[config].endswith(".toml")
    args[config] = str(tmp_path / "registry.toml")
    Path(args[config]).touch()
    with command("serve").make_context("serve", args, parent=parent_context()):
        pass
    assert exits.USED_WRONGLY == int(parsed["Service"]["RestartPreventExitStatus"])
