"""What simulated agents say of themselves."""

from __future__ import annotations

from collections import Counter

from cameleer_registry.client.declarations import VERSIONS, declaration


def test_simulated_agents_differ_as_those_of_a_fleet_do() -> None:
    """Releases, routes and capabilities vary; and an agent always says the same."""
    fleet = [declaration(number, 1 + number % 5) for number in range(500)]
    assert fleet == [declaration(number, 1 + number % 5) for number in range(500)]
    releases = Counter(each.version for each in fleet)
    assert set(VERSIONS) == set(releases)
    assert 0.4 < releases["4.9.0"] / len(fleet) < 0.8
    assert 5 <= len({each.route_ids for each in fleet}) <= 10
    of_one_group = {each.route_ids[:3] for each in fleet[::5]}
    assert 1 == len(of_one_group)
    traces = {each.version for each in fleet if "deep-trace" in each.capabilities}
    replays = {each.version for each in fleet if "replay" in each.capabilities}
    assert set(VERSIONS) - {"4.8.0"} == traces
    assert traces - {"4.8.1"} == replays
    assert all(each.capabilities["config-update"] is True for each in fleet)
