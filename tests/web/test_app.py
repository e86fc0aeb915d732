"""The application, alone and embedded."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import web

from cameleer_registry import (
    NODE,
    Ack,
    CommandType,
    Order,
    Registration,
    Settings,
    Target,
    create_app,
)
from cameleer_registry.core.rules import AgentId, GroupName

from ..support import Served, connected, eventually, running, streaming, within


async def test_embedded_under_a_prefix() -> None:
    """Every address moves below it, and so do the addresses that agents are told."""
    host = web.Application()
    registry = create_app(Settings(stale_after=45))
    host.add_subapp("/registry/", registry)
    async with running(host) as (name, port):
        served = Served(registry[NODE], name, port, "/registry")
        answer = await served.register("a")
        assert 45000 == answer.json()["config"]["staleAfterMs"]
        assert "/registry/api/v1/agents/a/events" == answer.json()["sseEndpoint"]
        await served.register("b")
        page = await served.request("GET", "/agents?limit=1")
        expected = '</registry/api/v1/agents?limit=1&after=a>; rel="next"'
        assert expected == page.headers["link"]
        assert 200 == (await served.request("GET", "//registry/readyz")).status
        missing = await served.request("GET", "/nix")
        assert (404, "not-found") == (missing.status, missing.code)


async def test_embedded_in_what_is_embedded() -> None:
    """Prefixes add up."""
    outer, inner, registry = web.Application(), web.Application(), create_app()
    inner.add_subapp("/b", registry)
    outer.add_subapp("/a", inner)
    async with running(outer) as (name, port):
        served = Served(registry[NODE], name, port, "/a/b")
        answer = await served.register("x")
        assert "/a/b/api/v1/agents/x/events" == answer.json()["sseEndpoint"]
        async with streaming(served, "x") as stream:
            await served.issue("/agents/x")
            assert "config-update" == (await stream.event())["event"]


async def test_two_in_one_process_share_nothing() -> None:
    """An agent of one is not known to the other; each keeps to its own settings."""
    host, one, other = web.Application(), create_app(Settings(max_agents=1)), create_app()
    host.add_subapp("/one", one)
    host.add_subapp("/other", other)
    async with running(host) as (name, port):
        first = Served(one[NODE], name, port, "/one")
        second = Served(other[NODE], name, port, "/other")
        await first.register("a")
        assert 404 == (await second.request("GET", "/agents/a")).status
        assert 503 == (await first.register("b")).status
        assert 201 == (await second.register("a")).status
        assert 201 == (await second.register("b")).status
        async with streaming(first, "a") as in_first, streaming(second, "a") as in_second:
            command_id = (await second.issue("/agents")).json()["commandId"]
            assert command_id == (await in_second.event())["id"]
            assert 404 == (await first.request("GET", f"/commands/{command_id}")).status
            only_here = (await first.issue("/agents/a")).json()["commandId"]
            assert only_here == (await in_first.event())["id"]


async def test_a_host_application_reaches_the_registry_in_python() -> None:
    """It registers, issues, acknowledges and reads through the typed key, without HTTP."""
    host, registry = web.Application(), create_app()
    host.add_subapp("/registry", registry)
    host[NODE] = registry[NODE]

    async def restart(request: web.Request) -> web.Response:
        order = Order(type=CommandType.REPLAY, payload={"from": "host"})
        command = await request.app[NODE].issue(order, Target.of_group("g"))
        return web.json_response({"id": command.command_id})

    host.router.add_post("/restart", restart)
    node = registry[NODE]
    agent, resumed = await node.register(
        Registration(agent_id=AgentId("a"), group=GroupName("g"), route_ids=())
    )
    assert ("LIVE", False) == (agent.status, resumed)
    async with running(host) as (name, port):
        served = Served(node, name, port, "/registry")
        async with streaming(served, "a") as stream:
            asked = await served.request("POST", "//restart")
            event = await stream.event()
            assert asked.json()["id"] == event["id"]
            assert {"from": "host"} == event["data"]["payload"]
        acknowledged = await node.acknowledge("a", event["id"], Ack())
        assert "ACKNOWLEDGED" == acknowledged.status
        assert "ACKNOWLEDGED" == (await node.wait(event["id"], 1)).status
        assert ["a"] == [agent.agent_id for agent in node.agents()]
        assert "ACKNOWLEDGED" == node.command(event["id"]).status


@pytest.mark.parametrize(
    "declared", [{"capabilities": {"x": object()}}, {"name": "\ud800"}, {"version": "\ud800"}]
)
async def test_what_a_host_application_gets_wrong_changes_nothing(
    declared: dict[str, Any],
) -> None:
    """What JSON cannot express is refused before anybody is told anything."""
    node = create_app()[NODE]
    await node.register(Registration(agent_id=AgentId("a"), group=GroupName("g")))
    unspeakable = Registration(agent_id=AgentId("b"), group=GroupName("g"), **declared)
    with pytest.raises(TypeError):
        await node.register(unspeakable)
    assert ["a"] == [agent.agent_id for agent in node.agents()]
    for payload in ({"x": object()}, {"x": {1, 2}}, {1: {"y": b""}}):
        order = Order(type=CommandType.REPLAY, payload=payload)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await node.issue(order, Target.agent("a"))
    assert [] == node.agent_deliveries("a")


async def test_health(served: Served) -> None:
    """The process is up, and takes work until it shuts down."""
    assert {"status": "up"} == (await served.request("GET", "//healthz")).json()
    assert {"status": "ready"} == (await served.request("GET", "//readyz")).json()
    await served.node.shut_down()
    assert 200 == (await served.request("GET", "//healthz")).status
    answer = await served.request("GET", "//readyz")
    assert (503, ["shutting down"]) == (answer.status, answer.json()["reasons"])


async def test_nothing_is_left_after_the_end() -> None:
    """No task, no stream and no connection outlives the application."""
    before = asyncio.all_tasks()
    registry = create_app()
    async with running(registry) as (name, port):
        served = Served(registry[NODE], name, port)
        await served.register("a")
        async with streaming(served, "a"), connected(served):
            await eventually(lambda: served.node.agent("a").connected)
            assert len(asyncio.all_tasks()) > len(before)
    await asyncio.sleep(0)
    assert before == asyncio.all_tasks()
    assert 0 == len(registry[NODE].streams)


async def test_a_host_application_may_issue_before_and_after_it_runs() -> None:
    """Nobody is connected then, and nobody waits for ever."""
    registry = create_app()
    node = registry[NODE]
    order = Order(type=CommandType.REPLAY)
    for number in range(600):
        await node.register(Registration(agent_id=AgentId(f"a{number}"), group=GroupName("g")))
    assert 600 == (await within(node.issue(order, Target.all()))).target_count
    async with running(registry):
        assert 600 == (await within(node.issue(order, Target.all()))).target_count
        last = asyncio.create_task(node.issue(order, Target.all()))
        await asyncio.sleep(0)
    assert 600 == (await within(last)).target_count
    assert 600 == (await within(node.issue(order, Target.all()))).target_count


async def test_a_node_may_be_started_again() -> None:
    """It knows what it knew, and takes work."""
    node = create_app()[NODE]
    await node.register(Registration(agent_id=AgentId("a"), group=GroupName("g")))
    for _ in range(2):
        node.start()
        assert [] == node.ailments
        await node.shut_down()
        assert ["shutting down"] == node.ailments
        await node.stop()
    assert ["a"] == [agent.agent_id for agent in node.agents()]


async def test_a_log_that_cannot_be_written_stops_nothing(served: Served) -> None:
    """What has happened has happened."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("disk full")

    broken, logger = Broken(), logging.getLogger("cameleer_registry")
    logger.addHandler(broken)
    logger.setLevel(logging.DEBUG)
    try:
        assert 201 == (await served.register("a")).status
        async with streaming(served, "a") as stream:
            command_id = (await served.issue("/agents/a")).json()["commandId"]
            assert command_id == (await stream.event())["id"]
            assert 200 == (await served.ack("a", command_id)).status
    finally:
        logger.removeHandler(broken)
        logger.setLevel(logging.NOTSET)
