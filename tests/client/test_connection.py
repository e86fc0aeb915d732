"""The way to a registry: connections that break, links that are slow, several addresses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cameleer_registry import (
    AgentNotRegistered,
    AtCapacity,
    RegistryError,
    ServerUnreachable,
    Target,
    UnexpectedAnswer,
)
from cameleer_registry.client import Operator
from cameleer_registry.client import connection as module
from cameleer_registry.client.connection import Connection

from ..support import Served, running, serving, within
from .support import listening, virtual_time

# Connections that break


@asynccontextmanager
async def forgetful(served: Served) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """Pass bytes on; once told, reset all connections that there are when the next byte comes."""
    known: set[asyncio.StreamWriter] = set()
    forgotten: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        known.add(writer)
        far_reader, far_writer = await asyncio.open_connection(served.host, served.port)

        async def up() -> None:
            while data := await reader.read(65536):
                if writer in forgotten:
                    writer.transport.abort()
                    writer.close()
                    break
                far_writer.write(data)
            far_writer.close()

        async def down() -> None:
            while data := await far_reader.read(65536):
                writer.write(data)
            writer.close()

        try:
            await asyncio.gather(up(), down(), return_exceptions=True)
        finally:
            far_writer.close()

    def forget() -> None:
        forgotten.update(known)

    async with listening(serve) as address:
        yield f"http://{address}", forget


@pytest.mark.parametrize("is_given", [False, True], ids=["ours", "given"])
@pytest.mark.parametrize("question", ["send", "groups", "delete", "heartbeat"])
async def test_all_connections_that_were_kept_are_stale(
    served: Served, question: str, is_given: bool
) -> None:
    """As many as there are: the server is there, and every question reaches it."""
    await served.register("a")
    session = aiohttp.ClientSession() if is_given else None
    async with forgetful(served) as (url, forget), Operator(url, session=session) as operator:
        await asyncio.gather(*(operator.groups() for _ in range(6)))
        forget()
        match question:
            case "send":
                await operator.send("replay", Target.agent("a"))
            case "groups":
                assert 1 == len(await operator.groups())
            case "delete":
                await operator.delete("a")
                assert [] == served.node.agents()
            case "heartbeat":
                await operator._connection.tell("POST", "agents", "a", "heartbeat")
    if session is not None:
        await session.close()


@pytest.mark.parametrize("is_given", [False, True], ids=["ours", "given"])
async def test_a_server_that_breaks_every_connection(is_given: bool) -> None:
    """It is asked a bounded number of times."""
    asked = 0

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    session = aiohttp.ClientSession() if is_given else None
    async with listening(break_off) as address:
        url = f"http://{address}"
        async with Operator(url, session=session) as operator:
            with pytest.raises(ServerUnreachable, match="cannot reach"):
                await operator.send("replay", Target.all())
    if session is not None:
        await session.close()
    assert asked == (2 + module.STALE_CONNECTIONS if is_given else 2)


# Gateways


def gateway(statuses: list[int], body: Any, asked: list[str]) -> web.Application:
    """Answer with these statuses, and then well."""

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        if statuses:
            return web.Response(status=statuses.pop(0), text="<html>no</html>")
        return web.json_response(body)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    return app


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_gateway_that_has_no_answer_for_a_moment(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """One among many looks is none to end upon; it is believed after some."""
    monkeypatch.setattr(module, "SECOND_LOOK", (0, 0))
    asked: list[str] = []
    app = gateway([status, status], [], asked)
    async with running(app) as (host, port), Operator(f"http://{host}:{port}") as operator:
        assert [] == await operator.groups()
    app = gateway([status] * 3, [], asked)
    async with running(app) as (host, port), Operator(f"http://{host}:{port}") as operator:
        with pytest.raises(UnexpectedAnswer, match=str(status)):
            await operator.groups()
    assert ["GET"] * 6 == asked


async def test_a_deletion_that_was_heard_although_the_gateway_had_no_answer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done, and not refused for being done; one of what was never there is refused."""
    monkeypatch.setattr(module, "SECOND_LOOK", (0, 0))
    await served.register("a")
    lost = [True]

    async def pass_on(request: web.Request) -> web.Response:
        answer = await served.request("DELETE", request.path.removeprefix("/api/v1"))
        if lost:
            return web.Response(status=502 if lost.pop() else 500)
        return web.Response(status=answer.status, body=answer.body)

    app = web.Application()
    app.router.add_delete("/{any:.*}", pass_on)
    async with running(app) as (host, port), Operator(f"http://{host}:{port}") as operator:
        await operator.delete("a")
        with pytest.raises(AgentNotRegistered):
            await operator.delete("a")


async def test_what_a_gateway_refuses_is_refused() -> None:
    """Nothing comes of asking again."""
    asked: list[str] = []
    app = gateway([403], [], asked)
    async with running(app) as (host, port), Operator(f"http://{host}:{port}") as operator:
        with pytest.raises(UnexpectedAnswer, match="403"):
            await operator.groups()
    assert 1 == len(asked)


async def test_where_it_redirects_is_told_without_what_is_secret() -> None:
    """Who signs somebody in has tokens in addresses."""

    async def answer(_request: web.Request) -> web.Response:
        raise web.HTTPFound("https://u:s3cret@sso.example/login?token=s3cret#s3cret")

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    async with (
        running(app) as (host, port),
        Operator(f"http://u:s3cret@{host}:{port}") as operator,
    ):
        with pytest.raises(UnexpectedAnswer, match=r"to https://sso\.example/login: ") as caught:
            await operator.agents(groups=["g"])
    assert "s3cret" not in str(caught.value)


# Slow links


@asynccontextmanager
async def dripping(pieces: list[tuple[float, bytes]]) -> AsyncIterator[str]:
    """Answer anything with a head, and then with these pieces, each after so many seconds."""
    size = sum(len(piece) for _, piece in pieces)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for seconds, piece in pieces:
            await asyncio.sleep(seconds)
            writer.write(piece)
        writer.close()

    async with listening(serve) as address:
        yield f"http://{address}"


@virtual_time
async def test_an_answer_may_take_as_long_as_it_comes() -> None:
    """A long list over a slow link: minutes, of which none is silent."""
    pieces = [(0, b"["), *[(10.0, b" " * 100_000)] * 30, (10, b"]")]
    async with dripping(pieces) as url, Operator(url) as operator:
        assert [] == await operator.groups()


@virtual_time
@pytest.mark.parametrize(
    ("pieces", "seconds"),
    [
        ([(0.0, b"["), (20.0, b"]")], 15),
        ([(0.0, b"[" + b" " * 100_000), (20.0, b"]")], 15),
        ([*[(5.0, b" ")] * 1000], 15),
        ([*[(1.0, b" " * 400)] * 1000], 75),
    ],
    ids=["silent", "silent after much", "drips", "drips a little more"],
)
async def test_an_answer_that_does_not_come(
    pieces: list[tuple[float, bytes]], seconds: float
) -> None:
    """It falls silent, or comes more slowly than anything that gets on."""
    loop = asyncio.get_running_loop()
    async with dripping(pieces) as url, Operator(url) as operator:
        begun = loop.time()
        with pytest.raises(ServerUnreachable, match="did not answer in time"):
            await operator.groups()
        assert pytest.approx(seconds, abs=6) == loop.time() - begun


async def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up when there is more of it than there can be."""
    monkeypatch.setattr(module, "LONGEST_ANSWER", 1000)
    async with dripping([(0, b"[" + b" " * 998 + b"]")]) as url, Operator(url) as operator:
        assert [] == await operator.groups()
    async with dripping([(0, b"[" + b" " * 999 + b"]")]) as url, Operator(url) as operator:
        with pytest.raises(UnexpectedAnswer, match="with more than 1000 bytes"):
            await operator.groups()


# Sessions that are not ours


async def test_a_session_that_raises_for_status(served: Served) -> None:
    """A refusal is the exception that it is elsewhere."""
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        async with Operator(served.url, session=session) as operator:
            with pytest.raises(AgentNotRegistered):
                await operator.agent("a")
        async with Connection(served.url, session=session) as connection:
            with pytest.raises(AgentNotRegistered):
                await connection.stream("/api/v1/agents/a/events", silence=1)


async def test_a_session_that_leaves_bodies_compressed(served: Served) -> None:
    """What a gateway has compressed is read all the same."""

    async def answer(_request: web.Request) -> web.Response:
        response = web.json_response([])
        response.enable_compression(web.ContentCoding.gzip)
        return response

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with (
        running(app) as (host, port),
        aiohttp.ClientSession(auto_decompress=False) as session,
        Operator(f"http://{host}:{port}", session=session) as operator,
    ):
        assert [] == await operator.groups()


@pytest.mark.parametrize("of_session", ["nothing", "auth", "header", "netrc"])
async def test_credentials_in_an_address_count(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, of_session: str
) -> None:
    """Before those that a session has, and those in a file that it reads."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    options: dict[str, dict[str, Any]] = {
        "nothing": {},
        "auth": {"headers": {}},
        "header": {"headers": {"Authorization": "Bearer x"}},
        "netrc": {"trust_env": True},
    }
    asked: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization"))
        return web.json_response([])

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with (
        running(app) as (host, port),
        aiohttp.ClientSession(**options[of_session]) as session,
    ):
        if of_session == "auth":  # said so that aiohttp does not warn of it
            session._default_auth = aiohttp.helpers._basic_auth_no_warn("other", "other")
        url = f"http://agent:s%C3%A9cret@{host}:{port}"
        async with Operator(url, session=session) as operator:
            await operator.groups()
    assert 1 == len(asked)
    assert "YWdlbnQ6c" in str(asked[0])


async def test_names_are_looked_up_beside_the_executor(served: Served) -> None:
    """It may be full of what blocks."""
    loop, goes_on = asyncio.get_running_loop(), []
    blocked = [loop.run_in_executor(None, time.sleep, 0.5) for _ in range(100)]
    url = served.url.replace("127.0.0.1", "localhost")
    async with Operator(url) as operator:
        goes_on += await operator.groups()
    assert not blocked[-1].done(), "nobody waited for those"
    for each in blocked:
        each.cancel()


# Several addresses


def refusing(status: int, code: str) -> web.Application:
    async def answer(_request: web.Request) -> web.Response:
        problem = {"type": f"urn:cameleer:problem:{code}", "title": "No", "detail": "no"}
        return web.Response(status=status, body=json.dumps(problem))

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    return app


NOBODY = "http://127.0.0.1:1"


async def test_the_next_address_where_one_does_not_answer(served: Served) -> None:
    """And on from there: the one that answers is asked first the next time."""
    async with Operator([NOBODY, served.url]) as operator:
        assert [] == await operator.groups()
        assert served.url == str(operator._connection.addresses.current)
        assert f"{NOBODY}, {served.url}" == operator.url


@pytest.mark.parametrize(
    ("status", "code", "moves_on"),
    [(503, "not-in-contact", True), (500, "internal-error", False), (400, "x", False)],
)
async def test_the_next_address_where_one_says_503(
    served: Served, status: int, code: str, moves_on: bool
) -> None:
    """Any other refusal is that of the registry, whoever says it."""
    async with (
        running(refusing(status, code)) as (host, port),
        Operator([f"http://{host}:{port}", served.url]) as operator,
    ):
        if moves_on:
            assert [] == await operator.groups()
        else:
            with pytest.raises(RegistryError, match="no"):
                await operator.groups()
        assert moves_on == (served.url == str(operator._connection.addresses.current))


async def test_where_none_answers_the_last_word_counts(served: Served) -> None:
    """They are all asked, and the next time from the same on."""
    async with (
        running(refusing(503, "at-capacity")) as (host, port),
        Operator([NOBODY, f"http://{host}:{port}"]) as operator,
    ):
        with pytest.raises(AtCapacity):
            await operator.groups()
        assert NOBODY == str(operator._connection.addresses.current)


async def test_a_command_is_issued_once_at_whichever_address(served: Served) -> None:
    """One that was lost on its way through the first is the same through the second."""
    await served.register("a")
    lost = 0

    async def lose_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lost
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields["Content-Length"]))
        key = {"Idempotency-Key": fields["Idempotency-Key"]}
        path = head.split()[1].decode().removeprefix("/api/v1")
        await served.request("POST", path, raw=body, headers=key)
        lost += 1
        writer.close()

    async with listening(lose_the_answer) as address:
        first = f"http://{address}"
        async with Operator([first, served.url]) as operator:
            command = await within(operator.send("replay", Target.agent("a")))
    [delivery] = served.node.agent_deliveries("a")
    assert (command.command_id, 2) == (delivery.command_id, lost)


async def test_a_stream_at_another_address_than_the_registration(served: Served) -> None:
    """It is opened by its path there: what the first server named is its own address."""
    await served.register("a")
    async with serving() as gone:
        url = gone.url
    async with Connection([url, served.url]) as connection:
        first = connection.addresses.current
        response = await connection.stream(
            "/prefix/of/the/first", "agents", "a", "events", home=first, silence=5
        )
        assert response.status == 200
        response.close()
