"""What many tests need: a served application, and a client that shows every byte."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from aiohttp import web
from attrs import define, field

from cameleer_registry import NODE, Node, Settings, create_app
from cameleer_registry.core.events import Event
from cameleer_registry.node.clock import Clock
from cameleer_registry.web.inline import InlineRunner

T = TypeVar("T")

AT_ONCE: Final = 10.0
"""Seconds within which a server notices at once that a client is gone, on a busy machine: less than
the 15 of a keepalive, with which it would notice anyhow."""


@define
class Served:
    """A registry on a real socket."""

    node: Node
    host: str
    port: int
    prefix: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}{self.prefix}"

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request on a connection of its own; ``path`` is below /api/v1, or whole."""
        if raw is None:
            raw = b"" if body is None else json.dumps(body).encode()
        target = path if path.startswith("//") else f"{self.prefix}/api/v1{path}"
        target = target.removeprefix("/") if path.startswith("//") else target
        head = {
            "Host": f"{self.host}:{self.port}",
            "Content-Length": str(len(raw)),
            **(headers or {}),
        }
        if method == "GET":
            del head["Content-Length"]
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in head.items()), "", ""]
        async with connected(self) as connection:
            connection.writer.write("\r\n".join(lines).encode("utf-8") + raw)
            return await connection.answer(method)

    async def register(self, agent_id: str, group: str = "g", **more: Any) -> Answer:
        body = {"agentId": agent_id, "group": group, **more}
        return await self.request("POST", "/agents/register", body)

    async def issue(self, path: str, type: str = "config-update", payload: Any = None) -> Answer:
        body = {"type": type, "payload": payload or {}}
        return await self.request("POST", f"{path}/commands", body)

    async def ack(self, agent_id: str, command_id: str, body: Any = None) -> Answer:
        return await self.request("POST", f"/agents/{agent_id}/commands/{command_id}/ack", body)


@define
class Answer:
    """A response, taken apart."""

    status: int
    headers: dict[str, str]
    """By lower-case names."""
    body: bytes
    head: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem, whose form is checked on the way."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json()
        assert problem["status"] == self.status
        assert problem["title"]
        assert problem["detail"]
        assert "Traceback" not in problem["detail"]
        return str(problem["type"]).removeprefix("urn:cameleer:problem:")


class EndOfStream(EOFError):
    """A stream has ended as it should: with its last chunk."""


@define
class Connection:
    """A client's end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytearray = field(factory=bytearray)

    async def answer(self, method: str = "GET") -> Answer:
        """Read one whole response."""
        answer = await self.head()
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        if answer.headers.get("transfer-encoding") == "chunked":
            while chunk := await self.chunk():
                answer.body += chunk
        else:
            length = int(answer.headers["content-length"])
            answer.body = await within(self.reader.readexactly(length))
        return answer

    async def head(self) -> Answer:
        """Read the head of a response."""
        head = await within(self.reader.readuntil(b"\r\n\r\n"))
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        return Answer(int(status.split()[1]), {k.lower(): v for k, v in headers.items()}, b"", head)

    async def chunk(self) -> bytes:
        """Read one chunk; the last one is empty."""
        size = int(await within(self.reader.readuntil(b"\r\n")), 16)
        content: bytes = await within(self.reader.readexactly(size + 2))
        assert content.endswith(b"\r\n")
        return content[:-2]

    async def line(self) -> bytes:
        """Read one line of a chunked event stream; raises EndOfStream at its end."""
        while b"\n" not in self.received:
            chunk = await self.chunk()
            if not chunk:
                raise EndOfStream
            self.received += chunk
        line, _, rest = bytes(self.received).partition(b"\n")
        self.received[:] = rest
        return line

    async def event(self) -> dict[str, Any]:
        """Read up to and including the next event: its fields, with ``data`` parsed."""
        fields: dict[str, Any] = {}
        while line := await self.line():
            if not line.startswith(b":"):
                name, _, value = line.decode().partition(": ")
                fields[name] = value
        fields["data"] = json.loads(fields["data"])
        return fields

    async def closed(self) -> None:
        """Wait until the server has closed the connection."""
        while await within(self.reader.read(65536)):
            pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Close without a farewell."""
        self.writer.transport.abort()


async def within(awaitable: Any, seconds: float = 20) -> Any:
    """Wait, but not for ever: a test that hangs should say where."""
    async with asyncio.timeout(seconds):
        return await awaitable


async def eventually(condition: Any, seconds: float = 20) -> None:
    """Wait until a condition holds that some other task brings about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nothing tells when it does
            await asyncio.sleep(0.005)


@asynccontextmanager
async def connected(served: Served) -> AsyncIterator[Connection]:
    """Connect to a server."""
    reader, writer = await asyncio.open_connection(served.host, served.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def streaming(
    served: Served, agent_id: str, *, version: str = "1.1", headers: str = ""
) -> AsyncIterator[Connection]:
    """Open an agent's stream and read its head and its opening."""
    async with connected(served) as connection:
        await open_stream(served, connection, agent_id, version=version, headers=headers)
        yield connection


async def open_stream(
    served: Served,
    connection: Connection,
    agent_id: str,
    *,
    version: str = "1.1",
    headers: str = "",
) -> Answer:
    """Ask for an agent's stream on a connection, and read its head and its opening."""
    path = f"/agents/{agent_id}/events"
    return await begin_stream(served, connection, path, version=version, headers=headers)


@asynccontextmanager
async def following(
    served: Served,
    query: str = "",
    *,
    version: str = "1.1",
    last_event_id: str | int | None = None,
    headers: str = "",
) -> AsyncIterator[Connection]:
    """Follow the operators' feed, from behind an event, and read its head and its opening.

    That is over with the position, where the server says one.
    """
    last = "" if last_event_id is None else f"Last-Event-ID: {last_event_id}\r\n"
    headers += last
    async with connected(served) as connection:
        await begin_stream(served, connection, f"/events{query}", version=version, headers=headers)
        if not last and not re.search("lastEventId=.", query) and version == "1.1":
            assert "position" == (await connection.event())["event"]
        yield connection


async def begin_stream(
    served: Served, connection: Connection, path: str, *, version: str, headers: str
) -> Answer:
    """Ask for an event stream on a connection, and read its head and its opening."""
    target = f"{served.prefix}/api/v1{path}"
    connection.writer.write(
        f"GET {target} HTTP/{version}\r\nHost: {served.host}\r\n{headers}\r\n".encode()
    )
    answer = await connection.head()
    assert answer.status == 200
    if version == "1.1":
        assert (await connection.line()).startswith(b"retry: ")
        assert (await connection.line()).startswith(b":")
    return answer


@asynccontextmanager
async def serving(
    settings: Settings | None = None,
    *,
    clock: Clock | None = None,
    runs: type[web.AppRunner] = InlineRunner,
    **runner: Any,
) -> AsyncIterator[Served]:
    """Serve a registry on a real socket, as ``python -m cameleer_registry`` does.

    Not on aiohttp's TestServer, which cancels handlers whose client is gone; real ones do not.
    """
    app = create_app(settings, clock=clock)
    async with running(app, runs=runs, **runner) as (host, port):
        yield Served(app[NODE], host, port)


@asynccontextmanager
async def running(
    app: web.Application,
    *,
    runs: type[web.AppRunner] = web.AppRunner,
    host: str = "127.0.0.1",
    port: int = 0,
    ssl_context: ssl.SSLContext | None = None,
    **runner: Any,
) -> AsyncIterator[tuple[str, int]]:
    """Run any application, on a free port where none is named."""
    app_runner = runs(app, access_log=None, shutdown_timeout=1.0, **runner)
    await app_runner.setup()
    site = web.TCPSite(app_runner, host, port, backlog=4096, ssl_context=ssl_context)
    await site.start()
    try:
        yield host, site.port
    finally:
        await app_runner.cleanup()


def virtual_clock() -> Clock:
    """Return a clock on the time of the running loop, which tests on virtual time move."""
    loop = asyncio.get_running_loop()

    def steady() -> int:
        return round(loop.time() * 1_000_000_000)

    return Clock(steady=steady, wall=lambda: 1_795_000_000_000_000_000 + steady())


def hear(node: Node, listener: Callable[[Event], None]) -> None:
    """Have somebody told of every fact."""
    node.listen(listener)


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine comes to that has nothing to wait for, as in memory."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits for something")
