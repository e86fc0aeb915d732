"""What stands before every handler: the same on both ways to answer a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from attrs import evolve

from cameleer_registry import NODE, Settings
from cameleer_registry.node.auth.mode import Mode
from cameleer_registry.setting_values import HostNames
from cameleer_registry.web.app import make_app
from cameleer_registry.web.inline import InlineRunner

from ..closed import SETTINGS, bearer, closed
from ..support import Answer, Connection, Served, connected, running

WAYS: Final = {"inline": InlineRunner, "aiohttp's": web.AppRunner}


@pytest.fixture(params=[*WAYS.values()], ids=[*WAYS])
def way(request: pytest.FixtureRequest) -> type[web.AppRunner]:
    runs: type[web.AppRunner] = request.param
    return runs


@asynccontextmanager
async def alone(
    runs: type[web.AppRunner], settings: Settings | None = None, *, is_alone: bool = True
) -> AsyncIterator[Served]:
    """Serve a registry that is its server's only application."""
    app = make_app(settings or Settings(), alone=is_alone)
    async with running(app, runs=runs) as (host, port):
        served = Served(app[NODE], host, port)
        assert 201 == (await served.register("a")).status
        yield served


async def asked(served: Served, head: str) -> Answer:
    """Send the head of a request as it is."""
    async with connected(served) as connection:
        connection.writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        return await connection.answer(head.partition(" ")[0])


HEARTBEAT: Final = "POST /api/v1/agents/a/heartbeat HTTP/1.1\nContent-Length: 0\nHost: "
LIST: Final = "GET /api/v1/agents HTTP/1.1\nHost: "

OURS: Final = [
    *["localhost", "localhost:8081", "LOCALHOST", "localhost.", "localhost.:1"],
    *["127.0.0.1", "127.0.0.1:8081", "127.8.9.10:80", "[::1]", "[::1]:8081", "[::ffff:127.0.0.1]"],
]
NOT_OURS: Final = [
    *["evil.example", "evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example"],
    *["evil.example.", "10.0.0.1", "[2001:db8::1]", "0.0.0.0", "xn--lcalhost-1ya"],
    *["localhost@evil.example", "2130706433"],
]


@pytest.mark.parametrize("head", [HEARTBEAT, LIST])
async def test_by_default_a_server_is_asked_as_this_machine(
    way: type[web.AppRunner], head: str
) -> None:
    """A page elsewhere that has its own name lead here is refused, also when it only reads."""
    async with alone(way) as served:
        for host in OURS:
            assert (await asked(served, head + host)).status in (200, 204), host
        for host in NOT_OURS:
            answer = await asked(served, head + host)
            assert answer.status in (421, 400), host
            if "@" not in host:
                assert "unknown-host" == answer.code, host
                assert "allowed_hosts" in answer.json()["detail"]


@pytest.mark.parametrize("head", [HEARTBEAT, LIST])
async def test_names_that_are_set_are_ours(way: type[web.AppRunner], head: str) -> None:
    """allowed_hosts with a star for what is below a name, public_url, and host."""
    settings = Settings(
        host="registry.internal",
        auth="off",  # type: ignore[arg-type]
        public_url="https://Registry.example/x",
        allowed_hosts="one.example, *.below.example",  # type: ignore[arg-type]
    )
    async with alone(way, settings) as served:
        for host in [
            *["registry.internal", "registry.example", "registry.example:443", "ONE.example."],
            *["a.below.example", "a.b.below.example:1", "localhost"],
        ]:
            assert (await asked(served, head + host)).status in (200, 204), host
        for host in ["below.example", "two.example", "a.one.example", "evilbelow.example"]:
            assert "unknown-host" == (await asked(served, head + host)).code, host


async def test_probes_are_asked_under_any_name(way: type[web.AppRunner]) -> None:
    """An orchestrator asks by the address of a pod, and Prometheus by that of a service."""
    async with alone(way) as served:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert 200 == (await asked(served, f"GET {path} HTTP/1.1\nHost: pod-1")).status
        for path in ("/", "/docs", "/api/v1/openapi.json", "/api/v1/events"):
            answer = await asked(served, f"GET {path} HTTP/1.1\nHost: pod-1")
            assert "unknown-host" == answer.code


async def test_the_host_comes_before_the_address(way: type[web.AppRunner]) -> None:
    """Who asks under another name is not told what there is."""
    async with alone(way) as served:
        for head in ("GET /nix HTTP/1.1", "PUT /api/v1/agents HTTP/1.1\nContent-Length: 0"):
            assert "unknown-host" == (await asked(served, f"{head}\nHost: evil.example")).code
        assert 404 == (await asked(served, "GET /nix HTTP/1.1\nHost: localhost")).status


async def test_a_target_in_absolute_form_names_the_host(way: type[web.AppRunner]) -> None:
    """It counts, and not the header (RFC 9112, section 3.2.2)."""
    async with alone(way) as served:
        for name, status in (("localhost:1", 200), ("evil.example", 421)):
            for host in ("localhost", "evil.example"):
                head = f"GET http://{name}/api/v1/agents HTTP/1.1\nHost: {host}"
                assert status == (await asked(served, head)).status, (name, host)


async def test_one_host_is_named(way: type[web.AppRunner]) -> None:
    """HTTP/1.0 knows none; in HTTP/1.1 it is required (RFC 9112, section 3.2)."""
    async with alone(way) as served:
        assert 200 == (await asked(served, "GET /api/v1/agents HTTP/1.0")).status
        answer = await asked(served, "GET /api/v1/agents HTTP/1.0\nHost: evil.example")
        assert "unknown-host" == answer.code
        for hosts in ("", "\nHost: localhost\nHost: evil.example", "\nHost: ", "\nHost: a b"):
            answer = await asked(served, f"GET /api/v1/agents HTTP/1.1{hosts}")
            assert 400 == answer.status, hosts


async def test_embedded_names_are_the_hosts_business(way: type[web.AppRunner]) -> None:
    """The application around it has a name of its own, unless it says which."""
    async with alone(way, is_alone=False) as served:
        assert 200 == (await asked(served, LIST + "portal.example")).status
    settings = Settings(allowed_hosts="portal.example")  # type: ignore[arg-type]
    async with alone(way, settings, is_alone=False) as served:
        assert 200 == (await asked(served, LIST + "portal.example")).status
        assert 421 == (await asked(served, LIST + "evil.example")).status


async def test_a_unix_socket_has_no_name_that_leads_to_it(tmp_path: Path) -> None:
    """No page can connect to one."""
    app = make_app(Settings(), alone=True)
    runner = InlineRunner(app, access_log=None)
    await runner.setup()
    path = str(tmp_path / "s")
    await web.UnixSite(runner, path).start()
    try:
        reader, writer = await asyncio.open_unix_connection(path)
        connection = Connection(reader, writer)
        writer.write(f"{LIST}anything\n\n".replace("\n", "\r\n").encode())
        assert 200 == (await connection.answer()).status
        writer.close()
    finally:
        await runner.cleanup()


async def test_a_browser_that_says_same_origin_is_believed(way: type[web.AppRunner]) -> None:
    """A proxy between them may have rewritten Host, and scripts cannot set Sec-Fetch-Site."""
    async with alone(way) as served:
        proxied = f"{HEARTBEAT}localhost\nOrigin: https://registry.example"
        assert 403 == (await asked(served, proxied)).status
        assert 204 == (await asked(served, f"{proxied}\nSec-Fetch-Site: same-origin")).status
        assert 403 == (await asked(served, f"{proxied}\nSec-Fetch-Site: same-site")).status


@pytest.mark.parametrize(
    ("public_url", "origin", "status"),
    [
        ("https://registry.example", "https://registry.example", 204),
        ("https://registry.example", "https://registry.example:443", 204),
        ("https://registry.example", "http://registry.example", 403),
        ("https://registry.example", "http://localhost", 204),
        ("https://localhost", "http://localhost", 403),
        ("http://registry.example", "https://registry.example", 204),
    ],
)
async def test_an_origin_without_tls_is_not_one_with_it(
    way: type[web.AppRunner], public_url: str, origin: str, status: int
) -> None:
    """Whoever is between a browser and this server can answer for the one, but not the other."""
    async with alone(way, Settings(public_url=public_url)) as served:
        answer = await asked(served, f"{HEARTBEAT}localhost\nOrigin: {origin}")
        assert status == answer.status


@pytest.mark.parametrize("path", ["/agents", "/agents/a/heartbeat", "//nix", "//"])
async def test_a_closed_server_is_asked_under_any_name(way: type[web.AppRunner], path: str) -> None:
    """A page that has its name lead here has neither token nor cookie. Names that are set count."""
    method = "POST" if path.endswith("heartbeat") else "GET"
    target = path[1:] if path.startswith("//") else f"/api/v1{path}"
    named = evolve(SETTINGS, allowed_hosts=HostNames(("registry.example",)))
    for settings, mode, refused in (
        (SETTINGS, Mode.REQUIRED, False),
        (SETTINGS, Mode.ACCEPT, True),
        (named, Mode.REQUIRED, True),
    ):
        async with closed(runs=way, settings=settings, mode=mode) as served:
            kind = "a" if method == "POST" else "admin"
            [header] = [": ".join(one) for one in bearer(served.tokens[kind]).items()]
            for host, is_foreign in (("portal.example", True), ("localhost", False)):
                lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", header]
                answer = await asked(served, "\n".join([*lines, "Content-Length: 0"]))
                assert (refused and is_foreign) == (answer.status == 421), (host, mode)
                assert answer.status in (200, 204, 404, 421)
