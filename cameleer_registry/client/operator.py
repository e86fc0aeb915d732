"""What an operator's program holds in its hands: it asks about agents and sends commands."""

from __future__ import annotations

import asyncio
import random
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp

from ..core import rules
from ..core.model import (
    Agent,
    AgentDelivery,
    AgentStatus,
    AgentTarget,
    AllTarget,
    ClusterNode,
    Command,
    CommandStatus,
    CommandType,
    Delivery,
    DeliveryState,
    GroupSummary,
    GroupTarget,
    ListedCommand,
    Order,
    Removed,
    Server,
    Target,
)
from ..errors import (
    AgentNotRegistered,
    CommandNotFound,
    GroupNotFound,
    RegistryError,
    ServerUnreachable,
)
from ..security.model import AuthShown, SessionCode, TokenMade, TokenRequest, TokenShown
from . import backoff
from .connection import TIMEOUT, Connection, Query

T = TypeVar("T")

PAGE: Final = 1000
"""Agents asked for at a time."""

COMMANDS_PAGE: Final = 100
"""Commands asked for at a time: each may bring 4 KiB of payload."""

LONGEST_WAIT: Final = 60.0
"""Seconds for which a server lets somebody wait in one request."""

SHORTEST_WAIT: Final = 1.0
"""The shortest wait in seconds to ask for, if gateways end longer ones."""

LOOKS: Final = 3
"""How often something is looked at before a gateway that has no answer (502, 503, 504) is
believed."""

PATIENCE: Final = 15.0
"""Seconds without an answer after which a wait fails."""

PAUSE: Final = (0.2, 1.0)
"""Shortest and longest time in seconds between two looks, if a server answers at once or not at
all.
"""


class Operator:
    """An operator's client of one registry, over one pool of connections.

    ::

        async with Operator("http://127.0.0.1:8081") as operator:
            command = await operator.send("config-update", Target.all(), {"revision": 7})
            command = await operator.wait(command.command_id, timeout=30)

    Every method raises the exception with which the server refuses
    (:class:`~cameleer_registry.errors.RegistryError` is the base of all), and
    :class:`~cameleer_registry.errors.ServerUnreachable` if none answers. ``url`` may be several
    addresses of one registry: the next one is asked when one does not answer, or says 503.
    ``session`` is one of your own, used as it is and left open. ``proxy`` is the address of an HTTP
    proxy, or "" for none; by default it is as the environment says. Raises ValueError if one of
    them is no http(s) address.
    """

    def __init__(
        self,
        url: str | Iterable[str],
        *,
        session: aiohttp.ClientSession | None = None,
        proxy: str | None = None,
    ) -> None:
        self._connection = Connection(url, session=session, proxy=proxy)

    @property
    def url(self) -> str:
        """Where the registry is, without passwords: to be shown."""
        return str(self._connection.addresses)

    @property
    def current_url(self) -> str:
        """The address that answered last, without its password; before that, the first one."""
        return str(self._connection.addresses.current)

    def now(self) -> datetime:
        """Return the server's time of day, as in its last answer.

        Before the first answer it is our own time. All times from the server refer to its clock.
        """
        return self._connection.clock.now()

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._connection.__aexit__(kind, error, traceback)

    # Credentials

    async def auth(self) -> AuthShown:
        """Return whether a credential is needed, and whose is shown."""
        return await self._connection.ask(AuthShown, "GET", "auth")

    async def session_code(self) -> SessionCode:
        """Make a code that signs a browser in as the holder of the token: once, within a minute."""
        return await self._connection.ask(SessionCode, "POST", "auth", "session", "code")

    async def create_token(self, request: TokenRequest) -> TokenMade:
        """Make a token; in the answer it is shown this once."""
        return await self._connection.ask(TokenMade, "POST", "auth", "tokens", body=request)

    async def tokens(self) -> list[TokenShown]:
        """Return all tokens, without what is secret of them."""
        return await self._connection.ask(list[TokenShown], "GET", "auth", "tokens")

    async def revoke_token(self, token_id: str) -> None:
        """Revoke a token; raises NotFound."""
        await self._connection.tell("DELETE", "auth", "tokens", token_id)

    async def revoke_agent(self, agent_id: str) -> None:
        """Revoke every credential of an agent, whose stream ends."""
        await self._connection.tell("DELETE", "agents", agent_id, "token")

    async def keys(self) -> bytes:
        """Return the key set, a signed line; raises NotFound if there are no keys."""
        answer = await self._connection.send("GET", "keys")
        return answer.raw

    async def rotate_key(self, use: str) -> bytes:
        """Announce a key for "token" or "command", or have it sign; return the set."""
        answer = await self._connection.send("POST", "keys", use, "rotate")
        return answer.raw

    async def revoke_key(self, key_id: str) -> bytes:
        """Take all that a key has signed for void; return the set."""
        answer = await self._connection.send("DELETE", "keys", key_id)
        return answer.raw

    # Agents

    async def agents(
        self, *, statuses: Collection[AgentStatus | str] = (), groups: Collection[str] = ()
    ) -> list[Agent]:
        """Return the agents, in order of their ids; empty ``statuses`` or ``groups`` are all."""
        return [agent async for agent in self.iter_agents(statuses=statuses, groups=groups)]

    async def iter_agents(
        self, *, statuses: Collection[AgentStatus | str] = (), groups: Collection[str] = ()
    ) -> AsyncIterator[Agent]:
        """Return the same one by one, asked for in pages: for fleets of any size."""
        query = [*_each("status", statuses), *_each("group", groups), ("limit", str(PAGE))]
        after: Query = ()
        while True:
            page = await self._read(list[Agent], "agents", query=[*query, *after])
            for agent in page:
                yield agent
            if len(page) < PAGE:
                return
            after = [("after", page[-1].agent_id)]

    async def agent(self, agent_id: str) -> Agent:
        """Return one agent; raises AgentNotRegistered."""
        return await self._read(Agent, "agents", _known(agent_id))

    async def groups(self) -> list[GroupSummary]:
        """Return every group that has agents, in order of their names."""
        return await self._read(list[GroupSummary], "agents", "groups")

    async def server(self) -> Server:
        """Return what the server says of itself."""
        return await self._connection.ask(Server, "GET", "server")

    async def nodes(self) -> list[ClusterNode]:
        """Return the nodes that share the registry; one where nobody shares it."""
        return await self._read(list[ClusterNode], "nodes")

    async def delete(self, agent_id: str) -> None:
        """Have an agent forgotten; raises AgentNotRegistered. One that runs registers again."""
        await self._connection.tell("DELETE", "agents", _known(agent_id), looks=LOOKS)

    async def delete_all(
        self, statuses: Collection[AgentStatus | str], *, groups: Collection[str] = ()
    ) -> int:
        """Delete all agents of these statuses, and return their number.

        ``groups`` limits them to these groups, if it is not empty. Raises InvalidRequest if LIVE is
        among the statuses.
        """
        query = [*_each("status", statuses), *_each("group", groups)]
        removed = await self._connection.ask(Removed, "DELETE", "agents", query=query)
        return removed.removed

    async def commands(
        self,
        *,
        statuses: Collection[CommandStatus | str] = (),
        types: Collection[CommandType | str] = (),
        agent_id: str | None = None,
        groups: Collection[str] = (),
        limit: int | None = None,
    ) -> list[ListedCommand]:
        """Return the commands that the server remembers, newest first, ``limit`` at most.

        Empty ``statuses``, ``types`` or ``groups`` are all; ``agent_id`` is one of the targets.
        """
        found: list[ListedCommand] = []
        async for command in self.iter_commands(
            statuses=statuses, types=types, agent_id=agent_id, groups=groups
        ):
            if limit is not None and len(found) >= limit:
                break
            found.append(command)
        return found

    async def iter_commands(
        self,
        *,
        statuses: Collection[CommandStatus | str] = (),
        types: Collection[CommandType | str] = (),
        agent_id: str | None = None,
        groups: Collection[str] = (),
    ) -> AsyncIterator[ListedCommand]:
        """Return the same one by one, asked for in pages."""
        query = [
            *_each("status", statuses),
            *_each("type", types),
            *_each("agentId", () if agent_id is None else (agent_id,)),
            *_each("group", groups),
            ("limit", str(COMMANDS_PAGE)),
        ]
        before: Query = ()
        while True:
            page = await self._read(list[ListedCommand], "commands", query=[*query, *before])
            for command in page:
                yield command
            if len(page) < COMMANDS_PAGE:
                return
            before = [("before", page[-1].command_id)]

    async def send(
        self,
        type: CommandType | str,
        target: Target,
        payload: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Command:
        """Issue a command, and return it after it was written to its targets' open streams.

        If ServerUnreachable is raised, it may or may not have been issued: the same call with the
        same ``idempotency_key``, within an hour, returns the same command, which is issued only
        once. Without a key of your own each call has a new one, with which the request is repeated
        at once if the connection breaks before the answer, and a moment later if a gateway has no
        answer.

        Raises AgentNotRegistered, GroupNotFound, TooManyPending; IdempotencyKeyReused if the key
        was used for a different command; ValueError if the type or the key is invalid; and
        TypeError if JSON cannot express the payload.
        """
        order = Order(type=CommandType(type), payload=payload or {})
        key = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
        return await self._connection.ask(
            Command,
            "POST",
            *_address(target),
            body=order,
            key=rules.idempotency_key(key),
            looks=LOOKS,
        )

    async def command(self, command_id: str) -> Command:
        """Return one command; raises CommandNotFound."""
        return await self._read(Command, "commands", _issued(command_id))

    async def wait(self, command_id: str, timeout: float) -> Command:
        """Wait up to ``timeout`` seconds until no delivery of a command is pending; then return it.

        Look at its ``status``: it is PENDING if the time was too short. Raises CommandNotFound, and
        ServerUnreachable if there was no answer for a while, or none at the end. If a gateway ends
        long requests, shorter ones are sent.
        """
        return [command async for command in self.follow(command_id, timeout)][-1]

    async def follow(
        self, command_id: str, timeout: float, *, every: float = LONGEST_WAIT
    ) -> AsyncGenerator[Command, None]:
        """Do the same, and return the command each time that it was read.

        That is every ``every`` seconds, and when none of its deliveries is pending any more.
        """
        loop = asyncio.get_running_loop()
        until, longest = loop.time() + timeout, LONGEST_WAIT
        failing_since: float | None = None
        while True:
            asked_at = loop.time()
            seconds = min(longest, every, max(0.0, until - asked_at))
            try:
                command = await self._look(command_id, seconds)
            except (ServerUnreachable, RegistryError) as error:
                now = loop.time()
                failing_since = now if failing_since is None else failing_since
                is_over = now >= until or now - failing_since > PATIENCE
                if is_over or not backoff.is_passing(error):
                    raise
                # Perhaps it was the wait that took too long for somebody on the way.
                longest = max(SHORTEST_WAIT, min(longest, (now - asked_at) / 2))
                await asyncio.sleep(min(random.uniform(*PAUSE), max(0.0, until - now)))
                continue
            yield command
            failing_since, now = None, loop.time()
            if command.status is not CommandStatus.PENDING or now >= until:
                return
            if now < asked_at + seconds:  # a server that shuts down answers at once
                await asyncio.sleep(min(random.uniform(*PAUSE), until - now))

    async def _look(self, command_id: str, seconds: float) -> Command:
        return await self._connection.ask(
            Command,
            "GET",
            "commands",
            _issued(command_id),
            query=[("wait", f"{seconds:.3f}")],
            timeout=seconds + TIMEOUT,
        )

    async def deliveries(
        self, command_id: str, *, states: Collection[DeliveryState | str] = ()
    ) -> list[Delivery]:
        """Return a command's deliveries, in order of the agents' ids; raises CommandNotFound."""
        return await self._read(
            list[Delivery],
            "commands",
            _issued(command_id),
            "deliveries",
            query=_each("status", states),
        )

    async def agent_deliveries(
        self, agent_id: str, *, states: Collection[DeliveryState | str] = ()
    ) -> list[AgentDelivery]:
        """Return what was sent to an agent, newest first; raises AgentNotRegistered."""
        return await self._read(
            list[AgentDelivery],
            "agents",
            _known(agent_id),
            "commands",
            query=_each("status", states),
        )

    async def _read(self, shape: type[T], *path: str, query: Query = ()) -> T:
        """Look at something: a gateway that has no answer now may have one in a moment."""
        return await self._connection.ask(shape, "GET", *path, query=query, looks=LOOKS)


def _each(name: str, values: Collection[str]) -> list[tuple[str, str]]:
    return [(name, str(value)) for value in values]


def _address(target: Target) -> tuple[str, ...]:
    match target:
        case AgentTarget(agent_id):
            return "agents", _known(agent_id), "commands"
        case GroupTarget(group):
            return "agents", "groups", _declared(group), "commands"
        case AllTarget():
            return "agents", "commands"
    raise TypeError(f"{target} is not a target")


# What cannot be an id must not become another address on its way ("..", "groups").


def _known(agent_id: str) -> str:
    try:
        return rules.agent_id(agent_id)
    except ValueError:
        raise AgentNotRegistered(agent_id) from None


def _declared(group: str) -> str:
    try:
        return rules.group_name(group)
    except ValueError:
        raise GroupNotFound(group) from None


def _issued(command_id: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z-]+", command_id):
        raise CommandNotFound(command_id)
    return command_id
