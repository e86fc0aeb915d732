"""Commands: issuing, acknowledging, and what became of them."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ..core.model import Ack, CommandStatus, DeliveryState, Order, Target
from ..security.principals import Role
from . import idempotency, metrics, query
from .answers import Answer, json
from .app_keys import NODE
from .calls import Call, CallHandler, RequestCall, issuer_of, read_as, within_of
from .lists import json_array

LOOK_AFTER_CLIENT: Final = 1.0
"""Seconds after which somebody who waits is looked after: aiohttp does not tell who has gone."""


@CallHandler
async def issue_to_agent(call: Call) -> Answer:
    """``POST /agents/{id}/commands``: to that agent, whatever its status."""
    return await _issue(call, Target.agent(call.address["agent_id"]))


@CallHandler
async def issue_to_group(call: Call) -> Answer:
    """``POST /agents/groups/{group}/commands``: to the agents of that group that are LIVE."""
    return await _issue(call, Target.of_group(call.address["group"]))


@CallHandler
async def issue_to_all(call: Call) -> Answer:
    """``POST /agents/commands``: to all agents that are LIVE."""
    return await _issue(call, Target.all())


@CallHandler
async def acknowledge(call: Call) -> Answer:
    """``POST /agents/{id}/commands/{commandId}/ack``: 200 with the delivery."""
    node, address = call.node, call.address
    agent_id, command_id = address["agent_id"], address["command_id"]
    node.check_delivery(agent_id, command_id)
    ack = await read_as(call, Ack, empty=Ack())
    return json(await node.acknowledge(agent_id, command_id, ack, by=issuer_of(call)))


async def show_command(request: web.Request) -> Answer:
    """``GET /commands/{commandId}``: at once, or with ``?wait=`` when nothing is pending."""
    node, command_id = request.app[NODE], request.match_info["command_id"]
    seconds = query.wait_seconds(request)
    within = within_of(RequestCall(request))
    command = node.command(command_id, within=within)
    if seconds:
        metrics.waits(request)
    while seconds and command.status is CommandStatus.PENDING and not node.shutting_down:
        part = min(seconds, LOOK_AFTER_CLIENT)
        seconds -= part
        command = await node.wait(command_id, part, within=within)
        if request.transport is None:
            raise ConnectionResetError("the client is gone, and nobody waits any more")
    return json(command)


async def list_deliveries(request: web.Request) -> Answer | web.StreamResponse:
    """``GET /commands/{commandId}/deliveries``: in order of the agents' ids."""
    states = query.members(request, "status", DeliveryState)
    deliveries = request.app[NODE].iter_deliveries(
        request.match_info["command_id"], states=states, within=within_of(RequestCall(request))
    )
    return await json_array(request, deliveries)


async def list_of_agent(request: web.Request) -> Answer | web.StreamResponse:
    """``GET /agents/{id}/commands``: what was sent to that agent, newest first."""
    states = query.members(request, "status", DeliveryState)
    call = RequestCall(request)
    own = call.principal is not None and call.principal.role is Role.AGENT
    deliveries = request.app[NODE].iter_agent_deliveries(
        request.match_info["agent_id"], states=states, within=None if own else within_of(call)
    )
    return await json_array(request, deliveries)


async def _issue(call: Call, target: Target) -> Answer:
    node = call.node
    key = idempotency.idempotency_key_of(call.headers)
    # What was asked for before is answered, too, when there is no such target any more.
    principal = call.principal
    if key is None or not node.knows_idempotency_key(key, by=principal):
        node.check_target(target)
    order = await read_as(call, Order)
    command = await node.issue(order, target, idempotency_key=key, by=principal)
    return json(command, status=202)
