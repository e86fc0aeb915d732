"""Bodies that the middleware of a host application has looked at first."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from cameleer_registry import NODE, Settings, create_app

from ..support import Served, connected, running

Look = Callable[[web.Request], Awaitable[Any]]

FAILURE = {"status": "FAILURE", "message": "disk full", "data": None}


@asynccontextmanager
async def hosted(
    look: Look, settings: Settings | None = None, *, depth: int = 1, **host: Any
) -> Any:
    """Serve a registry embedded in a host whose middleware looks at each request."""

    @web.middleware
    async def looks(request: web.Request, handler: Any) -> web.StreamResponse:
        passed_on = await look(request)
        response: web.StreamResponse = await handler(
            passed_on if isinstance(passed_on, web.Request) else request
        )
        return response

    registry = app = create_app(settings)
    for number in range(depth):
        outer = web.Application(middlewares=[looks] if number == depth - 1 else [], **host)
        outer.add_subapp(f"/p{number}", app)
        app = outer
    prefix = "".join(f"/p{number}" for number in reversed(range(depth)))
    async with running(app) as (name, port):
        yield Served(registry[NODE], name, port, prefix)


async def whole_content(request: web.Request) -> None:
    await request.content.read()


async def beginning_of_content(request: web.Request) -> None:
    await request.content.read(5)


async def by_a_clone(request: web.Request) -> None:
    await request.clone().read()


async def passes_a_clone_on(request: web.Request) -> web.Request:
    return request.clone(headers={"X-More": "1"})


async def nothing(_: web.Request) -> None:
    pass


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(
    "look",
    [web.Request.read, web.Request.text, web.Request.json, web.Request.post, nothing],
)
async def test_what_was_read_is_read_again(look: Look, depth: int) -> None:
    """By whichever way it was: all that agents and operators send arrives as it was sent."""
    is_ack = look is web.Request.json  # which fails where there is no body

    async def only_bodies(request: web.Request) -> None:
        if not is_ack or request.can_read_body:
            await look(request)

    async with hosted(only_bodies, depth=depth) as served:
        assert 201 == (await served.register("a", version="1.2")).status
        assert "1.2" == served.node.agent("a").version
        command = (await served.issue("/agents/a", "replay", {"n": 1})).json()
        assert {"n": 1} == command["payload"]
        assert 204 == (await served.request("POST", "/agents/a/heartbeat")).status
        answer = await served.ack("a", command["commandId"], FAILURE)
        assert (200, FAILURE) == (answer.status, answer.json()["result"])
        second = (await served.issue("/agents/a")).json()
        answer = await served.ack("a", second["commandId"])  # without a body, which is a SUCCESS
        assert "SUCCESS" == answer.json()["result"]["status"]


async def test_a_form_that_was_read_is_no_json() -> None:
    """A browser's is one, too: it is read again, and refused for what it is."""
    async with hosted(web.Request.post) as served:
        answer = await served.request(
            "POST",
            "/agents/register",
            raw=b"agentId=a&group=g",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert (400, "malformed-json") == (answer.status, answer.code)


@pytest.mark.parametrize("look", [whole_content, beginning_of_content, by_a_clone])
async def test_what_is_gone_is_not_taken_for_empty(
    look: Look, caplog: pytest.LogCaptureFixture
) -> None:
    """500 and nothing has changed; the log says whose doing it is."""
    looking = False

    async def sometimes(request: web.Request) -> None:
        if looking:
            await look(request)

    async with hosted(sometimes) as served:
        await served.register("a")
        command = (await served.issue("/agents/a")).json()
        looking = True
        with caplog.at_level(logging.ERROR):
            answer = await served.ack("a", command["commandId"], FAILURE)
        assert (500, "internal-error") == (answer.status, answer.code)
        assert "middleware has read" in str(caplog.records[-1].exc_info)
        assert 1 == served.node.command(command["commandId"]).counts["PENDING"]
        looking = False
        answer = await served.ack("a", command["commandId"], FAILURE)
        assert FAILURE == answer.json()["result"]


async def test_a_request_that_was_replaced() -> None:
    """A clone that is passed on has the body that nobody has read."""
    async with hosted(passes_a_clone_on) as served:
        await served.register("a", version="1.2")
        assert "1.2" == served.node.agent("a").version


async def test_a_path_that_was_normalized() -> None:
    """aiohttp's own middleware reads nothing, and is in nobody's way."""
    registry = create_app()
    host = web.Application(middlewares=[web.normalize_path_middleware(merge_slashes=True)])
    host.add_subapp("/registry", registry)
    async with running(host) as (name, port):
        served = Served(registry[NODE], name, port, "/registry")
        await served.register("a", version="1.2")
        assert "1.2" == served.node.agent("a").version


@pytest.mark.parametrize("chunked", [False, True])
async def test_what_was_read_is_no_larger_than_ours_may_be(chunked: bool) -> None:
    """The host may read more than the registry takes."""
    body = b'{"agentId":"a","group":"g","name":"%b"}' % (b"x" * 200)
    settings = Settings(max_body=200)
    async with hosted(web.Request.read, settings, client_max_size=10**6) as served:
        if not chunked:
            answer = await served.request("POST", "/agents/register", raw=body)
            assert 413 == answer.status
            return
        async with connected(served) as connection:
            connection.writer.write(
                b"POST /p0/api/v1/agents/register HTTP/1.1\r\nHost: x\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
            )
            assert 413 == (await connection.answer()).status
