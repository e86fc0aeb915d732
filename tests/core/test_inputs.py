"""Inputs as values: what is put into a log comes out of it as it was, or is refused."""

from __future__ import annotations

import random
from itertools import islice

import orjson
import pytest

from cameleer_registry.core import inputs
from cameleer_registry.core.inputs import Entry, Input, UnknownInput, bits_of, of_bits
from cameleer_registry.core.targets import Targets

from .entries import drawn

OF_NODES = [
    inputs.Join(name="a", version="1.2", address="http://a:8081"),
    inputs.Join(name="b", version="1.2", registry="r", root="t", holds=("k", "l")),
    inputs.Hold(holds=("k",)),
    inputs.Leave(),
    inputs.Tick(position=7, checksum=9, streams=3),
    inputs.Barrier(),
    inputs.Mark(),
]


def kinds(base: type[Input] = Input) -> set[type[Input]]:
    """Return all kinds of inputs that the core knows."""
    return {kind for kind in base.__subclasses__() if kind.__module__ == inputs.__name__}


def test_every_kind_comes_out_as_it_went_in() -> None:
    """Also when it has been JSON in between."""
    given = [each for _, _, some in islice(drawn(random.Random(1)), 300) for each in some]
    given += OF_NODES
    assert kinds() == set(map(type, given))
    for each in given:
        assert each == inputs.decode(orjson.loads(orjson.dumps(inputs.encode(each))))


def test_an_entry_comes_out_as_it_went_in() -> None:
    """With its boot and number, by which it is recognized."""
    entry = Entry(boot="b", no=7, inputs=OF_NODES)
    value = orjson.loads(orjson.dumps(inputs.entry(entry)))
    assert entry == inputs.to_entry(value)
    assert "b.7" == entry.id


@pytest.mark.parametrize(
    "value",
    [
        [],
        None,
        7,
        ["dance"],
        ["register"],
        ["register", ["a"], None],
        ["issue", "c", ["no-such-type", {}], ["all"], 0, 0, None, None],
        ["issue", "c", ["replay", {}], ["planet"], 0, 0, None, None],
        ["close-stream", "a", 1, "boredom"],
        ["note-pushed", "c", "xyz"],
        ["hear", None],
    ],
)
def test_what_is_not_known_is_refused(value: object) -> None:
    """It is never left out: the others may know it."""
    with pytest.raises(UnknownInput):
        inputs.decode(value)  # type: ignore[arg-type]
    with pytest.raises(UnknownInput):
        inputs.to_entry([inputs.FORMAT, "b", 1, [value]])


@pytest.mark.parametrize("value", [[2, "b", 1, []], [1, "b"], [], None, "entry"])
def test_an_entry_of_another_format_is_refused(value: object) -> None:
    """The number of the format comes first for that."""
    with pytest.raises(UnknownInput):
        inputs.to_entry(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 1000])
def test_bits_name_some_of_the_targets(count: int) -> None:
    """In the order of the targets, whatever order they were named in."""
    targets = Targets(f"agent-{number:04}" for number in range(count))
    draw = random.Random(count)
    for size in (0, 1, count // 2, count):
        some = draw.sample(targets, size)
        assert tuple(sorted(some)) == of_bits(bits_of(some, targets), targets)
    assert targets is of_bits(bits_of(targets, targets), targets)
    assert bits_of(targets[:1], targets) == bits_of(["nobody", *targets[:1]], targets)
