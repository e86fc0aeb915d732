"""The reading of an event stream, from a server that writes as it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from cameleer_registry import RegistryError, ServerUnreachable, UnexpectedAnswer
from cameleer_registry.client import stream as stream_module
from cameleer_registry.client.connection import Connection
from cameleer_registry.client.stream import EventStream

from ..support import running, within
from .support import virtual_time

Write = Callable[[web.StreamResponse], Any]


@asynccontextmanager
async def opened(write: Write, *, silence: float = 20) -> AsyncIterator[EventStream]:
    """Open a stream on which a server writes that."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await write(response)
        return response

    app = web.Application()
    app.router.add_get("/events", stream)
    async with running(app) as (host, port), Connection(f"http://{host}:{port}") as connection:
        stream_of_it = EventStream(await connection.stream("/events", silence=silence))
        try:
            yield stream_of_it
        finally:
            stream_of_it.close()


def pieces(text: bytes, size: int = 1 << 20) -> Write:
    async def write(response: web.StreamResponse) -> None:
        for start in range(0, len(text), size):
            await response.write(text[start : start + size])
            await asyncio.sleep(0)

    return write


async def read(stream: EventStream) -> list[tuple[str, str]]:
    """Read to the end: type and data of each event."""
    async with aclosing(stream.events()) as events:
        return [(event.event, event.data) async for event in events]


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_pieces_of_any_size(size: int, end: str) -> None:
    """Events are the same, comments are none, and retry is read."""
    text = "retry: 4368\n: connected\n:\nid: 1\nevent: replay\ndata: {}\n\n:\n:\nid: 2\ndata: é\n\n"
    async with opened(pieces(text.replace("\n", end).encode(), size)) as stream:
        assert stream.retry is None
        assert [("replay", "{}"), ("message", "é")] == await within(read(stream))
        assert 4.368 == stream.retry


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
@pytest.mark.parametrize("data", ["{}", "x" * 200, "a retry: 7"])
async def test_a_stream_that_sends_its_client_away(size: int, data: str) -> None:
    """The delay is said anew before the end; and what stands within a line is none."""
    text = f"retry: 4368\n: connected\nid: 1\nevent: replay\ndata: {data}\n\n"
    async with opened(pieces(text.encode(), size)) as stream:
        assert [("replay", data)] == await within(read(stream))
        assert (4.368, False) == (stream.retry, stream.is_sent_away)
    async with opened(pieces(f"{text}retry: 150\n".encode(), size)) as stream:
        assert [("replay", data)] == await within(read(stream))
        assert (0.15, True) == (stream.retry, stream.is_sent_away)


@pytest.mark.parametrize(
    "opening",
    [
        b"",
        b": hello\n",
        b"retry: soon\n",
        b"retry: -1\n",
        b"retry: %s\n" % (b"9" * 5000),
        b"r" * 100_000,
    ],
)
async def test_a_stream_that_says_no_retry(opening: bytes) -> None:
    """It is a stream all the same."""
    async with opened(pieces(opening + b"\nevent: x\ndata: 1\n\n")) as stream:
        assert [("x", "1")] == await within(read(stream))
        assert stream.retry is None


@pytest.mark.parametrize(
    ("said", "taken"), [(0, 0), (60_000, 60), (60_001, 60), (86_400_000, 60), (10**17, 60)]
)
async def test_a_retry_of_more_than_a_minute(said: int, taken: float) -> None:
    """It is a minute, whoever says it."""
    async with opened(pieces(b"retry: %d\n: connected\n" % said)) as stream:
        await within(read(stream))
        assert taken == stream.retry


async def test_a_line_of_megabytes() -> None:
    """A payload may be as large as max_body, and is one line."""
    data = "x" * 5_000_000
    async with opened(pieces(f"data: {data}\n\n".encode())) as stream:
        assert [("message", data)] == await within(read(stream))


@virtual_time
async def test_silence() -> None:
    """A stream on which nothing comes is dead; the least byte shows that it is not."""
    never = asyncio.Event()

    async def write(response: web.StreamResponse) -> None:
        for _ in range(5):
            await response.write(b":\n")
            await asyncio.sleep(0.1)
        await never.wait()

    async with opened(write, silence=0.3) as stream:
        began = asyncio.get_running_loop().time()
        with pytest.raises(ServerUnreachable, match="nothing has arrived on the stream"):
            await within(read(stream))
        assert asyncio.get_running_loop().time() - began > 0.5
        never.set()


async def test_a_connection_that_breaks() -> None:
    """It is told from a stream that was ended."""

    async def write(response: web.StreamResponse) -> None:
        await response.write(b"retry: 2000\n")
        writer: Any = response._payload_writer
        writer.transport.abort()

    async with opened(write) as stream:
        with pytest.raises(ServerUnreachable, match="the stream broke"):
            await within(read(stream))


async def test_bytes_that_are_no_text() -> None:
    """They break the stream, not the agent."""
    async with opened(pieces(b"data: \xff\n\n")) as stream:
        with pytest.raises(ServerUnreachable, match="the stream broke"):
            await within(read(stream))


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ({"text": "<h1>Welcome</h1>", "content_type": "text/html"}, UnexpectedAnswer),
        ({"status": 502, "text": "Bad Gateway"}, UnexpectedAnswer),
        (
            {"status": 404, "text": '{"type":"urn:cameleer:problem:x","title":"","detail":"y"}'},
            RegistryError,
        ),
    ],
)
async def test_what_is_no_stream(response: dict[str, Any], error: type[Exception]) -> None:
    """It is told when it is opened."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(**response)

    app = web.Application()
    app.router.add_get("/events", answer)
    async with running(app) as (host, port), Connection(f"http://{host}:{port}") as connection:
        with pytest.raises(error):
            await connection.stream("/events", silence=20)


@pytest.mark.parametrize("endpoint", ["http://[x", "//x:99999/", "http://a..b/", "ftp://x/y"])
async def test_an_endpoint_that_is_no_address(endpoint: str) -> None:
    """It is no reason to end: the next registration may name another."""
    async with Connection("http://127.0.0.1:1") as connection:
        with pytest.raises(ServerUnreachable, match=r"cannot reach http://127\.0\.0\.1:1: "):
            await connection.stream(endpoint, silence=20)


@pytest.mark.parametrize("text", [b"x" * 1000, b"data: x\n" * 200, b":\n" * 900])
@pytest.mark.parametrize("size", [100, 7])
async def test_an_event_without_an_end_is_given_up(
    text: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take all the memory that there is; what ends may be as long in all."""
    monkeypatch.setattr(stream_module, "LONGEST_EVENT", 900)
    event = b"data: %s\r\n\r\n" % (b"y" * 700)
    async with opened(pieces(3 * event + text, size)) as stream:
        with pytest.raises(ServerUnreachable, match="an event is longer than 900 bytes"):
            await within(read(stream))
    async with opened(pieces(3 * event, size)) as stream:
        assert 3 == len(await within(read(stream)))
