"""Agents' streams at many nodes: opened whatever the log does, and sent on when a node ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cameleer_registry.client import Agent
from cameleer_registry.node.sharing import announcing, lag, shared
from cameleer_registry.node.sharing.contact import ENDING, REFUSING, WAITING
from cameleer_registry.node.streams import frames
from cameleer_registry.web import sharing

from ...client.support import running_agent
from ...support import (
    Answer,
    Connection,
    EndOfStream,
    Served,
    connected,
    eventually,
    open_stream,
    streaming,
    within,
)
from .world import Member, world

POSITION = "X-Cameleer-Position"


def silent(member: Member, seconds: float) -> None:
    """Have a node believe that it has been cut off for so long."""
    loop = asyncio.get_running_loop()
    member.shared.part.contact.clock = lambda: loop.time() + seconds
    member.log.cut = True


def heal(member: Member) -> None:
    """Have it hear the others again."""
    member.shared.part.contact.clock = asyncio.get_running_loop().time
    member.log.heal()


async def ending(stream: Connection) -> int:
    """Read a stream to its end; return the milliseconds after which it says to come back."""
    said = [line for line in await rest(stream) if line.startswith(b"retry: ")]
    return int(said[-1].removeprefix(b"retry: "))


async def rest(stream: Connection) -> list[bytes]:
    """Read a stream to its end; return its lines."""
    lines: list[bytes] = []
    with contextlib.suppress(EndOfStream):
        while True:
            lines.append(await within(stream.line()))
    return lines


@asynccontextmanager
async def asking(member: Served, agent_id: str) -> AsyncIterator[asyncio.Task[Answer]]:
    """Ask for a stream, in a task."""
    async with connected(member) as connection:
        task = asyncio.create_task(open_stream(member, connection, agent_id))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


# When a node ends


@pytest.mark.parametrize(("streams", "most"), [(1, 300), (1000, 500), (10_000, 2000)])
def test_many_are_spread_over_a_longer_time(streams: int, most: int) -> None:
    """They come to the other nodes at once, but not in one moment."""
    drawn = []
    for _ in range(500):
        frame = frames.moving(streams)
        assert frame.plain.startswith(b"retry: ")
        drawn.append(int(frame.plain.removeprefix(b"retry: ")))
    assert frames.MOVE_MS[0] <= min(drawn) <= max(drawn) <= most
    assert max(drawn) - min(drawn) > most / 3


async def test_a_node_that_ends_tells_its_streams_to_come_back_at_once() -> None:
    """The last that they say replaces the delay of seconds that they began with."""
    async with world("a", "b") as of:
        a, _ = of.members
        await a.enter("x")
        async with streaming(a, "x") as stream:
            end = asyncio.create_task(a.end())
            assert 100 <= await ending(stream) <= 300
            await within(end)


async def test_a_stream_at_a_node_that_ends_is_no_takeover() -> None:
    """It is opened and ended with the same word, and the one at another node stays."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        async with streaming(b, "x") as elsewhere:
            await of.level()
            a.node.life.shutting_down = True
            async with streaming(a, "x") as stream:
                assert 100 <= await ending(stream) <= 300
            a.node.life.shutting_down = False
            issued = await a.order()
            assert issued["commandId"] == (await elsewhere.event())["id"]


async def test_an_agent_moves_to_another_node_at_once() -> None:
    """Though the stream has said seconds at first; and it is not late for commands."""
    async with world("a", "b") as of:
        a, b = of.members
        urls = [f"http://{member.host}:{member.port}" for member in (a, b)]
        agent = Agent(urls, agent_id="x", group="g")
        agent.on("replay")(lambda command: command.command_id)
        async with running_agent(agent):
            await eventually(lambda: len(a.node.streams) + len(b.node.streams) == 1)
            here, there = (a, b) if len(a.node.streams) else (b, a)
            end = asyncio.create_task(here.end())
            await eventually(lambda: here.node.shutting_down and not len(here.node.streams))
            # Far less than the two seconds at least that it would wait otherwise.
            await eventually(lambda: len(there.node.streams) == 1, 1.5)
            await within(end)
            command = await there.order("/agents/x/commands")
            path = f"/commands/{command['commandId']}?wait=10"
            assert "ACKNOWLEDGED" == (await there.request("GET", path)).json()["status"]


async def test_alone_the_delay_stays_as_it_was(served: Served) -> None:
    """There is no other node to come to."""
    await served.register("x")
    async with streaming(served, "x") as stream:
        shutting_down = asyncio.create_task(served.node.shut_down())
        assert not any(line.startswith(b"retry: ") for line in await rest(stream))
        await within(shutting_down)


# While a node is cut off


@pytest.mark.parametrize("seconds", [0, WAITING + 1, REFUSING + 1])
async def test_a_stream_is_opened_though_the_log_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Up to half a minute: clients of streams stop for good when they are refused."""
    monkeypatch.setattr(announcing, "AT_ONCE", 0.05)
    async with world("a") as of:
        [a] = of.members
        await a.enter("x")
        async with streaming(a, "x") as older:
            silent(a, seconds)
            async with streaming(a, "x") as newer:
                heal(a)
                with pytest.raises(EndOfStream):  # the log has answered, and the newest wins
                    await within(older.line())
                issued = await a.order("/agents/x/commands")
                assert issued["commandId"] == (await within(newer.event()))["id"]
                await eventually(lambda: a.node.agent("x").connected)


async def test_it_ends_if_the_others_have_given_the_node_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It joins again, and the agent comes back."""
    monkeypatch.setattr(announcing, "AT_ONCE", 0.05)
    async with world("a", "b") as of:
        a, b = of.members
        await b.enter("x")
        await of.level()
        a.log.cut = True
        async with streaming(a, "x") as stream:
            members = b.shared.part.replica.members  # type: ignore[union-attr]
            await eventually(lambda: len(members.live) == 1, 30)
            a.log.heal()
            assert 100 <= await ending(stream) <= 300
        async with streaming(a, "x"):
            await eventually(lambda: b.node.agent("x").connected)
            await of.level()


async def test_a_stream_waits_for_a_node_that_joins_again() -> None:
    """That takes a moment, in which it has no number."""
    async with world("a") as of:
        [a] = of.members
        await a.enter("x")
        number, a.shared.part.number = a.shared.part.number, None
        async with asking(a, "x") as asked:
            await asyncio.sleep(0.1)
            assert not asked.done()
            a.shared.part.number = number
            assert 200 == (await within(asked)).status


async def test_a_stream_waits_for_a_node_that_has_yet_to_catch_up() -> None:
    """All else is refused meanwhile, and probes say so."""
    async with world("a") as of:
        [a] = of.members
        await a.enter("x")
        a.shared.part.is_level = False
        assert "node-behind" == (await a.request("GET", "/agents/x")).code
        assert "node-behind" == (await a.request("POST", "/agents/x/heartbeat")).code
        assert 200 == (await a.request("GET", "//metrics")).status
        async with asking(a, "x") as asked:
            await asyncio.sleep(0.1)
            assert not asked.done()
            a.shared.part.is_level = True
            assert 200 == (await within(asked)).status


async def test_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is refused like all else, and its agent goes elsewhere."""
    monkeypatch.setattr(shared, "ENDING", 0.2)
    async with world("a") as of:
        [a] = of.members
        await a.enter("x")
        a.shared.part.is_level = False
        assert "node-behind" == (await a.request("GET", "/agents/x/events")).code
        a.shared.part.is_level = True


async def test_an_unknown_agent_is_neither_404_nor_refused_before_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may have registered elsewhere, so it waits; afterwards it is told to go elsewhere."""
    monkeypatch.setattr(sharing, "AGAIN", 0.01)
    async with world("a", "b") as of:
        a, b = of.members
        silent(a, REFUSING + 1)
        async with asking(a, "x") as asked:
            await asyncio.sleep(0.2)
            assert not asked.done()
            assert 201 == (await b.enter("x")).status
            heal(a)
            assert 200 == (await within(asked)).status
        silent(a, ENDING + 1)
        answer = await a.request("GET", "/agents/y/events")
        assert (503, "not-in-contact") == (answer.status, answer.code)


async def test_a_position_that_is_not_reached_keeps_no_agent_from_its_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is waited for; then a stream, which shows nothing old, is opened; all else is refused."""
    monkeypatch.setattr(lag, "POSITION_PATIENCE", 0.05)
    async with world("a") as of:
        [a] = of.members
        answer = await a.enter("x")
        lineage = answer.headers[POSITION.lower()].rpartition("-")[0]
        header = {POSITION: f"{lineage}-999999"}
        for method, path in (("GET", "/agents/x"), ("POST", "/agents/x/heartbeat")):
            refused = await a.request(method, path, headers=header)
            assert (503, "node-behind") == (refused.status, refused.code)
        for path in ("//healthz", "//readyz"):
            probed = await a.request("GET", path, headers=header)
            assert 200 == probed.status, "they ask for this process"
        feed = await a.request("GET", "/events", headers=header)
        assert (503, "node-behind") == (feed.status, feed.code)
        async with connected(a) as connection:
            asked = f"{POSITION}: {header[POSITION]}\r\n"
            assert 200 == (await open_stream(a, connection, "x", headers=asked)).status
            issued = await a.order("/agents/x/commands")
            assert issued["commandId"] == (await within(connection.event()))["id"]


async def test_refusals_say_as_of_when_on_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are answered inline, and those that aiohttp answers."""
    monkeypatch.setattr(lag, "POSITION_PATIENCE", 0.05)
    async with world("a") as of:
        [a] = of.members
        await a.enter("x")
        order = {"type": "replay"}
        for inline in (True, False):
            # A query has a request answered by aiohttp.
            query = "" if inline else "?a=b"
            fine = await a.request("POST", f"/agents/x/heartbeat{query}")
            assert (204, None) == (fine.status, fine.headers.get("x-cameleer-as-of"))
            silent(a, REFUSING + 1)
            for path, body in (("heartbeat", None), ("commands", order)):
                answer = await a.request("POST", f"/agents/x/{path}{query}", body)
                assert (503, "not-in-contact") == (answer.status, answer.code)
                assert answer.headers["x-cameleer-as-of"].endswith("Z")
            heal(a)
            await eventually(lambda: a.shared.shown.as_of is None)


async def test_streams_that_came_as_others_were_ended_end_as_well() -> None:
    """Half a minute after the last word of the others there is none, however late it came."""
    async with world("a") as of:
        [a] = of.members
        for agent_id in ("x", "y"):
            await a.enter(agent_id)
        async with streaming(a, "x") as one, streaming(a, "y") as other:
            silent(a, ENDING + 1)
            a.shared._signs._ending = True
            assert await ending(one) <= 300
            assert await ending(other) <= 300
            assert not len(a.node.streams)


async def test_a_client_that_goes_while_the_log_is_asked_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was announced is withdrawn."""
    monkeypatch.setattr(announcing, "AT_ONCE", 0.05)
    async with world("a") as of:
        [a] = of.members
        await a.enter("x")
        silent(a, 0)
        async with streaming(a, "x"):
            pass
        await eventually(lambda: not len(a.node.streams))
        heal(a)
        await asyncio.sleep(0.1)
        await of.level()
        assert not a.node.agent("x").connected
