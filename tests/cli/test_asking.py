"""What every command that asks a server has in common: where, and by whose clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from cameleer_registry.cli import views, watch
from cameleer_registry.client import Operator

from ..processes import run
from ..support import Served, eventually, running
from ..terminal import terminal

NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize("how", ["commas", "repeated", "before", "environment"])
async def test_several_addresses(served: Served, how: str) -> None:
    """They are asked in turn until one answers."""
    await served.register("a", "orders")
    both = f"{NOBODY},{served.url}"
    args: dict[str, tuple[str, ...]] = {
        "commas": ("groups", "--url", both),
        "repeated": ("groups", "--url", NOBODY, "--url", served.url),
        "before": ("--url", NOBODY, "--url", served.url, "groups"),
        "environment": ("groups",),
    }
    env = {"CAMELEER_URL": both} if how == "environment" else {}
    status, out, err = await run(*args[how], **env)
    assert (0, "") == (status, err)
    assert out.startswith("orders\t")


async def test_one_of_them_is_none() -> None:
    """It is told at once, without the password in it."""
    status, out, err = await run("groups", "--url", f"{NOBODY},http://u:s3cret@h/?x")
    assert (2, "") == (status, out)
    assert "s3cret" not in err


@asynccontextmanager
async def ahead(served: Served, by: timedelta) -> AsyncIterator[str]:
    """Show a server as if its clock, and all it says of its times, were ahead of ours."""

    async def answer(request: web.Request) -> web.Response:
        told = await served.request("GET", request.path_qs.removeprefix("/api/v1"))
        agents = told.json()
        for agent in agents:
            for name in ("lastHeartbeatAt", "registeredAt", "statusChangedAt"):
                agent[name] = (datetime.fromisoformat(agent[name]) + by).isoformat()
        head = {
            "X-Cameleer-Time": (datetime.now(UTC) + by).isoformat(),
            "X-Cameleer-Protocol-Version": "1",
        }
        return web.json_response(agents, headers=head)

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with running(app) as (host, port):
        yield f"http://{host}:{port}"


@pytest.mark.parametrize("hours", [-3, 3])
async def test_ages_are_by_the_servers_clock(served: Served, hours: int) -> None:
    """Whatever our own says: an agent that was heard a moment ago was heard a moment ago."""
    await served.register("a")
    async with (
        ahead(served, timedelta(hours=hours)) as url,
        terminal("agents", "--url", url) as shown,
    ):
        await shown.shows(" s ago")


async def test_watching_goes_on_where_a_server_fails(
    served: Served, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer of 500 among many looks is none to end upon; what is refused for good is."""
    monkeypatch.setattr(watch, "INTERVAL", 0.01)
    refusal = ("internal-error", 500)
    is_well = True

    async def answer(request: web.Request) -> web.Response:
        if is_well:
            told = await served.request("GET", request.path_qs.removeprefix("/api/v1"))
            return web.Response(status=told.status, body=told.body)
        problem = {"type": f"urn:cameleer:problem:{refusal[0]}", "title": "No", "detail": "oops"}
        return web.json_response(problem, status=refusal[1])

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    seen: list[str] = []

    def said(text: str) -> bool:
        seen.append(capfd.readouterr().err)
        return text in "".join(seen)

    async with running(app) as (host, port), Operator(f"http://{host}:{port}") as operator:
        question = watch.Question("the server", [], [])
        task = asyncio.create_task(watch.watch(operator, question, as_json=False))
        await asyncio.sleep(0.05)
        is_well = False
        await eventually(lambda: said("oops; trying again"))
        is_well = True
        await eventually(lambda: said("the server answers again"))
        refusal = ("invalid-request", 400)
        is_well = False
        with pytest.raises(Exception, match="oops"):
            await task


def test_our_own_clock_until_a_server_has_been_asked() -> None:
    """It is all there is."""
    assert abs(views._our_own() - datetime.now(UTC)) < timedelta(minutes=1)
