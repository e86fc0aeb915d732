"""What many agents declare alike is the same object, and nothing is mistaken for something else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cameleer_registry import interning as sharing
from cameleer_registry import wire
from cameleer_registry.core.model import Registration

SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, -0.0, 1.0, "", "1"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=2), inner)
)


def declared(agent_id: str, **more: Any) -> Registration:
    """Return what an agent has sent."""
    return wire.decode(
        json.dumps({"agentId": agent_id, "group": "g", **more}).encode(), Registration
    )


def test_what_is_declared_alike_is_kept_once() -> None:
    """Routes and capabilities, in either form."""
    of_a_service = {"routeIds": ["in", "out"], "capabilities": {"replay": {"depth": 3}}}
    one, other = declared("a", **of_a_service), declared("b", **of_a_service)
    assert one.route_ids is other.route_ids
    assert one.capabilities is other.capabilities
    one, other = (declared(agent_id, capabilities=["trace", "replay"]) for agent_id in "ab")
    assert one.capabilities is other.capabilities


@given(st.lists(st.dictionaries(st.text(max_size=2), VALUES), max_size=5))
def test_an_object_stays_what_it_was(values: list[dict[str, Any]]) -> None:
    """Not only equal, as 1 and true are in Python: written out it is the same."""
    for value in values:
        capabilities = declared("a", capabilities=value).capabilities
        assert repr(json.loads(json.dumps(value))) == repr(capabilities)
        assert value == capabilities


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=5))
def test_a_list_stays_what_it_was(lists: list[list[str]]) -> None:
    """In its order, with what stands in it twice."""
    for route_ids in lists:
        assert tuple(route_ids) == declared("a", routeIds=route_ids).route_ids


def test_so_many_are_remembered() -> None:
    """The oldest are forgotten first."""
    first = declared("a", routeIds=["first"], capabilities={"first": True})
    for number in range(sharing.REMEMBERED):
        assert declared("a", routeIds=["first"]).route_ids is first.route_ids
        declared("a", routeIds=[f"r{number}"], capabilities={f"c{number}": True})
    again = declared("a", routeIds=["first"], capabilities={"first": True})
    assert again.route_ids is first.route_ids, "it was used meanwhile"
    assert again.capabilities is not first.capabilities
    assert again == first


def test_what_is_large_is_not_remembered() -> None:
    """Megabytes that are different each time leave nothing behind."""
    caches = sharing._list_of, sharing._object_of
    before = [cache.cache_info().misses for cache in caches]
    labels = [f"r{number}" for number in range(sharing.MOST_LABELS + 1)]
    text = "x" * sharing.MOST_BYTES
    assert {"text": text} == declared("a", capabilities={"text": text}).capabilities
    assert tuple(labels) == declared("a", routeIds=labels).route_ids
    assert before == [cache.cache_info().misses for cache in caches]
