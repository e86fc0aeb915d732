"""Somebody between an agent and its registry, who reads, changes, holds and repeats what passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from aiohttp import web
from attrs import define, field

from .support import Served, eventually, running

_HOP_BY_HOP: Final = {"connection", "content-length", "date", "server", "transfer-encoding"}

Change = Callable[[bytes], bytes | None]
"""What becomes of a line, or of an answer; of a line None is nothing, which holds it."""


def as_it_came(text: bytes) -> bytes:
    """Return what passes as it is."""
    return text


@define
class Middle:
    """A proxy that speaks for the registry, and for agents."""

    target: str
    url: str = ""
    change_line: Change = as_it_came
    """What becomes of the ``data`` of an event."""
    change_answer: Callable[[str, bytes], bytes] = lambda _, body: body
    """What becomes of the body of an answer; the first argument is the path."""
    lines: list[bytes] = field(factory=list)
    """The ``data`` of all events, as the registry has sent them."""
    acknowledged: list[tuple[str, dict[str, Any]]] = field(factory=list)
    """By agents: the command, and what they said of it."""
    requests: list[str] = field(factory=list)
    """All paths that were asked for."""
    _streams: set[web.StreamResponse] = field(factory=set)

    async def inject(self, line: bytes, command_id: str) -> None:
        """Write an event to the agent's stream."""
        await eventually(lambda: len(self._streams) > 0)
        for stream in self._streams:
            await stream.write(b"id: %s\nevent: replay\n" % command_id.encode())
            await stream.write(b"data: %s\n\n" % line)

    def cut(self) -> None:
        """End all streams."""
        for stream in self._streams:
            if (request := stream._req) is not None and request.transport is not None:
                request.transport.abort()

    async def refusal(self, command_id: str) -> str:
        """Wait until an agent has acknowledged a command, and return what it said."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [said for one, said in self.acknowledged if one == command_id]
            return bool(found)

        await eventually(is_there, 30)
        assert "FAILURE" == found[0]["status"]
        return str(found[0]["message"])

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        body = await request.read()
        if request.path.endswith("/ack"):
            said = await request.json() if body else {"status": "SUCCESS"}
            self.acknowledged.append((request.path.split("/")[-2], said))
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        headers["Host"] = self.target.partition("//")[2]
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                self.target + request.path_qs,
                data=body or None,
                headers=headers,
                timeout=aiohttp.ClientTimeout(),
            ) as answer,
        ):
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
            if answer.content_type != "text/event-stream":
                read = await answer.read()
                if read and answer.status < 400:
                    read = self.change_answer(request.path, read)
                return web.Response(status=answer.status, headers=kept, body=read)
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            self._streams.add(response)
            try:
                await self._pass_on(answer, response)
            finally:
                self._streams.discard(response)
            return response

    async def _pass_on(self, answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
        event = b""
        async for line in answer.content:
            if line.startswith(b"data: "):
                data = line[6:-1]
                self.lines.append(data)
                changed = self.change_line(data)
                event = b"" if changed is None else event + b"data: " + changed + b"\n\n"
            elif line.startswith((b"id: ", b"event: ")):
                event += line
                continue
            elif line.startswith(b"retry: "):
                event = b"retry: 20\n"  # who waits for two seconds is not what is tested
            elif line != b"\n":
                event = line
            await response.write(event)
            event = b""


@asynccontextmanager
async def in_the_middle(served: Served) -> AsyncIterator[Middle]:
    """Run one between agents, who come to its ``url``, and their registry."""
    middle = Middle(served.url)
    app = web.Application(client_max_size=16 << 20)
    app.router.add_route("*", "/{path:.*}", middle.handle)
    async with running(app, handler_cancellation=True) as (host, port):
        middle.url = f"http://{host}:{port}"
        try:
            yield middle
        finally:
            middle.cut()
            await asyncio.sleep(0)
