"""docs/operations.md says what is counted, and docs/alerts.yml what is to be done about it."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from cameleer_registry import Settings
from cameleer_registry.cli import exits
from cameleer_registry.cli.serve import serve_command

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


def unit(name: str) -> configparser.ConfigParser:
    """Return a unit of systemd from the page, by the end of its file's name."""
    [block] = [each for each in blocks(OPERATIONS, "ini") if name in each.text.splitlines()[0]]
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string(block.text)
    return parsed


def test_the_service_is_started_again_for_ever() -> None:
    """But for settings that make no sense; and it says itself when it has started."""
    service = unit(".service")
    assert "0" == service["Unit"]["StartLimitIntervalSec"]
    assert ("always", "notify") == (service["Service"]["Restart"], service["Service"]["Type"])
    assert str(exits.USED_WRONGLY) == service["Service"]["RestartPreventExitStatus"]
    program, *args = shlex.split(service["Service"]["ExecStart"])
    assert program.endswith("/bin/cameleer-registry")
    with serve_command.make_context("serve", args):
        pass


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Where there is one."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # what they say is tested above
    for name in (".service", ".socket"):
        [block] = [each for each in blocks(OPERATIONS, "ini") if name in each.text.splitlines()[0]]
        text = re.sub("(?<=ExecStart=)[^ ]+", sys.executable, block.text)
        (tmp_path / f"cameleer-registry{name}").write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", "cameleer-registry.socket", "cameleer-registry.service"],
        cwd=tmp_path,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
    )
    complaints = [line for line in done.stderr.splitlines() if "cameleer-registry." in line]
    assert [] == complaints


def test_the_container_starts_the_server() -> None:
    """With options that it takes, as somebody without rights, and where it can be reached."""
    lines = (ROOT / "docs" / "Containerfile").read_text("utf-8").splitlines()
    said = dict(line.split(" ", 1) for line in lines if re.match("[A-Z]+ ", line))
    assert ["cameleer-registry"] == json.loads(said["ENTRYPOINT"])
    name, *args = json.loads(said["CMD"])
    assert "serve" == name
    with serve_command.make_context(name, args) as context:
        assert "0.0.0.0" == context.params["host"]
    assert str(Settings().port) == said["EXPOSE"]
    assert 0 < int(said["USER"].partition(":")[0])
