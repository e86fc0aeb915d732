"""The proxy of docs/operations.md: the configuration that stands there, run by nginx."""

from __future__ import annotations

import asyncio
import json
import re
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import evolve

from ..closed import SETTINGS, closed
from ..processes import required
from ..support import (
    Answer,
    Connection,
    Served,
    eventually,
    open_stream,
    serving,
    within,
)
from ..web.test_standing import ended

OPERATIONS: Final = Path(__file__).parent.parent.parent / "docs" / "operations.md"
FRAME: Final = """
daemon off;
pid nginx.pid;
error_log error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    {}
}}
"""


@pytest.fixture
async def proxied(tmp_path: Path) -> AsyncIterator[tuple[Served, Path]]:
    """A server, and the socket of an nginx in front of it, without TLS."""
    async with serving() as served, nginx_before(served, tmp_path) as sock:
        yield served, sock


@asynccontextmanager
async def nginx_before(served: Served, tmp_path: Path, protocol: str = "") -> AsyncIterator[Path]:
    """Run nginx as the page has it, but without TLS, and return its socket."""
    [config] = re.findall(r"^```nginx\n(.*?)^```$", OPERATIONS.read_text("utf-8"), re.M | re.S)
    nginx, sock = required("nginx"), tmp_path / "sock"
    for documented, here in (
        (r"listen 443 ssl;", f"listen unix:{sock}{protocol};"),
        (r"ssl_certificate\w* [^;]*;", ""),
        (r"server 127.0.0.1:8081;", f"server {served.host}:{served.port};"),
    ):
        config, found = re.subn(documented, here, config)
        assert found
    (tmp_path / "nginx.conf").write_text(FRAME.format(config))
    process = await asyncio.create_subprocess_exec(
        nginx, "-p", tmp_path, "-e", "error.log", "-c", "nginx.conf", stderr=DEVNULL
    )
    try:
        await eventually(lambda: sock.exists() or process.returncode is not None)
        assert process.returncode is None, (tmp_path / "error.log").read_text()
        yield sock
    finally:
        if process.returncode is None:
            process.terminate()
        await within(process.wait())


async def test_events_pass_at_once(proxied: tuple[Served, Path]) -> None:
    """The opening and each event, though nothing follows them; and the end on either side."""
    served, sock = proxied
    await served.register("a")
    reader, writer = await asyncio.open_unix_connection(sock)
    stream = Connection(reader, writer)
    await open_stream(served, stream, "a")
    for _ in range(3):
        command_id = (await served.issue("/agents/a")).json()["commandId"]
        assert command_id == (await stream.event())["id"]
    stream.close()
    await eventually(lambda: not served.node.agent("a").connected)


async def test_hosts_are_passed_on(proxied: tuple[Served, Path]) -> None:
    """So that a browser's request from the same site is one, and from another is none."""
    _, sock = proxied
    for origin, status in (("https://r.example:8443", 404), ("https://evil.example", 403)):
        reader, writer = await asyncio.open_unix_connection(sock)
        connection = Connection(reader, writer)
        head = (
            f"POST /api/v1/agents/a/heartbeat HTTP/1.1\r\nHost: r.example:8443\r\nOrigin: {origin}"
        )
        writer.write(f"{head}\r\nContent-Length: 0\r\n\r\n".encode())
        assert status == (await connection.answer()).status
        connection.close()


async def test_metrics_and_probes_are_not_for_everybody(proxied: tuple[Served, Path]) -> None:
    """Whoever comes by a socket has no address, and so not the one that is allowed."""
    _, sock = proxied
    for path in ("metrics", "healthz", "readyz"):
        reader, writer = await asyncio.open_unix_connection(sock)
        connection = Connection(reader, writer)
        writer.write(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert 403 == (await connection.answer()).status
        connection.close()


async def test_events_pass_at_once_over_http_2(tmp_path: Path) -> None:
    """Between a client and nginx; with the server it speaks HTTP/1.1 as before."""
    curl = required("curl")
    async with serving() as served, nginx_before(served, tmp_path, " http2") as sock:
        await served.register("a")
        process = await asyncio.create_subprocess_exec(
            *(curl, "-qsN", "--http2-prior-knowledge", "--unix-socket", str(sock)),
            *("-o", "-", "-D", str(tmp_path / "head"), "http://x/api/v1/agents/a/events"),
            stdout=PIPE,
        )
        assert process.stdout is not None
        try:
            assert (await within(process.stdout.readline())).startswith(b"retry: ")
            for _ in range(3):
                command_id = (await served.issue("/agents/a")).json()["commandId"]
                line = b""
                while not line.startswith(b"id: "):
                    line = await within(process.stdout.readline())
                assert command_id == line.decode().removeprefix("id: ").strip()
            assert (tmp_path / "head").read_text().startswith("HTTP/2 200")
        finally:
            process.terminate()
            await within(process.wait())
        await eventually(lambda: not served.node.agent("a").connected)


async def test_a_closed_server_behind_it(tmp_path: Path) -> None:
    """Credentials, sessions and names are passed on, and a stream ends with its credential."""
    name = "registry.example"
    known: Any = {"public_url": f"https://{name}", "allowed_hosts": (name,)}
    settings = evolve(SETTINGS, **known)
    async with (
        closed(agents={}, settings=settings) as served,
        nginx_before(served, tmp_path) as sock,
    ):

        async def ask(
            method: str, path: str, body: str = "", *more: str, host: str = name
        ) -> Answer:
            reader, writer = await asyncio.open_unix_connection(sock)
            head = [f"{method} /api/v1{path} HTTP/1.1", f"Host: {host}", *more]
            head += [f"Content-Length: {len(body)}"] if method == "POST" else []
            writer.write("\r\n".join([*head, "", body]).encode())
            try:
                return await Connection(reader, writer).answer()
            finally:
                writer.close()

        def shows(kind: str) -> str:
            return f"Authorization: Bearer {served.tokens[kind]}"

        body = '{"agentId": "n", "group": "g"}'
        refused = await ask("POST", "/agents/register", body)
        assert (401, "unauthenticated") == (refused.status, refused.code)
        assert refused.headers["www-authenticate"].startswith("Bearer")
        welcome = await ask("POST", "/agents/register", body, shows("enrol"))
        assert 201 == welcome.status
        assert welcome.json()["sseEndpoint"].startswith(f"https://{name}/")
        served.tokens["n"] = welcome.json()["credential"]["accessToken"]
        assert 204 == (await ask("POST", "/agents/n/heartbeat", "", shows("n"))).status
        assert "not-your-agent" == (await ask("POST", "/agents/m/heartbeat", "", shows("n"))).code
        unknown = await ask("GET", "/agents", "", shows("viewer"), host="evil.example")
        assert (421, "unknown-host") == (unknown.status, unknown.code)
        forwarded = ("X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1")
        assert 200 == (await ask("GET", "/agents", "", shows("viewer"), *forwarded)).status
        token = json.dumps({"token": served.tokens["operator"]})
        signed_in = await ask("POST", "/auth/session", token, f"Origin: https://{name}")
        cookie = signed_in.headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "; Secure" in cookie
        shown = f"Cookie: {cookie.partition(';')[0]}"
        order = '{"type": "replay"}'
        for origin, status in ((f"https://{name}", 202), ("https://evil.example", 403)):
            answer = await ask("POST", "/agents/commands", order, shown, f"Origin: {origin}")
            assert status == answer.status
        assert "cross-site-request" == (await ask("POST", "/agents/commands", order, shown)).code
        reader, writer = await asyncio.open_unix_connection(sock)
        stream = Connection(reader, writer)
        head = ["GET /api/v1/agents/n/events HTTP/1.1", f"Host: {name}", shows("n"), "", ""]
        writer.write("\r\n".join(head).encode())
        assert 200 == (await stream.head()).status
        await eventually(lambda: served.node.agent("n").connected)
        assert 204 == (await ask("DELETE", "/agents/n/token", "", shows("operator"))).status
        await ended(stream)
        stream.close()
        again = await ask("GET", "/agents/n/events", "", shows("n"))
        assert (401, "credential-revoked") == (again.status, again.code)
