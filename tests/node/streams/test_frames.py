"""The bytes of a stream: what a reader that keeps to the standards makes of them."""

from __future__ import annotations

import json

import httpx
import httpx_sse
from hypothesis import given
from hypothesis import strategies as st

from cameleer_registry import wire
from cameleer_registry.node.streams import frames
from cameleer_registry.node.streams.frames import END, KEEPALIVE, Frame


def unchunked(raw: bytes) -> bytes:
    """Return what stands in one chunk, by the sizes that it states (RFC 9112, section 7.1)."""
    size, _, rest = raw.partition(b"\r\n")
    content, end = rest[: int(size, 16)], rest[int(size, 16) :]
    assert b"\r\n" == end
    return content


def read(content: bytes) -> list[httpx_sse.ServerSentEvent]:
    """Read a stream as a client from elsewhere does."""
    headers = {"Content-Type": "text/event-stream"}
    response = httpx.Response(200, headers=headers, content=content)
    return list(httpx_sse.EventSource(response).iter_sse())


@given(st.binary(min_size=1, max_size=5000))
def test_a_chunk_states_its_size(content: bytes) -> None:
    """HTTP/1.0 gets the same without it."""
    frame = Frame.of(content)
    assert content == frame.plain == unchunked(frame.chunked)


def test_what_is_no_event_is_none_to_a_reader() -> None:
    """The opening, a keepalive, and the end of a stream."""
    opening = frames.opening().plain
    first, second, rest = opening.split(b"\n")
    assert (b": connected", b"") == (second, rest)
    assert 2000 <= int(first.removeprefix(b"retry: ")) <= 5000
    assert [] == read(opening + KEEPALIVE.plain + END.plain)
    assert (b"2\r\n:\n\r\n", b"0\r\n\r\n") == (KEEPALIVE.chunked, END.chunked)


def test_streams_are_told_different_delays() -> None:
    """So that those who lost their server together do not come back together."""
    assert len({frames.opening().plain for _ in range(100)}) > 50


@given(st.dictionaries(st.text(), st.text() | st.integers(0, 9) | st.none()))
def test_an_event_is_read_as_it_was_written(data: dict[str, str | int | None]) -> None:
    """Whatever characters are in it, line ends of any kind among them; between keepalives."""
    written = (
        KEEPALIVE.plain + frames.lines("7", "replay", wire.encode_line(data)) + KEEPALIVE.plain
    )
    [event] = read(written)
    assert ("7", "replay", data) == (event.id, event.event, json.loads(event.data))
