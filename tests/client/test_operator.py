"""The operator's client, against a real server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cameleer_registry import (
    NODE,
    Ack,
    AgentNotRegistered,
    AgentStatus,
    AtCapacity,
    CommandNotFound,
    CommandStatus,
    DeliveryState,
    GroupNotFound,
    IdempotencyKeyReused,
    InvalidRequest,
    MethodNotAllowed,
    Order,
    Outcome,
    RegistryError,
    ServerUnreachable,
    Settings,
    Target,
    TooManyPending,
    UnexpectedAnswer,
    create_app,
)
from cameleer_registry.client import Operator
from cameleer_registry.client import operator as module

from ..support import Served, connected, eventually, running, serving, virtual_clock, within
from .support import virtual_time


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(Settings(max_pending_per_agent=2)) as served:
        yield served


@pytest.fixture
async def operator(served: Served) -> AsyncIterator[Operator]:
    async with Operator(served.url) as operator:
        yield operator


async def test_agents_are_the_models_of_the_server(served: Served, operator: Operator) -> None:
    """Equal to what a host application would be shown."""
    await served.register("a", capabilities={"trace": {"depth": 3}}, routeIds=["in"], version="1")
    await served.register("b", "h")
    assert served.node.agents() == await operator.agents()
    assert served.node.agent("a") == await operator.agent("a")
    assert served.node.groups() == await operator.groups()
    assert ["b"] == [agent.agent_id for agent in await operator.agents(groups=["h"])]
    assert [] == await operator.agents(statuses=[AgentStatus.STALE, "dead"])


async def test_a_fleet_is_read_in_pages(
    served: Served, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it, each agent once, also where the last page is full."""
    monkeypatch.setattr(module, "PAGE", 2)
    for number in range(4):
        await served.register(f"a{number}")
    assert ["a0", "a1", "a2", "a3"] == [agent.agent_id for agent in await operator.agents()]
    await served.register("a4")
    assert served.node.agents() == [agent async for agent in operator.iter_agents()]


async def test_sending_and_waiting(served: Served, operator: Operator) -> None:
    """A command is issued once; waiting for it ends as soon as it is finished."""
    await served.register("a")
    await served.register("b")
    command = await operator.send("config-update", Target.of_group("g"), {"revision": 7})
    assert served.node.command(command.command_id) == command
    assert (2, {"revision": 7}) == (command.target_count, command.payload)
    waiting = asyncio.create_task(operator.wait(command.command_id, timeout=600))
    await served.ack("a", command.command_id)
    assert CommandStatus.PENDING is (await operator.command(command.command_id)).status
    await served.ack("b", command.command_id, {"status": "FAILURE", "message": "no"})
    assert CommandStatus.ACKNOWLEDGED is (await within(waiting)).status
    assert served.node.deliveries(command.command_id) == await operator.deliveries(
        command.command_id, states=[DeliveryState.ACKNOWLEDGED]
    )
    assert [] == await operator.deliveries(command.command_id, states=["PENDING"])
    [delivery] = await operator.agent_deliveries("b")
    assert Ack(status=Outcome.FAILURE, message="no") == delivery.result
    assert [] == await operator.agent_deliveries("b", states=["EXPIRED"])


async def test_waiting_has_an_end(served: Served, operator: Operator) -> None:
    """It then shows the command as it is."""
    await served.register("a")
    command = await operator.send("replay", Target.agent("a"))
    assert command == await operator.wait(command.command_id, timeout=0.05)


async def test_waiting_longer_than_one_request_may(
    served: Served, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks again, and does not ask all the time where the server answers at once."""
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.05)
    await served.register("a")
    command = await operator.send("replay", Target.agent("a"))
    waiting = asyncio.create_task(operator.wait(command.command_id, timeout=600))
    await asyncio.sleep(0.2)
    await served.ack("a", command.command_id)
    assert CommandStatus.ACKNOWLEDGED is (await within(waiting)).status


class Gateway:
    """What stands before a server: it has its own answer now and then."""

    def __init__(self, served: Served, *, patience: float = 1000, failures: int = 0) -> None:
        self.served, self.patience, self.failures = served, patience, failures
        self.waits: list[float] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{any:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        self.waits.append(float(request.query.get("wait", 0)))
        if self.failures:
            self.failures -= 1
            return web.Response(status=502, text="<html>no</html>")
        path = request.path_qs.removeprefix("/api/v1")
        try:
            answer = await asyncio.wait_for(self.served.request("GET", path), self.patience)
        except TimeoutError:
            return web.Response(status=504, text="<html>no</html>")
        return web.Response(status=answer.status, body=answer.body)


@virtual_time
async def test_waiting_through_a_gateway_without_patience() -> None:
    """It is asked to wait for less, until it is served; and the wait is as long as it should be."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        gateway = Gateway(served, patience=8)
        async with running(gateway.app()) as (host, port), Operator(f"http://{host}:{port}") as it:
            command = await served.node.issue(Order(type="replay"), Target.agent("a"))
            loop = asyncio.get_running_loop()
            begun = loop.time()
            loop.call_later(14, lambda: done.append(loop.create_task(ack(served, command))))
            done: list[asyncio.Task[Any]] = []
            finished = await it.wait(command.command_id, 30)
        assert CommandStatus.ACKNOWLEDGED is finished.status
        assert 14 <= loop.time() - begun < 16
        assert len(gateway.waits) < 10


async def ack(served: Served, command: Any) -> None:
    await served.ack("a", command.command_id)


@virtual_time
@pytest.mark.parametrize(("failures", "is_borne"), [(1, True), (5, True), (100, False)])
async def test_waiting_where_a_gateway_has_no_answer_for_a_moment(
    failures: int, is_borne: bool
) -> None:
    """One 502 among many looks is none to end upon; a quarter of a minute of them is."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        gateway = Gateway(served, failures=failures)
        async with running(gateway.app()) as (host, port), Operator(f"http://{host}:{port}") as it:
            command = await served.node.issue(Order(type="replay"), Target.agent("a"))
            looks = []
            try:
                async for look in it.follow(command.command_id, 30, every=1):
                    looks.append(look)
            except UnexpectedAnswer:
                assert not is_borne
            assert is_borne == (len(looks) > 15)


@virtual_time
async def test_waiting_where_there_is_nobody() -> None:
    """Whoever waits is told before the time is over, and not at once."""
    loop = asyncio.get_running_loop()
    async with Operator("http://127.0.0.1:1") as it:
        begun = loop.time()
        with pytest.raises(ServerUnreachable):
            await it.wait("0193", 3600)
        assert module.PATIENCE < loop.time() - begun < module.PATIENCE + 5
        begun = loop.time()
        with pytest.raises(ServerUnreachable):
            await it.wait("0193", 3)
        assert 3 <= loop.time() - begun < 4


async def test_the_servers_time(served: Served, operator: Operator) -> None:
    """By which its moments are to be judged; before any answer it is our own."""
    assert abs(operator.now() - datetime.now(UTC)) < timedelta(minutes=1)
    ahead = datetime.now(UTC) + timedelta(hours=3)
    head = {"X-Cameleer-Time": ahead.isoformat(), "X-Cameleer-Protocol-Version": "1"}
    answer = web.json_response([], headers=head)
    async with running(answering(answer)) as (host, port), Operator(f"http://{host}:{port}") as it:
        await it.groups()
        assert timedelta(milliseconds=-1) <= it.now() - ahead < timedelta(minutes=1)


async def test_all_and_nobody(operator: Operator) -> None:
    """A command for all of nobody is issued, and undeliverable."""
    command = await operator.send("deep-trace", Target.all())
    assert CommandStatus.UNDELIVERABLE is command.status


async def test_forgetting(served: Served, operator: Operator) -> None:
    """Once; then there is none."""
    await served.register("a")
    await operator.delete("a")
    with pytest.raises(AgentNotRegistered):
        await operator.delete("a")


async def test_refusals_are_the_exceptions_of_the_server(
    served: Served, operator: Operator
) -> None:
    """In its words."""
    with pytest.raises(AgentNotRegistered, match="agent 'nobody' is not registered"):
        await operator.agent("nobody")
    with pytest.raises(GroupNotFound, match="no agent has ever declared the group 'none'"):
        await operator.send("replay", Target.of_group("none"))
    with pytest.raises(CommandNotFound):
        await operator.command("0193")
    await served.register("a")
    for _ in range(2):
        await operator.send("replay", Target.agent("a"))
    with pytest.raises(TooManyPending, match="already has 2 pending"):
        await operator.send("replay", Target.agent("a"))
    with pytest.raises(InvalidRequest) as caught:
        await operator.agents(statuses=["ALIVE"])
    assert ["?status"] == [fault.path for fault in caught.value.errors]


@pytest.mark.parametrize("impossible", ["", "..", ".", "groups", "a/b", "a?b", "a\r\nb", "é"])
async def test_what_cannot_be_an_id_is_not_there(
    served: Served, operator: Operator, impossible: str
) -> None:
    """And never becomes another address on its way."""
    with pytest.raises(AgentNotRegistered):
        await operator.delete(impossible)
    with pytest.raises(AgentNotRegistered):
        await operator.send("replay", Target.agent(impossible))
    with pytest.raises(GroupNotFound):
        await operator.send("replay", Target.of_group(impossible))
    with pytest.raises(CommandNotFound):
        await operator.command(impossible)


async def test_what_is_no_command_is_not_sent(operator: Operator) -> None:
    """It is the caller's mistake, and says so."""
    with pytest.raises(ValueError, match="'reboot' is not a valid CommandType"):
        await operator.send("reboot", Target.all())
    with pytest.raises(TypeError):
        await operator.send("replay", Target.all(), {"x": object()})


async def test_nobody_listens() -> None:
    """One line that says where, whatever the reason."""
    async with Operator("http://127.0.0.1:1") as operator:
        with pytest.raises(ServerUnreachable) as caught:
            await operator.agents()
    assert "cannot reach http://127.0.0.1:1: Connection refused" == str(caught.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://somebody:secret@127.0.0.1:1/", "http://127.0.0.1:1: Connection refused"),
        (" http://127.0.0.1:1/a b//\n", "http://127.0.0.1:1/a%20b: Connection refused"),
        ("http://a..b", "http://a..b: "),  # and what this Python says of it
    ],
)
async def test_how_an_address_is_told(url: str, told: str) -> None:
    """Without the password in it, which is none of a log's business."""
    async with Operator(url) as operator:
        with pytest.raises(ServerUnreachable) as caught:
            await operator.agents()
    assert str(caught.value).startswith(f"cannot reach {told}")


async def test_no_tls(served: Served) -> None:
    """It is not told by a number that means something else elsewhere."""
    async with Operator(served.url.replace("http:", "https:")) as operator:
        with pytest.raises(ServerUnreachable, match=r": TLS: [a-z ]+$"):
            await operator.agents()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        *((url, "such as") for url in ("localhost:8081", "ftp://x", "", "//x", "http://")),
        *((url, "without a query") for url in ("http://x/?y=1", "http://x?", "http://x/#y")),
    ],
)
def test_an_address_that_is_none(url: str, complaint: str) -> None:
    """It is refused at once."""
    with pytest.raises(ValueError, match=f"expected an address {complaint}"):
        Operator(url)


async def test_it_is_to_be_opened_first(served: Served) -> None:
    """A client that is not open says so."""
    with pytest.raises(RuntimeError, match="async with"):
        await Operator(served.url).agents()


async def test_a_session_of_ones_own(served: Served) -> None:
    """It is used, and left open."""
    async with aiohttp.ClientSession(headers={"X-Mine": "1"}) as session:
        async with Operator(served.url, session=session) as operator:
            assert [] == await operator.agents()
        assert not session.closed


async def test_under_a_prefix() -> None:
    """A registry that is mounted in another application is reached by its prefix."""
    parent, registry = web.Application(), create_app()
    parent.add_subapp("/registry/", registry)
    async with running(parent) as (host, port):
        async with Operator(f"http://{host}:{port}/registry/") as operator:
            assert [] == await operator.agents()
        async with Operator(f"http://{host}:{port}") as operator:
            with pytest.raises(UnexpectedAnswer, match="404 Not Found"):
                await operator.agents()
    assert [] == registry[NODE].agents()


def answering(response: Any) -> web.Application:
    """Return an application that answers everything like that."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        made: web.StreamResponse = await response() if callable(response) else response
        return made

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    return app


@pytest.mark.parametrize(
    ("response", "complaint"),
    [
        ({"status": 502, "text": "<h1>Bad Gateway</h1>"}, "502 Bad Gateway"),
        ({"status": 302, "headers": {"Location": "https://sso.example/"}}, "redirecting to https:"),
        ({"status": 200, "text": "<h1>Welcome</h1>", "content_type": "text/html"}, "answered"),
        ({"status": 200, "text": '[{"agentId": 1}]'}, r"\$\[0\].agentId: expected a string"),
        ({"status": 404, "text": '{"type": "about:blank", "title": "", "detail": ""}'}, "404"),
        ({"status": 400, "text": '{"type": "urn:cameleer:problem:x"}'}, "400"),
        ({"status": 400, "text": "[]"}, "400"),
        (
            {
                "status": 400,
                "text": '{"type": "urn:cameleer:problem:x", "title": "", "detail": %s}'
                % ("[" * 1000 + "]" * 1000),
            },
            "400",
        ),
        (
            {
                "status": 400,
                "text": '{"type": "urn:cameleer:problem:x", "title": "", "detail": "",'
                ' "errors": [{"path": "$", "message": null}]}',
            },
            "400",
        ),
    ],
)
async def test_something_else_answers(response: dict[str, Any], complaint: str) -> None:
    """It is told from a registry, and one line says what it said."""

    async def answer() -> web.Response:
        return web.Response(**response)

    async with running(answering(answer)) as (host, port):
        operator = Operator(f"http://{host}:{port}")
        async with operator:
            with pytest.raises(UnexpectedAnswer, match=complaint) as caught:
                await operator.agents()
    assert "\n" not in str(caught.value)


async def test_something_else_deletes_nothing() -> None:
    """A page of a proxy, say, which it sends for every address, is no answer."""
    async with (
        running(answering(web.Response(text="<h1>Welcome</h1>"))) as (host, port),
        Operator(f"http://{host}:{port}") as operator,
    ):
        with pytest.raises(UnexpectedAnswer, match="no registry's"):
            await operator.delete("a")


@pytest.mark.parametrize("said", ["soon", "inf", "nan", "1e999", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_a_retry_after_that_is_no_time(said: str) -> None:
    """It is as if nothing had been said."""
    body = {"type": "urn:cameleer:problem:at-capacity", "title": "Full", "detail": "full"}
    answer = web.Response(status=503, body=json.dumps(body), headers={"Retry-After": said})
    async with running(answering(answer)) as (host, port), Operator(f"http://{host}:{port}") as it:
        with pytest.raises(AtCapacity) as caught:
            await it.agents()
    assert None is caught.value.retry_after


@pytest.mark.parametrize(
    ("said", "seconds"), [("7", 7), ("-1", 0), ("inf", None), ("nan", None), ("soon", None)]
)
async def test_a_problem_of_tomorrow(said: str, seconds: float | None) -> None:
    """It is told in its own words, with what is known of it; nobody waits for ever."""
    body = {"type": "urn:cameleer:problem:tea", "title": "Tea", "detail": "no coffee"}
    answer = web.Response(status=418, body=json.dumps(body), headers={"Retry-After": said})
    async with running(answering(answer)) as (host, port):
        operator = Operator(f"http://{host}:{port}")
        async with operator:
            with pytest.raises(RegistryError, match="no coffee") as caught:
                await operator.agents()
    error = caught.value
    assert ("tea", 418, seconds) == (error.code, error.status, error.retry_after)
    assert MethodNotAllowed is not type(error)


async def test_an_answer_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever."""
    never = asyncio.Event()

    async def answer() -> web.Response:
        await never.wait()
        return web.Response()

    async with running(answering(answer)) as (host, port):
        async with Operator(f"http://{host}:{port}") as operator:
            connection = operator._connection
            with pytest.raises(ServerUnreachable, match="did not answer in time"):
                await connection.send("GET", "agents", timeout=0.05)
        never.set()


async def test_cancelled_in_the_moment_of_a_timeout() -> None:
    """A cancellation is never taken for a server that does not answer."""
    never = asyncio.Event()

    async def answer() -> web.Response:
        await never.wait()
        return web.Response()

    async with running(answering(answer)) as (host, port):
        async with Operator(f"http://{host}:{port}") as operator:
            sending = asyncio.create_task(operator._connection.send("GET", "x", timeout=0.1))
            loop = asyncio.get_running_loop()
            loop.call_later(0.09, sending.cancel)
            # Held up, the loop finds both due when it looks next.
            loop.call_later(0.08, time.sleep, 0.05)
            with pytest.raises(asyncio.CancelledError):
                await sending
        never.set()


async def test_a_connection_that_breaks(served: Served) -> None:
    """A server that is gone in the middle is unreachable, not an aiohttp error."""

    async def break_off(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[")
        writer.close()

    server = await asyncio.start_server(break_off, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with Operator(f"http://127.0.0.1:{port}") as operator:
            with pytest.raises(ServerUnreachable, match="cannot reach"):
                await operator.agents()


async def test_connections_are_shared_and_closed() -> None:
    """No more than requests at once, however many follow; none when the client is closed."""
    seen: set[asyncio.BaseTransport] = set()

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        seen.add(request.transport)
        return web.json_response([])

    app = web.Application()
    app.router.add_get("/api/v1/agents", answer)
    async with running(app) as (host, port), Operator(f"http://{host}:{port}") as operator:
        before = asyncio.all_tasks()
        for _ in range(5):
            assert [[]] * 10 == await asyncio.gather(*(operator.agents() for _ in range(10)))
        assert 0 < len(seen) <= 10
        assert not any(transport.is_closing() for transport in seen)
        await operator.__aexit__(None, None, None)
        await eventually(lambda: all(transport.is_closing() for transport in seen))
        await eventually(lambda: asyncio.all_tasks() <= before)


async def test_a_command_is_sent_again_where_the_connection_breaks(
    served: Served, operator: Operator
) -> None:
    """Once, and is issued once; each call is a command of its own."""
    await served.register("a")
    async with breaking(served, times=1) as (url, keys), Operator(url) as other:
        first = await other.send("replay", Target.agent("a"))
        second = await other.send("replay", Target.agent("a"))
    issued = [delivery.command_id for delivery in served.node.agent_deliveries("a")]
    assert [second.command_id, first.command_id] == issued
    assert keys[0] == keys[1] != keys[2]
    assert 3 == len(keys)


async def test_a_command_is_not_sent_again_and_again(served: Served) -> None:
    """Whoever sends it does not know what became of it, and can ask under the same key."""
    await served.register("a")
    async with breaking(served, times=2) as (url, keys), Operator(url) as other:
        with pytest.raises(ServerUnreachable):
            await other.send("replay", Target.agent("a"), idempotency_key='"mine" \\')
        again = await other.send("replay", Target.agent("a"), idempotency_key='"mine" \\')
    [delivery] = served.node.agent_deliveries("a")
    assert again.command_id == delivery.command_id
    assert [r'"\"mine\" \\"'] * 3 == keys


async def test_a_key_that_is_used_for_another_command(served: Served, operator: Operator) -> None:
    """It is refused as by the server; and one that is none is not sent."""
    await served.register("a")
    await operator.send("replay", Target.agent("a"), idempotency_key="k")
    with pytest.raises(IdempotencyKeyReused, match="'k'"):
        await operator.send("deep-trace", Target.agent("a"), idempotency_key="k")
    with pytest.raises(ValueError, match="1 to 255"):
        await operator.send("replay", Target.agent("a"), idempotency_key="")


@asynccontextmanager
async def breaking(served: Served, *, times: int) -> AsyncIterator[tuple[str, list[str]]]:
    """Stand before a server, and lose its answer so many times; collect the keys on the way."""
    keys: list[str] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
        keys.append(fields["Idempotency-Key"])
        body = await reader.readexactly(int(fields["Content-Length"]))
        async with connected(served) as connection:
            connection.writer.write(head + body)
            answer = await connection.answer("POST")
        if len(keys) > times:
            writer.write(answer.head + answer.body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", keys
