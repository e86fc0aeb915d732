"""A whole registry without sockets, for races: requests are tasks, streams keep what is written.

Requests go through the application as they would from a socket: guard, routes, handlers and bodies
that take a while to arrive. At the end :meth:`World.check` holds what everybody was told against
what the registry says: whoever was answered, whoever reads a stream, and whoever follows the feed
must have seen the same story, and one that the contract allows.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Coroutine
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar, Final, cast

from aiohttp import web
from aiohttp.http import HttpVersion11, RawRequestMessage
from attrs import define, field
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from cameleer_registry import NODE, Node, Settings, create_app
from cameleer_registry.core.events import CommandIssued, CommandPushed, Event, StreamClosed
from cameleer_registry.core.model import Delivery, Registration
from cameleer_registry.core.rules import AgentId, GroupName
from cameleer_registry.web.inline import InlineApp, InlineCall

from ..core.invariants import check, check_facts, check_replay
from ..support import at_once, hear, virtual_clock
from ..wires import Wire
from .schedules import OP

TTL: Final = 0.25
"""Shorter than a tick of the clock, so that nobody looks at it for nothing before the deadline."""


@cache
def application() -> web.Application:
    """Return one application for all: making its routes takes longer than a race."""
    app = create_app()
    app.pre_freeze()
    return app


class Body:
    """A body that takes a step to arrive, where it is a slow one."""

    def __init__(self, raw: bytes, *, slow: bool) -> None:
        self._raw = raw
        self._slow = slow

    @property
    def total_bytes(self) -> int:
        return len(self._raw)

    def is_eof(self) -> bool:
        return not self._slow

    def at_eof(self) -> bool:
        return False  # nobody has read it before

    def read_nowait(self) -> bytes:
        return self._raw

    async def readany(self) -> bytes:
        if self._slow and self._raw:
            await asyncio.sleep(0)
        raw, self._raw = self._raw, b""
        return raw


@define
class World:
    """A registry, whoever talks to it, and all that was said."""

    goes_inline: ClassVar[bool] = False
    """Whether requests are answered inline, if they can be."""

    node: Node
    facts: list[Event] = field(factory=list)
    # Streams of each agent, in the order in which they were opened.
    streams: dict[str, list[Wire]] = field(factory=lambda: defaultdict(list))
    # What was answered to each operation, by its name: status, and code or body.
    answers: dict[str, tuple[int, Any]] = field(factory=dict)
    # What happens beside all else.
    tasks: list[asyncio.Task[Any]] = field(factory=list)
    # What answers requests inline; None where all of them go aiohttp's way.
    inline: InlineApp | None = None
    # Done when the next command is issued, with its id.
    issued: asyncio.Future[str] = field(factory=lambda: asyncio.get_running_loop().create_future())

    @classmethod
    def of(cls, *agents: str, free: frozenset[str] = frozenset(), **settings: Any) -> World:
        """Make a world with agents of group ``g``, and with the tasks of its node that are free."""
        node = Node(Settings(command_ttl=TTL, **settings), clock=virtual_clock())
        world = cls(node)
        hear(node, world._hear)
        application()._state[NODE] = node
        supervisor = node.life.supervisor
        start = supervisor.start
        # The other tasks have nothing to do with a race, and would only make more of it.
        supervisor.start = (  # type: ignore[method-assign]
            lambda name, run: start(name, run) if name in free else None
        )
        node.start()
        if cls.goes_inline:
            world.inline = InlineApp(application())
        for agent_id in agents:
            at_once(node.register(registration(agent_id)))
        return world

    def _hear(self, fact: Event) -> None:
        self.facts.append(fact)
        if isinstance(fact, CommandIssued) and not self.issued.done():
            self.issued.set_result(fact.command_id)

    # What happens

    def op(self, name: str, steps: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Let something happen beside all else."""
        task = asyncio.create_task(steps, name=OP + name)
        self.tasks.append(task)
        return task

    async def over(self) -> None:
        """Wait until all of it has happened."""
        await asyncio.gather(*self.tasks)

    async def ask(
        self, name: str, method: str, path: str, body: Any = None, slow: bool = True, key: str = ""
    ) -> None:
        """Send a request, and keep the answer under a name."""
        raw = b"" if body is None else json.dumps(body).encode()
        headers = {"Host": "x", "Content-Length": str(len(raw))}
        if key:
            headers["Idempotency-Key"] = key
        message = RawRequestMessage(
            method=method,
            path=f"/api/v1{path}",
            version=HttpVersion11,
            headers=CIMultiDictProxy(CIMultiDict(headers)),
            raw_headers=(),
            should_close=False,
            compression=None,
            upgrade=False,
            chunked=False,
            url=URL(f"/api/v1{path}"),
        )
        peer: Any = SimpleNamespace(
            ssl_context=None, peername=None, sockname=None, transport=object()
        )
        request = web.Request(
            message,
            cast(Any, Body(raw, slow=slow)),
            peer,
            cast(Any, SimpleNamespace(output_size=0)),
            cast(Any, asyncio.current_task()),
            asyncio.get_running_loop(),
        )
        request._match_info = None
        found = self.inline.find(message.path) if self.inline and method == "POST" else None
        if found is not None:
            await self._ask_inline(name, found, message.headers, raw, slow=slow)
            return
        response = await application()._handle(request)
        assert isinstance(response, web.Response)
        answer = json.loads(cast(bytes, response.body)) if response.body else None
        self.answers[name] = (response.status, answer)

    async def _ask_inline(
        self, name: str, found: Any, headers: Any, raw: bytes, *, slow: bool
    ) -> None:
        """Send a request that is answered where its bytes are read, by the time it is whole."""
        assert self.inline is not None
        if slow:
            await asyncio.sleep(0)
        route, address = found
        call = InlineCall(self.node, address, headers, "/api/v1/agents", raw, cast(Any, None))
        answer = await self.inline.answer(route, call, "/")
        self.answers[name] = answer.status, json.loads(answer.body) if answer.body else None

    def issuing(
        self, name: str, path: str, *, key: str = "", slow: bool = True
    ) -> asyncio.Task[Any]:
        order = {"type": "replay"}
        return self.op(name, self.ask(name, "POST", f"{path}/commands", order, slow, key))

    def acking(
        self, name: str, agent_id: str, command_id: str, *, slow: bool = True
    ) -> asyncio.Task[Any]:
        path = f"/agents/{agent_id}/commands/{command_id}/ack"
        return self.op(name, self.ask(name, "POST", path, {"message": name}, slow))

    def deleting(self, name: str, agent_id: str) -> asyncio.Task[Any]:
        return self.op(name, self.ask(name, "DELETE", f"/agents/{agent_id}"))

    def registering(self, name: str, agent_id: str) -> asyncio.Task[Any]:
        body = {"agentId": agent_id, "group": "g"}
        return self.op(name, self.ask(name, "POST", "/agents/register", body))

    def open(self, agent_id: str) -> Wire:
        """Open a stream, whose head has been written."""
        wire = Wire()
        self.node.open_stream(agent_id, wire, chunked=True)
        self.streams[agent_id].append(wire)
        return wire

    def opening(self, name: str, agent_id: str) -> asyncio.Task[Any]:
        async def open_it() -> None:
            path = f"/agents/{agent_id}"
            await self.ask(name, "GET", path)  # as the handler looks before it writes the head
            if self.answers[name][0] == 200 and agent_id in self.node.registry:
                self.open(agent_id)

        return self.op(name, open_it())

    def hanging_up(self, name: str, agent_id: str) -> asyncio.Task[Any]:
        """Have the reader of an agent's newest stream go away."""
        wire = self.streams[agent_id][-1]

        async def hang_up() -> None:
            wire.hang_up()

        return self.op(name, hang_up())

    # What came of it

    def code(self, name: str) -> int:
        """Return the status of an answer."""
        return self.answers[name][0]

    def command_id(self, name: str) -> str:
        """Return the id of the command that was issued by an answer."""
        status, command = self.answers[name]
        assert status == 202
        return str(command["commandId"])

    def arrived(self, agent_id: str) -> list[list[str]]:
        """Return the ids of the commands that came on each stream of an agent."""
        return [[event["id"] for event in wire.events()] for wire in self.streams[agent_id]]

    def named(self) -> dict[str, str]:
        """Return a name for each command, by the first answer that has it."""
        names: dict[str, str] = {}
        for name, (status, body) in sorted(self.answers.items()):
            if status == 202:
                names.setdefault(body["commandId"], name)
        return names

    def outcome(self) -> tuple[Any, ...]:
        """Return all that can be told apart, in words that do not depend on ids and times."""
        names = self.named()
        node = self.node
        return (
            tuple(
                (name, status, names.get(body["commandId"]) if status == 202 else None)
                for name, (status, body) in sorted(self.answers.items())
            ),
            tuple((agent.agent_id, agent.connected) for agent in node.agents()),
            tuple(
                (names.get(command_id, "first"), delivery.agent_id, delivery.status, said(delivery))
                for command_id in node.registry._ledger.commands
                for delivery in node.deliveries(command_id)
            ),
            tuple(
                (agent_id, [[names.get(c, "first") for c in ids] for ids in self.arrived(agent_id)])
                for agent_id in sorted(self.streams)
            ).__repr__(),
        )

    def check(self) -> None:
        """Fail where two of those who were told something were not told the same."""
        now = self.node.clock.now()
        check(self.node.registry, now)
        check_facts(self.facts)
        check_replay(self.node.registry, self.facts, now)
        self._check_acks()
        self._check_streams()
        self._check_feed()

    def _check_acks(self) -> None:
        """Who was answered 200 is in the delivery; who was answered 410 came too late for it."""
        said_by = {
            delivery.result.message: delivery
            for command_id in self.node.registry._ledger.commands
            for delivery in self.node.deliveries(command_id)
            if delivery.result is not None
        }
        results = [body for status, body in self.answers.values() if status == 200]
        acks = [body for body in results if body is not None and "acknowledgedAt" in body]
        for body in acks:
            delivery = said_by[body["result"]["message"]]
            assert ("ACKNOWLEDGED", "ACKNOWLEDGED") == (body["status"], delivery.status)
        assert {body["result"]["message"] for body in acks} == set(said_by)

    def _check_streams(self) -> None:
        """Each command came once, in the order of issue, to whom it is said to have come."""
        issued = [fact.command_id for fact in self.facts if isinstance(fact, CommandIssued)]
        pushed = sorted(
            (fact.command_id, agent_id)
            for fact in self.facts
            if isinstance(fact, CommandPushed)
            for agent_id in fact.agent_ids
        )
        arrived = []
        for agent_id, wires in self.streams.items():
            came = [command_id for ids in self.arrived(agent_id) for command_id in ids]
            assert sorted(came, key=issued.index) == came
            arrived += [(command_id, agent_id) for command_id in came]
            open_now = [wire for wire in wires if not wire.is_closing()]
            connected = agent_id in self.node.registry and self.node.agent(agent_id).connected
            assert ([wires[-1]] if connected else []) == open_now
        assert pushed == sorted(arrived)
        assert len(set(arrived)) == len(arrived)

    def _check_feed(self) -> None:
        """Who has followed the feed from the beginning knows what the registry says."""
        feed, node = self.node.feed, self.node
        feed._shares.tell_all()
        follower = Wire()
        node.open_feed(follower, chunked=True, last_event_id=str(feed._ring.first_id - 1))
        agents: dict[str, bool] = {}
        counts: dict[str, Any] = {}
        for event in follower.events():
            data = event["data"]
            match event["event"]:
                case "agent-registered":
                    assert data["resumed"] == (data["agentId"] in agents)
                    agents.setdefault(data["agentId"], False)
                case "agent-removed":
                    assert not agents.pop(data["agentId"]), "it was removed with its stream open"
                case "stream-opened":
                    agents[data["agentId"]] = True
                case "stream-closed":
                    agents[data["agentId"]] = False
                case "command-issued":
                    assert data["commandId"] not in counts
                    pending = data["targetCount"]
                    counts[data["commandId"]] = {
                        "PENDING": pending,
                        "ACKNOWLEDGED": 0,
                        "EXPIRED": 0,
                    }
                case "delivery-acknowledged" | "delivery-expired":
                    before = counts[data["commandId"]]
                    assert before["PENDING"] >= data["counts"]["PENDING"], "it went backward"
                    counts[data["commandId"]] = data["counts"]
        assert {agent.agent_id: agent.connected for agent in node.agents()} == agents
        shown = {
            command_id: {str(state): n for state, n in node.command(command_id).counts.items()}
            for command_id in node.registry._ledger.commands
        }
        assert shown == counts

    def reasons(self, agent_id: str) -> list[str]:
        """Return why the streams of an agent were ended, in order."""
        return [
            str(fact.reason)
            for fact in self.facts
            if isinstance(fact, StreamClosed) and fact.agent_id == agent_id
        ]


def said(delivery: Delivery) -> str | None:
    """Return the message of a delivery's result."""
    return None if delivery.result is None else delivery.result.message


def registration(agent_id: str) -> Registration:
    return Registration(agent_id=AgentId(agent_id), group=GroupName("g"))


async def until(at: float) -> None:
    """Wait until a moment of the loop has come, to the nanosecond."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    loop.call_at(at, woken.set_result, None)
    await woken
