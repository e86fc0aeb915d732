"""Commands: issuing, acknowledging, and what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web
from attrs import define

from ..core.model import (
    Ack,
    CommandStatus,
    CommandType,
    DeliveryState,
    ListedCommand,
    Order,
    Target,
)
from ..core.scoping import Within
from ..core.selection import CommandSelection
from ..node.node import Node
from ..security.principals import Role
from . import idempotency, metrics, query
from .answers import Answer, json
from .app_keys import NODE
from .calls import Call, CallHandler, RequestCall, issuer_of, read_as, within_of
from .links import next_page
from .lists import PAUSE, json_array

SLICE: Final = 100
"""Commands that are shown in one turn of the loop."""

LOOKED_AT: Final = 1000
"""Commands that are looked at in one turn: they take a millisecond or two."""

DONE: Final = Ack()
"""What an acknowledgement without a body says."""

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
    ack = await read_as(call, Ack, empty=DONE)
    return json(await node.acknowledge(agent_id, command_id, ack, by=issuer_of(call)))


async def list_commands(request: web.Request) -> Answer | web.StreamResponse:
    """``GET /commands``: all that are remembered, or those that the query asks for."""
    node = request.app[NODE]
    selection = CommandSelection(
        statuses=query.members(request, "status", CommandStatus),
        types=query.members(request, "type", CommandType),
        agent_ids=query.agent_ids(request, "agentId"),
        groups=query.group_names(request, "group"),
    )
    after, limit = query.command_id(request, "before"), query.positive(request, "limit")
    page = Page(
        node,
        selection,
        before=None if after is None else node.registry.command_number(after),
        within=within_of(RequestCall(request)),
    )
    headers = {}
    if limit is not None and (last := await page.end_after(limit)) is not None:
        headers = next_page(request, "commands", before=last)
    return await json_array(request, page.in_slices(), headers=headers)


@define
class Page:
    """The commands of a selection that were issued before one of them, up to an end."""

    node: Node
    selection: CommandSelection
    before: int | None  # where it begins; None at the newest
    down_to: int = 0  # where it ends
    within: Within | None = None  # which groups exist for whoever asks

    async def end_after(self, limit: int) -> str | None:
        """Let the list end after so many; return the id of the last, or None if no other
        follows.
        """
        before, last = self.before, ""
        while limit:
            found, before = self._ask(before, min(limit, SLICE))
            if before is None:
                return None
            last, limit = found[-1].command_id if found else last, limit - len(found)
            await asyncio.sleep(0)
        down_to = before
        while before is not None:
            found, before = self._ask(before, 1)
            if found:
                self.down_to = down_to or 0
                return last
            await asyncio.sleep(0)
        return None

    def in_slices(self) -> Iterator[Any]:
        """Show one slice after the other, with a pause behind each."""
        found, before = self._ask(self.before, SLICE)
        yield from found
        while before is not None:
            yield PAUSE
            found, before = self._ask(before, SLICE)
            yield from found

    def _ask(self, before: int | None, limit: int) -> tuple[list[ListedCommand], int | None]:
        return self.node.registry.commands(
            self.selection,
            now=self.node.clock.now(),
            before=before,
            down_to=self.down_to,
            limit=limit,
            look_at=LOOKED_AT,
            within=self.within,
        )


async def show_command(request: web.Request) -> Answer:
    """``GET /commands/{commandId}``: at once, or with ``?wait=`` when nothing is pending."""
    node, command_id = request.app[NODE], request.match_info["command_id"]
    seconds, principal = query.wait_seconds(request), RequestCall(request).principal
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
        node.standing.check(principal)
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
