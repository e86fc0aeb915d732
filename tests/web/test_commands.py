"""Issuing commands, acknowledging them, and reading what became of them."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from cameleer_registry import Settings
from cameleer_registry.web import commands

from ..support import Served, connected, eventually, serving, streaming


async def test_a_command_to_one_agent(served: Served) -> None:
    """202 with everything the contract names, and no more."""
    await served.register("a")
    answer = await served.issue("/agents/a", "replay", {"exchange": "e-1"})
    command = answer.json()
    assert 202 == answer.status
    assert 7 == uuid.UUID(command.pop("commandId")).version
    created, expires = command.pop("createdAt"), command.pop("expiresAt")
    assert created < expires
    assert {
        "type": "replay",
        "payload": {"exchange": "e-1"},
        "target": {"level": "agent", "agentId": "a"},
        "status": "PENDING",
        "targetCount": 1,
        "connectedCount": 0,
        "skipped": [],
        "counts": {"PENDING": 1, "ACKNOWLEDGED": 0, "EXPIRED": 0},
        "outcomes": {"SUCCESS": 0, "FAILURE": 0},
        "issuedBy": None,
    } == command


async def test_a_command_to_a_group_and_to_all(served: Served) -> None:
    """Each reaches the agents meant, and tells whom it meant."""
    for agent_id, group in (("a", "g1"), ("b", "g2"), ("c", "g1")):
        await served.register(agent_id, group)
    async with streaming(served, "a") as a, streaming(served, "b") as b:
        group = (await served.issue("/agents/groups/g1")).json()
        everyone = (await served.issue("/agents")).json()
        assert [group["commandId"], everyone["commandId"]] == [
            (await a.event())["id"] for _ in range(2)
        ]
        assert everyone["commandId"] == (await b.event())["id"]
    assert {"level": "group", "group": "g1"} == group["target"]
    assert {"level": "all"} == everyone["target"]
    assert [(2, 1), (3, 2)] == [(c["targetCount"], c["connectedCount"]) for c in (group, everyone)]


async def test_nobody_to_target(served: Served) -> None:
    """202 UNDELIVERABLE for all of nobody and for an emptied group; 404 for one never declared."""
    everyone = await served.issue("/agents")
    assert (202, "UNDELIVERABLE", 0) == (
        everyone.status,
        everyone.json()["status"],
        everyone.json()["targetCount"],
    )
    await served.register("a", "emptied")
    await served.request("DELETE", "/agents/a")
    assert "UNDELIVERABLE" == (await served.issue("/agents/groups/emptied")).json()["status"]
    never = await served.issue("/agents/groups/never")
    assert (404, "group-not-found") == (never.status, never.code)


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["$.type"]),
        ({"type": "restart"}, ["$.type"]),
        ({"type": None, "payload": []}, ["$.type", "$.payload"]),
        ({"type": "replay", "payload": None}, ["$.payload"]),
        ([], ["$"]),
    ],
)
async def test_an_order_that_makes_no_sense(served: Served, body: Any, paths: list[str]) -> None:
    """400 with every fault named, and nothing is issued."""
    await served.register("a")
    answer = await served.request("POST", "/agents/a/commands", body)
    assert (400, "invalid-request") == (answer.status, answer.code)
    assert paths == [fault["path"] for fault in answer.json()["errors"]]
    assert [] == (await served.request("GET", "/agents/a/commands")).json()


async def test_what_is_not_there_comes_before_what_is_wrong(served: Served) -> None:
    """404 for a target or a command that is none, whatever the body."""
    await served.register("a")
    for path, code in (
        ("/agents/nobody/commands", "agent-not-registered"),
        ("/agents/groups/never/commands", "group-not-found"),
        ("/agents/a/commands/nix/ack", "command-not-found"),
        ("/agents/nobody/commands/nix/ack", "agent-not-registered"),
        ("/agents/a/commands/%7Bnix%7D/ack", "command-not-found"),
    ):
        answer = await served.request("POST", path, raw=b"{")
        assert (404, code) == (answer.status, answer.code)


async def test_an_acknowledgement(served: Served) -> None:
    """200 with the delivery; the command counts it; again it changes nothing."""
    await served.register("a")
    command_id = (await served.issue("/agents/a")).json()["commandId"]
    body: Any = {"status": "FAILURE", "message": "no such route", "data": {"tried": [1, 2]}}
    first = await served.ack("a", command_id, body)
    assert (200, "ACKNOWLEDGED", body) == (
        first.status,
        first.json()["status"],
        first.json()["result"],
    )
    assert {
        "agentId",
        "status",
        "deliveredAt",
        "acknowledgedAt",
        "lateAckAt",
        "result",
    } == set(first.json())
    again = await served.ack("a", command_id, {"status": "SUCCESS"})
    assert (200, first.json()) == (again.status, again.json())
    command = (await served.request("GET", f"/commands/{command_id}")).json()
    assert ("ACKNOWLEDGED", 1) == (command["status"], command["counts"]["ACKNOWLEDGED"])


async def test_an_empty_acknowledgement_is_a_success(served: Served) -> None:
    """So is an empty object."""
    await served.register("a")
    bodies: tuple[Any, ...] = (None, {})
    for body in bodies:
        command_id = (await served.issue("/agents/a")).json()["commandId"]
        result = (await served.ack("a", command_id, body)).json()["result"]
        assert {"status": "SUCCESS", "message": None, "data": None} == result


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b"{", "malformed-json"), (b" ", "malformed-json"), (b"[]", "invalid-request")],
)
async def test_an_acknowledgement_that_cannot_be_read(
    served: Served, raw: bytes, code: str
) -> None:
    """It is refused and can be sent again, right."""
    await served.register("a")
    command_id = (await served.issue("/agents/a")).json()["commandId"]
    answer = await served.request("POST", f"/agents/a/commands/{command_id}/ack", raw=raw)
    assert (400, code) == (answer.status, answer.code)
    assert 200 == (await served.ack("a", command_id)).status


async def test_an_acknowledgement_by_others(served: Served) -> None:
    """404 by an agent that was no target, for a command that is none, and by no agent at all."""
    await served.register("a")
    await served.register("b")
    command_id = (await served.issue("/agents/a")).json()["commandId"]
    assert "command-not-found" == (await served.ack("b", command_id)).code
    assert "command-not-found" == (await served.ack("a", "nix")).code
    assert "agent-not-registered" == (await served.ack("nobody", command_id)).code


async def test_a_late_acknowledgement() -> None:
    """410, with the moment kept as evidence and no result."""
    async with serving(Settings(command_ttl=0.05)) as served:
        await served.register("a")
        command_id = (await served.issue("/agents/a")).json()["commandId"]
        waited = (await served.request("GET", f"/commands/{command_id}?wait=20")).json()
        assert ("EXPIRED", 1) == (waited["status"], waited["counts"]["EXPIRED"])
        late = await served.ack("a", command_id)
        assert (410, "command-expired") == (late.status, late.code)
        [delivery] = (await served.request("GET", f"/commands/{command_id}/deliveries")).json()
        assert ("EXPIRED", None, None) == (
            delivery["status"],
            delivery["acknowledgedAt"],
            delivery["result"],
        )
        assert delivery["lateAckAt"] > waited["expiresAt"]


async def test_deliveries(served: Served) -> None:
    """One for each target, in order of the ids, filtered by status in any case."""
    for agent_id in ("b", "a", "c"):
        await served.register(agent_id)
    async with streaming(served, "a"):
        command_id = (await served.issue("/agents")).json()["commandId"]
    await served.ack("b", command_id)
    path = f"/commands/{command_id}/deliveries"
    everything = (await served.request("GET", path)).json()
    assert ["a", "b", "c"] == [delivery["agentId"] for delivery in everything]
    assert [True, False, False] == [bool(delivery["deliveredAt"]) for delivery in everything]
    for query, expected in (
        ("?status=pending", ["a", "c"]),
        ("?status=ACKNOWLEDGED", ["b"]),
        ("?status=acknowledged,Pending", ["a", "b", "c"]),
        ("?status=EXPIRED", []),
    ):
        found = (await served.request("GET", path + query)).json()
        assert expected == [delivery["agentId"] for delivery in found]
    assert 400 == (await served.request("GET", path + "?status=LIVE")).status
    assert "command-not-found" == (await served.request("GET", "/commands/x/deliveries")).code


async def test_what_an_agent_missed(served: Served) -> None:
    """It finds its deliveries, newest first, with all that the events would have said."""
    await served.register("a")
    issued = [(await served.issue("/agents/a", payload={"n": n})).json() for n in range(3)]
    await served.ack("a", issued[1]["commandId"])
    found = (await served.request("GET", "/agents/a/commands?status=PENDING")).json()
    assert [issued[2]["commandId"], issued[0]["commandId"]] == [d["commandId"] for d in found]
    names = ("commandId", "type", "payload", "createdAt", "expiresAt")
    assert [issued[2][name] for name in names] == [found[0][name] for name in names]
    assert 3 == len((await served.request("GET", "/agents/a/commands")).json())


async def test_waiting_for_a_command(served: Served) -> None:
    """The answer comes with the last acknowledgement, to all who wait."""
    await served.register("a")
    await served.register("b")
    command_id = (await served.issue("/agents")).json()["commandId"]
    path = f"/commands/{command_id}"
    asked = [asyncio.create_task(served.request("GET", path + "?wait=60")) for _ in range(3)]
    await eventually(lambda: 3 == len(served.node._waiters))
    await served.ack("a", command_id)
    assert not any(task.done() for task in asked)
    await served.ack("b", command_id)
    for task in asked:
        assert "ACKNOWLEDGED" == (await task).json()["status"]
    assert not served.node._waiters
    at_once = await served.request("GET", path + "?wait=60")
    assert "ACKNOWLEDGED" == at_once.json()["status"]


async def test_waiting_in_vain(served: Served) -> None:
    """The answer comes when the time is over, and leaves nothing behind."""
    await served.register("a")
    command_id = (await served.issue("/agents/a")).json()["commandId"]
    for seconds in ("0", "0.01", "0.05"):
        answer = await served.request("GET", f"/commands/{command_id}?wait={seconds}")
        assert (200, "PENDING") == (answer.status, answer.json()["status"])
    assert not served.node._waiters


async def test_who_waits_and_goes_away_is_not_waited_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of them long before their time is over."""
    monkeypatch.setattr(commands, "LOOK_AFTER_CLIENT", 0.05)
    await served.register("a")
    command_id = (await served.issue("/agents/a")).json()["commandId"]
    tasks = len(asyncio.all_tasks())
    for _ in range(20):
        async with connected(served) as connection:
            connection.writer.write(
                f"GET /api/v1/commands/{command_id}?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
            await eventually(lambda: served.node._waiters)
    await eventually(lambda: not served.node._waiters)
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks)


@pytest.mark.parametrize("wait", ["x", "-1", "61", "1e2", "e", "nan", "inf", "", "1.2.3", "60.001"])
async def test_a_wait_that_makes_no_sense(served: Served, wait: str) -> None:
    """400; nobody waits longer than a minute."""
    await served.register("a")
    command_id = (await served.issue("/agents/a")).json()["commandId"]
    answer = await served.request("GET", f"/commands/{command_id}?wait={wait}")
    assert (400, "invalid-request") == (answer.status, answer.code)


@pytest.mark.parametrize("wait", ["0", "1e-05", "5E-3", "0.", ".001", "0.0010000000000000000208"])
async def test_a_wait_as_programs_write_it(served: Served, wait: str) -> None:
    """As JSON has numbers, and a little beyond."""
    await served.register("a")
    command_id = (await served.issue("/agents/a")).json()["commandId"]
    answer = await served.request("GET", f"/commands/{command_id}?wait={wait}")
    assert (200, "PENDING") == (answer.status, answer.json()["status"])


async def test_a_command_that_is_not_there(served: Served) -> None:
    """404, also for those who would wait for it."""
    for query in ("", "?wait=1"):
        answer = await served.request("GET", f"/commands/nix{query}")
        assert (404, "command-not-found") == (answer.status, answer.code)


async def test_too_many_pending() -> None:
    """429 for the agent itself, and it is skipped where it is one of many, until it answers."""
    async with serving(Settings(max_pending_per_agent=2)) as served:
        await served.register("a")
        await served.register("b")
        ids = [(await served.issue("/agents/a")).json()["commandId"] for _ in range(2)]
        refused = await served.issue("/agents/a")
        assert (429, "too-many-pending") == (refused.status, refused.code)
        many = (await served.issue("/agents")).json()
        assert (1, ["a"]) == (many["targetCount"], many["skipped"])
        await served.ack("a", ids[0])
        assert 202 == (await served.issue("/agents/a")).status


async def test_history_is_bounded() -> None:
    """The oldest finished commands are forgotten, those without targets too; pending ones never."""
    async with serving(Settings(command_history=3)) as served:
        await served.register("a")
        pending = (await served.issue("/agents/a")).json()["commandId"]
        finished = []
        for _ in range(5):
            finished.append((await served.issue("/agents/a")).json()["commandId"])
            await served.ack("a", finished[-1])
        await served.request("DELETE", "/agents/a")
        empty = (await served.issue("/agents/groups/g")).json()["commandId"]
        statuses = [
            (await served.request("GET", f"/commands/{command_id}")).status
            for command_id in [*finished, pending, empty]
        ]
        assert [404, 404, 404, 404, 200, 200, 200] == statuses


async def test_a_thousand_commands_arrive_in_order(served: Served) -> None:
    """One after the other, each once, with nothing in between."""
    await served.register("a")
    settings = served.node.settings
    assert 100 == settings.max_pending_per_agent
    async with streaming(served, "a") as stream:
        for _ in range(1000):
            command_id = (await served.issue("/agents/a")).json()["commandId"]
            assert command_id == (await stream.event())["data"]["commandId"]
            await served.ack("a", command_id)


async def test_history_is_bounded_in_bytes() -> None:
    """Large payloads and results are forgotten sooner than small ones."""
    async with serving(Settings(command_history_bytes=12_000)) as served:
        await served.register("a")

        async def finished(payload: str, data: str) -> str:
            command_id = (await served.issue("/agents/a", payload={"x": payload})).json()[
                "commandId"
            ]
            await served.ack("a", command_id, {"data": data})
            return str(command_id)

        async def statuses(*command_ids: str) -> list[int]:
            path = "/commands/"
            return [(await served.request("GET", path + c)).status for c in command_ids]

        small = await finished("", "")
        large_result = await finished("", "y" * 4_000)
        large_payload = await finished("x" * 4_000, "")
        assert [200, 200, 200] == await statuses(small, large_result, large_payload)
        newest = await finished("x" * 2_000, "y" * 2_000)
        assert [404, 404, 200, 200] == await statuses(small, large_result, large_payload, newest)
        too_large = await finished("", "y" * 12_000)
        assert [404, 404] == await statuses(newest, too_large)
        assert 0 == served.node.registry._ledger.finished_size
