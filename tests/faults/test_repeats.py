"""A command whose answer does not arrive is asked for again, and was issued once."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from cameleer_registry import Settings
from cameleer_registry.core.events import CommandIssued, Event
from cameleer_registry.core.idempotency import Idempotency
from cameleer_registry.core.instant import Instant
from cameleer_registry.core.model import CommandType, Order, Target
from cameleer_registry.core.registry import Limits, Registry
from cameleer_registry.node.streams.frames import Frame
from cameleer_registry.node.streams.outgoing import BATCH

from ..support import EndOfStream, Served, connected, hear, serving, streaming

BODY: Final = json.dumps({"type": "replay", "payload": {"exchange": "e-1"}}).encode()

Record = Callable[[str, object], None]


def request(key: str) -> bytes:
    """Return a request for a command, byte by byte."""
    head = (
        "POST /api/v1/agents/a/commands HTTP/1.1\r\n"
        f'Host: localhost\r\nIdempotency-Key: "{key}"\r\nContent-Length: {len(BODY)}\r\n\r\n'
    )
    return head.encode() + BODY


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(Settings(max_pending_per_agent=10_000)) as served:
        await served.register("a")
        yield served


async def test_wherever_the_connection_breaks(served: Served, record_property: Record) -> None:
    """After each byte of the request, and before each byte of the answer, as often as it does."""
    issued: list[Event] = []
    hear(served.node, issued.append)
    async with connected(served) as connection:
        connection.writer.write(request("0"))
        answer = await connection.answer("POST")
    in_all = len(request("0")) + len(answer.head) + len(answer.body)
    answered, broken = [answer.json()["commandId"]], 0
    for count, cut in enumerate(range(1, in_all), start=1):
        whole = request(str(count))
        async with connected(served) as connection:
            connection.writer.write(whole[:cut])
            await connection.writer.drain()
            if cut > len(whole):
                await connection.reader.readexactly(cut - len(whole))
            connection.reset()
            broken += 1
        async with connected(served) as connection:
            connection.writer.write(whole)
            answer = await connection.answer("POST")
            assert 202 == answer.status
            answered.append(answer.json()["commandId"])
    ids = [fact.command_id for fact in issued if isinstance(fact, CommandIssued)]
    assert sorted(answered) == sorted(ids)
    assert len(answered) == len(set(answered)) == broken + 1
    record_property("connections broken", broken)
    print(f"{broken} connections broken, {len(ids) - 1} commands issued for them")


async def test_many_ask_for_the_same_at_once(served: Served) -> None:
    """Clients that lost their patience, or one and the proxy before it."""
    answers = await asyncio.gather(
        *(
            served.request("POST", "/agents/a/commands", raw=BODY, headers={"Idempotency-Key": "k"})
            for _ in range(50)
        )
    )
    assert {202} == {answer.status for answer in answers}
    assert 1 == len({answer.json()["commandId"] for answer in answers})
    assert 1 == len(served.node.agent_deliveries("a"))


def test_the_memory_of_keys(record_property: Record) -> None:
    """It does not depend on what was sent under them, and there is an end to it."""

    def measured(payload: str) -> int:
        limits = Limits(
            stale_after=1, dead_after=1, command_ttl=1, command_history=0, idempotency_keys=1000
        )
        registry = Registry(limits)
        tracemalloc.start()
        try:
            for number in range(2 * limits.idempotency_keys):
                moment = Instant(10**18 + number, 10**13 + number, 10**13 + number)
                order = Order(type=CommandType.REPLAY, payload={"x": payload + str(number)})
                key = Idempotency(
                    f"8e03978e-40d5-43e8-bc93-{number:012}", bytes([number % 256]) * 32
                )
                command_id = f"01a2090e-3fdd-751c-a875-{number:012}"
                registry.issue(command_id, order, Target.all(), now=moment, idempotency=key)
            assert 0 == registry._ledger.finished_weight
            return tracemalloc.get_traced_memory()[0] // limits.idempotency_keys
        finally:
            tracemalloc.stop()

    small, large = measured(""), measured("x" * 5_000)
    record_property("bytes per key", large)
    print(f"{large} bytes per key")
    assert large < small + 100
    assert large < 2_500  # 1,700, and what else the process allocates meanwhile


@pytest.mark.parametrize("before", range(4))
async def test_shutdown_between_two_batches_of_a_broadcast(before: int) -> None:
    """The request is answered, each stream ends cleanly, and was sent what is said of it."""
    agents = [f"a{number:03}" for number in range(3 * BATCH)]
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving())
        node = served.node
        for agent_id in agents:
            await served.register(agent_id)
        streams = {
            agent_id: await stack.enter_async_context(streaming(served, agent_id))
            for agent_id in agents
        }
        push, batches, ending = node.streams.push, 0, []

        def pushing(frame: Frame, *whom: Any) -> Sequence[str]:
            nonlocal batches
            if batches == before:
                ending.append(asyncio.create_task(node.shut_down()))
            batches += 1
            return push(frame, *whom)

        node.streams.push = pushing  # type: ignore[assignment, method-assign]
        answer = await served.issue("/agents")
        if not ending:
            ending.append(asyncio.create_task(node.shut_down()))
        came = []
        for agent_id, stream in streams.items():
            try:
                while True:
                    assert answer.json()["commandId"] == (await stream.event())["id"]
                    came.append(agent_id)
            except EndOfStream:
                await stream.closed()
        await asyncio.gather(*ending)
        deliveries = node.deliveries(answer.json()["commandId"])
    assert (202, len(agents)) == (answer.status, answer.json()["targetCount"])
    assert [d.agent_id for d in deliveries if d.delivered_at] == came
    assert {"PENDING"} == {str(delivery.status) for delivery in deliveries}
    assert len(came) >= before * BATCH
