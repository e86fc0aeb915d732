"""Long answers: made piece by piece, for readers that may not read."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from cameleer_registry import CommandType, Order, Settings, Target
from cameleer_registry.web import lists

from ..support import Served, connected, eventually, serving, within


async def fill(served: Served, count: int, *, name: str = "n") -> list[str]:
    ids = [f"a{number:05}" for number in range(count)]
    for agent_id in ids:
        await served.register(agent_id, name=name)
    return ids


async def test_others_are_served_while_a_long_list_is_made(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop goes round at least once for each piece, however quick the reader."""
    monkeypatch.setattr(lists, "PIECE", 2_000)
    ids = await fill(served, 300)
    rounds = 0

    async def go_round() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(go_round())
    # Called in this task, so that nothing but the answer itself could give way.
    pieces: list[bytes] = []
    items = iter(served.node.agents())
    while True:
        piece, complete = lists._next_piece(items)
        pieces.append(piece)
        if complete:
            break
    before = rounds
    answer = await served.request("GET", "/agents")
    assert rounds - before > len(pieces) > 30
    ticker.cancel()
    assert ids == [agent["agentId"] for agent in answer.json()]


@pytest.mark.parametrize("count", [0, 1, 10, 11, 12, 250])
async def test_a_list_is_whole_wherever_its_pieces_end(
    served: Served, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Also where the last piece is exactly full, and for pages as for everything."""
    ids = await fill(served, count)
    for size in (1, 300, 3_000, 10**6):
        monkeypatch.setattr(lists, "PIECE", size)
        for path in ("/agents", f"/agents?limit={count + 1}", "/agents?limit=999999999"):
            answer = await served.request("GET", path)
            assert ids == [agent["agentId"] for agent in answer.json()]
            assert "link" not in answer.headers
        if count > 1:
            page = await served.request("GET", f"/agents?limit={count - 1}")
            assert ids[:-1] == [agent["agentId"] for agent in page.json()]
            assert f"after={ids[-2]}" in page.headers["link"]
        assert len(ids) == sum(
            group["LIVE"] for group in (await served.request("GET", "/agents/groups")).json()
        )


async def test_a_piece_is_no_larger_than_it_must_be(served: Served) -> None:
    """Payloads of megabytes are not gathered before they are written."""
    await served.register("a")
    order = Order(type=CommandType.REPLAY, payload={"x": "y" * 500_000})
    for _ in range(10):
        await served.node.issue(order, Target.agent("a"))
    piece, complete = lists._next_piece(served.node.iter_agent_deliveries("a"))
    assert not complete
    assert len(piece) < 600_000
    answer = await served.request("GET", "/agents/a/commands")
    assert [500_000] * 10 == [len(delivery["payload"]["x"]) for delivery in answer.json()]


async def test_a_list_that_nobody_reads_is_given_up() -> None:
    """Its connection is cut after a while, and nothing is left of it."""
    async with serving(Settings(stream_stall_timeout=0.2)) as served:
        await served.register("a")
        order = Order(type=CommandType.REPLAY, payload={"x": "y" * 900_000})
        for _ in range(20):
            await served.node.issue(order, Target.agent("a"))
        tasks = len(asyncio.all_tasks())
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (served.host, served.port))
        await loop.sock_sendall(sock, b"GET /api/v1/agents/a/commands HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(lambda: len(asyncio.all_tasks()) > tasks)
        assert 200 == (await served.request("GET", "/agents")).status
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
        sock.close()


async def test_a_slow_reader_of_a_list_gets_it_all(served: Served) -> None:
    """As long as it takes something now and then."""
    await served.register("a")
    order = Order(type=CommandType.REPLAY, payload={"x": "y" * 900_000})
    for _ in range(10):
        await served.node.issue(order, Target.agent("a"))
    async with connected(served) as connection:
        connection.writer.write(b"GET /api/v1/agents/a/commands HTTP/1.1\r\nHost: x\r\n\r\n")
        assert 200 == (await connection.head()).status
        body = bytearray()
        while chunk := await connection.chunk():
            body += chunk
            await asyncio.sleep(0.001)
    found: list[Any] = json.loads(body)
    assert 10 == len(found)


async def test_the_end_of_an_agent_while_its_list_is_read(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not written yet of what is gone is left out, and the list is still one."""
    monkeypatch.setattr(lists, "PIECE", 1)
    await fill(served, 300)
    async with connected(served) as connection:
        connection.writer.write(b"GET /api/v1/agents HTTP/1.1\r\nHost: x\r\n\r\n")
        await connection.head()
        first = await connection.chunk()
        for number in range(1, 300):
            await served.node.remove(f"a{number:05}")
        rest = bytearray()
        while chunk := await within(connection.chunk()):
            rest += chunk
    agents = json.loads(first + rest)
    assert "a00000" == agents[0]["agentId"]
    assert len(agents) <= 300
