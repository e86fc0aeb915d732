"""Acknowledging, against a real server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from cameleer_registry import Ack, CommandStatus, Order, Registration, Target
from cameleer_registry.client.acks import Acks
from cameleer_registry.client.connection import Connection
from cameleer_registry.client.membership import Membership

from ..support import Served, running, within

SOON = datetime.now(UTC) + timedelta(hours=1)


async def test_a_404_says_that_the_agent_is_not_known(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """It registers again for that, and the answer is lost: nobody knows the command either."""
    declared: dict[str, Any] = {"agent_id": "a", "group": "g"}
    async with Connection(served.url) as connection:
        membership = Membership(connection, Registration(**declared))
        keeping = asyncio.create_task(membership.keep_registered())
        before = await within(membership.registered())
        command = await served.node.issue(Order(type="replay"), Target.agent("a"))
        await served.node.remove("a")
        await Acks(connection, "a", membership).send(command.command_id, Ack(), SOON)
        assert before is not await within(membership.registered())
        assert not served.node.agent("a").connected
        assert "acknowledgement lost" in caplog.text
        keeping.cancel()


async def test_a_page_is_no_confirmation(served: Served) -> None:
    """A proxy that greets whoever comes has told the registry nothing: it is tried again."""
    answers: list[web.Response] = [web.Response(text="<h1>Welcome</h1>")]

    async def answer(request: web.Request) -> web.Response:
        if answers:
            return answers.pop()
        told = await served.request("POST", request.path.removeprefix("/api/v1"))
        return web.Response(status=told.status, body=told.body)

    app = web.Application()
    app.router.add_post("/{any:.*}", answer)
    await served.register("a")
    command = await served.node.issue(Order(type="replay"), Target.agent("a"))
    async with running(app) as (host, port), Connection(f"http://{host}:{port}") as connection:
        declared: dict[str, Any] = {"agent_id": "a", "group": "g"}
        membership = Membership(connection, Registration(**declared))
        await Acks(connection, "a", membership).send(command.command_id, Ack(), SOON)
    assert CommandStatus.ACKNOWLEDGED is served.node.command(command.command_id).status
