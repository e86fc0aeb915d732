"""Text from elsewhere, on its way to a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cameleer_registry.cli.plain import plain, plain_json


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bestellungen für 東京 🚀 [bold]", "Bestellungen für 東京 🚀 [bold]"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("a\tb\nc\r", "a\\tb\\nc\\r"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("x\u202egnp.exe\u2066", "x\\u202egnp.exe\\u2066"),
        ("a\u2028b\udc80", "a\\u2028b\\udc80"),
    ],
)
def test_plain(text: str, expected: str) -> None:
    """What can be printed stays; what cannot is escaped."""
    assert expected == plain(text)


@given(st.text(st.characters(codec=None, exclude_categories=["Cs"])))
def test_whatever_it_is(text: str) -> None:
    """It can be printed then, on one line; and as JSON it still says the same."""
    assert plain(text).isprintable()
    document = plain_json(json.dumps([text], ensure_ascii=False))
    assert [text] == json.loads(document)
    assert not any(char in document for char in "\x1b\x7f\x9b\u202e\u2028\n")


def test_json_beyond_the_basic_plane() -> None:
    """Characters that cannot be seen are escaped as JSON has it: in two parts."""
    assert '"\\udb40\\udc41"' == plain_json('"\U000e0041"')
