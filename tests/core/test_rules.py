"""The grammar of identifiers and names, at its boundaries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cameleer_registry.core import rules
from cameleer_registry.core.model import Ack, Order, Registration

CONTROLS = [*range(0x20), 0x7F, *range(0x80, 0xA0)]
IDENTIFIERS = [rules.agent_id, rules.group_name]
ALL_RULES = [*IDENTIFIERS, rules.label, rules.note]
NO_STRINGS: list[Any] = [None, True, 3, 3.9, [], {}, b"a", ("a",)]


@pytest.mark.parametrize("rule", IDENTIFIERS)
@pytest.mark.parametrize(
    "value", ["a", "Z", "0", "a" * 128, "a._:@-Z9", "0-", "9", "a" + "-" * 127]
)
def test_identifier_is_taken_as_it_is(rule: Callable[[Any], str], value: str) -> None:
    """1 to 128 of the characters allowed, the first a letter or digit."""
    assert value == rule(value)


@pytest.mark.parametrize("rule", IDENTIFIERS)
@pytest.mark.parametrize("first", "._:@-")
def test_identifier_begins_with_a_letter_or_digit(rule: Callable[[Any], str], first: str) -> None:
    """Punctuation is allowed, but not in front."""
    assert "a" + first == rule("a" + first)
    with pytest.raises(ValueError, match="beginning with a letter or digit"):
        rule(first + "a")


@pytest.mark.parametrize("rule", IDENTIFIERS)
@pytest.mark.parametrize(
    "character", [" ", "/", "\\", "%", "+", "~", "*", "'", '"', "é", "ａ", "٣", "🐫", "\ud800", "ſ"]
)
def test_identifier_has_no_other_characters(rule: Callable[[Any], str], character: str) -> None:
    """Nothing else is allowed, however much like a letter or a digit it may be."""
    with pytest.raises(ValueError, match="expected letters, digits"):
        rule(f"a{character}b")


@pytest.mark.parametrize("rule", IDENTIFIERS)
@pytest.mark.parametrize("code", CONTROLS)
def test_identifier_has_no_control_characters(rule: Callable[[Any], str], code: int) -> None:
    """Not even a line feed at its end, which a dollar sign in a regular expression lets pass."""
    with pytest.raises(ValueError, match="expected letters, digits"):
        rule("a" + chr(code))


@pytest.mark.parametrize("rule", IDENTIFIERS)
def test_identifier_of_129_characters_is_refused_with_its_length(
    rule: Callable[[Any], str],
) -> None:
    """The message names the limit and what came."""
    with pytest.raises(ValueError, match="at most 128 characters, got 129"):
        rule("a" * 129)


@pytest.mark.parametrize("rule", [*IDENTIFIERS, rules.label])
def test_empty_is_refused(rule: Callable[[Any], str]) -> None:
    """An identifier, a name and a route id have at least one character."""
    with pytest.raises(ValueError, match="at least 1 character"):
        rule("")


@pytest.mark.parametrize("word", ["register", "commands", "groups"])
def test_reserved_word_is_no_agent_id_but_a_group(word: str) -> None:
    """They stand where an agent id would in an address, and nowhere that a group does."""
    with pytest.raises(ValueError, match="reserved"):
        rules.agent_id(word)
    assert word == rules.group_name(word)


@pytest.mark.parametrize(
    "value", ["Register", "COMMANDS", "group", "groups2", "events", "register."]
)
def test_what_only_resembles_a_reserved_word_is_an_agent_id(value: str) -> None:
    """Reserved words are compared whole and exactly."""
    assert value == rules.agent_id(value)


@pytest.mark.parametrize("rule", [rules.label, rules.note])
@pytest.mark.parametrize(
    "value", [" ", "x" * 256, "🐫" * 256, "a/b c", "direct:start", "\xa0", "\u2028", "\u200f", "é"]
)
def test_label_may_hold_anything_but_control_characters(
    rule: Callable[[Any], str], value: str
) -> None:
    """Up to 256 characters, counted as code points, and kept as they are."""
    assert value == rule(value)


@pytest.mark.parametrize("rule", [rules.label, rules.note])
@pytest.mark.parametrize("code", CONTROLS)
def test_label_names_the_control_character_it_refuses(
    rule: Callable[[Any], str], code: int
) -> None:
    """C0, DEL and C1, wherever they stand."""
    with pytest.raises(ValueError, match=rf"U\+{code:04X} at 3"):
        rule(f"abc{chr(code)}d")


@pytest.mark.parametrize("rule", [rules.label, rules.note])
def test_label_of_257_characters_is_refused_with_its_length(rule: Callable[[Any], str]) -> None:
    """The message names the limit and what came."""
    with pytest.raises(ValueError, match="at most 256 characters, got 257"):
        rule("x" * 257)


def test_note_may_be_empty() -> None:
    """A version that is not known may be sent as an empty string."""
    assert rules.note("") == ""


@pytest.mark.parametrize("rule", ALL_RULES)
@pytest.mark.parametrize("value", NO_STRINGS, ids=repr)
def test_what_is_no_string_is_refused_in_words_of_json(
    rule: Callable[[Any], str], value: Any
) -> None:
    """Never a TypeError, nor a word of Python's in the message."""
    with pytest.raises(ValueError, match=f"^expected a string, got {rules.kind_of(value)}$"):
        rule(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (0, "a number"),
        (0.5, "a number"),
        ("", "a string"),
        ([], "an array"),
        ((), "an array"),
        ({}, "an object"),
        (b"", "a bytes"),
    ],
)
def test_kinds_are_named_as_in_json(value: Any, kind: str) -> None:
    """A boolean is no number here, though it is in Python."""
    assert kind == rules.kind_of(value)


@pytest.mark.parametrize("value", [None, [], "{}", 1], ids=repr)
def test_json_object_is_a_mapping(value: Any) -> None:
    """Nothing is turned into one."""
    with pytest.raises(ValueError, match="expected an object"):
        rules.json_object(value)
    assert {"a": 1} == rules.json_object({"a": 1})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent_id", "register"),
        ("agent_id", ""),
        ("group", "a b"),
        ("group", 3),
        ("name", ""),
        ("version", "a\n"),
        ("route_ids", ["ok", ""]),
        ("capabilities", None),
        ("instance_id", 7),
    ],
)
def test_registration_made_in_python_follows_the_same_rules(field: str, value: Any) -> None:
    """A host application is told which field it is, with a ValueError."""
    parts: dict[str, Any] = {"agent_id": "a", "group": "g", field: value}
    with pytest.raises(ValueError, match=f"^{field}: "):
        Registration(**parts)


def test_orders_and_acks_made_in_python_take_plain_words() -> None:
    """The wire's words stand for the members; others are refused."""
    assert Order(type="replay").type == "replay"
    assert Ack(status="FAILURE").status == "FAILURE"
    with pytest.raises(ValueError, match="reboot"):
        Order(type="reboot")
    with pytest.raises(ValueError, match="payload: expected an object"):
        Order(type="replay", payload=[])  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["", "a" * 257, "a\x00", "\x85", *NO_STRINGS], ids=repr)
def test_labels_are_each_a_label(wrong: Any) -> None:
    """However many there are, and wherever the wrong one stands."""
    right = ["a", "a" * 256, "\u2028", "é"]
    assert tuple(right) == rules.labels(right)
    assert () == rules.labels(())
    for place in (0, 2, 4):
        with pytest.raises(ValueError, match=r"expected|not allowed"):
            rules.labels([*right[:place], wrong, *right[place:]])
