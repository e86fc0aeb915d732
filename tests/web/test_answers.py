"""Answers look the same, whoever writes them."""

from __future__ import annotations

import pytest
from aiohttp import web

from cameleer_registry import NODE, create_app
from cameleer_registry.web.responding import Handler

from ..support import Answer, Served, connected, running
from .exchanges import ask, told


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
