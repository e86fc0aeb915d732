"""What is printed."""

from __future__ import annotations

import pytest

from cameleer_registry.cli import output


def test_nothing_is_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where it is not a cell."""
    output.console.__wrapped__().print("[b]x[/b] :x:")
    assert "[b]x[/b] :x:\n" == capsys.readouterr().out


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A tab between two values, and a hyphen for none; what would break a line is escaped."""
    output.lines([(output.Cell("a\tb\n"), output.Cell(""), output.Cell("1000", "1,000"))])
    assert "a\\tb\\n\t-\t1000\n" == capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """On one line, and without what a terminal would obey."""
    output.json({"name": "\x9b31m"})
    assert '{"name":"\\u009b31m"}\n' == capsys.readouterr().out
