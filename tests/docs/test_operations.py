"""docs/operations.md says what is counted, and docs/alerts.yml what is to be done about it."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cameleer_registry import Settings
from cameleer_registry.cli import exits
from cameleer_registry.cli.backup import backup_command
from cameleer_registry.cli.serve import serve_command
from cameleer_registry.database import default_path
from cameleer_registry.node.journal.sqlite import schema

from ..exposition import scrape
from ..support import Served
from .pages import OPERATIONS, ROOT, blocks, rows


async def test_every_metric_is_in_a_table_and_no_other(keeping: Served) -> None:
    """By its name, type and labels."""
    await keeping.register("a")
    exposed = {}
    for family in (await scrape(keeping)).families:
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


def test_every_table_and_view_of_the_database_is_on_the_page() -> None:
    """And the views stand first, since they are for people; no table is made up."""
    with contextlib.closing(empty_database()) as connection:
        found = dict(connection.execute("SELECT name, type FROM sqlite_schema WHERE sql NOT NULL"))
    described = rows(OPERATIONS, "Table or view")
    assert found == {
        name: "view" if told.startswith("View: ") else "table" for name, told in described
    }


def test_questions_to_the_database_are_answered() -> None:
    """Each of them, by the tables and views that a server makes."""
    [block] = blocks(OPERATIONS, "sql")
    with contextlib.closing(empty_database()) as connection:
        for question in block.text.splitlines():
            assert [] == connection.execute(question).fetchall()


def empty_database() -> sqlite3.Connection:
    """Return one such as a server makes."""
    connection = sqlite3.connect(":memory:")
    for statement in schema.CREATE:
        connection.execute(statement)
    return connection


def text_of_unit(name: str) -> str:
    """Return a unit of systemd from the page, by the end of its file's name."""
    units = {block.text.splitlines()[0]: block.text for block in blocks(OPERATIONS, "ini")}
    [text] = [text for first, text in units.items() if first.endswith(name)]
    return text


def unit(name: str) -> configparser.ConfigParser:
    """Return a unit of systemd from the page, by the end of its file's name."""
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string(text_of_unit(name))
    return parsed


def test_the_service_is_started_again_for_ever() -> None:
    """But for settings that make no sense; and it says itself when it has started."""
    service = unit("-registry.service")
    assert "0" == service["Unit"]["StartLimitIntervalSec"]
    assert ("always", "notify") == (service["Service"]["Restart"], service["Service"]["Type"])
    assert str(exits.USED_WRONGLY) == service["Service"]["RestartPreventExitStatus"]
    program, *args = shlex.split(service["Service"]["ExecStart"])
    assert program.endswith("/bin/cameleer-registry")
    with serve_command.make_context("serve", args):
        pass


def test_the_service_has_a_directory_for_what_it_keeps() -> None:
    """In which the backup looks for it."""
    directory = f"/var/lib/{unit('-registry.service')['Service']['StateDirectory']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_DIRECTORY", directory)
        database = str(default_path())
    _, name, *args = shlex.split(unit("-backup.service")["Service"]["ExecStart"])
    assert "backup" == name
    with backup_command.make_context("backup", args) as context:
        assert database == context.params["database"]


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Where there is one."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # what they say is tested above
    names = {
        "cameleer-registry.service": "-registry.service",
        "cameleer-registry.socket": ".socket",
        "cameleer-registry-backup.service": "-backup.service",
    }
    for file, name in names.items():
        text = re.sub("(?<=ExecStart=)[^ ]+", sys.executable, text_of_unit(name))
        (tmp_path / file).write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", *names],
        cwd=tmp_path,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
    )
    complaints = [line for line in done.stderr.splitlines() if "cameleer-registry" in line]
    assert [] == complaints


def test_the_container_starts_the_server() -> None:
    """With options that it takes, as somebody without rights, and where it can be reached."""
    lines = (ROOT / "docs" / "Containerfile").read_text("utf-8").splitlines()
    # Of words that stand twice, the last: what is built is in the first image.
    said = dict(line.split(" ", 1) for line in lines if re.match("[A-Z]+ ", line))
    assert ["cameleer-registry"] == json.loads(said["ENTRYPOINT"])
    name, *args = json.loads(said["CMD"])
    assert "serve" == name
    with serve_command.make_context(name, args) as context:
        assert "0.0.0.0" == context.params["host"]
    assert said["ENV"].endswith(f"STATE_DIRECTORY={said['VOLUME']}")
    assert str(Settings().port) == said["EXPOSE"]
    assert 0 < int(said["USER"].partition(":")[0])
