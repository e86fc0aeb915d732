"""What a node does that is cut off from the others: waits, refuses, and ends its streams."""

from __future__ import annotations

import asyncio

import pytest

from cameleer_registry.node.log.local import LocalEngine
from cameleer_registry.node.sharing import appender
from cameleer_registry.node.sharing.contact import ENDING, REFUSING, WAITING

from ...support import eventually, streaming, within
from .world import Member, World, world


def silent(member: Member, seconds: float) -> None:
    """Have a node believe that it has been cut off for so long."""
    loop = asyncio.get_running_loop()
    member.shared.part.contact.clock = lambda: loop.time() + seconds
    member.log.cut = True


async def test_after_three_seconds_it_says_as_of_when_it_answers() -> None:
    """Reads go on."""
    async with world("a") as of:
        [a] = of.members
        await a.enter("x")
        assert "x-cameleer-as-of" not in (await a.request("GET", "/agents")).headers
        silent(a, WAITING + 1)
        answer = await a.request("GET", "/agents")
        assert 200 == answer.status
        assert answer.headers["x-cameleer-as-of"].endswith("Z")
        assert 204 == (await a.request("POST", "/agents/x/heartbeat")).status
        assert 200 == (await a.request("GET", "//readyz")).status


ELECTION = 9.0
"""Seconds that servers of NATS take to elect a leader, at most."""


async def test_an_election_leaves_all_nodes_ready() -> None:
    """Or a load balancer would have none, since nobody hears of the log in that time."""
    async with world("a", "b") as of:
        await of.members[0].enter("x")
        await of.level()
        for member in of.members:
            silent(member, ELECTION + 1)
        for member in of.members:
            assert 200 == (await member.request("GET", "//readyz")).status
            assert 204 == (await member.request("POST", "/agents/x/heartbeat")).status


async def test_after_fifteen_seconds_it_changes_nothing_any_more() -> None:
    """Refused before anything is sent, heartbeats too; and it says that it takes no work."""
    async with world("a") as of:
        [a] = of.members
        await a.enter("x")
        silent(a, REFUSING + 1)
        for method, path in (
            ("POST", "/agents/x/heartbeat"),
            ("DELETE", "/agents?status=DEAD"),
            ("POST", "/agents/x/commands"),
            ("POST", "/agents/commands"),
            ("DELETE", "/agents/x"),
            ("POST", "/agents/nobody/heartbeat"),
        ):
            body = {"type": "replay"} if path.endswith("commands") else None
            answer = await a.request(method, path, body)
            assert (503, "not-in-contact") == (answer.status, answer.code), path
            assert int(answer.headers["retry-after"]) > 0
        assert 503 == (await a.request("GET", "//readyz")).status
        assert 200 == (await a.request("GET", "//healthz")).status
        assert 200 == (await a.request("GET", "/agents/x")).status
        last = of.engine.last
        a.shared.part.contact.clock = asyncio.get_running_loop().time
        a.log.heal()
        await eventually(lambda: of.engine.last > last)
        assert 202 == (await a.request("POST", "/agents/x/commands", {"type": "replay"})).status


async def test_after_thirty_seconds_its_streams_end_and_none_are_opened() -> None:
    """So that their agents go elsewhere."""
    async with world("a") as of:
        [a] = of.members
        await a.enter("x")
        async with streaming(a, "x") as stream:
            silent(a, ENDING + 1)
            await stream.closed()
        answer = await a.request("GET", "/agents/x/events")
        assert (503, "not-in-contact") == (answer.status, answer.code)


async def test_an_outcome_is_unknown_when_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's id is told, and the same key gives that command when the log is back."""
    monkeypatch.setattr(appender, "PATIENCE", 0.3)
    async with world("a") as of:
        [a] = of.members
        await a.enter("x")
        await eventually(lambda: a.shared.part.appender is not None and a.shared.part.appender.idle)
        a.log.cut = True
        key = {"Idempotency-Key": '"k"'}
        order = {"type": "replay"}
        answer = await a.request("POST", "/agents/x/commands", order, headers=key)
        assert 503 == answer.status
        assert answer.code in ("outcome-unknown", "not-in-contact")
        a.log.heal()
        monkeypatch.setattr(appender, "PATIENCE", 10)
        again = await a.request("POST", "/agents/x/commands", order, headers=key)
        assert 202 == again.status
        if answer.code == "outcome-unknown":
            assert again.json()["commandId"] == answer.json()["commandId"]
        listed = (await a.request("GET", "/commands")).json()
        assert [again.json()["commandId"]] == [each["commandId"] for each in listed]


async def test_what_times_out_may_be_stored_later_and_is_done_once() -> None:
    """A log that stalls, and a client that asks again under its key."""
    of = World(LocalEngine())
    a = await of.join("a")
    b = await of.join("b")
    try:
        await a.enter("x")
        of.engine.stalled = True
        order, key = {"type": "replay"}, {"Idempotency-Key": '"k"'}
        asking = [
            asyncio.create_task(at.request("POST", "/agents/x/commands", order, headers=key))
            for at in (a, b)
        ]
        await asyncio.sleep(0.4)
        of.engine.stalled = False
        a.log.heal()
        b.log.heal()
        one, other = await within(asyncio.gather(*asking))
        assert [202, 202] == [one.status, other.status]
        assert one.json()["commandId"] == other.json()["commandId"]
        await of.level()
    finally:
        await of.end()


async def test_a_position_that_nobody_has_reached_is_waited_for_and_refused() -> None:
    """Never stale data; and what makes no sense is ignored."""
    async with world("a") as of:
        [a] = of.members
        answer = await a.enter("x")
        lineage = answer.headers["x-cameleer-position"].rpartition("-")[0]
        header = "X-Cameleer-Position"
        behind = await a.request("GET", "/agents", headers={header: f"{lineage}-999999"})
        assert (503, "node-behind") == (behind.status, behind.code)
        for token in ("", "x", "-", f"{lineage}-", f"{lineage}-1x", "another-999999", "9" * 999):
            answer = await a.request("GET", "/agents", headers={header: token})
            assert 200 == answer.status, token


async def test_looks_at_the_end_of_the_log_are_shared() -> None:
    """Unknown ids cost no more than fifty looks a second."""
    async with world("a") as of:
        [a] = of.members
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        before, began = of.engine.last, loop.time()
        answers = await asyncio.gather(
            *(a.request("GET", f"/agents/nobody-{number}") for number in range(200))
        )
        assert {404} == {answer.status for answer in answers}
        assert of.engine.last - before < 60 * max(1, loop.time() - began)
