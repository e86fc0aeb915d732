"""Reading bodies: slow, large, broken, or not there."""

from __future__ import annotations

import json

import pytest

from cameleer_registry import Settings

from ..support import Connection, Served, connected, serving

BODY = json.dumps({"agentId": "a", "group": "g", "name": "Ä 🐫"}, ensure_ascii=False).encode()


def head(length: int | None, *more: str) -> bytes:
    lines = ["POST /api/v1/agents/register HTTP/1.1", "Host: x", *more]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode()


async def test_a_body_a_byte_at_a_time(served: Served) -> None:
    """It is read to its end, in the middle of a character as well."""
    async with connected(served) as connection:
        connection.writer.write(head(len(BODY)))
        for byte in BODY:
            connection.writer.write(bytes([byte]))
            await connection.writer.drain()
        assert 201 == (await connection.answer()).status
    assert "Ä 🐫" == served.node.agent("a").name


async def test_a_chunked_body(served: Served) -> None:
    """Its length need not be known."""
    async with connected(served) as connection:
        connection.writer.write(head(None, "Transfer-Encoding: chunked"))
        for byte in BODY:
            connection.writer.write(b"1\r\n%c\r\n" % byte)
        connection.writer.write(b"0\r\n\r\n")
        assert 201 == (await connection.answer()).status


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_the_content_type_does_not_matter(served: Served, content_type: str) -> None:
    """Bodies are JSON whatever is said of them."""
    answer = await served.request(
        "POST", "/agents/register", raw=BODY, headers={"Content-Type": content_type}
    )
    assert 201 == answer.status


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (b"", "missing"),
        (b"{", "line 1"),
        (BODY + b"x", "unexpected content"),
        (b"\xff\xfe{}", "byte 0"),
        (b'{"agentId":"\\ud800","group":"g"}', "surrogate"),
        (b"[" * 2000, "depth"),
        (b"agentId=a&group=g", "line 1"),
        (b'{"agentId":NaN}', "line 1"),
    ],
)
async def test_a_body_that_is_no_json(served: Served, raw: bytes, part: str) -> None:
    """400 that says where."""
    answer = await served.request("POST", "/agents/register", raw=raw)
    assert (400, "malformed-json") == (answer.status, answer.code)
    assert part in answer.json()["detail"]


async def test_every_fault_is_named(served: Served) -> None:
    """Not only the first."""
    body = {"agentId": "?", "routeIds": ["ok", 3], "capabilities": "x", "name": None}
    answer = await served.request("POST", "/agents/register", body)
    assert (400, "invalid-request") == (answer.status, answer.code)
    assert {"$.agentId", "$.group", "$.routeIds[1]", "$.capabilities", "$.name"} == {
        fault["path"] for fault in answer.json()["errors"]
    }


async def test_payloads_survive_exactly(served: Served) -> None:
    """Whatever characters and numbers they hold, from order to agent."""
    await served.register("a")
    payload = {"": None, "a.b": [0.1, 2**64 - 1, -(2**63), 1e300], "x": "\r\n\0\u2028\x7f🐫"}
    await served.issue("/agents/a", payload=payload)
    [delivery] = (await served.request("GET", "/agents/a/commands")).json()
    assert payload == delivery["payload"]


async def refusal_of_too_much(connection: Connection) -> None:
    answer = await connection.answer()
    assert (413, "body-too-large") == (answer.status, answer.code)


async def test_a_body_that_is_too_large() -> None:
    """413, whether its length was announced or found out; the largest allowed is read."""
    async with serving(Settings(max_body=len(BODY))) as served:
        assert 201 == (await served.request("POST", "/agents/register", raw=BODY)).status
        over = await served.request("POST", "/agents/register", raw=BODY + b" ")
        assert (413, "body-too-large") == (over.status, over.code)
        async with connected(served) as connection:
            connection.writer.write(head(10**12))
            await refusal_of_too_much(connection)
        async with connected(served) as connection:
            connection.writer.write(head(None, "Transfer-Encoding: chunked"))
            connection.writer.write(b"40\r\n%b\r\n" % (b" " * 64) * 4)
            await refusal_of_too_much(connection)


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "x"])
async def test_a_body_that_would_have_to_be_unpacked(encoding: str) -> None:
    """415: a megabyte can unpack to a gigabyte. Said to be as it is, a body is read as it is."""
    async with serving(auto_decompress=False) as served:
        for said, status in ((encoding, 415), ("identity", 201)):
            headers = {"Content-Encoding": said}
            answer = await served.request("POST", "/agents/register", raw=BODY, headers=headers)
            assert status == answer.status
        refused = await served.request(
            "POST", "/agents/register", raw=BODY, headers={"Content-Encoding": encoding}
        )
        assert "unsupported-content-encoding" == refused.code


async def test_a_body_that_does_not_come() -> None:
    """408 after a while; other requests are served meanwhile."""
    async with serving(Settings(body_timeout=0.05)) as served, connected(served) as connection:
        connection.writer.write(head(100) + b"{")
        assert 200 == (await served.request("GET", "/agents")).status
        answer = await connection.answer()
        assert (408, "request-timeout") == (answer.status, answer.code)


async def test_a_client_that_goes_away_in_the_middle(served: Served) -> None:
    """Nobody is answered, and nothing is registered."""
    async with connected(served) as connection:
        connection.writer.write(head(len(BODY)) + BODY[:-5])
        await connection.writer.drain()
        connection.reset()
    assert [] == (await served.request("GET", "/agents")).json()


async def test_a_body_in_broken_chunks(served: Served) -> None:
    """400, and the server goes on."""
    async with connected(served) as connection:
        connection.writer.write(head(None, "Transfer-Encoding: chunked") + b"zz\r\n")
        assert 400 == (await connection.answer()).status
    assert 200 == (await served.request("GET", "/agents")).status
