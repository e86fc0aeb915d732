"""Clients that send a byte now and then, or none: each is disconnected in a time that is known.

On virtual time, over real sockets. What is slow here never stops by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import chain, repeat
from typing import Any, Final

import pytest

from cameleer_registry import Settings
from cameleer_registry.serving import IDLE_TIMEOUT

from ..support import Answer, Connection, Served, connected, streaming, virtual_clock
from .hostile import answers_in, attacked
from .scale import SCALE

virtual_time = pytest.mark.looptime(start=1000)

PAUSE: Final = 0.7
"""Virtual seconds between two bytes."""

LINGERING: Final = 10.0
"""Seconds for which aiohttp reads on what it has no use for, before it closes the connection."""

BODY_TIMEOUT: Final = Settings().body_timeout
SLACK: Final = 1.0
"""Virtual seconds that are none of the server's: asyncio rounds long time-outs up."""

FIRST: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST: Final = b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\n"
PING: Final = b"POST /api/v1/agents/known/heartbeat HTTP/1.1\r\nHost: localhost\r\n"
CHUNKS: Final = b"Transfer-Encoding: chunked\r\n\r\n"

HEADS: Final = {
    "nothing at all": (b"", b""),
    "nothing but empty lines": (b"", b"\r\n"),
    "half a request line": (b"GET /healthz HT", b""),
    "an address without end": (b"GET /", b"a"),
    "a header without end": (b"GET /healthz HTTP/1.1\r\nX: ", b"a"),
    "headers without end": (b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n"),
    "nothing after a request": (FIRST, b""),
    "a second head without end": (FIRST + b"GET / HTTP/1.1\r\nX: ", b"a"),
}
"""What is sent at once, and what is repeated a byte at a time: no request comes to an end."""

BODIES: Final = {
    "a body": (POST + b"Content-Length: 1000000\r\n\r\n", b" "),
    "a body of which nothing comes": (POST + b"Content-Length: 1\r\n\r\n", b""),
    "chunks": (POST + CHUNKS, b"1\r\n \r\n"),
    "no chunk": (POST + CHUNKS, b""),
    "a chunk's size": (POST + CHUNKS, b"0"),
    "a chunk's extension": (POST + CHUNKS + b"1;", b"a"),
    "trailers": (POST + CHUNKS + b"1\r\n{\r\n0\r\n", b"X: y\r\n"),
    "a body that was asked for": (
        POST + b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n",
        b" ",
    ),
}

UNREAD: Final = {
    "a heartbeat's body": (PING + b"Content-Length: 1000000\r\n\r\n", b" ", 204),
    "a heartbeat's chunks": (PING + CHUNKS, b"1\r\n \r\n", 204),
    "a body for nobody": (POST.replace(b"register", b"x/y/z") + CHUNKS, b"1\r\n \r\n", 404),
    "a body that is too large": (POST + b"Content-Length: 1000000000\r\n\r\n", b" ", 413),
}


@asynccontextmanager
async def served_slowly(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Served]:
    """A server with the time-outs of the command line."""
    clock = virtual_clock()
    async with attacked(caplog, clock=clock, keepalive_timeout=IDLE_TIMEOUT) as served:
        await served.register("known")
        yield served


async def trickle(served: Served, start: bytes, again: bytes) -> tuple[float, list[Answer]]:
    """Send a byte now and then, until the server closes the connection: after how long, and why."""
    begun = asyncio.get_running_loop().time()
    async with connected(served) as connection:
        connection.writer.write(start)
        sending = asyncio.create_task(send_slowly(connection, again))
        received = bytearray()
        try:
            async with asyncio.timeout(10 * IDLE_TIMEOUT):  # virtual: a failure if it passes
                while chunk := await connection.reader.read(65_536):
                    received += chunk
        except ConnectionError:
            pass  # closed while bytes were on their way
        finally:
            sending.cancel()
    return asyncio.get_running_loop().time() - begun, answers_in(bytes(received))


async def send_slowly(connection: Connection, again: bytes) -> None:
    for byte in chain.from_iterable(repeat(again)) if again else ():
        await asyncio.sleep(PAUSE)
        connection.writer.write(bytes([byte]))


@virtual_time
@pytest.mark.parametrize("case", HEADS)
async def test_a_head_that_never_ends(caplog: pytest.LogCaptureFixture, case: str) -> None:
    """The connection is closed when its time is over; no byte earns it more."""
    start, again = HEADS[case]
    async with served_slowly(caplog) as served:
        seconds, answers = await trickle(served, start, again)
    assert seconds <= IDLE_TIMEOUT + SLACK
    expected = [200] if start.startswith(FIRST) else []
    assert expected == [answer.status for answer in answers]


@virtual_time
@pytest.mark.parametrize("case", BODIES)
async def test_a_body_that_never_ends(caplog: pytest.LogCaptureFixture, case: str) -> None:
    """It is refused when its time is over, and the connection is closed soon after."""
    start, again = BODIES[case]
    async with served_slowly(caplog) as served:
        seconds, answers = await trickle(served, start, again)
        assert ["known"] == [agent.agent_id for agent in served.node.agents()]
    assert BODY_TIMEOUT - SLACK <= seconds <= BODY_TIMEOUT + LINGERING + SLACK
    assert [(408, "request-timeout")] == [(answer.status, answer.code) for answer in answers]


@virtual_time
@pytest.mark.parametrize("case", UNREAD)
async def test_a_body_that_nobody_wants(caplog: pytest.LogCaptureFixture, case: str) -> None:
    """It is answered at once, and not read for long."""
    start, again, status = UNREAD[case]
    async with served_slowly(caplog) as served:
        seconds, answers = await trickle(served, start, again)
    assert seconds <= LINGERING + SLACK
    assert [status] == [answer.status for answer in answers]


@virtual_time
async def test_many_that_are_slow(
    caplog: pytest.LogCaptureFixture, record_property: Callable[[str, Any], None]
) -> None:
    """Others are served meanwhile, streams outlive them, and none of them is left."""
    loop = asyncio.get_running_loop()
    cases = list(chain(HEADS.values(), BODIES.values()))
    async with served_slowly(caplog) as served, streaming(served, "known") as agent:
        async with asyncio.timeout(30 * IDLE_TIMEOUT):
            slow = asyncio.gather(
                *(
                    trickle(served, *cases[number % len(cases)])
                    for number in range(SCALE.slow_connections)
                )
            )
            rounds, begun = 0, loop.time()
            while not slow.done():
                assert (await served.register(f"a{rounds % 7}")).status in (200, 201)
                assert 204 == (await served.request("POST", "/agents/known/heartbeat")).status
                command = (await served.issue("/agents/known", payload={"n": rounds})).json()
                event = await agent.event()
                assert (command["commandId"], {"n": rounds}) == (
                    event["id"],
                    event["data"]["payload"],
                )
                await served.ack("known", command["commandId"])
                rounds += 1
                await asyncio.sleep(PAUSE)
        seconds = max(taken for taken, _ in await slow)
        # The stream goes on long after whatever closed the others.
        await asyncio.sleep(3 * IDLE_TIMEOUT)
        command = (await served.issue("/agents/known")).json()
        assert command["commandId"] == (await agent.event())["id"]
        assert served.node.agent("known").connected
    assert seconds <= IDLE_TIMEOUT + SLACK
    lasted = loop.time() - begun
    figures = {
        "slow connections at once": SCALE.slow_connections,
        "rounds of other requests meanwhile": rounds,
        "virtual seconds until the last was closed": round(seconds, 1),
        "virtual seconds that the stream lasted": round(lasted),
    }
    print(figures)
    for name, value in figures.items():
        record_property(name, value)
