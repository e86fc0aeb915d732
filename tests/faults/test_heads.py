"""Request heads that are too large, and requests that could be read in two ways.

What a proxy in front reads as one request and the server as two is smuggled past the proxy
(RFC 9112, section 11.2). So for each shape it is said here how it is read: as a refusal after which
nothing else on the connection is read, or in the one way that the RFC allows.
"""

from __future__ import annotations

from typing import Final

import pytest

from ..support import Served, connected
from .hostile import assert_proper, attacked, exchange

HEAD: Final = b"POST /api/v1/agents/known/heartbeat HTTP/1.1\r\nHost: localhost\r\n"
EVIL: Final = b'{"agentId":"smuggled","group":"g"}'
SMUGGLED: Final = (
    b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(EVIL), EVIL)
)
LAST: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SIZE: Final = len(SMUGGLED)


def post(*lines: bytes, body: bytes = SMUGGLED) -> bytes:
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)


def in_chunks(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


def get(target: bytes, version: bytes = b"HTTP/1.1", *lines: bytes) -> bytes:
    return b"GET %b %b\r\n" % (target, version) + b"\r\n".join([*lines, b"", b""])


REFUSED: Final = {
    "both lengths": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "both lengths, the other way": post(
        b"Transfer-Encoding: chunked", b"Content-Length: %d" % SIZE, body=b"0\r\n\r\n" + SMUGGLED
    ),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: %d" % SIZE),
    "the same length twice": post(b"Content-Length: %d" % SIZE, b"Content-Length: %d" % SIZE),
    "a list of lengths": post(b"Content-Length: 0, %d" % SIZE),
    "a length with a plus": post(b"Content-Length: +0"),
    "a length with a minus": post(b"Content-Length: -0"),
    "a negative length": post(b"Content-Length: -1"),
    "a length in hex": post(b"Content-Length: 0x0"),
    "a length with a letter": post(b"Content-Length: 0a"),
    "a length in two parts": post(b"Content-Length: 0 0"),
    "a length with an underscore": post(b"Content-Length: 1_0"),
    "a length in Arabic": post("Content-Length: \u0660".encode()),
    "a length that is empty": post(b"Content-Length:"),
    "a length beyond 64 bits": post(b"Content-Length: 18446744073709551616"),
    "a space before the colon of a length": post(b"Content-Length : %d" % SIZE),
    "an unknown coding": post(b"Transfer-Encoding: xchunked"),
    "identity": post(b"Transfer-Encoding: identity"),
    "an empty coding": post(b"Transfer-Encoding:"),
    "an empty coding beside a length": post(b"Transfer-Encoding:", b"Content-Length: 0"),
    "a coding in quotes": post(b'Transfer-Encoding: "chunked"'),
    "a coding that ends in NUL": post(b"Transfer-Encoding: chunked\0", body=chunked(b"x")),
    "a coding behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=chunked(b"x")),
    "a coding that folds case like ASCII": post(
        "Transfer-Encoding: chun\u212aed".encode(), body=chunked(b"x")
    ),
    "chunked, and then something else": post(
        b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SMUGGLED
    ),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", body=chunked(b"x") + SMUGGLED),
    "two codings in two lines": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + SMUGGLED
    ),
    "a space before the colon of a coding": post(
        b"Transfer-Encoding : chunked", body=chunked(b"x") + SMUGGLED
    ),
    "a coding on a folded line": post(
        b"Transfer-Encoding:", b" chunked", body=chunked(b"x") + SMUGGLED
    ),
    "a folded line": post(b"X: a", b" b", b"Content-Length: 0"),
    "a bare LF in a header": post(b"X: y\nTransfer-Encoding: chunked", body=chunked(b"x")),
    "a bare CR in a header": post(b"X: y\rTransfer-Encoding: chunked", body=chunked(b"x")),
    "a bare LF at the end of the head": HEAD + b"Content-Length: 0\n\n" + SMUGGLED,
    "bare LFs everywhere": b"GET /healthz HTTP/1.1\nHost: x\n\n" + SMUGGLED,
    "a line that begins with a space": b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n"
    + SMUGGLED,
    "a header without a colon": post(b"XYZ"),
    "a header without a name": post(b": x"),
    "NUL in a header": post(b"X: a\0b"),
    "NUL in a header's name": post(b"X\0: a"),
    "NUL in the address": get(b"/heal\0thz", b"HTTP/1.1", b"Host: x") + SMUGGLED,
    "bytes that are no address": get(b"/\xff", b"HTTP/1.1", b"Host: x") + SMUGGLED,
    "a space in the address": get(b"/a b", b"HTTP/1.1", b"Host: x") + SMUGGLED,
    "a chunk's size with 0x": in_chunks(b"0x0\r\n\r\n" + SMUGGLED),
    "a chunk's size with a minus": in_chunks(b"-1\r\n\r\n" + SMUGGLED),
    "a chunk's size with a space": in_chunks(b"5 \r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk's size that is empty": in_chunks(b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk's size beyond 64 bits": in_chunks(
        b"10000000000000005\r\nhello\r\n0\r\n\r\n" + SMUGGLED
    ),
    "a chunk that is shorter than it is": in_chunks(b"7\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk that is longer than it is": in_chunks(b"3\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a bare LF after a chunk's size": in_chunks(b"5\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a bare LF after a chunk": in_chunks(b"5\r\nhello\n0\r\n\r\n" + SMUGGLED),
    "a bare LF in an extension": in_chunks(b"5;a\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a bare CR in an extension": in_chunks(b"5;a\rb\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a length among the trailers": in_chunks(b"0\r\nContent-Length: %d\r\n\r\n" % SIZE + SMUGGLED),
    "too many trailers": in_chunks(b"0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n" + SMUGGLED),
    "HTTP/0.9": b"GET /healthz\r\n\r\n" + SMUGGLED,
    "HTTP/0.9 by name": get(b"/healthz", b"HTTP/0.9") + SMUGGLED,
    "HTTP/1.2": get(b"/healthz", b"HTTP/1.2", b"Host: x") + SMUGGLED,
    "HTTP/2.0": get(b"/healthz", b"HTTP/2.0", b"Host: x") + SMUGGLED,
    "HTTP/2.0 that wants to go on": get(
        b"/healthz", b"HTTP/2.0", b"Host: x", b"Connection: keep-alive"
    )
    + SMUGGLED,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SMUGGLED,
    "HTTP/1.0 in chunks beside a length": (
        b"POST /api/v1/agents/known/heartbeat HTTP/1.0\r\nConnection: keep-alive\r\n"
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED
    ),
    "no host": get(b"/healthz") + SMUGGLED,
    "two hosts": get(b"/healthz", b"HTTP/1.1", b"Host: x", b"Host: y") + SMUGGLED,
    "an address that is none": get(b"http://[x/healthz", b"HTTP/1.1", b"Host: x") + SMUGGLED,
    "a port that is none": get(b"http://x:99999/healthz", b"HTTP/1.1", b"Host: x") + SMUGGLED,
    "no address": get(b"*", b"HTTP/1.1", b"Host: x") + SMUGGLED,
    "only a query": get(b"?x", b"HTTP/1.1", b"Host: x") + SMUGGLED,
    "a method in lower case": b"get /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + SMUGGLED,
    "a method that is none": b"SMUGGLE /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + SMUGGLED,
    "an old WebSocket": post(b"Sec-WebSocket-Key1: x", b"Content-Length: 0"),
    "64 KiB in one header": get(b"/healthz", b"HTTP/1.1", b"Host: x", b"X: " + b"a" * 65_536),
    "64 KiB in a header's name": get(b"/healthz", b"HTTP/1.1", b"Host: x", b"X" * 65_536 + b": a"),
    "64 KiB in the address": get(b"/" + b"a" * 65_536, b"HTTP/1.1", b"Host: x"),
    "64 KiB in the query": get(b"/?" + b"a" * 65_536, b"HTTP/1.1", b"Host: x"),
    "64 KiB in the method": b"A" * 65_536 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "10,000 headers": get(b"/healthz", b"HTTP/1.1", b"Host: x", *[b"X: y"] * 10_000),
    "a megabyte of headers": get(
        b"/healthz", b"HTTP/1.1", b"Host: x", *[b"X:" + b"y" * 8000] * 132
    ),
}
"""After these nothing on the connection is read any more."""

READ: Final = {
    "a length, and space behind it": (post(b"Content-Length: %d  " % SIZE) + LAST, [204, 200]),
    "a length that begins with 0": (post(b"Content-Length: 00%d" % SIZE) + LAST, [204, 200]),
    "in chunks": (in_chunks(chunked(SMUGGLED)) + LAST, [204, 200]),
    "in chunks, in capitals": (
        post(b"TRANSFER-ENCODING: CHUNKED", body=chunked(SMUGGLED)) + LAST,
        [204, 200],
    ),
    "in chunks, behind a tab": (
        post(b"Transfer-Encoding:\tchunked", body=chunked(SMUGGLED)) + LAST,
        [204, 200],
    ),
    "in chunks of something packed": (
        post(b"Transfer-Encoding: gzip, chunked", body=chunked(SMUGGLED)) + LAST,
        [204, 200],
    ),
    "extensions of chunks": (in_chunks(b'5;a="b"\r\nhello\r\n0;x\r\n\r\n') + LAST, [204, 200]),
    "a chunk's size with zeros": (
        in_chunks(b"0" * 40 + b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, SMUGGLED)) + LAST,
        [204, 200],
    ),
    "another header that looks like it": (
        post(b"Transfer_Encoding: chunked", b"Content-Length: %d" % SIZE) + LAST,
        [204, 200],
    ),
    "trailers": (in_chunks(b"0\r\nX-Y: z\r\n\r\n") + LAST, [204, 200]),
    "HTTP/1.0 in chunks": (
        b"POST /api/v1/agents/known/heartbeat HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunked(SMUGGLED),
        [204],
    ),
    "GET with a body": (
        get(b"/healthz", b"HTTP/1.1", b"Host: x", b"Content-Length: %d" % SIZE) + SMUGGLED + LAST,
        [200, 200],
    ),
    "one behind the other": (get(b"/healthz", b"HTTP/1.1", b"Host: x") * 3 + LAST, [200] * 4),
    "the whole address of somebody else": (
        get(b"http://evil.example/healthz", b"HTTP/1.1", b"Host: x") + LAST,
        [200, 200],
    ),
    "a host that is none": (
        get(b"/healthz", b"HTTP/1.1", b"Host: ]a b/../@[\xff:") + LAST,
        [200, 200],
    ),
    "a host that is empty": (get(b"/healthz", b"HTTP/1.1", b"Host:") + LAST, [200, 200]),
    "two slashes": (get(b"//healthz", b"HTTP/1.1", b"Host: x") + LAST, [404, 200]),
    "a tunnel": (b"CONNECT x:80 HTTP/1.1\r\nHost: localhost\r\n\r\n" + LAST, [404, 200]),
    "a WebSocket": (
        get(b"/healthz", b"HTTP/1.1", b"Host: x", b"Connection: upgrade", b"Upgrade: websocket")
        + LAST,
        [200, 200],
    ),
    "a body that wants to be a WebSocket": (
        post(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: %d" % SIZE) + LAST,
        [204, 200],
    ),
    "a body that wants to be HTTP/2": (
        post(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
            b"Connection: close",
            b"Content-Length: %d" % SIZE,
        ),
        [204],
    ),
    "a body that was asked for": (
        post(b"Expect: 100-continue", b"Content-Length: %d" % SIZE) + LAST,
        [204, 200],
    ),
    "an expectation that is none": (
        post(b"Expect: the-unexpected", b"Content-Length: %d" % SIZE) + LAST,
        [204, 200],
    ),
    "empty lines in front": (b"\r\n\r\n" + LAST, [200]),
}
"""These are read, and what is in a body is no request, whatever it looks like."""


async def assert_not_smuggled(served: Served) -> None:
    assert ["known"] == [agent.agent_id for agent in served.node.agents()]


@pytest.mark.parametrize("in_pieces", [False, True], ids=["at once", "in pieces"])
async def test_what_is_ambiguous_is_refused(
    caplog: pytest.LogCaptureFixture, *, in_pieces: bool
) -> None:
    """With a problem, once, and the connection is closed: what follows is not read."""
    async with attacked(caplog) as served:
        await served.register("known")
        for name, raw in REFUSED.items():
            # In the middle of a line, and of what a parser keeps from one piece to the next.
            pieces = (raw[:61], raw[61:]) if in_pieces else (raw,)
            answers = await exchange(served, *pieces)
            for answer in answers:
                assert_proper(answer)
            # A heartbeat has no use for its body, and is answered before that turns out wrong.
            *before, last = [answer.status for answer in answers]
            assert (400, "invalid-request") == (last, answers[-1].code), name
            assert before in ([], [204]), name
            await assert_not_smuggled(served)


async def test_what_is_read_is_read_in_one_way(caplog: pytest.LogCaptureFixture) -> None:
    """A body is a body, and the connection goes on behind it."""
    async with attacked(caplog) as served:
        await served.register("known")
        for name, (raw, expected) in READ.items():
            answers = await exchange(served, raw)
            assert expected == [answer.status for answer in answers], name
            for answer in answers:
                assert_proper(answer)
            await assert_not_smuggled(served)


async def test_a_body_that_wants_to_be_http_2_is_read(caplog: pytest.LogCaptureFixture) -> None:
    """Java's HttpClient asks for HTTP/2 with the first request on every connection."""
    async with attacked(caplog) as served:
        body = b'{"agentId":"known","group":"g"}'
        head = (
            b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
        )
        whole = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        in_parts = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body)
        async with connected(served) as connection:
            for raw, status in ((whole, 201), (in_parts, 200), (whole, 200)):
                for piece in (raw[:150], raw[150:-9], raw[-9:]):
                    connection.writer.write(piece)
                    await connection.writer.drain()
                assert status == (await connection.answer()).status
        await assert_not_smuggled(served)
