"""A server that is attacked, what comes back from it, and what has to hold whatever was sent."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from cameleer_registry import Settings
from cameleer_registry.node.clock import Clock

from ..core.invariants import check
from ..support import Answer, Served, connected, serving, within

FORBIDDEN: Final = (b"Traceback", b"site-packages", b'File "')
MEMBERS: Final = {"type", "title", "status", "detail"}
CODES: Final = {
    "agent-not-registered",
    "at-capacity",
    "auth-off",
    "body-too-large",
    "command-expired",
    "command-not-found",
    "cross-site-request",
    "group-not-found",
    "invalid-request",
    "malformed-json",
    "method-not-allowed",
    "not-found",
    "request-timeout",
    "too-many-feeds",
    "too-many-pending",
    "unsupported-content-encoding",
    "unsupported-protocol-version",
}
"""Those of the contract and of docs/http-api.md, but for internal-error."""


@asynccontextmanager
async def attacked(
    caplog: pytest.LogCaptureFixture,
    settings: Settings | None = None,
    *,
    clock: Clock | None = None,
    **runner: Any,
) -> AsyncIterator[Served]:
    """Serve as the command line does.

    At the end the server still answers, its registry is sound, and its log has no error in it.
    """
    with caplog.at_level(logging.INFO):
        async with serving(settings, clock=clock, auto_decompress=False, **runner) as served:
            yield served
            assert_sound(served)
            assert 200 == (await served.request("GET", "//healthz")).status
    assert_quiet(caplog.records)


def assert_sound(served: Served) -> None:
    check(served.node.registry, served.node.clock.now())


def assert_quiet(records: Iterable[logging.LogRecord]) -> None:
    """Whatever a client does is no error of the server's."""
    loud = [r.getMessage() for r in records if r.levelno >= logging.ERROR or r.exc_info]
    assert [] == loud


async def exchange(served: Served, *pieces: bytes) -> list[Answer]:
    """Send bytes, and return every answer until the server closes the connection.

    So what is sent has to end in something after which it does.
    """
    async with connected(served) as connection:
        for piece in pieces:
            connection.writer.write(piece)
            await asyncio.sleep(0)
        received = bytearray()
        try:
            while chunk := await within(connection.reader.read(65_536)):
                received += chunk
        except ConnectionError:
            pass  # what was not read any more is answered with a reset, behind the answer
    return answers_in(bytes(received))


def answers_in(received: bytes) -> list[Answer]:
    """Take apart what has come on a connection; fails where it is not whole answers."""
    answers = []
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, f"the head of an answer breaks off: {head!r}"
        status, *lines = head.decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.[01] (\d{3}) [\w ]+", status)
        assert found, f"no status line: {status!r}"
        headers = {name.lower(): value for name, value in (ln.split(": ", 1) for ln in lines)}
        if found[1] == "100":
            received = rest
            continue
        length = int(headers.get("content-length", "0"))
        answers.append(Answer(int(found[1]), headers, rest[:length], head))
        assert length == len(answers[-1].body), "an answer breaks off"
        received = rest[length:]
    return answers


def assert_proper(answer: Answer, *, body_expected: bool = True) -> None:
    """Hold any answer against what the contract says of all of them."""
    assert answer.status < 500 or answer.status == 503, answer
    assert "1" == answer.headers["x-cameleer-protocol-version"]
    assert not any(word in answer.body for word in FORBIDDEN), answer.body
    if answer.status >= 400 and body_expected:
        assert answer.code in CODES, answer.body
        problem = json.loads(answer.body)
        assert problem.keys() - {"errors"} == MEMBERS
        assert len(answer.body) < 200_000
        for fault in problem.get("errors", ()):
            assert {"path", "message"} == fault.keys()


async def ask(served: Served, raw: bytes) -> Answer:
    """Send one request whose end is certain, and return its answer; of a stream, only the head."""
    async with connected(served) as connection:
        connection.writer.write(raw)
        answer = await connection.head()
        if answer.status == 100:  # its body has come in two pieces
            assert not raw.startswith((b"GET ", b"HEAD ")), "a body is asked for, and there is none"
            answer = await connection.head()
        if answer.headers.get("content-type") == "text/event-stream":
            return answer
        answer.body = await within(connection.reader.read(-1))
        if answer.headers.get("transfer-encoding") == "chunked":
            answer.body = unchunked(answer.body)
        return answer


def unchunked(body: bytes) -> bytes:
    """Return what stands in chunks, all of which have come."""
    whole = b""
    while body != b"0\r\n\r\n":
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole
