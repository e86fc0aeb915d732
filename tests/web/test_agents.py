"""Registering, heartbeats, and what operators read of agents."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from cameleer_registry import NODE, Settings, create_app

from ..support import Served, eventually, running, serving, streaming

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def test_registering_a_new_agent(served: Served) -> None:
    """201 with where to stream from and the numbers to live by."""
    answer = await served.register("order-service-1", "order-service-prod")
    assert 201 == answer.status
    assert {
        "agentId": "order-service-1",
        "status": "LIVE",
        "resumed": False,
        "sseEndpoint": "/api/v1/agents/order-service-1/events",
        "serverPublicKey": None,
        "config": {
            "heartbeatIntervalMs": 30000,
            "staleAfterMs": 90000,
            "deadAfterMs": 300000,
            "keepaliveIntervalMs": 15000,
            "commandTtlMs": 60000,
        },
    } == answer.json()


async def test_registering_again_resumes_the_identity(served: Served) -> None:
    """200; what is declared is replaced whole, and the agent is as old as it was."""
    await served.register("a", "old", name="Old", version="1", routeIds=["r"], instanceId="i1")
    before = (await served.request("GET", "/agents/a")).json()
    again = await served.register("a", "new", capabilities=["trace"])
    after = (await served.request("GET", "/agents/a")).json()
    assert (200, True) == (again.status, again.json()["resumed"])
    assert ("Old", "old", "1", ["r"], {}, "i1") == declared(before)
    assert ("a", "new", None, [], {"trace": True}, None) == declared(after)
    assert before["registeredAt"] == after["registeredAt"]


def declared(agent: dict[str, Any]) -> tuple[Any, ...]:
    names = ("name", "group", "version", "routeIds", "capabilities", "instanceId")
    return tuple(agent[name] for name in names)


async def test_what_is_shown_of_an_agent(served: Served) -> None:
    """Every field of the contract, and no other."""
    await served.register(
        "a", "g", name="Ä 🐫", version="2.4.1", routeIds=["x", "y"], capabilities={"t": {"d": 3}}
    )
    agent = (await served.request("GET", "/agents/a")).json()
    times = {name: agent.pop(name) for name in list(agent) if name.endswith("At")}
    assert {
        "agentId": "a",
        "name": "Ä 🐫",
        "group": "g",
        "version": "2.4.1",
        "routeIds": ["x", "y"],
        "capabilities": {"t": {"d": 3}},
        "instanceId": None,
        "status": "LIVE",
        "connected": False,
    } == agent
    assert {"registeredAt", "lastHeartbeatAt", "statusChangedAt"} == set(times)
    assert all(TIMESTAMP.fullmatch(time) for time in times.values())


async def test_a_heartbeat(served: Served) -> None:
    """204 and nothing else, whatever the body is."""
    await served.register("a")
    for raw in (b"", b"{", b"\xff" * 100):
        answer = await served.request("POST", "/agents/a/heartbeat", raw=raw)
        assert (204, b"") == (answer.status, answer.body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/agents/nobody/heartbeat"),
        ("GET", "/agents/nobody"),
        ("DELETE", "/agents/nobody"),
        ("GET", "/agents/nobody/events"),
        ("GET", "/agents/nobody/commands"),
        ("POST", "/agents/nobody/commands/x/ack"),
        ("GET", "/agents/%2e%2e%2fadmin"),
        ("GET", "/agents/bad%20id"),
        ("GET", "/agents/%ff"),
    ],
)
async def test_an_agent_that_is_not_there(served: Served, method: str, path: str) -> None:
    """404 tells it to register again."""
    answer = await served.request(method, path)
    assert (404, "agent-not-registered") == (answer.status, answer.code)


@pytest.mark.parametrize("agent_id", ["a", "A.b_c:d@e-f", "9", "x" * 128])
async def test_ids_may_be_percent_encoded(served: Served, agent_id: str) -> None:
    """An id is the same however its address is written."""
    await served.register(agent_id)
    encoded = "".join(f"%{ord(char):02X}" for char in agent_id)
    for path in (quote(agent_id, safe="@:"), quote(agent_id, safe=""), encoded):
        assert agent_id == (await served.request("GET", f"/agents/{path}")).json()["agentId"]


@pytest.mark.parametrize("reserved", ["register", "commands", "groups"])
async def test_reserved_words_are_no_agents(served: Served, reserved: str) -> None:
    """They cannot be registered, and their addresses are not those of agents."""
    answer = await served.register(reserved)
    assert (400, "invalid-request") == (answer.status, answer.code)
    assert "$.agentId" == answer.json()["errors"][0]["path"]
    assert 404 == (await served.request("POST", f"/agents/{reserved}/heartbeat")).status
    assert "not-found" == (await served.request("POST", f"/agents/{reserved}/heartbeat")).code


async def test_deleting_an_agent(served: Served) -> None:
    """It is forgotten at once; coming back, it is a new one."""
    await served.register("a")
    answer = await served.request("DELETE", "/agents/a")
    assert (204, b"") == (answer.status, answer.body)
    assert [] == (await served.request("GET", "/agents")).json()
    assert 201 == (await served.register("a")).status


async def test_the_list_is_in_order_of_ids(served: Served) -> None:
    """Whatever the order in which agents came."""
    for agent_id in ("b", "a10", "a", "B", "a9", "_x"):
        await served.register(agent_id)
    ids = [agent["agentId"] for agent in (await served.request("GET", "/agents")).json()]
    assert sorted(["b", "a10", "a", "B", "a9"]) == ids, "and _x does not begin with a letter"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["a", "b", "c"]),
        ("?status=LIVE", ["a", "b", "c"]),
        ("?status=live,Dead", ["a", "b", "c"]),
        ("?status=STALE&status=DEAD", []),
        ("?group=g1", ["a", "c"]),
        ("?group=g1&group=g2", ["a", "b", "c"]),
        ("?group=g1,g2&status=live", ["a", "b", "c"]),
        ("?group=nobody", []),
        ("?after=a", ["b", "c"]),
        ("?after=aa", ["b", "c"]),
        ("?after=zzz", []),
        ("?group=g1&after=a", ["c"]),
    ],
)
async def test_filters(served: Served, query: str, expected: list[str]) -> None:
    """Each narrows the list; several values of one widen it."""
    for agent_id, group in (("a", "g1"), ("b", "g2"), ("c", "g1")):
        await served.register(agent_id, group)
    answer = await served.request("GET", f"/agents{query}")
    assert expected == [agent["agentId"] for agent in answer.json()]


@pytest.mark.parametrize(
    "query",
    ["?status=ALIVE", "?status=", "?status=LIVE,", "?limit=0", "?limit=-1", "?limit=x", "?limit="],
)
async def test_a_filter_that_makes_no_sense(served: Served, query: str) -> None:
    """400 with the parameter named."""
    answer = await served.request("GET", f"/agents{query}")
    assert (400, "invalid-request") == (answer.status, answer.code)
    assert query.split("=")[0] == answer.json()["errors"][0]["path"]


async def test_pages(served: Served) -> None:
    """Following the links shows every agent once, with the filters kept."""
    for number in range(7):
        await served.register(f"a{number}", "odd" if number % 2 else "even")
    path, seen = "/agents?limit=2&group=even&status=live", []
    for _ in range(5):
        answer = await served.request("GET", path)
        seen += [agent["agentId"] for agent in answer.json()]
        link = re.fullmatch(r'<(/api/v1)(/.*)>; rel="next"', answer.headers.get("link", ""))
        if link is None:
            break
        path = link[2]
    assert ["a0", "a2", "a4", "a6"] == seen
    assert "link" not in answer.headers, "the last page has none, also where it is full"


async def test_a_long_list_is_whole(served: Served) -> None:
    """It is written in slices, which no reader can tell."""
    for number in range(1234):
        await served.register(f"a{number:04}")
    everything = await served.request("GET", "/agents")
    assert [f"a{number:04}" for number in range(1234)] == [
        agent["agentId"] for agent in everything.json()
    ]
    head = await served.request("HEAD", "/agents")
    assert (200, b"") == (head.status, head.body)
    exactly = await served.request("GET", "/agents?after=a0233")
    assert 1000 == len(exactly.json())
    assert 1000 == len((await served.request("GET", "/agents?limit=1000")).json())


async def test_groups(served: Served) -> None:
    """Counted by status and connection, in order of their names, without the empty ones."""
    for agent_id, group in (("a", "z"), ("b", "g"), ("c", "z"), ("d", "gone")):
        await served.register(agent_id, group)
    await served.request("DELETE", "/agents/d")
    async with streaming(served, "a"):
        groups = (await served.request("GET", "/agents/groups")).json()
    assert [
        {"group": "g", "LIVE": 1, "STALE": 0, "DEAD": 0, "connected": 0},
        {"group": "z", "LIVE": 2, "STALE": 0, "DEAD": 0, "connected": 1},
    ] == groups
    await eventually(lambda: not served.node.agent("a").connected)


async def test_a_full_registry_refuses_the_new_and_serves_the_known() -> None:
    """503 with a Retry-After that is drawn; a place that is free is given away again."""
    async with serving(Settings(max_agents=2)) as served:
        await served.register("a")
        await served.register("b")
        refusals = [await served.register("c") for _ in range(20)]
        assert {(503, "at-capacity")} == {(r.status, r.code) for r in refusals}
        waits = {int(refusal.headers["retry-after"]) for refusal in refusals}
        assert len(waits) > 3
        assert waits <= set(range(5, 31))
        assert 200 == (await served.register("a")).status
        assert 204 == (await served.request("POST", "/agents/b/heartbeat")).status
        await served.request("DELETE", "/agents/b")
        assert 201 == (await served.register("c")).status


async def test_a_public_address_makes_links_absolute() -> None:
    """Agents and browsers outside get addresses that work for them."""
    async with serving(Settings(public_url="https://registry.example/x/")) as served:
        answer = await served.register("a")
        expected = "https://registry.example/x/api/v1/agents/a/events"
        assert expected == answer.json()["sseEndpoint"]
        await served.register("b")
        link = (await served.request("GET", "/agents?limit=1")).headers["link"]
        assert '<https://registry.example/x/api/v1/agents?limit=1&after=a>; rel="next"' == link


async def test_the_settings_of_the_server_are_told_in_milliseconds() -> None:
    """To the nearest, and never as nothing."""
    settings = Settings(heartbeat_interval=1.5, stale_after=2, command_ttl=0.0014)
    async with running(create_app(settings)) as (host, port):
        served = Served(create_app()[NODE], host, port)
        config = (await served.register("a")).json()["config"]
    assert (1500, 2000, 1) == tuple(
        config[name] for name in ("heartbeatIntervalMs", "staleAfterMs", "commandTtlMs")
    )
