"""Many agents in one process, real to the server: for demonstrations, and for trying a fleet out.

They do what they are told at random: some fail, some never answer, some restart.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import aiohttp
from attrs import define

from ..core.model import Ack, CommandEvent, CommandType, Outcome
from ..errors import RegistryError
from .agent import Agent
from .declarations import declaration
from .names import Resolver
from .proxies import Proxies

STARTED_PER_SECOND: Final = 100
"""Agents that begin in a second, so that thousands do not stampede."""

AWAY: Final = (1.0, 5.0)
"""Seconds for which an agent that restarts is away, at least and at most."""

MINUTE: Final = 60.0

_ADDRESS: Final = re.compile(r"/agents/(?:register|(?P<agent>[^/]+)/(?:.*/)?(?P<what>\w+))$")


@define
class Figures:
    """What a fleet has done, as far as the server has confirmed it."""

    registrations: int = 0
    heartbeats: int = 0
    streams: int = 0
    """Streams that were opened."""
    reconnects: int = 0
    """Those of them that were not an agent's first."""
    received: int = 0
    """Commands that came."""
    acknowledged: int = 0
    """Acknowledgements that the server has taken."""
    failed: int = 0
    """Commands answered with a failure."""
    ignored: int = 0
    """Commands that shall expire."""
    restarts: int = 0


class Fleet:
    """Simulated agents ``sim-0001``, ``sim-0002`` …, spread evenly over groups ``sim-group-1`` ….

    ``ack_rate`` is the share of commands that are answered at all; the others expire. An answer
    comes after ``ack_delay`` seconds on average, at random from none to twice that, and
    ``failure_rate`` is the share of answers that are a FAILURE. ``churn`` is the share of the fleet
    that restarts each minute: such an agent finishes what it has begun, is away for 1 to 5
    seconds, and comes back under its id as another process would. ``open_session`` opens the
    session that all of them use, with the traces that it is given.
    """

    def __init__(
        self,
        url: str | Iterable[str],
        *,
        agents: int,
        groups: int = 1,
        ack_rate: float = 1.0,
        ack_delay: float = 0.05,
        failure_rate: float = 0.0,
        churn: float = 0.0,
        open_session: Callable[[aiohttp.TraceConfig], aiohttp.ClientSession] | None = None,
    ) -> None:
        self._url = url
        self._open_session = open_session or _session
        # Of a session that is given, they are its own.
        self._proxies = Proxies() if open_session is None else None
        self._groups = groups
        self._ack_rate = ack_rate
        self._ack_delay = ack_delay
        self._failure_rate = failure_rate
        self._churn = churn
        self.size = agents
        self.figures = Figures()
        # The agents as they run now, by their numbers; those that are away are not in it.
        self._running: dict[int, Agent] = {}
        # The ids of those that have had a stream.
        self._streamed: set[str] = set()

    @property
    def registered(self) -> int:
        """How many the server knows, as far as they have been told."""
        return sum(agent.registered for agent in self._running.values())

    @property
    def connected(self) -> int:
        """How many have their stream open."""
        return sum(agent.connected for agent in self._running.values())

    async def run(self) -> None:
        """Be that fleet until cancelled; raises RegistryError where an agent is refused for good.

        It needs a descriptor for each stream, and some more.
        """
        tracing = aiohttp.TraceConfig()
        tracing.on_request_end.append(self._count)
        async with self._open_session(tracing) as session:
            try:
                async with asyncio.TaskGroup() as members:
                    for number in range(1, self.size + 1):
                        members.create_task(self._live(number, session))
            except* RegistryError as refusals:
                raise refusals.exceptions[0] from None

    async def _live(self, number: int, session: aiohttp.ClientSession) -> None:
        """Run one agent, and again when it has restarted; never returns."""
        await asyncio.sleep((number - 1) / STARTED_PER_SECOND)
        while True:
            agent = self._agent(number, session)
            self._running[number] = agent
            if self._churn:
                # At random and independently of each other: the share is that of the fleet.
                uptime = random.expovariate(self._churn / MINUTE)
                asyncio.get_running_loop().call_later(uptime, agent.stop)
            await agent.run()
            del self._running[number]
            self.figures.restarts += 1
            await asyncio.sleep(random.uniform(*AWAY))

    def _agent(self, number: int, session: aiohttp.ClientSession) -> Agent:
        group = 1 + (number - 1) % self._groups
        declared = declaration(number, group)
        agent = Agent(
            self._url,
            agent_id=f"sim-{number:04}",
            group=f"sim-group-{group}",
            name=f"Simulated agent {number}",
            version=declared.version,
            route_ids=declared.route_ids,
            capabilities=declared.capabilities,
            max_concurrent=1000,  # those that wait for their delay, and hold nobody up
            session=session,
            proxy=self._proxies,
        )
        for kind in CommandType:
            agent.on(kind)(self._obey)
        return agent

    async def _obey(self, command: CommandEvent) -> Ack:
        """Answer a command as the rates have it."""
        self.figures.received += 1
        if random.random() >= self._ack_rate:
            self.figures.ignored += 1
            await _vanish()
        await asyncio.sleep(random.uniform(0, 2 * self._ack_delay))
        if random.random() < self._failure_rate:
            self.figures.failed += 1
            return Ack(status=Outcome.FAILURE, message="simulated failure")
        return Ack(data={"applied": command.payload})

    async def _count(
        self, _session: object, _context: object, ended: aiohttp.TraceRequestEndParams
    ) -> None:
        """Count what has been answered well: what the server has confirmed, and no more."""
        if ended.response.status >= 300 or not (asked := _ADDRESS.search(ended.url.path)):
            return
        match asked["what"]:
            case None:
                self.figures.registrations += 1
            case "heartbeat":
                self.figures.heartbeats += 1
            case "ack":
                self.figures.acknowledged += 1
            case "events":
                self.figures.streams += 1
                self.figures.reconnects += asked["agent"] in self._streamed
                self._streamed.add(asked["agent"])


def _session(traces: aiohttp.TraceConfig) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, resolver=Resolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[traces],
    )


async def _vanish() -> Any:
    """End the task that carries a command out: it is never answered, and holds nothing."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
