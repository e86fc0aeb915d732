"""Nodes that have derived something else than the others say so, and begin anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cameleer_registry import NODE, Settings
from cameleer_registry.core.events import AgentRegistered, Event
from cameleer_registry.core.replica import Replica
from cameleer_registry.node.log.jetstream.connection import Access
from cameleer_registry.node.log.jetstream.log import JetStreamLog
from cameleer_registry.node.log.port import Snapshot
from cameleer_registry.node.sharing import agreement
from cameleer_registry.node.sharing.agreement import GRACE, LATELY, PATIENCE, TRIES, Agreement
from cameleer_registry.web.app import make_app
from cameleer_registry.web.inline import InlineRunner

from ...nats import nats_servers
from ...support import Served, eventually, following, running, streaming, within
from .world import Member, World, world


def lead_astray(member: Member, agent_id: str = "x") -> None:
    """Have a node forget an agent that the others know, as no entry of the log has told it to."""
    member.node.registry.remove(agent_id, now=member.node.clock.now())


async def test_the_younger_of_two_begins_anew(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, takes no work meanwhile, and is equal to the other one after that."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        await a.enter("y")
        await of.level()
        load, go_on = b.log.load, asyncio.Event()

        async def slowly() -> Snapshot | None:
            await go_on.wait()
            return await load()

        monkeypatch.setattr(b.log, "load", slowly)
        lead_astray(b)
        command = await a.order()
        await eventually(lambda: b.shared.rebuilding.rebuilds == 1)
        assert 503 == (await b.request("GET", "//readyz")).status
        go_on.set()
        await eventually(lambda: not b.node.ailments)
        await of.level()
        assert 2 == len(b.node.agents())
        await a.ack("x", command["commandId"])
        await b.ack("y", command["commandId"])
        await of.level()
        assert 0 == a.shared.rebuilding.rebuilds
        assert b.shared.applying.divergences > 0
        assert "has derived something else than the others and begins anew" in caplog.text
        shown = (await b.request("GET", "//metrics")).body
        assert b"cameleer_cluster_rebuilds_total 1.0" in shown


async def test_the_older_of_two_begins_anew_if_that_was_not_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody can tell which of two is wrong."""
    monkeypatch.setattr(agreement, "PATIENCE", 2.0)
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        await of.level()
        lead_astray(a)
        await b.order()
        await eventually(
            lambda: a.shared.rebuilding.rebuilds == 1 and b.shared.rebuilding.rebuilds == 1
        )
        await eventually(lambda: not (a.node.ailments or b.node.ailments))
        await of.level()
        assert 1 == len(a.node.agents())


async def test_one_of_three_begins_anew_whichever_it_is() -> None:
    """The others are more, and so they are right."""
    async with world("a", "b", "c") as of:
        a, b, c = of.members
        await a.enter("x")
        await of.level()
        lead_astray(a)
        await b.order()
        await eventually(lambda: a.shared.rebuilding.rebuilds == 1 and not a.node.ailments)
        await of.level()
        assert [1, 0, 0] == [each.shared.rebuilding.rebuilds for each in (a, b, c)]


async def test_streams_and_followers_go_on() -> None:
    """Streams stay open, and get what they have missed; the feed is that of the others."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        await a.enter("y")
        async with streaming(b, "x") as at_x, streaming(b, "y") as at_y, following(a) as feed:
            first = await a.order()
            for stream in (at_x, at_y):
                assert first["commandId"] == (await stream.event())["id"]
            last = (await feed.event())["id"]
            await of.level()
            lead_astray(b)
            missed = await a.order()
            await eventually(lambda: b.shared.rebuilding.rebuilds == 1 and not b.node.ailments)
            after = await b.order()
            for stream in (at_x, at_y):
                ids: list[str] = []
                while after["commandId"] not in ids:
                    ids.append((await stream.event())["id"])
                assert ids == [missed["commandId"], after["commandId"]]
            await of.level()
            told = [await feed.event() for _ in range(2)]
            async with following(b, last_event_id=last) as moved:
                assert told == [await moved.event() for _ in told]


async def test_listeners_hear_no_fact_twice() -> None:
    """What the log tells once more was told before; what comes after is told as always."""
    async with world("a", "b") as of:
        a, b = of.members
        heard: list[str] = []
        b.node.listen(lambda fact: heard.append(fact.agent_id), AgentRegistered)
        await a.enter("x")
        await a.enter("y")
        await of.level()
        lead_astray(b)
        await a.order()
        await eventually(lambda: b.shared.rebuilding.rebuilds == 1 and not b.node.ailments)
        await a.enter("z")
        await of.level()
        assert ["x", "y", "z"] == heard


async def test_a_stream_is_not_written_what_was_issued_before_it() -> None:
    """By a node that begins anew: its agent has asked for that."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        await a.enter("y")
        await a.order()
        async with streaming(b, "x") as stream:
            await of.level()
            lead_astray(b, "y")
            written = await a.order("/agents/x/commands")
            await a.order("/agents/y/commands")
            await eventually(lambda: b.shared.rebuilding.rebuilds == 1 and not b.node.ailments)
            after = await a.order("/agents/x/commands")
            ids = [(await stream.event())["id"] for _ in range(2)]
            assert [written["commandId"], after["commandId"]] == ids


async def test_who_waits_goes_on_waiting() -> None:
    """What was asked while a node begins anew is answered when it has."""
    async with world("a", "b") as of:
        a, b = of.members
        for number in range(50):
            await a.enter(f"x-{number}")
        await of.level()
        lead_astray(b, "x-7")
        await a.order()
        await eventually(lambda: b.shared.rebuilding.rebuilds == 1)
        asked = [asyncio.create_task(b.enter(f"y-{number}")) for number in range(20)]
        answers = await within(asyncio.gather(*asked))
        assert {answer.status for answer in answers} <= {201, 503}
        assert all(answer.code == "node-behind" for answer in answers if answer.status == 503)
        await eventually(lambda: not b.node.ailments)
        await of.level()


async def test_a_node_that_stays_wrong_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its program, or its machine, is not to be trusted."""
    monkeypatch.setattr(agreement, "PATIENCE", 0.3)
    of = World()
    try:
        a, b, c = [await of.join(name) for name in "abc"]
        lost: list[str] = []
        b.shared.part.on_lost = lost.append
        replica = b.shared.replica
        assert replica is not None
        monkeypatch.setattr(type(replica), "_sum_up", wrong(type(replica)._sum_up, b))
        await a.enter("x")
        await eventually(lambda: bool(lost))
        assert "again and again" in lost[0]
        assert TRIES + 1 == b.shared.rebuilding.rebuilds
        await of.level(a, c)
    finally:
        await of.end()


async def test_the_same_over_nats(tmp_path: Path) -> None:
    """The newest snapshot and the log behind it are read again there, too."""
    async with nats_servers(tmp_path / "nats") as servers, AsyncExitStack() as stack:
        members = []
        for name in "ab":
            log = JetStreamLog(Access(servers=servers.urls), "test")
            settings = Settings(node_name=name, database="memory")
            app = make_app(settings, alone=True, log=log)
            host, port = await stack.enter_async_context(running(app, runs=InlineRunner))
            members.append(Served(app[NODE], host, port))
        a, b = members
        registering = {"agentId": "x", "group": "g"}
        assert 201 == (await a.request("POST", "/agents/register", registering)).status
        await eventually(lambda: "x" in b.node.registry)
        b.node.registry.remove("x", now=b.node.clock.now())
        issued = await a.request("POST", "/agents/commands", {"type": "replay"})
        shared = b.node.shared
        assert shared is not None
        await eventually(lambda: shared.rebuilding.rebuilds == 1 and not b.node.ailments)
        command_id = issued.json()["commandId"]
        assert 200 == (await b.request("POST", f"/agents/x/commands/{command_id}/ack")).status
        shown = await a.request("GET", f"/commands/{command_id}?wait=5")
        assert "ACKNOWLEDGED" == shown.json()["status"]


def wrong(sum_up: Callable[..., None], member: Member) -> Callable[..., None]:
    """Return what sums up wrongly at one node."""

    def wrongly(replica: Replica, facts: Iterable[Event]) -> None:
        sum_up(replica, facts)
        if replica is member.shared.replica:
            replica.checksum ^= replica.position
            replica._checksums[-1] = (replica.position, replica.checksum)

    return wrongly


def test_one_against_one() -> None:
    """The younger one at once; the older one if it is still so after a while."""
    older, younger = Agreement(), Agreement()
    live = ["a", "b"]
    assert older.note("b", False)
    assert not older.note("b", False)
    assert younger.note("a", False)
    assert not older.is_to_begin_anew("a", live, 0)
    assert younger.is_to_begin_anew("b", live, 0)
    assert younger.began_anew(0)
    younger.note("a", False)
    assert not younger.is_to_begin_anew("b", live, PATIENCE + 1)
    assert not older.is_to_begin_anew("a", live, PATIENCE)
    assert older.is_to_begin_anew("a", live, PATIENCE + 1)
    assert not older.note("b", True)
    assert not older.is_to_begin_anew("a", live, PATIENCE + 2)
    older.note("b", False)
    assert not older.is_to_begin_anew("a", live, PATIENCE + 3)


def test_those_in_the_minority() -> None:
    """As soon as all others have said something, or should have."""
    of, live = Agreement(), ["a", "b", "c"]
    of.note("b", False)
    assert not of.is_to_begin_anew("a", live, 0)
    of.note("c", False)
    assert of.is_to_begin_anew("a", live, 0)
    of.note("c", True)
    assert not of.is_to_begin_anew("a", live, 100)
    silent = Agreement()
    silent.note("a", False)
    assert not silent.is_to_begin_anew("b", live, 0)
    assert silent.is_to_begin_anew("b", live, GRACE)


def test_who_is_gone_does_not_count() -> None:
    """Whatever it has said."""
    of = Agreement()
    of.note("b", False)
    of.note("c", False)
    of.note("d", True)
    assert of.is_to_begin_anew("a", ["b", "c", "d", "a"], 0)
    assert not of.is_to_begin_anew("a", ["a", "d"], 0)


def test_it_is_not_tried_for_ever() -> None:
    """But again another day."""
    of = Agreement()
    assert [True] * TRIES + [False] == [of.began_anew(0) for _ in range(TRIES + 1)]
    assert of.began_anew(LATELY + 1)
