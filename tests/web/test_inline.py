"""Requests that are answered where their bytes are read, and those that are not.

Nothing that a client sees tells which way its request has gone: whatever is sent, a server that
answers inline and one that never does say the same, in the same order.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cameleer_registry import NODE, Settings, create_app, wire
from cameleer_registry.core.model import CommandType, Order, Registration, Target
from cameleer_registry.node.streams.frames import Frame
from cameleer_registry.node.streams.outgoing import BATCH
from cameleer_registry.web.answers import Answer as MadeAnswer
from cameleer_registry.web.connections import PoliteConnection
from cameleer_registry.web.inline import INLINE, InlineApp, InlineConnection, InlineRunner

from ..exposition import scrape
from ..support import Answer, Connection, Served, connected, serving, streaming, virtual_clock
from ..wires import Wire
from .exchanges import request, told

SETTINGS: Final = Settings(max_agents=4, max_pending_per_agent=3, max_body=500, body_timeout=5)

BODY: Final = json.dumps({"agentId": "a", "group": "g", "routeIds": ["r"]}).encode()
ORDER: Final = b'{"type":"replay","payload":{"n":1}}'


HEARTBEAT: Final = request("/api/v1/agents/a/heartbeat")


class PoliteRunner(web.AppRunner):
    """A runner like ours, but for answering inline."""

    @property
    def server(self) -> Any:
        server = super().server
        return server and partial(PoliteConnection, server, loop=server._loop, **server._kwargs)


class Peer(Wire):
    """One that a server has accepted. What is written to it when it is closing is lost."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.set_protocol(protocol)
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_closing():
            super().write(data)

    def pause_reading(self) -> None:
        pass


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the statuses of what is answered inline."""
    seen: list[int] = []
    in_one_piece = MadeAnswer.in_one_piece

    def noting(answer: MadeAnswer) -> bytes:
        seen.append(answer.status)
        return in_one_piece(answer)

    monkeypatch.setattr(MadeAnswer, "in_one_piece", noting)
    return seen


async def asked(served: Served, *requests: bytes) -> list[Answer]:
    """Send bytes on one connection; return the answers."""
    async with connected(served) as connection:
        connection.writer.write(b"".join(requests))
        return [await connection.answer() for _ in requests]


async def test_what_agents_ask_for_all_day_is_answered_inline(
    served: Served, inline: list[int]
) -> None:
    """Registration, heartbeat, a command to one agent, and its acknowledgement."""
    await asked(served, request("/api/v1/agents/register", BODY), HEARTBEAT)
    [answer] = await asked(served, request("/api/v1/agents/a/commands", ORDER))
    command_id = answer.json()["commandId"]
    await asked(served, request(f"/api/v1/agents/a/commands/{command_id}/ack"))
    await asked(served, request("/api/v1/agents/b/heartbeat"))
    assert [201, 204, 202, 200, 404] == inline
    assert len(INLINE) == len(InlineApp(create_app())._routes)


OTHER_WAYS: Final = {
    "another method": (request("/api/v1/agents/a", method="GET"), 200),
    "another address": (request("/api/v1/agents/commands", ORDER), 202),
    "a reserved word": (request("/api/v1/agents/groups/heartbeat"), 404),
    "a group of that name": (request("/api/v1/agents/groups/commands", ORDER), 404),
    "a query": (request("/api/v1/agents/a/heartbeat?x=1"), 204),
    "an encoded id": (request("/api/v1/agents/%61/heartbeat"), 204),
    "an id that cannot be": (request("/api/v1/agents/.a/heartbeat"), 404),
    "a whole URL": (request("http://x/api/v1/agents/a/heartbeat"), 204),
    "an old version": (request("/api/v1/agents/a/heartbeat", version="1.0"), 204),
    "an old version that stays": (
        request("/api/v1/agents/a/heartbeat", b"", "Connection: keep-alive", version="1.0"),
        204,
    ),
    "a version of another kind": (request("/api/v1/agents/a/heartbeat", version="2.0"), 400),
    "to be closed": (request("/api/v1/agents/a/heartbeat", b"", "Connection: close"), 204),
    "an upgrade": (
        request("/api/v1/agents/a/heartbeat", b"", "Connection: upgrade", "Upgrade: h2c"),
        204,
    ),
    "an expectation": (
        request("/api/v1/agents/a/heartbeat", b"x", "Expect: something"),
        204,
    ),
    "an encoded body": (
        request("/api/v1/agents/register", BODY, "Content-Encoding: gzip"),
        415,
    ),
    "a large body": (request("/api/v1/agents/register", b"[" + b" " * 600 + b"]"), 413),
    "chunks": (
        b"POST /api/v1/agents/register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
        200,
    ),
    "an empty coding": (request("/api/v1/agents/a/heartbeat", b"", "Transfer-Encoding: "), 400),
    "no request": (b"what?\r\n\r\n", 400),
}


@pytest.mark.parametrize("way", OTHER_WAYS)
async def test_what_is_not_answered_inline(way: str, inline: list[int]) -> None:
    """Whatever is unusual about a request goes aiohttp's way, and is answered there."""
    raw, status = OTHER_WAYS[way]
    async with serving(SETTINGS, auto_decompress=False) as served:
        await served.register("a")
        inline.clear()
        assert [status] == [answer.status for answer in await asked(served, raw)]
        assert not inline


REFUSED: Final = {
    "Origin: http://elsewhere": 403,
    "Sec-Fetch-Site: cross-site": 403,
    "X-Cameleer-Protocol-Version: 2": 400,
}


@pytest.mark.parametrize("header", REFUSED)
async def test_what_is_refused_is_refused_inline(
    served: Served, inline: list[int], header: str
) -> None:
    """Before anything is done."""
    [answer] = await asked(served, request("/api/v1/agents/register", BODY, header))
    assert [REFUSED[header]] == [answer.status] == inline
    assert not served.node.agents()


async def test_a_protocol_version_may_be_required(inline: list[int]) -> None:
    """Inline like elsewhere."""
    async with serving(Settings(require_protocol_version=True)) as served:
        said = "X-Cameleer-Protocol-Version: 1"
        register = partial(request, "/api/v1/agents/register", BODY)
        answers = await asked(served, register(), register(said))
        assert [400, 201] == [answer.status for answer in answers] == inline


@pytest.mark.parametrize("cut", [10, -len(BODY) - 1, -len(BODY), -len(BODY) + 1, -1])
async def test_a_request_that_comes_in_pieces(served: Served, inline: list[int], cut: int) -> None:
    """Once its head is there it waits for its body, as long as that is allowed to take."""
    raw = request("/api/v1/agents/register", BODY)
    async with connected(served) as connection:
        for piece in (raw[:cut], raw[cut:]):
            connection.writer.write(piece)
            await connection.writer.drain()
            await asyncio.sleep(0.01)
        assert 201 == (await connection.answer()).status
        assert inline == ([201] if cut in (10, -len(BODY) - 1) else [])
        connection.writer.write(HEARTBEAT)
        assert 204 == (await connection.answer()).status
        assert inline[-1:] == [204]


async def test_requests_one_behind_the_other_are_answered_in_that_order(
    served: Served, inline: list[int]
) -> None:
    """Also where some of them go the other way, which all do that come in large numbers."""
    await served.register("a")
    inline.clear()
    some = [request(f"/api/v1/agents/nobody-{n}/heartbeat") for n in range(3)]
    look = request("/api/v1/agents/a", method="GET")
    few = [*[HEARTBEAT] * 3, *some, look, HEARTBEAT, some[1]]
    many = [*[HEARTBEAT] * 100, some[2], look]
    async with connected(served) as connection:
        answers = []
        for requests in (few, many):
            connection.writer.write(b"".join(requests))
            answers += [await connection.answer() for _ in requests]
    expected = [204] * 3 + [404] * 3 + [200, 204, 404] + [204] * 100 + [404, 200]
    assert expected == [answer.status for answer in answers]
    named = [answer.json()["detail"] for answer in answers if answer.status == 404]
    assert [f"nobody-{n}" for n in (0, 1, 2, 1, 2)] == [
        next(word for word in text.replace("'", " ").split() if word.startswith("nobody"))
        for text in named
    ]
    assert [204] * 3 + [404] * 3 == inline


async def test_a_request_behind_one_that_waits(served: Served, inline: list[int]) -> None:
    """It is its turn when that has been answered, and not before."""
    await served.register("a")
    command_id = (await served.issue("/agents/a")).json()["commandId"]
    inline.clear()
    async with connected(served) as connection:
        waiting = request(f"/api/v1/commands/{command_id}?wait=20", method="GET")
        connection.writer.write(waiting)
        await asyncio.sleep(0.02)
        connection.writer.write(HEARTBEAT)
        await asyncio.sleep(0.02)
        assert not inline
        await served.ack("a", command_id)
        assert [200, 204] == [(await connection.answer()).status for _ in range(2)]


async def test_a_command_behind_a_broadcast_is_written_behind_it(served: Served) -> None:
    """It waits for its turn, and its answer is held meanwhile."""
    async with connected(served) as connection:
        for number in range(200):
            await served.register(f"b{number:03}")
        async with streaming(served, "b199") as stream:
            node = served.node
            broadcast = asyncio.ensure_future(
                node.issue(Order(type=CommandType.DEEP_TRACE, payload={}), Target.all())
            )
            await asyncio.sleep(0)
            assert node._push._fan_outs
            connection.writer.write(request("/api/v1/agents/b199/commands", ORDER))
            assert 202 == (await connection.answer()).status
            await broadcast
            assert ["deep-trace", "replay"] == [(await stream.event())["event"] for _ in range(2)]


async def test_a_heartbeat_in_the_middle_of_a_batch_is_answered_before_the_next(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the rest of what is being written, and for nothing else."""
    node, order = served.node, Order(type=CommandType.DEEP_TRACE, payload={})
    for number in range(4 * BATCH):
        await served.register(f"b{number:03}")
    push, heartbeat, seen = node.streams.push, node.heartbeat, []

    def pushing(frame: Frame, *whom: Any) -> Sequence[str]:
        seen.append("batch")
        client.sendall(request("/api/v1/agents/b000/heartbeat"))
        return push(frame, *whom)

    def hearing(agent_id: str) -> None:
        seen.append("heartbeat")
        heartbeat(agent_id)

    monkeypatch.setattr(node.streams, "push", pushing)
    monkeypatch.setattr(node, "heartbeat", hearing)
    with socket.create_connection((served.host, served.port)) as client:
        await asyncio.sleep(0.05)  # it is accepted by then
        await node.issue(order, Target.all())
        await asyncio.sleep(0.05)
    assert ["batch", "heartbeat"] * 4 == seen


async def test_what_fails_unexpectedly(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered as a problem that says nothing, and told in the log."""

    def fail(_agent_id: str) -> None:
        raise ZeroDivisionError("the secret")

    monkeypatch.setattr(served.node, "heartbeat", fail)
    with caplog.at_level(logging.ERROR):
        first, second = await asked(served, HEARTBEAT, request("/api/v1/agents/b/heartbeat"))
    assert (500, "internal-error") == (first.status, first.code)
    assert b"secret" not in first.body
    assert 500 == second.status
    assert 2 == sum("a request failed" in str(record.msg) for record in caplog.records)


@asynccontextmanager
async def connection_of(app: web.Application) -> AsyncIterator[tuple[InlineConnection, Peer]]:
    """Return a connection of a server, without a socket."""
    runner = InlineRunner(app, access_log=None)
    await runner.setup()
    try:
        connection = runner.server()
        peer = Peer(connection)
        await turns(2)
        yield connection, peer
    finally:
        await runner.cleanup()


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_reader_that_is_behind_is_not_answered_inline(inline: list[int]) -> None:
    """Its answers would pile up here. aiohttp waits until it has taken some."""
    async with connection_of(create_app()) as (connection, peer):
        connection.data_received(request("/api/v1/agents/register", BODY))
        connection.pause_writing()
        connection.data_received(HEARTBEAT * 3)
        await turns(20)
        assert [201] == inline
        assert 2 == peer.written.count(b"HTTP/1.1 ")
        connection.resume_writing()
        await turns(20)
        assert 4 == peer.written.count(b"HTTP/1.1 ")
        connection.data_received(HEARTBEAT)
        assert [201, 204] == inline


async def test_a_body_for_which_aiohttp_stops_to_read(inline: list[int]) -> None:
    """What follows such a one is read and answered, too."""
    routes = [f"route-{number:06}" for number in range(20_000)]
    body = json.dumps({"agentId": "a", "group": "g", "routeIds": routes}).encode()
    async with connection_of(create_app()) as (connection, peer):
        connection.data_received(request("/api/v1/agents/register", body) + HEARTBEAT * 3)
        await turns(20)
        assert [201, 204, 204, 204] == inline
        assert 4 == peer.written.count(b"HTTP/1.1 ")


@pytest.mark.looptime(start=1000)
async def test_an_idle_connection_is_given_up_from_its_last_request_on() -> None:
    """Like any other: what is answered inline counts as a sign of life."""
    async with serving(clock=virtual_clock(), keepalive_timeout=4) as served:
        await served.register("a")
        async with connected(served) as connection:
            for _ in range(6):
                await asyncio.sleep(1)
                connection.writer.write(HEARTBEAT)
                assert 204 == (await connection.answer()).status
            await connection.closed()


async def test_what_is_answered_inline_is_counted() -> None:
    """By method, address and status, with how long it took."""
    async with serving() as served:
        await served.register("a")
        await asked(served, HEARTBEAT, HEARTBEAT, request("/api/v1/agents/b/heartbeat"))
        seen = await scrape(served)
        counted = seen.values("cameleer_http_requests_total")
        route = "/api/v1/agents/{agentId}/heartbeat"
        assert (2, 1) == (counted["POST", route, "204"], counted["POST", route, "404"])
        took = seen.values("cameleer_http_request_duration_seconds_count")
        assert 3 == took["POST", route]


# Whatever is sent, both say the same


async def said(runner: web.AppRunner, pieces: list[tuple[bytes, int]]) -> list[Any]:
    """Send pieces to a server, and let it take so many turns after each; return its answers."""
    peer = Peer(protocol := runner.server())  # type: ignore[misc]
    for piece, number in [(b"", 2), *pieces, (b"", 60)]:
        if piece and not peer.is_closing():
            protocol.data_received(piece)
        await turns(number)
    last = "closed" if peer.is_closing() else "open"
    peer.close()
    await asyncio.sleep(0)
    reader = asyncio.StreamReader()
    reader.feed_data(peer.written)
    reader.feed_eof()
    answers = []
    while not reader.at_eof():
        connection = Connection(reader, None)  # type: ignore[arg-type]
        answer = await connection.head()
        answer.body = await reader.readexactly(int(answer.headers.get("content-length", 0)))
        answers.append(told(answer))
    return [*answers, last]


IDS: Final = ["a", "b", "register", "groups", "commands", "%61", ".", "..", "a%2Fb", "-", "é", ""]
PATHS: Final = st.one_of(
    *map(st.just, ["/api/v1/agents/register", "/api/v1/agents/a/commands/ID/ack"] * 2),
    *map(st.just, ["/api/v1/agents/a/heartbeat", "/api/v1/agents/b/commands"] * 2),
    *(
        st.builds(template.format, st.sampled_from(IDS))
        for template in (
            "/api/v1/agents/{}",
            "/api/v1/agents/{}/heartbeat",
            "/api/v1/agents/{}/heartbeat/",
            "/api/v1/agents//{}/heartbeat",
            "/api/v1/agents/{}/commands",
            "/api/v1/agents/{}/commands/ID/ack",
            "/api/v1/agents/{}/commands/none/ack",
            "/registry/api/v1/agents/{}/heartbeat",
        )
    ),
)
BODIES: Final = st.sampled_from(
    [
        b"",
        b"{",
        b"{}",
        b"\xff",
        BODY,
        BODY.replace(b'"a"', b'"b"'),
        BODY.replace(b'"a"', b'"groups"'),
        ORDER,
        ORDER.replace(b"replay", b"reply"),
        b'{"status":"FAILURE","message":"\\u0085","data":[1,{}]}',
        b'"' + b"x" * 498 + b'"',
        b'"' + b"x" * 499 + b'"',
    ]
)
HEADERS: Final = st.lists(
    st.sampled_from(
        [
            "X-Cameleer-Protocol-Version: 1",
            "X-Cameleer-Protocol-Version: 2",
            "Origin: http://x",
            "Origin: http://elsewhere",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-origin",
            "Content-Type: text/plain",
            "Content-Encoding: identity",
            "Content-Encoding: gzip",
            "Idempotency-Key: k",
            'Idempotency-Key: "',
            "Connection: keep-alive",
            "Expect: 100-Continue",
            "Upgrade: websocket",
            "Transfer-Encoding:",
        ]
    ),
    max_size=3,
    unique=True,
)
REQUESTS: Final = st.builds(
    lambda path, body, headers, method, version: request(
        path, body, *headers, method=method, version=version
    ),
    PATHS,
    BODIES,
    HEADERS,
    st.sampled_from(["POST", "POST", "POST", "GET", "PUT"]),
    st.sampled_from(["1.1", "1.1", "1.1", "1.1", "1.1", "1.0"]),
)


def thoroughly(examples: int) -> settings:
    """So many examples, the same each time, however long they take."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@thoroughly(400)
@given(
    requests=st.lists(REQUESTS, max_size=8),
    cuts=st.lists(st.tuples(st.integers(1, 400), st.integers(0, 12)), max_size=8),
    last=st.integers(0, 3),
)
def test_both_ways_say_the_same(
    requests: list[bytes], cuts: list[tuple[int, int]], last: int
) -> None:
    """Sent in whatever pieces, to servers that hold the same and get that many turns between."""

    async def send(runs: type[web.AppRunner]) -> list[Any]:
        app = create_app(SETTINGS)
        node = app[NODE]
        for agent_id in "ab":
            await node.register(
                wire.decode(f'{{"agentId":"{agent_id}","group":"g"}}'.encode(), Registration)
            )
        command = await node.issue(Order(type=CommandType.REPLAY, payload={}), Target.agent("a"))
        raw = b"".join(requests).replace(b"/ID/", f"/{command.command_id}/".encode())
        pieces = []
        for cut, turns in cuts:
            pieces.append((raw[:cut], turns))
            raw = raw[cut:]
        runner = runs(app, access_log=None, auto_decompress=False)
        await runner.setup()
        try:
            answers = await said(runner, [*pieces, (raw, last)])
            return [answers, [agent.agent_id for agent in node.agents()]]
        finally:
            await runner.cleanup()

    async def compare() -> None:
        assert await send(PoliteRunner) == await send(InlineRunner)

    asyncio.run(compare())
