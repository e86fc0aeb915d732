"""Answers look the same, whichever way they are written."""

from __future__ import annotations

import re
from typing import Final

import pytest
from aiohttp import web

from cameleer_registry import NODE, Settings, create_app
from cameleer_registry.web import answers
from cameleer_registry.web.guard import Handler

from ..exposition import scrape
from ..support import Answer, Served, connected, running

REQUESTS = {
    "a body": ("GET", "/api/v1/agents/a", b"", 200),
    "no body": ("POST", "/api/v1/agents/a/heartbeat", b"", 204),
    "an empty list": ("GET", "/api/v1/agents/a/commands", b"", 200),
    "a refusal": ("GET", "/api/v1/agents/nobody", b"", 404),
    "another refusal": ("POST", "/api/v1/agents/register", b"{", 400),
    "nothing there": ("GET", "/api/v1/nothing", b"", 404),
}
TIMES: Final = re.compile(rb"[0-9-]+T[0-9:.]+Z")


async def ask(served: Served, method: str, path: str, body: bytes, version: str = "1.1") -> Answer:
    async with connected(served) as connection:
        head = f"{method} {served.prefix}{path} HTTP/{version}\r\nHost: x\r\n"
        connection.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return await connection.answer(method)


def told(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """Return all of an answer but for what depends on the moment, and the path in its words."""
    if answer.body:
        assert str(len(answer.body)) == answer.headers.pop("content-length")
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status, headers, TIMES.sub(b"", answer.body.replace(b"/registry", b""))


@pytest.mark.parametrize("name", REQUESTS)
async def test_alone_and_embedded_they_are_alike(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one piece where the application is alone, by aiohttp where it is part of another."""
    method, path, body, status = REQUESTS[name]
    seen = []
    made: list[bytes] = []
    head = answers._head

    def observed(*arguments: int) -> bytes:
        made.append(head(*arguments))
        return made[-1]

    monkeypatch.setattr(answers, "_head", observed)
    for prefix in ("", "/registry"):
        app = host = create_app(Settings())
        if prefix:
            host = web.Application()
            host.add_subapp(f"{prefix}/", app)
        async with running(host) as (name, port):
            served = Served(app[NODE], name, port, prefix)
            await served.register("a")
            made.clear()
            answer = await ask(served, method, path, body)
            assert bool(made) == (not prefix)
            assert status == answer.status
            seen.append(told(answer))
            route = await scrape(served)
            counted = route.values("cameleer_http_requests_total")
            assert 1 == counted["POST", "/api/v1/agents/register", "201"]
    alone, embedded = seen
    assert alone == embedded


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
        response: web.StreamResponse = await handler(request)
        response.headers["X-Host"] = "was here"
        return response

    app.middlewares.append(add)
    async with running(app) as (name, port):
        served = Served(app[NODE], name, port)
        assert "was here" == (await ask(served, "GET", "/healthz", b"")).headers["x-host"]
