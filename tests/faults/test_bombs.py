"""Bodies that are small to send and large to read: each is answered, and nobody else has to wait.

How long a body holds up everybody else is printed, as the longest wait of a heartbeat meanwhile,
and so is how much the process has grown. The first is not asserted: it tells of the machine, too.
"""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from ..processes import Server, server
from ..support import within

MEBIBYTE: Final = 1 << 20
MOST_MEMORY: Final = 400 * MEBIBYTE
"""Far above what is seen, and far below what a bomb is for."""


def filled(start: str, unit: str, end: str, size: int = MEBIBYTE) -> bytes:
    """Return a body of that size: a unit repeated between commas."""
    room = size - len(start) - len(end)
    return (start + ",".join([unit] * (room // (len(unit) + 1))) + end).encode()


def order(unit: str) -> bytes:
    return filled('{"type":"replay","payload":{"x":[', unit, "]}}")


def registration(field: str, unit: str) -> bytes:
    return filled(f'{{"agentId":"bomb","group":"g","{field}":[', unit, "]}")


def keys(start: str, end: str, count: int) -> bytes:
    return (start + ",".join(f'"{number:x}":0' for number in range(count)) + end).encode()


def long(before: str, unit: str, after: str = "") -> bytes:
    start, end = '{"type":"replay","payload":{"x":' + before, after + "}}"
    return (start + unit * ((MEBIBYTE - len(start) - len(end)) // len(unit)) + end).encode()


COMMANDS, REGISTER, ACK = "/agents/bombed/commands", "/agents/register", "ack"
PAYLOAD: Final = '{"type":"replay","payload":{'
BOMBS: Final[dict[str, tuple[str, bytes, int | str]]] = {
    "deep, and open": (COMMANDS, b"[" * MEBIBYTE, "malformed-json"),
    "deep, and closed": (
        COMMANDS,
        b"[" * (MEBIBYTE // 2) + b"]" * (MEBIBYTE // 2),
        "malformed-json",
    ),
    "deep objects": (COMMANDS, b'{"a":' * (MEBIBYTE // 5), "malformed-json"),
    "900 levels, again and again": (COMMANDS, order("[" * 900 + "]" * 900), "invalid-request"),
    "100 levels, again and again": (COMMANDS, order("[" * 100 + "]" * 100), 202),
    "empty arrays": (COMMANDS, order("[]"), 202),
    "empty objects": (COMMANDS, order("{}"), 202),
    "pairs of arrays": (COMMANDS, order("[[]]"), 202),
    "brackets in a string": (COMMANDS, long('"', "[", '"'), 202),
    "100,000 keys": (COMMANDS, keys(PAYLOAD, "}}", 100_000), 202),
    "100,000 unknown fields": (ACK, keys("{", "}", 100_000), 200),
    "100,000 capabilities": (
        REGISTER,
        keys('{"agentId":"bomb","group":"g","capabilities":{', "}}", 90_000),
        201,
    ),
    "one key, again and again": (COMMANDS, filled(PAYLOAD, '"":0', "}}"), 202),
    "a number of a million digits": (COMMANDS, long("", "9"), "malformed-json"),
    "a fraction of a million digits": (COMMANDS, long("0.", "9"), 202),
    "an exponent of a million digits": (COMMANDS, long("1e", "9"), "malformed-json"),
    "numbers that are almost none": (COMMANDS, order("1e-99999"), 202),
    "numbers of 19 digits": (COMMANDS, order("9" * 19), 202),
    "numbers of 30 digits": (COMMANDS, order("9" * 30), "invalid-request"),
    "numbers of 300 digits": (COMMANDS, order("9" * 300), "invalid-request"),
    "digits in strings": (COMMANDS, order('"' + "9" * 25 + '"'), 202),
    "route ids of a letter": (REGISTER, registration("routeIds", '"a"'), 200),
    "route ids that are none": (REGISTER, registration("routeIds", "1"), "invalid-request"),
    "route ids, of which the last is none": (
        REGISTER,
        registration("routeIds", '"a"')[:-5] + b"1]}",
        "invalid-request",
    ),
    "capabilities of a letter": (REGISTER, registration("capabilities", '"a"'), 200),
    "a name of a million letters": (
        REGISTER,
        b'{"agentId":"bomb","group":"g","name":"%b"}' % (b"a" * (MEBIBYTE - 50)),
        "invalid-request",
    ),
    "escapes": (COMMANDS, long('"', "\\u2028", '"'), 202),
    "not UTF-8, at the very end": (
        COMMANDS,
        long('"', "a", '"')[:-4] + b'\xff"}}',
        "malformed-json",
    ),
    "half a character": (COMMANDS, long('"', "\\ud83d", '"'), "malformed-json"),
    "NUL": (COMMANDS, b"\0" * MEBIBYTE, "malformed-json"),
    "space": (COMMANDS, b" " * (MEBIBYTE - 17) + b'{"type":"replay"}', 202),
    "a byte too many": (COMMANDS, b" " * (MEBIBYTE + 1), "body-too-large"),
}


def peak(served: Server) -> int:
    """Return the most memory that a process has had, in bytes."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    [line] = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


async def waits(client: httpx.AsyncClient) -> float:
    """Send heartbeats until cancelled; return the longest wait, in seconds."""
    longest = 0.0
    try:
        while True:
            begun = time.perf_counter()
            try:
                answer = await client.post("/agents/bystander/heartbeat")
                assert 204 == answer.status_code
            finally:
                longest = max(longest, time.perf_counter() - begun)
            await asyncio.sleep(0.001)
    except asyncio.CancelledError:
        return longest


async def drop(
    client: httpx.AsyncClient, path: str, raw: bytes | Iterator[bytes]
) -> tuple[Any, float]:
    """Send a bomb; return what was answered, and how long others had to wait meanwhile."""
    async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as other:
        bystander = asyncio.create_task(waits(other))
        await asyncio.sleep(0.01)
        answer = await client.post(path, content=raw)
        bystander.cancel()
        waited = await bystander
    if answer.status_code < 400:
        return answer.status_code, waited
    assert "application/problem+json" == answer.headers["content-type"]
    problem = answer.json()
    assert "Traceback" not in answer.text
    assert len(answer.content) < 100_000
    assert answer.status_code == problem["status"]
    return problem["type"].removeprefix("urn:cameleer:problem:"), waited


async def test_json_bombs(record_property: Callable[[str, Any], None]) -> None:
    """A megabyte of anything is taken or refused in words."""
    waited: dict[str, float] = {}
    settings = ("--max-pending-per-agent", "1000")
    async with (
        server("--port", "0", *settings, stderr=DEVNULL) as served,
        served.client() as client,
    ):
        for agent_id in ("bystander", "bombed"):
            await client.post("/agents/register", json={"agentId": agent_id, "group": "g"})
        command = await client.post("/agents/bombed/commands", json={"type": "replay"})
        ack = f"/agents/bombed/commands/{command.json()['commandId']}/ack"
        before = peak(served)
        for name, (path, raw, expected) in BOMBS.items():
            assert len(raw) <= MEBIBYTE or expected == "body-too-large"
            answered, waited[name] = await drop(client, ack if path == ACK else path, raw)
            assert expected == answered, name
        grown = peak(served) - before
        assert 0 == await served.terminate()
    report(waited, grown, record_property)


async def test_a_million_keys(record_property: Callable[[str, Any], None]) -> None:
    """Where bodies may be that large: what is kept of them is bounded all the same."""
    size = 12_000_000
    async with (
        server("--port", "0", "--max-body", str(size), stderr=DEVNULL) as served,
        served.client() as client,
    ):
        for agent_id in ("bystander", "bombed"):
            await client.post("/agents/register", json={"agentId": agent_id, "group": "g"})
        before = peak(served)
        raw = keys(PAYLOAD, "}}", 1_000_000)
        answered, waited = await drop(client, COMMANDS, raw)
        assert 202 == answered
        grown = peak(served) - before
        assert 0 == await served.terminate()
    report({f"a million keys in {len(raw):,} bytes": waited}, grown, record_property)


async def test_a_body_in_a_million_pieces(record_property: Callable[[str, Any], None]) -> None:
    """Chunks of a byte are as large as their framing, and are read as one body."""
    async with (
        server("--port", "0", stderr=DEVNULL) as served,
        served.client() as client,
    ):
        for agent_id in ("bystander", "bombed"):
            await client.post("/agents/register", json={"agentId": agent_id, "group": "g"})
        before, port = peak(served), int(served.url.rsplit(":", 1)[1])
        async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as other:
            bystander = asyncio.create_task(waits(other))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"POST /api/v1/agents/bombed/commands HTTP/1.1\r\n"
                b"Host: localhost\r\nConnection: close\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            body = b" " * (MEBIBYTE - 17) + b'{"type":"replay"}'
            writer.write(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
            answer = await within(reader.read(-1), 60)
            writer.close()
            bystander.cancel()
            waited = await bystander
        assert answer.startswith(b"HTTP/1.1 202 ")
        grown = peak(served) - before
        assert 0 == await served.terminate()
    report({"a million chunks": waited}, grown, record_property)


def report(
    waited: dict[str, float], grown: int, record_property: Callable[[str, Any], None]
) -> None:
    for name, seconds in sorted(waited.items(), key=lambda item: -item[1]):
        print(f"{seconds * 1000:7.1f} ms  {name}")
        record_property(f"milliseconds others waited for: {name}", round(seconds * 1000, 1))
    print(f"{grown / MEBIBYTE:7.1f} MiB more memory at the most")
    record_property("MiB more memory", round(grown / MEBIBYTE, 1))
    assert grown < MOST_MEMORY
