"""When credentials are looked at, and what a server does that looks at none."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from cameleer_registry import NODE, Registration, Settings, create_app
from cameleer_registry.node.auth.mode import Mode
from cameleer_registry.security.principals import Principal, Role, Scope
from cameleer_registry.web.app import make_app
from cameleer_registry.web.inline import InlineRunner

from ..closed import bearer, closed
from ..support import Served, running

FORWARDED = [{"X-Forwarded-For": "192.0.2.1"}, {"Forwarded": "for=192.0.2.1"}]


@pytest.fixture(params=[InlineRunner, web.AppRunner], ids=["inline", "aiohttp's"])
def way(request: pytest.FixtureRequest) -> type[web.AppRunner]:
    runs: type[web.AppRunner] = request.param
    return runs


@pytest.mark.parametrize("headers", FORWARDED, ids=lambda headers: next(iter(headers)))
async def test_a_proxy_before_an_open_server(
    way: type[web.AppRunner], headers: dict[str, str]
) -> None:
    """It would open it to the world: refused, but to the probes and from trusted proxies."""
    app = make_app(Settings(), alone=True)
    async with running(app, runs=way) as (host, port):
        served = Served(app[NODE], host, port)
        assert 201 == (await served.register("a")).status
        for method, path in (("POST", "/agents/a/heartbeat"), ("GET", "/agents"), ("GET", "//")):
            answer = await served.request(method, path, headers=headers)
            assert "proxied-without-auth" == answer.code
        for path in ("//healthz", "//readyz"):
            assert 200 == (await served.request("GET", path, headers=headers)).status
    for settings in (
        {"auth": "off"},
        {"trusted_proxies": ["127.0.0.0/8"]},
    ):
        app = make_app(Settings(**settings), alone=True)
        async with running(app, runs=way) as (host, port):
            served = Served(app[NODE], host, port)
            assert 200 == (await served.request("GET", "/agents", headers=headers)).status


async def test_embedded_nobody_is_asked() -> None:
    """What stands in Authorization is the host's, and so is the proxy."""
    app = create_app()
    async with running(app) as (host, port):
        served = Served(app[NODE], host, port)
        headers = {**bearer("anything"), **FORWARDED[0]}
        assert 200 == (await served.request("GET", "/agents?token=x", headers=headers)).status
        told = (await served.request("GET", "/auth", headers=headers)).json()
        assert {"required": False, "methods": [], "registry": None} == told


@pytest.mark.parametrize("is_async", [False, True], ids=["at once", "awaited"])
async def test_the_host_says_who_asks(is_async: bool) -> None:
    """By a callable; whom it does not know is not served."""
    viewer = Principal(token_id="host-1", role=Role.VIEWER, scope=Scope(("g",)))
    operator = Principal(token_id="host-2", role=Role.OPERATOR)
    known = {"viewer": viewer, "operator": operator}

    def find(request: web.Request) -> Principal | None:
        return known.get(request.headers.get("X-User", ""))

    async def find_later(request: web.Request) -> Principal | None:
        return find(request)

    found: Any = find_later if is_async else find
    app = create_app(authenticate=found)
    async with running(app) as (host, port):
        served = Served(app[NODE], host, port)
        for agent_id, group in (("a", "g"), ("b", "other")):
            await app[NODE].register(Registration(agent_id=agent_id, group=group))  # type: ignore[arg-type]
        assert "unauthenticated" == (await served.request("GET", "/agents")).code
        seen = await served.request("GET", "/agents", headers={"X-User": "viewer"})
        assert ["a"] == [one["agentId"] for one in seen.json()]
        body = {"type": "replay"}
        answer = await served.request(
            "POST", "/agents/b/commands", body, headers={"X-User": "operator"}
        )
        assert "host-2" == answer.json()["issuedBy"]
        answer = await served.request(
            "POST", "/agents/a/commands", body, headers={"X-User": "viewer"}
        )
        assert "insufficient-role" == answer.code
        assert 200 == (await served.request("GET", "//healthz")).status
        told = (await served.request("GET", "/auth")).json()
        assert {"required": True, "methods": [], "registry": None} == told
        told = (await served.request("GET", "/auth", headers={"X-User": "viewer"})).json()
        assert (True, "host-1") == (told["required"], told["principal"]["tokenId"])


async def test_those_without_a_credential_are_counted(way: type[web.AppRunner]) -> None:
    """While credentials are added to a fleet; but nobody makes tokens so."""
    async with closed(runs=way, mode=Mode.ACCEPT) as served:
        before = served.node.meters.anonymous
        assert 200 == (await served.ask(None, "GET", "/agents")).status
        assert 204 == (await served.ask(None, "POST", "/agents/a/heartbeat")).status
        assert 2 == served.node.meters.anonymous - before
        assert 204 == (await served.ask("a", "POST", "/agents/a/heartbeat")).status
        assert "invalid-token" == (await served.request("GET", "/agents", headers=bearer("x"))).code
        for method, path in (
            ("POST", "/auth/tokens"),
            ("GET", "/auth/tokens"),
            ("DELETE", "/agents/a/token"),
            ("POST", "/keys/command/rotate"),
            ("POST", "/agents/a/token"),
        ):
            assert "unauthenticated" == (await served.ask(None, method, path)).code
        answer = await served.ask(None, "POST", "/agents/register", {"agentId": "n", "group": "g"})
        assert "credential" not in answer.json(), "nobody has shown that it may have one"
