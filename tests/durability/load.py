"""Whoever asks a server for all kinds of changes, and remembers exactly what was answered."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import define, field

from ..support import Answer, Connection

GONE: Final = (ConnectionError, asyncio.IncompleteReadError, EOFError)
"""What a client sees of a server that is killed."""

Change = Callable[[], None]


@define
class Commanded:
    """A command that was answered with 202."""

    key: str
    path: str
    targets: dict[str, str]
    """By the agents' ids: the status of each delivery."""


@define
class Worker:
    """A client with agents of its own, all in one group, which nobody else changes.

    When the server is killed, one change at the most has not been answered: it may have been made
    or not, and whoever looks afterwards finds out which.
    """

    name: str
    chance: random.Random
    # How many agents it has, once it has registered them; a few more or less.
    fewest: int = 3
    # By their ids, the version that each declared last.
    agents: dict[str, str] = field(factory=dict)
    deleted: set[str] = field(factory=set)
    commands: dict[str, Commanded] = field(factory=dict)
    answered: int = 0
    # What has happened to these since somebody has looked last.
    touched: set[str] = field(factory=set)
    # The change that was not answered: what it does, if it was made.
    open: tuple[str, str, Any, Change] | None = None
    _number: int = 0

    @property
    def group(self) -> str:
        return f"group-{self.name}"

    def next(self) -> int:
        self._number += 1
        return self._number

    async def work(self, url: str) -> None:
        """Ask for one change after the other until the server is gone."""
        try:
            async with connected(url) as peer:
                while True:
                    method, path, body, done = self._choose()
                    self.open = method, path, body, done
                    answer = await peer.ask(method, path, body, self._key_of(body))
                    assert answer.status in (200, 201, 202, 204), answer
                    self._settle(answer)
        except GONE:
            return

    def _settle(self, answer: Answer) -> None:
        assert self.open is not None
        _, path, _, done = self.open
        if answer.status == 202:
            command_id = answer.json()["commandId"]
            self._issued(command_id, path, self.open[2])
        else:
            done()
        self.open = None
        self.answered += 1

    def _choose(self) -> tuple[str, str, Any, Change]:
        kind = self.chance.random()
        if len(self.agents) < self.fewest or (kind < 0.25 and len(self.agents) < self.fewest + 27):
            return self._register(f"{self.name}-{self.next()}")
        agent_id = self.chance.choice(list(self.agents))
        if kind < 0.35:
            return self._register(agent_id)
        if kind < 0.45:
            return "DELETE", f"/agents/{agent_id}", None, lambda: self._deleted(agent_id)
        pending = [
            (command_id, agent_id)
            for command_id in list(self.commands)[-20:]
            for agent_id, status in self.commands[command_id].targets.items()
            if status == "PENDING"
        ]
        if kind < 0.65 or not pending:
            some = kind < (0.48 if self.fewest < 100 else 0.6)
            path = (
                f"/agents/groups/{self.group}/commands" if some else f"/agents/{agent_id}/commands"
            )
            key = f"{self.name}-key-{self.next()}"
            return "POST", path, {"type": "replay", "payload": {"key": key}}, lambda: None
        command_id, agent_id = self.chance.choice(pending)
        path = f"/agents/{agent_id}/commands/{command_id}/ack"
        return "POST", path, {"message": agent_id}, lambda: self._acked(command_id, agent_id)

    def _register(self, agent_id: str) -> tuple[str, str, Any, Change]:
        version = str(self.next())
        body = {"agentId": agent_id, "group": self.group, "version": version}

        def done() -> None:
            self.agents[agent_id] = version
            self.deleted.discard(agent_id)
            self.touched.add(agent_id)

        return "POST", "/agents/register", body, done

    def _deleted(self, agent_id: str) -> None:
        del self.agents[agent_id]
        self.deleted.add(agent_id)
        self.touched.add(agent_id)
        for command_id, command in self.commands.items():
            if command.targets.get(agent_id) == "PENDING":
                command.targets[agent_id] = "EXPIRED"
                self.touched.add(command_id)

    def _issued(self, command_id: str, path: str, body: Any) -> None:
        agents = sorted(self.agents) if "/groups/" in path else [path.split("/")[2]]
        key = body["payload"]["key"]
        assert command_id not in self.commands
        self.commands[command_id] = Commanded(key, path, dict.fromkeys(agents, "PENDING"))
        self.touched.add(command_id)

    def _acked(self, command_id: str, agent_id: str) -> None:
        self.commands[command_id].targets[agent_id] = "ACKNOWLEDGED"
        self.touched.add(command_id)

    def _key_of(self, body: Any) -> str:
        return body["payload"].get("key", "") if body and "payload" in body else ""

    # Afterwards

    async def find_out(self, peer: Peer) -> None:
        """Find out whether the change that was not answered was made, and reckon with it."""
        if self.open is None:
            return
        method, path, body, done = self.open
        if key := self._key_of(body):
            answer = await peer.ask(method, path, body, key)
            assert 202 == answer.status
            command_id = answer.json()["commandId"]
            again = await peer.ask(method, path, body, key)
            assert 202 == again.status
            assert command_id == again.json()["commandId"], "one key, one command"
            self._issued(command_id, path, body)
        elif method == "DELETE":
            if (await peer.ask("GET", path)).status == 404:
                done()
        elif path.endswith("/register"):
            found = await peer.ask("GET", f"/agents/{body['agentId']}")
            if found.status == 200 and found.json()["version"] == body["version"]:
                done()
        else:
            _, _, agent_id, _, command_id, _ = path.split("/")
            shown = await peer.shown(f"/commands/{command_id}/deliveries")
            if any(d["agentId"] == agent_id and d["status"] == "ACKNOWLEDGED" for d in shown):
                done()
        self.open = None

    async def look(self, peer: Peer, *, everywhere: bool) -> int:
        """Fail unless all that was answered is there, and nothing else; return how much that is."""
        touched = {*self.agents, *self.deleted, *self.commands} if everywhere else self.touched
        for name in touched:
            if name in self.commands:
                await self._look_at_command(peer, name)
            else:
                found = await peer.ask("GET", f"/agents/{name}")
                assert (404 if name in self.deleted else 200) == found.status, (name, found)
                if found.status == 200:
                    shown = found.json()
                    assert (self.agents[name], self.group) == (shown["version"], shown["group"])
        self.touched = set()
        agents = await peer.shown(f"/agents?group={self.group}")
        assert sorted(self.agents) == sorted(agent["agentId"] for agent in agents)
        return len(touched)

    async def _look_at_command(self, peer: Peer, command_id: str) -> None:
        command = self.commands[command_id]
        shown = await peer.shown(f"/commands/{command_id}")
        states = list(command.targets.values())
        expected = {name: states.count(name) for name in ("PENDING", "ACKNOWLEDGED", "EXPIRED")}
        assert expected == shown["counts"], (command_id, command, shown)
        found = await peer.shown(f"/commands/{command_id}/deliveries")
        assert command.targets == {each["agentId"]: each["status"] for each in found}
        for each in found:
            if each["status"] == "ACKNOWLEDGED":
                assert each["agentId"] == each["result"]["message"]
        body = {"type": "replay", "payload": {"key": command.key}}
        again = await peer.ask("POST", command.path, body, command.key)
        assert 202 == again.status
        assert command_id == again.json()["commandId"]


@define
class Peer:
    """A client's end of one connection to a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, method: str, path: str, body: Any = None, key: str = "") -> Answer:
        """Send one request, and read the answer."""
        raw = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} /api/v1{path} HTTP/1.1", "Host: localhost"]
        if method != "GET":
            head.append(f"Content-Length: {len(raw)}")
        if key:
            head.append(f"Idempotency-Key: {key}")
        self.writer.write("\r\n".join([*head, "", ""]).encode() + raw)
        return await Connection(self.reader, self.writer).answer(method)

    async def shown(self, path: str) -> Any:
        """Return what is at an address; fail if there is nothing."""
        answer = await self.ask("GET", path)
        assert 200 == answer.status, (path, answer)
        return answer.json()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Peer]:
    """Connect to the server at an address."""
    parts = urlsplit(url)
    peer = Peer(*await asyncio.open_connection(parts.hostname, parts.port))
    try:
        yield peer
    finally:
        peer.writer.close()
        with suppress(ConnectionError):
            await peer.writer.wait_closed()
