"""docs/settings.md says what can be set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from cameleer_registry.cli.serve import serve_command
from cameleer_registry.settings import Settings, environment_variable_of, flag_of
from cameleer_registry.sources import load

from .pages import SETTINGS, blocks, rows

OPTIONS_WITHOUT_A_SETTING: Final = {"--config", "--log-format", "--log-level"}


def shown(default: Any) -> str:
    match default:
        case None | ():
            return "none"
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case tuple():
            return ",".join(default)
        case _:
            return str(default)


def test_every_setting_is_in_the_table_and_no_other() -> None:
    """By its name, flag, variable, default and help, in the order of the class."""
    expected = [
        [
            setting.name,
            flag_of(setting.name),
            environment_variable_of(setting.name),
            shown(setting.default),
            setting.metadata["help"],
        ]
        for setting in attrs.fields(Settings)
    ]
    table = [[*row[:4], row[5]] for row in rows(SETTINGS, "Setting")]
    assert expected == table


def test_durations_are_seconds_in_the_table() -> None:
    """And sizes are bytes."""
    units = {row[0]: row[4] for row in rows(SETTINGS, "Setting")}
    durations = {s.name for s in attrs.fields(Settings) if "float" in str(s.type)}
    assert durations == {name for name, unit in units.items() if unit == "s"}
    assert {"s", "bytes", ""} == set(units.values())


def test_options_that_are_no_settings_are_documented() -> None:
    """By flag, variable and default, as click has them."""
    settings = {flag_of(setting.name) for setting in attrs.fields(Settings)}
    options = {option.opts[0]: option for option in serve_command.params}
    assert OPTIONS_WITHOUT_A_SETTING == options.keys() - settings
    for flag, variable, default, _ in rows(SETTINGS, "Option"):
        option = options.pop(flag)
        assert variable == option.envvar
        assert default == (option.default if isinstance(option.default, str) else "none")
    assert settings == options.keys()


def test_the_file_in_the_example_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every key in it is a setting."""
    for setting in attrs.fields(Settings):
        monkeypatch.delenv(environment_variable_of(setting.name), raising=False)
    [block] = blocks(SETTINGS, "toml")
    config = tmp_path / "registry.toml"
    config.write_text(block.text)
    settings = load({}, config)
    assert settings != Settings()
    for name in re.findall(r"^(\w+) =", block.text, re.MULTILINE):
        assert hasattr(settings, name)
