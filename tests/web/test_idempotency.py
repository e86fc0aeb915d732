"""Commands that are asked for again, by a client that got no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from cameleer_registry import CommandType, Settings
from cameleer_registry.node.streams.frames import Frame
from cameleer_registry.node.streams.outgoing import BATCH

from ..support import Answer, Served, connected, eventually, serving, streaming

ORDER = {"type": "replay", "payload": {"exchange": "e-1", "depth": 3}}


async def issue(
    served: Served, key: str, path: str = "/agents/a", body: Any = None, **more: Any
) -> Answer:
    headers = {"Idempotency-Key": key}
    return await served.request("POST", f"{path}/commands", body or ORDER, headers=headers, **more)


async def test_a_repeated_request_is_answered_with_the_same_command(served: Served) -> None:
    """202 as before, as it is by then; the agent is sent it once."""
    await served.register("a")
    async with streaming(served, "a") as stream:
        first = await issue(served, "k-1")
        command_id = first.json()["commandId"]
        again = await issue(served, "k-1")
        assert (202, 202, first.json()) == (first.status, again.status, again.json())
        await served.ack("a", command_id)
        acknowledged = (await issue(served, "k-1")).json()
        assert (command_id, "ACKNOWLEDGED") == (acknowledged["commandId"], acknowledged["status"])
        other = await issue(served, "k-2")
        assert [command_id, other.json()["commandId"]] == [
            (await stream.event())["id"] for _ in range(2)
        ]
    assert 2 == len(served.node.agent_deliveries("a"))
    meters = served.node.meters
    assert (2, 2) == (
        meters.commands_issued[CommandType.REPLAY],
        meters.commands_repeated[CommandType.REPLAY],
    )


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"replay","payload":{"exchange":"e-1","depth":3}}',
        b' { "payload" : {"depth":3, "exchange":"e-\\u0031"}, "type":"replay" } \n',
        b'{"type":"replay","payload":{"exchange":"e-1","depth":3},"note":"ignored"}',
    ],
)
async def test_the_same_is_what_means_the_same(served: Served, raw: bytes) -> None:
    """However it is written."""
    await served.register("a")
    first = await issue(served, "k")
    again = await issue(served, "k", raw=raw)
    assert (202, first.json()) == (again.status, again.json())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/agents/a", {"type": "replay"}),
        ("/agents/a", {"type": "deep-trace", "payload": ORDER["payload"]}),
        ("/agents/a", {"type": "replay", "payload": {"exchange": "e-1", "depth": 3.5}}),
        ("/agents/b", ORDER),
        ("/agents/groups/g", ORDER),
        ("/agents", ORDER),
        ("/agents/nobody", ORDER),
    ],
)
async def test_another_request_under_the_same_key(served: Served, path: str, body: Any) -> None:
    """422, and it is not carried out: one key is for one command, at all three addresses."""
    for agent_id in "ab":
        await served.register(agent_id)
    await issue(served, "k")
    refused = await issue(served, "k", path, body)
    assert (422, "idempotency-key-reused") == (refused.status, refused.code)
    assert [1, 0] == [len(served.node.agent_deliveries(agent_id)) for agent_id in "ab"]


async def test_a_key_may_be_in_quotes(served: Served) -> None:
    """As the draft of the header has it; it is the same key without them."""
    await served.register("a")
    for one, same in (
        ("8e03978e-40d5", '"8e03978e-40d5"'),
        ("a/b+c=", '"a/b+c="'),
        ('"a,b; \\"c\\" \\\\"', '"a,b; \\"c\\" \\\\"'),
        ("x" * 255, f'"{"x" * 255}"'),
    ):
        first, again = await issue(served, one), await issue(served, same)
        assert (202, first.json()) == (again.status, again.json())
    assert 4 == len(served.node.agent_deliveries("a"))


@pytest.mark.parametrize(
    "key",
    [
        "",
        '""',
        "x" * 256,
        "a, b",
        "a,b",
        "a b",
        'a"b',
        '"a',
        'a"',
        '"a"b"',
        '"a\\b"',
        '"a\\',
        '"a";version=1',
        "a;b",
        "clé",
        '"a\tb"',
        "one\r\nIdempotency-Key: two",
        "one\r\nIdempotency-Key: one",
    ],
)
async def test_a_key_that_is_none(served: Served, key: str) -> None:
    """400 that says so, and nothing is issued; two are none, however they are sent."""
    await served.register("a")
    answer = await issue(served, key)
    assert (400, "invalid-request") == (answer.status, answer.code)
    assert ["Idempotency-Key"] == [fault["path"] for fault in answer.json()["errors"]]
    assert [] == served.node.agent_deliveries("a")


async def test_what_was_refused_may_be_sent_again(served: Served) -> None:
    """Under the same key, mended or not."""
    assert 404 == (await issue(served, "k")).status
    await served.register("a")
    assert 400 == (await issue(served, "k", raw=b"{")).status
    assert 400 == (await issue(served, "k", body={"type": "reboot"})).status
    assert 202 == (await issue(served, "k")).status


async def test_the_target_may_be_gone_by_then(served: Served) -> None:
    """It is still the same command, which tells so."""
    await served.register("a")
    first = await issue(served, "k")
    await served.request("DELETE", "/agents/a")
    again = await issue(served, "k")
    assert (202, "EXPIRED") == (again.status, again.json()["status"])
    assert first.json()["commandId"] == again.json()["commandId"]
    assert 404 == (await issue(served, "k-2")).status


async def test_the_command_may_be_forgotten_by_then() -> None:
    """It can be asked about no more, but is not issued again either."""
    async with serving(Settings(command_history=0)) as served:
        await served.register("a")
        command_id = (await issue(served, "k")).json()["commandId"]
        await served.ack("a", command_id)
        again = await issue(served, "k")
        assert (202, command_id) == (again.status, again.json()["commandId"])
        assert ("ACKNOWLEDGED", ORDER["payload"]) == (
            again.json()["status"],
            again.json()["payload"],
        )
        assert 404 == (await served.request("GET", f"/commands/{command_id}")).status


async def test_it_is_asked_for_again_while_it_is_on_its_way(served: Served) -> None:
    """Both are answered when it is written to all, with one command."""
    for number in range(3 * BATCH):
        await served.register(f"a{number:03}")
    node = served.node
    key, seen = "k", []
    push = node.streams.push

    def watched(frame: Frame, *whom: Any) -> Sequence[str]:
        seen.append(len(served.node.registry._ledger.keys._commands))
        return push(frame, *whom)

    node.streams.push = watched  # type: ignore[assignment, method-assign]
    first, again = await asyncio.gather(*(issue(served, key, "/agents", ORDER) for _ in range(2)))
    assert first.json()["commandId"] == again.json()["commandId"]
    assert [1, 1, 1] == seen


async def test_who_gave_up_before_the_answer_can_ask_again(served: Served) -> None:
    """What that was for."""
    await served.register("a")
    raw = b'{"type":"replay","payload":{"exchange":"e-1","depth":3}}'
    async with connected(served) as connection:
        head = "POST /api/v1/agents/a/commands HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\n"
        connection.writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(raw) + raw)
        await eventually(lambda: served.node.agent_deliveries("a"))
        connection.reset()
    [delivery] = served.node.agent_deliveries("a")
    again = await issue(served, "k")
    assert (202, delivery.command_id) == (again.status, again.json()["commandId"])
