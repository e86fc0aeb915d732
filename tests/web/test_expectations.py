"""``Expect: 100-continue``: who is asked for a body, and who gets an answer at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from cameleer_registry import NODE, Settings, create_app

from ..support import Served, connected, running, serving, within

BODY = b'{"agentId":"a","group":"g"}'
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REGISTER = "/api/v1/agents/register"
LIMIT = 1000

LENGTH = {"Content-Length": str(len(BODY))}
CHUNKS = {"Transfer-Encoding": "chunked"}

UNWANTED = {
    "no body": ("GET", "/api/v1/agents", {}, 200),
    "an empty body": ("POST", REGISTER, {"Content-Length": "0"}, 400),
    "a page": ("GET", "/docs", {}, 200),
    "a stream": ("GET", "/api/v1/agents/known/events", {}, 200),
    "a body of a GET": ("GET", "/api/v1/agents", LENGTH, 200),
    "a body of a heartbeat": ("POST", "/api/v1/agents/known/heartbeat", LENGTH, 204),
    "a body that is too large": ("POST", REGISTER, {"Content-Length": str(LIMIT + 1)}, 413),
    "a body that is packed": ("POST", REGISTER, {**LENGTH, "Content-Encoding": "gzip"}, 415),
    "nothing there": ("POST", "/api/v1/nix", LENGTH, 404),
    "nothing there, in chunks": ("POST", "/nix", CHUNKS, 404),
    "another method": ("PUT", REGISTER, LENGTH, 405),
    "nobody there": ("POST", "/api/v1/agents/b/commands", LENGTH, 404),
    "another site": ("POST", REGISTER, {**LENGTH, "Sec-Fetch-Site": "cross-site"}, 403),
    "another version": ("POST", REGISTER, {**LENGTH, "X-Cameleer-Protocol-Version": "2"}, 400),
}
"""Requests that say ``Expect: 100-continue``, and the status of their only answer."""


def head(method: str, path: str, version: str = "1.1", /, **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: x"]
    return "\r\n".join([*lines, *(f"{k}: {v}" for k, v in headers.items()), "", ""]).encode()


@asynccontextmanager
async def hosted(bodies: list[bytes]) -> AsyncIterator[Served]:
    """A registry whose host looks at each body first, as middleware that checks signatures does."""

    @web.middleware
    async def look(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        bodies.append(await request.read())
        return await handler(request)

    host, registry = web.Application(middlewares=[look]), create_app()
    host.add_subapp("/host", registry)
    async with running(host) as (name, port):
        yield Served(registry[NODE], name, port, "/host")


async def test_a_body_is_asked_for_when_it_is_about_to_be_read() -> None:
    """Of an announced length or in chunks; the answer follows the body."""
    async with serving() as served:
        for framing, body in (
            (LENGTH, BODY),
            (CHUNKS, b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
        ):
            async with connected(served) as connection:
                connection.writer.write(
                    head("POST", REGISTER, **{"Expect": "100-Continue", **framing})
                )
                assert CONTINUE == await within(connection.reader.readexactly(len(CONTINUE)))
                connection.writer.write(body)
                assert (await connection.answer()).status in (200, 201)


@pytest.mark.parametrize("name", UNWANTED)
async def test_a_body_that_nobody_reads_is_not_asked_for(name: str) -> None:
    """The answer comes at once, and is the first thing to come."""
    method, path, headers, status = UNWANTED[name]
    async with serving(Settings(max_body=LIMIT)) as served, connected(served) as connection:
        await served.register("known")
        connection.writer.write(head(method, path, **{"Expect": "100-continue", **headers}))
        assert status == (await connection.head()).status


async def test_a_body_that_has_come_is_not_asked_for() -> None:
    """The client has not waited, be the body whole or not."""
    async with serving() as served, connected(served) as connection:
        whole = head("POST", REGISTER, Expect="100-continue", **LENGTH) + BODY
        for first in (whole, whole[:-5]):
            connection.writer.write(first)
            await served.request("GET", "/agents")  # the server has read that, and does not wait
            connection.writer.write(whole[len(first) :])
            assert (await connection.answer()).status in (200, 201)


@pytest.mark.parametrize("path", [REGISTER, "/nix"])
async def test_other_expectations_are_ignored(path: str) -> None:
    """As RFC 9110, section 10.1.1, allows; an unknown address is 404 all the same."""
    async with serving() as served, connected(served) as connection:
        connection.writer.write(head("POST", path, Expect="something-else", **LENGTH) + BODY)
        answer = await connection.answer()
        assert (201 if path == REGISTER else 404) == answer.status
        assert "1" == answer.headers["x-cameleer-protocol-version"]


async def test_a_client_of_http_1_0_is_not_asked() -> None:
    """It knows no answer before the answer (RFC 9110, section 10.1.1)."""
    async with serving() as served, connected(served) as connection:
        connection.writer.write(head("POST", REGISTER, "1.0", Expect="100-continue", **LENGTH))
        await served.request("GET", "/agents")
        connection.writer.write(BODY)
        assert 201 == (await connection.answer()).status


@pytest.mark.parametrize("headers", [{}, {"Expect": "100-continue"}], ids=["at once", "asked for"])
async def test_middleware_of_a_host_may_read_the_body(headers: Mapping[str, str]) -> None:
    """It is asked for before that, and here it is what the middleware has read."""
    bodies: list[bytes] = []
    async with hosted(bodies) as served, connected(served) as connection:
        connection.writer.write(head("POST", f"/host{REGISTER}", **headers, **LENGTH))
        if headers:
            assert CONTINUE == await within(connection.reader.readexactly(len(CONTINUE)))
        connection.writer.write(BODY)
        assert 201 == (await connection.answer()).status
    assert [BODY] == bodies
