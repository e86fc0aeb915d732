"""Texts that try to be more than texts: lines of a stream or a log, parts of an address."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from httpx_sse import aconnect_sse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cameleer_registry import RegistryError, Settings
from cameleer_registry.client import Operator

from ..processes import server
from ..support import Connection, Served, connected, open_stream, streaming, within
from .hostile import attacked
from .scale import IS_LONG, SCALE

TEXTS: Final = [
    *("\r", "\n", "\r\n", "\0", "\x0b", "\x0c", "\x1c", "\x1e", "\x7f", "\x85", "\u2028", "\u2029"),
    *("\n\ndata: {}", "\r\nevent: replay\r\nid: 1\r\n\r\n", "\u2028data: x\u2028\u2028", "\n:\n\n"),
    *("\ufeff", "\u202egnp\u202c", "\u200b", "\U0001f42b", "\U0010ffff", "\ufffe", "e\u0301", ""),
    *("\x1b[2J", "\x9b31m", "</script>", "0\r\n\r\n", "\\u2028", "\\n", '"', "\\", "%0a", "{}"),
]

LINE_TEXTS: Final = st.text(
    st.sampled_from('\r\n\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029:d a\\"\U0001f42b')
    | st.characters(codec="utf-8"),
    max_size=30,
)


# The event stream


@asynccontextmanager
async def streaming_of(served: Served) -> AsyncIterator[Connection]:
    """Register an agent, and open its stream."""
    await served.register("a")
    async with streaming(served, "a") as stream:
        yield stream


async def test_texts_survive_on_every_stream(caplog: pytest.LogCaptureFixture) -> None:
    """Exactly, in keys as in values, for clients in HTTP/1.1 and 1.0, and of other makers.

    The last one splits lines with the tools of its language, which know of U+0085 and U+2028.
    """
    payload: dict[str, Any] = {f"{number}{text}": text for number, text in enumerate(TEXTS)}
    payload["all"] = ["".join(TEXTS), {"".join(TEXTS): TEXTS}]
    async with attacked(caplog) as served, AsyncExitStack() as stack:
        for agent_id in ("one", "two", "old", "httpx", "lines"):
            await served.register(agent_id)
        streams = [
            await stack.enter_async_context(streaming(served, name)) for name in ("one", "two")
        ]
        old = await stack.enter_async_context(connected(served))
        await open_stream(served, old, "old", version="1.0")
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"{served.api}/agents/")
        )
        source = await stack.enter_async_context(aconnect_sse(client, "GET", "httpx/events"))
        events = source.aiter_sse()
        by_line = await stack.enter_async_context(client.stream("GET", "lines/events"))
        issued = (await served.issue("/agents", payload=payload)).json()
        assert 5 == issued["connectedCount"]
        for stream in streams:
            assert payload == (await stream.event())["data"]["payload"]
        plain = await within(old.reader.readuntil(b"\n\n"))
        *_, data, end, _ = plain.decode().split("\n")
        assert ("", payload) == (end, json.loads(data.removeprefix("data: "))["payload"])
        assert plain.isascii() or not set("\x85\u2028\u2029") & set(plain.decode())
        event = await within(anext(events))
        assert payload == event.json()["payload"]
        assert payload == await within(read_lines(by_line))
        # To whoever asks for what it missed, it is said alike.
        [delivery] = (await served.request("GET", "/agents/one/commands")).json()
        assert payload == delivery["payload"]


async def read_lines(response: httpx.Response) -> Any:
    """Be a client that was written in an afternoon."""
    received = ""
    async for text in response.aiter_text():
        received += text
        for line in received.splitlines():
            if line.startswith("data:") and received.endswith("\n\n"):
                return json.loads(line.removeprefix("data:"))["payload"]
    raise AssertionError("the stream has ended")


def test_any_text_survives_on_a_stream(caplog: pytest.LogCaptureFixture) -> None:
    """What an operator sent is what the agent reads, and what the agent answers is kept."""

    async def send(text: str) -> None:
        issued = (await served.issue("/agents/a", payload={text: [text]})).json()
        event = await stream.event()
        assert (issued["commandId"], "config-update") == (event["id"], event["event"])
        assert {text: [text]} == event["data"]["payload"]
        answer = await served.ack("a", event["id"], {"message": text, "data": {text: text}})
        assert {"status": "SUCCESS", "message": text, "data": {text: text}} == answer.json()[
            "result"
        ]

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        served: Served = runner.run(stack.enter_async_context(attacked(caplog)))
        runner.run(served.register("a"))
        stream = runner.run(stack.enter_async_context(streaming(served, "a")))

        @settings(
            max_examples=SCALE.examples,
            derandomize=not IS_LONG,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(LINE_TEXTS)
        def attack(text: str) -> None:
            runner.run(send(text))

        try:
            attack()
        finally:
            runner.run(stack.aclose())


@pytest.mark.parametrize("half", ["\\ud800", "\\udfff", "\\ud800\\ud800", "\\udc00\\ud800"])
async def test_half_characters_are_refused(caplog: pytest.LogCaptureFixture, half: str) -> None:
    """No encoding could pass them on; whole ones that were written in halves are taken."""
    async with attacked(caplog) as served, streaming_of(served) as stream:
        body = '{"type":"replay","payload":{"x":"%s"}}'
        refused = await served.request("POST", "/agents/a/commands", raw=(body % half).encode())
        assert (400, "malformed-json") == (refused.status, refused.code)
        whole = (body % "\\ud83d\\udc2b").encode()
        assert 202 == (await served.request("POST", "/agents/a/commands", raw=whole)).status
        assert {"x": "\U0001f42b"} == (await stream.event())["data"]["payload"]


# Ids

NO_IDS: Final = [
    *(".", "..", "...", "../x", "..%2f", "%2e%2e", "a/b", "a\\b", "/", "//", "a?b", "a#b", "a%2fb"),
    *(
        "a b",
        " a",
        "a\n",
        "a\r\nid: 1",
        "a\0",
        "a\u2028",
        "a\x85",
        "\u202ea",
        "\xe9",
        "\uff41",
        "a;b",
    ),
    *("register", "commands", "groups", "", "-a", "_a", ":a", "@a", "a" * 129, "a,b", "<b>", "a*"),
]
ODD_IDS: Final = [
    "a..b",
    "a.",
    "0",
    "a:b@c",
    "a-_.:@",
    "events",
    "heartbeat",
    "a" * 128,
    "Register",
]


@pytest.mark.parametrize("name", ["agentId", "group"])
async def test_ids_that_would_leave_their_place(
    caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """They are refused where they are declared, and lead nowhere where they are asked for."""
    words = {"register", "commands", "groups"} if name == "group" else set()
    async with attacked(caplog) as served:
        await served.register("a")
        for wrong in set(NO_IDS) - words:
            body = {"agentId": "b", "group": "g", name: wrong}
            answer = await served.request("POST", "/agents/register", body)
            assert (400, [f"$.{name}"]) == (
                answer.status,
                [fault["path"] for fault in answer.json()["errors"]],
            ), wrong
            path = "/agents" if name == "agentId" else "/agents/groups"
            for part in {quote(wrong, safe=""), quote(quote(wrong, safe=""), safe="")} - {""}:
                answer = await served.request("POST", f"{path}/{part}/commands", {"type": "replay"})
                assert answer.status in (404, 405), (wrong, part)
        assert ["a"] == [agent.agent_id for agent in served.node.agents()]
        assert [] == served.node.agent_deliveries("a")


async def test_odd_ids_stay_in_their_place(caplog: pytest.LogCaptureFixture) -> None:
    """Each is an agent of its own, under the address that it was told."""
    async with attacked(caplog) as served:
        told = {}
        for agent_id in ODD_IDS:
            welcome = (await served.register(agent_id, agent_id)).json()
            told[agent_id] = welcome["sseEndpoint"].removeprefix("/api/v1")
            assert 204 == (await served.request("POST", f"/agents/{agent_id}/heartbeat")).status
        for agent_id, path in told.items():
            async with connected(served) as connection:
                connection.writer.write(
                    f"GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
                )
                assert 200 == (await connection.head()).status
                answer = (await served.issue(f"/agents/groups/{agent_id}")).json()
                assert (1, 1) == (answer["targetCount"], answer["connectedCount"])
        for agent_id in ODD_IDS:
            assert 1 == len(served.node.agent_deliveries(agent_id))


async def test_the_client_does_not_leave_its_place(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever an operator's program takes for an id, it asks for nothing else."""
    async with attacked(caplog) as served, Operator(served.url) as operator:
        await served.register("a")
        for wrong in NO_IDS:
            with pytest.raises(RegistryError) as refused:
                await operator.delete(wrong)
            assert refused.value.status in (404, 405), wrong
        assert ["a"] == [agent.agent_id for agent in served.node.agents()]


# Log lines and problems

FORGED: Final = "2026-01-01T00:00:00.000000Z [error    ] forged"
JSON_FORGED: Final = '{"event": "forged", "level": "error"}'
NASTY: Final = [
    f"\n{FORGED}",
    f"\r\n{JSON_FORGED}\r\n",
    f"\u2028{FORGED}",
    f"\x85{JSON_FORGED}",
    "\x1b[2J\x1b[1;1H\x1b[31mforged",
    "\x9b2Jforged",
    "\u202edegrof",
    "' agent_id='forged",
    '","event":"forged","x":"',
    "\0forged\x07",
    "\U000e0041\u200b\u2066",
]
CONSOLE_LINE: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \[(debug|info|warning) *\] [A-Za-z].*"
)


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_no_line_of_a_log_is_forged(log_format: str) -> None:
    """One line for each event, of characters that can be printed, whatever an agent says."""
    arguments = ("--port", "0", "--log-format", log_format, "--log-level", "debug")
    async with server(*arguments, stderr=PIPE) as served, served.client() as client:
        reading = asyncio.create_task(read_all(served.process.stderr))
        for number, text in enumerate(NASTY):
            body: dict[str, Any] = {"agentId": f"a{number}", "group": "g"}
            for more in (
                {"name": text},
                {"version": text},
                {"instanceId": text, "routeIds": [text], "capabilities": {text: text}},
                {"agentId": text},
                {"capabilities": {text: text}},
                {},
            ):
                await client.post("/agents/register", json={**body, **more})
            command = await client.post(
                f"/agents/a{number}/commands", json={"type": "replay", "payload": {text: text}}
            )
            ack = f"/agents/a{number}/commands/{command.json()['commandId']}/ack"
            said = {"status": "FAILURE", "message": text, "data": text}
            assert 200 == (await client.post(ack, json=said)).status_code
            for path in (f"/{quote(text)}", f"/agents/{quote(text)}/heartbeat"):
                assert 404 == (await client.post(path)).status_code
            version = text.encode().translate(None, b"\0\r\n").strip()
            in_header = {b"X-Cameleer-Protocol-Version": version}
            refused = await client.get("/agents", headers=in_header)
            assert 400 == refused.status_code
            await no_request(served.url, text.encode())
        assert 0 == await served.terminate()
        lines = (await within(reading)).decode().split("\n")
    assert "" == lines.pop()
    assert len(lines) > 5 * len(NASTY)
    for line in lines:
        assert line.isprintable(), ascii(line)
        if log_format == "json":
            entry = json.loads(line)
            assert "forged" != entry["event"]
            assert entry["level"] in ("debug", "info", "warning")
        else:
            assert CONSOLE_LINE.fullmatch(line), line
    assert sum("acknowledged" in line or "command failed" in line for line in lines) >= len(NASTY)


async def no_request(url: str, raw: bytes) -> None:
    """Send bytes that are no request, and wait for the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    writer.write(b"GET /x HTTP/1.1\r\nX" + raw + b": y\r\n\r\n\r\n\0\r\n\r\n")
    while await within(reader.read(65_536)):
        pass
    writer.close()


async def read_all(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None
    return await stream.read(-1)


@pytest.fixture
async def watched(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Served]:
    async with attacked(caplog, Settings(max_body=1000)) as served:
        yield served


async def test_a_problem_can_be_printed(watched: Served, caplog: pytest.LogCaptureFixture) -> None:
    """What it quotes of a request neither steers a terminal nor turns the text around it."""
    caplog.set_level(logging.INFO)
    for text in NASTY:
        part = quote(text, safe="")
        header = text.encode().translate(None, b"\0\r\n").decode()
        for answer in (
            await watched.request("GET", f"/nowhere/{part}"),
            await watched.request("PUT", f"/agents/{part}"),
            await watched.request("GET", f"/agents/{part}"),
            await watched.request("GET", f"/agents?status={part}"),
            await watched.request("GET", f"/events?group={part}"),
            await watched.request("GET", f"/commands/x?wait={part}"),
            await watched.request("POST", f"/agents/groups/{part}/commands", {"type": text}),
            await watched.request("POST", "/agents/register", {"agentId": text, "name": [text]}),
            await watched.request("POST", "/agents/commands", {"type": text}),
            await watched.request("POST", "/agents/commands", headers={"Origin": f"h://{header}"}),
            await watched.request(
                "POST",
                "/agents/commands",
                raw=b"{}",
                headers={"Content-Encoding": header} if header.strip() else {},
            ),
        ):
            assert answer.status >= 400
            problem = answer.json()
            quoted = [problem["detail"], *(str(fault) for fault in problem.get("errors", ()))]
            assert all(line.isprintable() for line in quoted), quoted
