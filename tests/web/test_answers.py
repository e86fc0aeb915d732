"""Answers look the same, whoever writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from cameleer_registry import NODE, create_app
from cameleer_registry.web.answers import time_of_day
from cameleer_registry.web.responding import Handler

from ..support import Answer, Served, connected, open_stream, running
from .exchanges import ask, told

PATHS = [
    ("GET", "/healthz", 200),
    ("GET", "/nothing", 404),
    ("GET", "/api/v1/agents", 200),
    ("GET", "/api/v1/agents/nobody/events", 404),
    ("POST", "/api/v1/agents/a/heartbeat", 204),
    ("POST", "/api/v1/agents/nobody/heartbeat", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), PATHS)
async def test_every_answer_says_the_time(
    served: Served, method: str, path: str, status: int
) -> None:
    """With milliseconds; answered inline or by way of aiohttp, with success or a problem."""
    await served.register("a")
    before = datetime.now(UTC)
    answer = await ask(served, method, path, b"")
    said = answer.headers["x-cameleer-time"]
    assert status == answer.status
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said)
    a_bit = timedelta(milliseconds=1)
    assert before - a_bit <= datetime.fromisoformat(said) <= datetime.now(UTC)


async def test_the_head_of_a_stream_says_the_time(served: Served) -> None:
    """An agent that reconnects knows what time it is before the first command comes."""
    await served.register("a")
    async with connected(served) as connection:
        answer = await open_stream(served, connection, "a")
    assert "x-cameleer-time" in answer.headers


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(0, "1970-01-01T00:00:00.000Z"), (1_795_000_000_007, "2026-11-18T11:06:40.007Z")],
)
def test_a_time_of_day(milliseconds: int, said: str) -> None:
    """All of its digits are there."""
    assert said == time_of_day(milliseconds)


@pytest.mark.parametrize(
    ("method", "version", "header", "closes"),
    [("HEAD", "1.1", "", False), ("GET", "1.0", "", True), ("GET", "1.1", "close", True)],
)
async def test_what_is_asked_in_an_unusual_way(
    served: Served, method: str, version: str, header: str, closes: bool
) -> None:
    """A head only, an old version, a connection that is to be closed: with the same head."""
    usual = told(await ask(served, "GET", "/healthz", b""))
    async with connected(served) as connection:
        head = f"{method} /healthz HTTP/{version}\r\nHost: x\r\n"
        extra = f"Connection: {header}\r\n" if header else ""
        connection.writer.write(f"{head}{extra}\r\n".encode())
        answer = await connection.answer(method)
        if closes:
            await connection.closed()
    status, headers, body = told(answer)
    assert (usual[0], b"" if method == "HEAD" else usual[2]) == (status, body)
    extras = {"connection", "content-length"}
    assert usual[1] == {name: value for name, value in headers.items() if name not in extras}


async def test_a_middleware_of_a_host_has_its_say() -> None:
    """What it adds to an answer is there."""
    app = create_app()

    @web.middleware
    async def add(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        assert isinstance(response, web.StreamResponse)
        response.headers["X-Host"] = "was here"
        return response

    app.middlewares.append(add)
    async with running(app) as (name, port):
        served = Served(app[NODE], name, port)
        answer: Answer = await ask(served, "GET", "/healthz", b"")
        assert "was here" == answer.headers["x-host"]
