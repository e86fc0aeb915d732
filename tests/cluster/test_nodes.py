"""Nodes as processes: starting, ending, what databases they take, and what stops them."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import nats as nats_py
import pytest

from cameleer_registry.database import log_of
from cameleer_registry.errors import CannotJoin
from cameleer_registry.setting_values import NatsServers as Urls
from cameleer_registry.settings import Settings

from ..nats import NatsServer, NatsServers, nats_servers
from ..processes import PROGRAM, environment, free_port, run, server
from ..support import within
from .nodes import NodeProcess, nodes, same_everywhere


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[NatsServers]:
    """One NATS server."""
    async with nats_servers(tmp_path / "nats") as servers:
        yield servers


def flags(nats: NatsServers, database: Path | str, name: str = "z") -> tuple[str, ...]:
    """Return what starts a node that is expected not to."""
    return (
        *("--port", "0", "--node-name", name, "--database", str(database)),
        *("--cluster", ",".join(nats.urls)),
    )


async def test_any_request_to_any_node(nats: NatsServers, tmp_path: Path) -> None:
    """And both say who takes part."""
    async with nodes(nats, tmp_path, "a", "b") as (a, b):
        answer = await a.enter("x")
        assert 201 == answer.status_code
        position = {"X-Cameleer-Position": answer.headers["X-Cameleer-Position"]}
        assert 200 == (await b.ask("GET", "/agents/x", headers=position)).status_code
        issued = await b.ask("POST", "/agents/commands", {"type": "replay"})
        assert 202 == issued.status_code
        path = f"/agents/x/commands/{issued.json()['commandId']}/ack"
        assert 200 == (await a.ask("POST", path)).status_code
        shown = await same_everywhere(a, b)
        assert ["ACKNOWLEDGED"] == [each["status"] for each in shown["commands"]]
        for node in (a, b):
            listed = (await node.ask("GET", "/nodes")).json()
            assert [("a", "LIVE"), ("b", "LIVE")] == [(n["name"], n["status"]) for n in listed]
            assert [node.name] == [each["name"] for each in listed if each["own"]]


async def test_nodes_end_and_come_back_one_after_the_other(
    nats: NatsServers, tmp_path: Path
) -> None:
    """By a signal or killed: nothing is lost, and all are equal again."""
    async with nodes(nats, tmp_path, "a", "b") as (a, b):
        for number in range(5):
            await a.enter(f"x-{number}")
        assert 0 == await a.end()
        listed = (await b.ask("GET", "/nodes")).json()
        assert {"a": "LEFT", "b": "LIVE"} == {each["name"]: each["status"] for each in listed}
        await b.enter("y")
        await a.start()
        await b.kill()
        await a.enter("z")
        await b.start()
        shown = await same_everywhere(a, b)
        assert 7 == len(shown["agents"])
        assert 0 == await b.end()
        assert 0 == await a.end()
        await a.start()
        assert 7 == len((await a.ask("GET", "/agents")).json())


async def test_nodes_in_memory_start_from_a_snapshot(nats: NatsServers, tmp_path: Path) -> None:
    """Also when none of them was there meanwhile."""
    node = NodeProcess("a", nats, "memory")
    await node.start()
    await node.enter("x")
    await node.kill()
    await node.start()
    assert ["x"] == [each["agentId"] for each in (await node.ask("GET", "/agents")).json()]
    assert 0 == await node.end()


async def test_a_registry_alone_becomes_many(nats: NatsServers, tmp_path: Path) -> None:
    """Its database founds the log; one that was used alone after that is refused."""
    database, other = tmp_path / "a.db", tmp_path / "other.db"
    for path in (database, other):
        async with server("--port", "0", "--database", str(path)) as alone:
            async with alone.client() as client:
                body = {"agentId": path.stem, "group": "g"}
                await client.post("/agents/register", json=body)
                issued = (await client.post("/agents/commands", json={"type": "replay"})).json()
            assert 0 == await alone.terminate()
    async with nodes(nats, tmp_path, "a", "b") as (a, b):
        for node in (a, b):
            assert ["a"] == [each["agentId"] for each in (await node.ask("GET", "/agents")).json()]
        assert issued
        assert 1 == len((await b.ask("GET", "/commands")).json())
        status, _, said = await run(*flags(nats, other))
        assert 2 == status
        assert "was used by a registry alone" in said.splitlines()[-1]


async def test_a_database_belongs_to_one_cluster(nats: NatsServers, tmp_path: Path) -> None:
    """Neither alone nor in another cluster, unless it leaves on purpose."""
    async with nodes(nats, tmp_path, "a") as (a,):
        await a.enter("x")
        assert 0 == await a.end()
    database = str(tmp_path / "a.db")
    status, _, said = await run("--port", "0", "--database", database)
    assert 2 == status
    assert "--leave-cluster" in said.splitlines()[-1]
    status, _, said = await run(*flags(nats, database), "--cluster-name", "another")
    assert 2 == status
    assert "belongs to another log" in said.splitlines()[-1]
    log, nothing = tmp_path / "alone.log", "leave_cluster changes nothing"
    for more, told in (("--leave-cluster",), False), ((), False), (("--leave-cluster",), True):
        with log.open("wb") as stderr:
            async with server("--port", "0", "--database", database, *more, stderr=stderr) as alone:
                async with alone.client() as client:
                    agents = (await client.get("/agents")).json()
                    assert [("x", "LIVE")] == [(a["agentId"], a["status"]) for a in agents]
                    (itself,) = (await client.get("/nodes")).json()
                    assert alone.url == itself["address"]
                assert 0 == await alone.terminate()
        assert told == (nothing in log.read_text())
    status, _, said = await run(*flags(nats, database))
    assert 2 == status
    assert "was used by a registry alone" in said.splitlines()[-1]


async def test_a_database_is_the_clusters_from_the_beginning(
    nats: NatsServers, tmp_path: Path
) -> None:
    """Also if the node is killed before it has made a copy, whether or not it founded the log."""
    founder = tmp_path / "a.db"
    async with server("--port", "0", "--database", str(founder)) as alone:
        async with alone.client() as client:
            await client.post("/agents/register", json={"agentId": "x", "group": "g"})
        assert 0 == await alone.terminate()
    async with nodes(nats, tmp_path, "a", "b") as both:
        for node in both:
            await node.kill()
    for database in (founder, tmp_path / "b.db"):
        status, _, said = await run("--port", "0", "--database", str(database))
        assert 2 == status
        assert "--leave-cluster" in said.splitlines()[-1]
        status, _, said = await run(*flags(nats, database), "--cluster-name", "another")
        assert 2 == status
        assert "belongs to another log" in said.splitlines()[-1]
        leaving = ("--port", "0", "--database", str(database), "--leave-cluster")
        async with server(*leaving) as left, left.client() as client:
            assert ["x"] == [each["agentId"] for each in (await client.get("/agents")).json()]


async def test_a_name_is_one_nodes(nats: NatsServers, tmp_path: Path) -> None:
    """A second one stops; one that was killed may come back at once."""
    async with nodes(nats, tmp_path, "a") as (a,):
        status, _, said = await run(*flags(nats, "memory", "a"))
        assert 2 == status
        assert "give this one a --node-name of its own" in said.splitlines()[-1]
        await a.kill()
        await a.start()
        listed = (await a.ask("GET", "/nodes")).json()
        assert [("a", "LIVE", a.url)] == [(e["name"], e["status"], e["address"]) for e in listed]


@pytest.mark.parametrize("anew", [False, True])
async def test_a_node_does_not_go_on_without_its_log(
    nats: NatsServers, tmp_path: Path, anew: bool
) -> None:
    """Nor with another one that is called the same."""
    async with nodes(nats, tmp_path, "a") as (a,):
        await a.enter("x")
        client = await nats_py.connect(nats.urls)
        await client.jetstream().delete_stream("cameleer-log")
        if anew:
            await client.jetstream().add_stream(name="cameleer-log", subjects=["cameleer.log"])
        await client.close()
        assert a.served is not None
        assert 1 == await within(a.served.process.wait(), 30)


async def test_a_node_is_ready_when_it_knows_what_the_others_do(tmp_path: Path) -> None:
    """Until then its probes say so, all else is refused but streams, and it can be stopped."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *("--port", str(port), "--database", "memory", "--cluster", "nats://127.0.0.1:1"),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        async with asyncio.timeout(30):
            while True:
                try:
                    up = await client.get("/healthz")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        assert 200 == up.status_code
        ready = await client.get("/readyz")
        assert 503 == ready.status_code
        assert ["this node does not take part at present"] == ready.json()["reasons"]
        for method, path in (
            ("GET", "/api/v1/agents"),
            ("POST", "/api/v1/agents/register"),
            ("POST", "/api/v1/agents/x/heartbeat"),
            ("GET", "/api/v1/nodes"),
            ("GET", "/metrics"),
        ):
            refused = await client.request(method, path)
            assert 503 == refused.status_code, path
            assert refused.json()["type"].endswith(":not-in-contact")
        # Its client may stop for good when it is refused, so it waits.
        stream = asyncio.create_task(client.get("/api/v1/agents/x/events", timeout=60))
        await asyncio.sleep(0.5)
        assert not stream.done()
        process.terminate()
        out, _ = await within(process.communicate(), 15)
        assert (0, b"") == (process.returncode, out)
        await asyncio.gather(stream, return_exceptions=True)


async def test_it_is_ready_as_soon_as_nats_is_there(tmp_path: Path) -> None:
    """Whichever was started first."""
    port = free_port()
    flags_of = ("--port", "0", "--database", "memory", "--cluster", f"nats://127.0.0.1:{port}")
    starting = server(*flags_of)
    ready = asyncio.create_task(starting.__aenter__())
    await asyncio.sleep(1)
    assert not ready.done()
    late = NatsServer("late", tmp_path / "nats", port, free_port(), [])
    late.start()
    try:
        served = await within(ready, 60)
        async with served.client() as client:
            assert 200 == (await client.get(f"{served.url}/readyz")).status_code
        await starting.__aexit__(None, None, None)
    finally:
        late.kill()


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line; and it is not imported where it is not asked for."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "nats"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if ".log.jetstream" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nats", None)
    assert log_of(Settings()) is None
    with pytest.raises(CannotJoin, match=r"pip install 'cameleer-registry\[cluster\]'"):
        log_of(Settings(cluster=Urls(("nats://a:4222",))))


async def test_a_node_stops_at_an_entry_that_it_does_not_know(
    nats: NatsServers, tmp_path: Path
) -> None:
    """It leaves none out: the others may know it."""
    async with nodes(nats, tmp_path, "a") as (a,):
        await a.enter("x")
        client = await nats_py.connect(nats.urls)
        await client.jetstream().publish("cameleer.log", b'[1,"newer",1,[["dance"]]]')
        await client.close()
        assert a.served is not None
        assert 1 == await within(a.served.process.wait(), 30)


async def test_who_was_stopped_for_long_does_not_win(nats: NatsServers, tmp_path: Path) -> None:
    """SIGSTOP, and the agent goes elsewhere: the older stream is ended when the node goes on."""
    async with nodes(nats, tmp_path, "a", "b") as (a, b), httpx.AsyncClient(timeout=30) as client:
        await a.enter("x")
        assert a.served is not None
        async with client.stream("GET", f"{a.api}/agents/x/events") as older:
            lines = older.aiter_lines()
            await anext(lines)
            a.served.process.send_signal(signal.SIGSTOP)
            await b.shows(lambda: b.ask("GET", "/agents/x"), lambda x: not x["connected"])
            async with client.stream("GET", f"{b.api}/agents/x/events") as newer:
                at_b = newer.aiter_lines()
                await anext(at_b)
                a.served.process.send_signal(signal.SIGCONT)
                async with asyncio.timeout(30):
                    assert not [line async for line in lines if line.startswith("id:")]
                issued = None
                async with asyncio.timeout(30):
                    while issued is None or issued.status_code != 202:
                        issued = await a.ask("POST", "/agents/x/commands", {"type": "replay"})
                async with asyncio.timeout(30):
                    found = [line async for line in _until(at_b, "id:")]
                assert [f"id: {issued.json()['commandId']}"] == found
                assert (await b.ask("GET", "/agents/x")).json()["status"] == "LIVE"
        await same_everywhere(a, b)


async def _until(lines: AsyncIterator[str], prefix: str) -> AsyncIterator[str]:
    async for line in lines:
        if line.startswith(prefix):
            yield line
            return
