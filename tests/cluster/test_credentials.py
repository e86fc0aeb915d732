"""Nodes as processes that ask for credentials: how they begin, whose keys they take, what ends."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define

from ..nats import NatsServers, nats_servers
from ..processes import run, server
from .nodes import NodeProcess


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServers]:
    """One NATS server."""
    async with nats_servers(tmp_path / "nats") as servers:
        yield servers


@define
class Founded:
    """What ``auth init`` has made: keys, and the two tokens."""

    database: Path
    admin: dict[str, str]
    enrol: dict[str, str]

    @property
    def keys(self) -> Path:
        return self.database.with_name("keys.json")


async def init(directory: Path) -> Founded:
    """Make keys and tokens, as an operator does before the first node is started."""
    await asyncio.to_thread(directory.mkdir)
    database = directory / "registry.db"
    status, out, said = await run("auth", "init", "--database", str(database))
    assert 0 == status, said
    tokens = [word for word in out.split() if word.startswith(("camo_", "came_"))]
    admin, enrol = sorted(tokens, reverse=True)
    return Founded(database, bearer(admin), bearer(enrol))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def enrol(at: NodeProcess, of: Founded, agent_id: str) -> dict[str, str]:
    """Register an agent; return the header with its token."""
    body = {"agentId": agent_id, "group": "g"}
    answer = await at.ask("POST", "/agents/register", body, headers=of.enrol)
    assert answer.status_code in (200, 201), answer.text
    return bearer(answer.json()["credential"]["accessToken"])


async def until(seconds: float, ask: Any, status: int) -> httpx.Response:
    """Ask until there is that answer."""
    async with asyncio.timeout(seconds):
        while True:
            answer: httpx.Response = await ask()
            if answer.status_code == status:
                return answer
            await asyncio.sleep(0.2)


async def test_a_registry_with_credentials_grows_into_many_nodes(
    nats: NatsServers, tmp_path: Path
) -> None:
    """Its tokens and keys are those of all; a node without its file, killed or joined, has them."""
    of = await init(tmp_path / "first")
    a = NodeProcess("a", nats, str(of.database))
    b = NodeProcess("b", nats, "memory", ("--keys-file", str(of.keys)))
    running = [a, b]
    try:
        for node in running:
            await node.start()
        assert 401 == (await b.ask("GET", "/agents")).status_code
        assert 200 == (await b.ask("GET", "/agents", headers=of.admin)).status_code
        agent = await enrol(a, of, "x")
        assert 204 == (await b.ask("POST", "/agents/x/heartbeat", headers=agent)).status_code
        made = await b.ask("POST", "/auth/tokens", {"role": "viewer"}, headers=of.admin)
        viewer = bearer(made.json()["token"])
        assert 200 == (await a.ask("GET", "/agents", headers=viewer)).status_code
        async with (
            httpx.AsyncClient(timeout=30) as client,
            client.stream("GET", f"{a.api}/events", headers=viewer) as feed,
        ):
            path = f"/auth/tokens/{made.json()['tokenId']}"
            assert 204 == (await b.ask("DELETE", path, headers=of.admin)).status_code
            async with asyncio.timeout(10):
                async for _ in feed.aiter_bytes():
                    pass
        await b.kill()
        await b.start()
        refused = await b.ask("GET", "/agents", headers=viewer)
        assert (401, "credential-revoked") == (refused.status_code, code_of(refused))
        assert 204 == (await b.ask("POST", "/agents/x/heartbeat", headers=agent)).status_code
    finally:
        await kill(running)


async def test_who_leaves_is_another_registry(nats: NatsServers, tmp_path: Path) -> None:
    """With keys of its own: agents of the cluster do not believe it, nor it them."""
    of = await init(tmp_path / "first")
    a = NodeProcess("a", nats, str(of.database))
    b = NodeProcess("b", nats, str(tmp_path / "b.db"), ("--keys-file", str(of.keys)))
    running = [a, b]
    try:
        for node in running:
            await node.start()
        agent = await enrol(a, of, "x")
        made = await a.ask("POST", "/auth/tokens", {"role": "viewer"}, headers=of.admin)
        revoked = bearer(made.json()["token"])
        path = f"/auth/tokens/{made.json()['tokenId']}"
        assert 204 == (await a.ask("DELETE", path, headers=of.admin)).status_code
        before = (await a.ask("GET", "/keys")).json()
        for node in running:
            assert 0 == await node.end()
    finally:
        await kill(running)
    # The file of the others stays as it is, so they go on.
    alone = ("--port", "0", "--database", str(tmp_path / "b.db"))
    status, _, said = await run(*alone, "--leave-cluster", "--keys-file", str(of.keys))
    assert 2 == status, said
    assert "the cluster's" in said.splitlines()[-1]
    status, _, said = await run(*alone)  # it has not left
    assert 2 == status, said
    assert "--leave-cluster" in said.splitlines()[-1]
    was = await asyncio.to_thread(of.keys.read_bytes)
    registries, roots = {before["registry"]}, {before["root"]["kid"]}
    for database in (tmp_path / "b.db", of.database):  # without keys beside it, and with some
        alone = ("--port", "0", "--database", str(database))
        async with server(*alone, "--leave-cluster") as left, left.client() as client:
            assert 401 == (await client.get("/agents")).status_code
            [known] = (await client.get("/agents", headers=of.admin)).json()
            assert "x" == known["agentId"]
            assert "credential-revoked" == code_of(await client.get("/agents", headers=revoked))
            refused = await client.post("/agents/x/heartbeat", headers=agent)
            assert (401, "invalid-token") == (refused.status_code, code_of(refused))
            keys = (await client.get("/keys")).json()
            assert keys["registry"] not in registries
            assert keys["root"]["kid"] not in roots
            registries.add(keys["registry"])
            roots.add(keys["root"]["kid"])
            told = (await client.get("/auth")).json()
            assert keys["registry"] == told["registry"]
        async with server(*alone) as again, again.client() as client:
            assert keys == (await client.get("/keys")).json()
            body = {"agentId": "x", "group": "g"}
            welcome = await client.post("/agents/register", json=body, headers=of.enrol)
            assert (200, True) == (welcome.status_code, welcome.json()["resumed"])
    [aside] = of.keys.parent.glob("keys.json.of-cluster-*")
    assert was == aside.read_bytes()
    assert 0o600 == aside.stat().st_mode & 0o777


def code_of(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


async def kill(running: list[NodeProcess]) -> None:
    for node in running:
        if node.served is not None:
            await node.kill()


async def test_a_node_with_other_keys_stops_with_one_line(
    nats: NatsServers, tmp_path: Path
) -> None:
    """With those of another registry, or none; the others go on."""
    of, other = await init(tmp_path / "first"), await init(tmp_path / "other")
    a = NodeProcess("a", nats, str(of.database))
    try:
        await a.start()
        flags = ("--port", "0", "--database", "memory", "--cluster", ",".join(nats.urls))
        for more, why in (
            (("--keys-file", str(other.keys)), "the keys are those of the registry"),
            ((), "keys_file"),
            (("--auth", "off"), "keys_file"),
            (("--auth", "required"), "keys_file"),
        ):
            status, _, said = await run(*flags, "--node-name", "b", *more)
            assert 2 == status, said
            assert why in said.splitlines()[-1]
        status, _, said = await run(
            *("--port", "0", "--database", str(other.database), "--node-name", "b"),
            *("--cluster", ",".join(nats.urls)),
        )
        assert 2 == status, said
        assert 200 == (await a.ask("GET", "/agents", headers=of.admin)).status_code
        listed = (await a.ask("GET", "/nodes", headers=of.admin)).json()
        assert ["a"] == [each["name"] for each in listed]
    finally:
        await kill([a])


async def test_credentials_need_keys(nats: NatsServers) -> None:
    """Also of the node that founds the log: what it signs the others have to verify."""
    status, _, said = await run(
        *("--port", "0", "--database", "memory", "--cluster", ",".join(nats.urls)),
        *("--node-name", "a", "--auth", "required"),
    )
    assert 2 == status
    assert "keys_file" in said.splitlines()[-1]


async def test_a_key_is_announced_given_to_each_and_signs(
    nats: NatsServers, tmp_path: Path
) -> None:
    """The file of the other node is read again while it runs."""
    of = await init(tmp_path / "first")
    copied = tmp_path / "b" / "keys.json"
    copied.parent.mkdir()
    shutil.copy(of.keys, copied)
    a = NodeProcess("a", nats, str(of.database))
    b = NodeProcess("b", nats, "memory", ("--keys-file", str(copied)))
    running = [a, b]
    try:
        for node in running:
            await node.start()
        agent = await enrol(a, of, "x")

        async def rotate() -> httpx.Response:
            return await a.ask("POST", "/keys/command/rotate", headers=of.admin)

        announced = await rotate()
        assert 200 == announced.status_code, announced.text
        new = next(key["kid"] for key in announced.json()["keys"] if key["status"] == "next")
        refused = await rotate()
        assert 400 == refused.status_code
        assert "b does not" in refused.text
        shutil.copy(of.keys, copied)
        activated = await until(20, rotate, 200)
        active = [key["kid"] for key in activated.json()["keys"] if key["status"] == "active"]
        assert new in active
        issued = await b.ask("POST", "/agents/x/commands", {"type": "replay"}, headers=of.admin)
        assert 202 == issued.status_code
        for node in running:
            [pending] = (await node.ask("GET", "/agents/x/commands", headers=agent)).json()
            assert f'"keyId":"{new}"' in pending["signed"]
        await b.kill()
        await b.start()
        [again] = (await b.ask("GET", "/agents/x/commands", headers=agent)).json()
        assert pending["signed"] == again["signed"]
    finally:
        await kill(running)
