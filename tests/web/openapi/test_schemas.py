"""Schemas of models: what they let through is what the JSON boundary lets through."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import pytest
from attrs import frozen

from cameleer_registry import wire
from cameleer_registry.core.model import Ack, Order, Registration
from cameleer_registry.errors import InvalidRequest
from cameleer_registry.web.openapi.schemas import Events, Schemas

from .contract import Contract

CONTRACT = Contract.of()
MINIMAL = {"agentId": "a", "group": "g"}


def takes(shape: type[Any], body: Any) -> bool:
    try:
        wire.decode(json.dumps(body).encode(), shape)
    except InvalidRequest:
        return False
    return True


def bodies(shape: type[Any], **fields: list[Any]) -> list[Any]:
    """Return a case for each value of each field."""
    least: Mapping[str, Any] = {Registration: MINIMAL, Order: {"type": "replay"}}.get(shape, {})
    return [
        pytest.param(shape, {**least, name: value}, id=f"{shape.__name__}.{name}={value!r:.40}")
        for name, values in fields.items()
        for value in values
    ]


ODD: list[Any] = [None, True, 0, 1.5, "", "text", [], ["text"], [""], [None], {}, {"a": None}]
NUMBERS: list[Any] = [-(2**63), -(2**63) - 1, 2**64 - 1, 2**64, 1.5e18, -0.0, 10**30]


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        *[(shape, body) for shape in (Registration, Order, Ack) for body in (*ODD, MINIMAL)],
        *bodies(
            Registration,
            agentId=[*ODD, "register", "groups", "Register", "-a", "a-", "é", "a" * 128, "a" * 129],
            group=[*ODD, "register", "a b", "a\nb", "a" * 129],
            name=[*ODD, "\x1f", "\x7f", "\x9f", "\xa0", "é" * 256, "é" * 257, "𝄞" * 256],
            version=[*ODD, "\n.", "v" * 256, "v" * 257],
            routeIds=[*ODD, ["a", "a"], ["\0"], ["r" * 257]],
            capabilities=[*ODD, {"": 2**64}, ["c" * 257], {"c" * 257: 1}],
            instanceId=ODD,
            unknown=[*ODD, *NUMBERS, {"deep": [2**64]}],
        ),
        *bodies(
            Order,
            type=[*ODD, "replay", "REPLAY", "deep-trace"],
            payload=[*ODD, *({"number": number} for number in NUMBERS)],
        ),
        *bodies(Ack, status=[*ODD, "SUCCESS", "success"], message=ODD, data=[*ODD, *NUMBERS]),
    ],
)
def test_what_is_sent(shape: type[Any], body: Any) -> None:
    """A body is let through by its schema where the server takes it, and only there."""
    found = CONTRACT.faults({"$ref": f"#/components/schemas/{shape.__name__}"}, body)
    found = [fault for fault in found if "Additional properties" not in fault]
    assert takes(shape, body) == (found == [])


class Colour(StrEnum):
    """Of light.

    More of it.
    """

    RED = "red"


@frozen(kw_only=True)
class Lamp:
    """A source of light. It is on the ceiling."""

    main_colour: Colour | None
    """As in ``main_colour``, of :class:`~somewhere.Colour`; ``. _ :`` is none."""
    kind: Literal["bulb"] = "bulb"
    counts: Mapping[Colour, int]
    labels: Mapping[str, str]


def test_what_is_answered() -> None:
    """Is whole: nothing is missing where it has a default, and may be null instead."""
    schemas = Schemas()
    assert {"$ref": "#/components/schemas/Lamp"} == schemas.of(Lamp)
    assert {
        "Lamp": {
            "description": "A source of light.",
            "type": "object",
            "properties": {
                "mainColour": {
                    "description": "As in `mainColour`, of `Colour`; `. _ :` is none.",
                    "anyOf": [{"$ref": "#/components/schemas/Colour"}, {"type": "null"}],
                },
                "kind": {"type": "string", "enum": ["bulb"]},
                "counts": {
                    "type": "object",
                    "properties": {"red": {"type": "integer", "minimum": 0}},
                    "required": ["red"],
                },
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["mainColour", "kind", "counts", "labels"],
        },
        "Colour": {"description": "Of light.", "type": "string", "enum": ["red"]},
    } == schemas.components


def test_a_shape_that_nothing_is_known_of() -> None:
    """Is said to be one, where somebody adds it."""
    with pytest.raises(AssertionError, match="set"):
        Schemas().of(set[str])


def test_a_stream_of_several_kinds_of_events() -> None:
    """Each name stands with its own data."""
    stream = Schemas().of(Events({"type": "string"}, {"on": Lamp, "off": Lamp, "other": Ack}))
    kinds = stream["contentSchema"]["items"]["oneOf"]
    assert [["on", "off"], ["other"]] == [kind["properties"]["event"]["enum"] for kind in kinds]
    assert ["#/components/schemas/Lamp", "#/components/schemas/Result"] == [
        kind["properties"]["data"]["contentSchema"]["$ref"] for kind in kinds
    ]
