"""Answers that wait until what they rest on is durable, on both ways to answer a request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from cameleer_registry import NODE, Settings
from cameleer_registry.core.events import CommandIssued
from cameleer_registry.core.model import CommandType, Order, Registration, Target
from cameleer_registry.web.app import make_app
from cameleer_registry.web.inline import InlineRunner
from cameleer_registry.wire import decode

from ..journals import HeldJournal
from ..support import Served, connected, eventually, following, running, streaming
from ..wires import Wire
from .exchanges import request
from .test_inline import (
    BODY,
    HEARTBEAT,
    REQUESTS,
    SETTINGS,
    Peer,
    PoliteRunner,
    said,
    thoroughly,
    turns,
)

WAYS: Final = {"inline": InlineRunner, "aiohttp's": PoliteRunner, "embedded": web.AppRunner}

REGISTER: Final = request("/api/v1/agents/register", BODY)
SHOW: Final = request("/api/v1/agents/a", method="GET")


@asynccontextmanager
async def serving(
    runs: type[web.AppRunner] = InlineRunner, **runner: Any
) -> AsyncIterator[tuple[Served, HeldJournal]]:
    """Serve a registry whose journal holds everything until it is told to let go."""
    journal = HeldJournal()
    app = make_app(Settings(), alone=False, journal=journal)
    async with running(app, runs=runs, **runner) as (host, port):
        yield Served(app[NODE], host, port), journal


async def registered(served: Served, journal: HeldJournal, *agent_ids: str) -> None:
    """Register agents, and have that be durable."""
    for agent_id in agent_ids:
        asking = asyncio.create_task(served.register(agent_id))
        await eventually(lambda: agent_id in served.node.registry)  # noqa: B023
        journal.release()
        assert 201 == (await asking).status


@pytest.fixture(params=[*WAYS.values()], ids=[*WAYS])
async def held(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Served, HeldJournal]]:
    async with serving(request.param) as both:
        yield both


async def nothing_comes(connection: Any) -> None:
    """Fail if anything is answered while the loop turns many times."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connection.reader.readexactly(1)


async def test_what_was_asked_for_is_answered_when_it_is_durable(
    held: tuple[Served, HeldJournal],
) -> None:
    """Registration, command, acknowledgement, removal: each is held, and then as it always is."""
    served, journal = held
    command_id = ""
    for path, method, body, status in [
        ("/agents/register", "POST", {"agentId": "a", "group": "g"}, 201),
        ("/agents/register", "POST", {"agentId": "a", "group": "g"}, 200),
        ("/agents/a/commands", "POST", {"type": "replay"}, 202),
        ("/agents/a/commands/ID/ack", "POST", {}, 200),
        ("/agents/a", "DELETE", None, 204),
    ]:
        async with connected(served) as connection:
            raw = b"" if body is None else json.dumps(body).encode()
            before = len(journal.facts)
            address = f"/api/v1{path.replace('ID', command_id)}"
            connection.writer.write(request(address, raw, method=method))
            await eventually(lambda: len(journal.facts) > before)  # noqa: B023
            await nothing_comes(connection)
            journal.release()
            answer = await connection.answer(method)
            assert status == answer.status
            command_id = answer.json()["commandId"] if status == 202 else command_id


async def test_heartbeats_wait_for_nothing(held: tuple[Served, HeldJournal]) -> None:
    """Also of an agent whose registration is not durable yet."""
    served, journal = held
    asking = asyncio.create_task(served.register("a"))
    await eventually(lambda: "a" in served.node.registry)
    assert 204 == (await served.request("POST", "/agents/a/heartbeat")).status
    assert not asking.done()
    journal.release()
    assert 201 == (await asking).status


READS: Final = {
    "an agent": "/agents/a",
    "all agents": "/agents",
    "groups": "/agents/groups",
    "what was sent to it": "/agents/a/commands",
    "that there is no such agent": "/agents/b",
    "that there is no such command": "/commands/none",
}


@pytest.mark.parametrize("path", READS.values(), ids=READS)
async def test_nobody_reads_what_is_not_durable(
    held: tuple[Served, HeldJournal], path: str
) -> None:
    """Neither what is there nor what is not."""
    served, journal = held
    registering = asyncio.create_task(served.register("a"))
    await eventually(lambda: "a" in served.node.registry)
    async with connected(served) as connection:
        connection.writer.write(request(f"/api/v1{path}", method="GET"))
        await nothing_comes(connection)
        journal.release()
        assert (await connection.answer()).status in (200, 404)
    assert 201 == (await registering).status


async def test_a_repeated_request_waits_like_the_first(held: tuple[Served, HeldJournal]) -> None:
    """A key, or an acknowledgement, that comes twice before the first is durable."""
    served, journal = held
    await registered(served, journal, "a")
    headers = {"Idempotency-Key": "k"}
    body = {"type": "replay"}

    async def twice(path: str, body: Any) -> list[Any]:
        before = len(journal.facts)
        asking = [
            asyncio.create_task(served.request("POST", path, body, headers=headers))
            for _ in range(2)
        ]
        await eventually(lambda: len(journal.facts) > before)
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in asking)
        journal.release()
        return [(await task).json() for task in asking]

    one, other = await twice("/agents/a/commands", body)
    assert one == other
    one, other = await twice(f"/agents/a/commands/{one['commandId']}/ack", {})
    assert one == other


async def test_no_event_leaves_before_its_command_is_durable(
    held: tuple[Served, HeldJournal],
) -> None:
    """On the agent's stream, and in the feed."""
    served, journal = held
    await registered(served, journal, "a")
    async with streaming(served, "a") as stream, following(served) as follower:
        asking = asyncio.create_task(served.issue("/agents/a"))
        await eventually(lambda: isinstance(journal.facts[-1], CommandIssued))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await stream.event()
        journal.release()
        command_id = (await asking).json()["commandId"]
        assert command_id == (await stream.event())["id"]
        while (event := await follower.event())["event"] != "command-issued":
            pass
        assert command_id == event["data"]["commandId"]


async def test_who_waits_for_a_command_is_told_when_its_end_is_durable(
    held: tuple[Served, HeldJournal],
) -> None:
    """The last acknowledgement may be taken back until then."""
    served, journal = held
    await registered(served, journal, "a")
    issuing = asyncio.create_task(served.issue("/agents/a"))
    await eventually(lambda: isinstance(journal.facts[-1], CommandIssued))
    journal.release()
    command_id = (await issuing).json()["commandId"]
    waiting = asyncio.create_task(served.request("GET", f"/commands/{command_id}?wait=30"))
    await eventually(lambda: served.node._waiters)
    acking = asyncio.create_task(served.ack("a", command_id))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    journal.release()
    assert "ACKNOWLEDGED" == (await waiting).json()["status"]
    assert 200 == (await acking).status


async def test_an_open_stream_waits_for_its_agent(held: tuple[Served, HeldJournal]) -> None:
    """That there is one is told with the head of its stream."""
    served, journal = held
    registering = asyncio.create_task(served.register("a"))
    await eventually(lambda: "a" in served.node.registry)
    async with connected(served) as connection:
        connection.writer.write(request("/api/v1/agents/a/events", method="GET"))
        await nothing_comes(connection)
        journal.release()
        assert 200 == (await connection.head()).status
    await registering


async def test_a_connection_answers_in_order_whatever_is_held(
    held: tuple[Served, HeldJournal],
) -> None:
    """What came behind a held answer is answered behind it."""
    served, journal = held
    async with connected(served) as connection:
        connection.writer.write(REGISTER + HEARTBEAT + SHOW + REGISTER + HEARTBEAT)
        await eventually(lambda: "a" in served.node.registry)
        await nothing_comes(connection)
        statuses = []
        for _ in range(5):
            journal.release()
            await asyncio.sleep(0.01)
        for _ in range(5):
            journal.release()
            statuses.append((await connection.answer()).status)
        assert [201, 204, 200, 200, 204] == statuses


async def test_an_answer_that_nobody_will_read_is_dropped(
    held: tuple[Served, HeldJournal],
) -> None:
    """What was done stays done."""
    served, journal = held
    async with connected(served) as connection:
        connection.writer.write(REGISTER + HEARTBEAT)
        await eventually(lambda: "a" in served.node.registry)
        connection.reset()
    await asyncio.sleep(0.05)
    journal.release()
    asking = asyncio.create_task(served.request("GET", "/agents/a"))
    assert 200 == (await asking).status


@pytest.mark.looptime(start=1000)
async def test_a_connection_that_holds_an_answer_is_not_idle() -> None:
    """Its time begins with the answer."""
    async with serving(keepalive_timeout=2) as (served, journal), connected(served) as connection:
        connection.writer.write(REGISTER)
        await asyncio.sleep(7)
        journal.release()
        assert 201 == (await connection.answer()).status
        connection.writer.write(HEARTBEAT)
        assert 204 == (await connection.answer()).status
        await connection.closed()


async def test_at_the_end_whoever_waits_is_answered() -> None:
    """The journal is flushed before connections are closed."""
    async with serving() as (served, _journal), connected(served) as connection:
        connection.writer.write(REGISTER)
        await eventually(lambda: "a" in served.node.registry)
        await served.node.shut_down()
        assert 201 == (await connection.answer()).status


async def test_a_runner_that_ends_waits_for_held_answers() -> None:
    """As aiohttp waits for requests that are being answered."""
    journal = HeldJournal()
    app = make_app(Settings(), alone=False, journal=journal)
    runner = InlineRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    peer = Peer(connection := runner.server())
    await turns(2)
    connection.data_received(REGISTER)
    assert b"" == peer.written
    ending = asyncio.create_task(connection.shutdown(5))
    await turns(5)
    assert not ending.done()
    journal.release()
    await ending
    assert peer.written.startswith(b"HTTP/1.1 201")
    await runner.cleanup()


async def test_a_command_behind_a_held_one_is_written_behind_it() -> None:
    """Commands reach an agent in the order of their issue, durable together or not."""
    journal = HeldJournal()
    app = make_app(Settings(), alone=False, journal=journal)
    node = app[NODE]
    node.start()
    registering = asyncio.create_task(node.register_from_wire(decoded()))
    await asyncio.sleep(0)
    journal.release()
    await registering
    wire = Wire()
    node.open_stream("a", wire, chunked=True)
    order = Order(type=CommandType.REPLAY, payload={})
    issuing = [asyncio.create_task(node.issue(order, Target.agent("a"))) for _ in range(5)]
    await asyncio.sleep(0)
    assert [] == wire.events()
    journal.release()
    issued = [(await task).command_id for task in issuing]
    assert issued == [event["id"] for event in wire.events()]
    await node.shut_down()
    await node.stop()


def decoded() -> Registration:
    return decode(BODY, Registration)


# Whatever is sent, and however long it is held, all ways say the same


@thoroughly(200)
@given(
    requests=st.lists(REQUESTS, max_size=6),
    cuts=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 8)), max_size=5),
    held_for=st.integers(0, 5),
)
def test_all_ways_say_the_same(
    requests: list[bytes], cuts: list[tuple[int, int]], held_for: int
) -> None:
    """In the same order, with what is durable at the end."""

    async def send(runs: type[web.AppRunner], turns_held: int | None) -> list[Any]:
        journal = None if turns_held is None else HeldJournal(turns=turns_held)
        app = make_app(SETTINGS, alone=False, journal=journal)
        node = app[NODE]
        runner = runs(app, access_log=None, auto_decompress=False)
        await runner.setup()
        try:
            await node.register_from_wire(decoded())
            command = await node.issue(
                Order(type=CommandType.REPLAY, payload={}), Target.agent("a")
            )
            raw = b"".join(requests).replace(b"/ID/", f"/{command.command_id}/".encode())
            pieces = []
            for cut, number in cuts:
                pieces.append((raw[:cut], number))
                raw = raw[cut:]
            answers = await said(runner, [*pieces, (raw, 150)])
            return [answers, [agent.agent_id for agent in node.agents()]]
        finally:
            await runner.cleanup()

    async def compare() -> None:
        expected = await send(PoliteRunner, None)
        assert expected == await send(InlineRunner, held_for)
        assert expected == await send(PoliteRunner, held_for)

    asyncio.run(compare())
