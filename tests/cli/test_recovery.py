"""What docs/security.md says of fleets that run open, and of keys that are lost."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from cameleer_registry.client import Agent
from cameleer_registry.client.trust import ROOT_VARIABLE

from ..processes import Server, free_port, run, server
from ..support import eventually


def said(out: str) -> dict[str, str]:
    """Return what ``auth init`` has printed."""
    return {line[:17].strip(): line[17:] for line in out.splitlines()}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


QUICK: Final = ("--heartbeat-interval", "0.5")
"""An agent looks for a server that is away within two intervals: else for up to half a minute, in
which the wait for a command would end."""


@asynccontextmanager
async def working(url: str, agent_id: str, token: str | None = None) -> AsyncIterator[list[int]]:
    """Run an agent, and gather the revisions that it took; it need not get in."""
    taken: list[int] = []
    agent = Agent(url, agent_id=agent_id, group="g", token=token)

    @agent.on("config-update")
    async def apply(command: object) -> None:
        taken.append(command.payload["revision"])  # type: ignore[attr-defined]

    task = asyncio.create_task(agent.run())
    try:
        yield taken
    finally:
        agent.stop()
        await asyncio.wait_for(task, 20)


async def command(client: httpx.AsyncClient, agent_id: str, revision: int) -> str:
    """Command an agent, and return what became of it."""
    body = {"type": "config-update", "payload": {"revision": revision}}
    async with asyncio.timeout(60):
        while True:
            answer = await client.post(f"/agents/{agent_id}/commands", json=body)
            if answer.status_code == 202:
                break
            await asyncio.sleep(0.1)
    path = f"/commands/{answer.json()['commandId']}"
    return str((await client.get(path, params={"wait": 20})).json()["status"])


async def anonymous(served: Server, headers: dict[str, str]) -> float:
    async with served.client(headers=headers) as client:
        text = (await client.get(f"{served.url}/metrics")).text
    found = re.findall(r"^cameleer_anonymous_requests_total (\S+)", text, re.M)
    return float(found[0])


@pytest.fixture(autouse=True)
def no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)


async def test_credentials_are_added_to_a_fleet_that_runs_open(tmp_path: Path) -> None:
    """Nobody is turned away until all have one: an agent of before stays, and takes commands."""
    database, port = str(tmp_path / "registry.db"), str(free_port())
    url = f"http://127.0.0.1:{port}"
    options = ("--port", port, "--database", database, *QUICK)
    async with working(url, "of-before") as taken:
        async with server(*options) as served, served.client() as nobody:
            assert "ACKNOWLEDGED" == await command(nobody, "of-before", 1)
            await served.terminate()
        status, out, err = await run("auth", "init", "--database", database)
        assert 0 == status, err
        made = said(out)
        admin = bearer(made["admin token"])
        async with server(*options, "--auth", "accept") as served:
            async with served.client() as nobody:
                assert "ACKNOWLEDGED" == await command(nobody, "of-before", 2)
                assert 401 == (await nobody.get("/agents", headers=bearer("wrong"))).status_code
            assert await anonymous(served, admin) > 1
            async with (
                working(url, "with-token", made["enrolment token"]) as its,
                served.client(headers=admin) as client,
            ):
                assert "ACKNOWLEDGED" == await command(client, "with-token", 3)
                assert [3] == its
            await served.terminate()
        async with (
            server(*options) as served,
            served.client(headers=admin) as client,
            served.client() as nobody,
        ):
            assert 401 == (await nobody.get("/agents")).status_code
            body = {"type": "config-update", "payload": {"revision": 4}}
            assert 202 == (await client.post("/agents/of-before/commands", json=body)).status_code
            await asyncio.sleep(1)
            assert [1, 2] == taken, "it has no credential"


async def test_keys_that_are_lost(tmp_path: Path) -> None:
    """Without them the server does not start; with a copy it does, and without one all is anew."""
    folder, port = tmp_path / "state", str(free_port())
    database, keys, url = folder / "registry.db", folder / "keys.json", f"http://127.0.0.1:{port}"
    options = ("--port", port, "--database", str(database), *QUICK)
    _, out, _ = await run("auth", "init", "--database", str(database))
    first = said(out)
    copy = tmp_path / "copy.json"
    shutil.copy2(keys, copy)
    async with working(url, "a", first["enrolment token"]) as taken:
        async with server(*options) as served:
            async with served.client(headers=bearer(first["admin token"])) as client:
                assert "ACKNOWLEDGED" == await command(client, "a", 1)
            await served.terminate()

        keys.unlink()
        status, out, err = await run("serve", *options)
        assert (2, "") == (status, out)
        assert "keys.json" in err.splitlines()[-1]
        assert not keys.exists(), "no others were made"

        shutil.copy2(copy, keys)
        async with server(*options) as served:
            async with served.client(headers=bearer(first["admin token"])) as client:
                assert "ACKNOWLEDGED" == await command(client, "a", 2)
            await served.terminate()

        folder.rename(tmp_path / "aside")
        status, out, err = await run("auth", "init", "--database", str(database))
        assert 0 == status, err
        anew = said(out)
        assert anew["root key"] != first["root key"]
        async with server(*options) as served:
            async with (
                served.client(headers=bearer(anew["admin token"])) as client,
                working(url, "b", anew["enrolment token"]) as its,
            ):
                assert "ACKNOWLEDGED" == await command(client, "b", 3)
                assert [3] == its
                assert ["b"] == [one["agentId"] for one in (await client.get("/agents")).json()]
            await served.terminate()
        assert [1, 2] == taken, "it believes the registry of its root only"


async def test_an_agent_refuses_a_server_with_another_root(tmp_path: Path) -> None:
    """Even one that would let it in: the token is of a file, and so the same at both."""
    token = tmp_path / "enrol"
    token.write_text("a-token-of-our-own-that-is-long-enough-0123456789\n")
    folders = [tmp_path / "one", tmp_path / "two"]
    roots = []
    for folder in folders:
        _, out, _ = await run("auth", "init", "--database", str(folder / "registry.db"))
        roots.append(said(out))
    env = {"CAMELEER_ENROL_TOKEN_FILE": str(token)}
    async with server(
        *("--port", "0", "--database", str(folders[1] / "registry.db")), env=env
    ) as served:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(ROOT_VARIABLE, roots[0]["root key"])
            agent = Agent(served.url, agent_id="a", group="g", token=token.read_text().strip())
            task = asyncio.create_task(agent.run())
            headers = bearer(roots[1]["admin token"])
            async with served.client(headers=headers) as client:

                async def is_known() -> bool:
                    return (await client.get("/agents/a")).status_code == 200

                async with asyncio.timeout(20):
                    while not await is_known():  # noqa: ASYNC110 - nothing tells when it is
                        await asyncio.sleep(0.05)
                await eventually(lambda: not agent.connected)
                assert not (await client.get("/agents/a")).json()["connected"]
            agent.stop()
            await asyncio.wait_for(task, 20)
