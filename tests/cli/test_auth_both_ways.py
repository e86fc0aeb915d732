"""``auth token`` and ``auth keys``: the same of a server that runs and of one that is stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import define

from cameleer_registry.security import tokens
from cameleer_registry.security.keys import KeySet, Status, Use

from ..processes import Server, run, server
from .test_auth import said

COUNT = 100


@define
class Registry:
    """A registry with its keys, and a way to run ``auth`` on it."""

    database: Path
    admin: str
    enrolment: str
    root: str
    url: str | None = None
    """Where it runs; None while it is stopped."""

    async def auth(self, *args: str, token: str | None = None) -> tuple[int, str, str]:
        if self.url is None:
            return await run("auth", *args, "--database", str(self.database))
        shown = self.admin if token is None else token
        return await run("auth", *args, CAMELEER_URL=self.url, CAMELEER_TOKEN=shown)

    async def done(self, *args: str) -> str:
        status, out, err = await self.auth(*args)
        assert 0 == status, err
        return out

    async def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await self.done("token", "list", "--json"))
        return found

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        async with server("--port", "0", "--database", str(self.database)) as served:
            yield served
            assert 0 == await served.terminate()

    @asynccontextmanager
    async def either(self, *, runs: bool) -> AsyncIterator[None]:
        """Run it, or leave it stopped."""
        if not runs:
            yield
            return
        async with self.running() as served:
            self.url = served.url
            yield
        self.url = None


@pytest.fixture
async def registry(tmp_path: Path) -> Registry:
    database = tmp_path / "registry.db"
    status, out, err = await run("auth", "init", "--database", str(database))
    assert 0 == status, err
    made = said(out)
    return Registry(database, made["admin token"], made["enrolment token"], made["root key"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def code_of(served: Server, token: str, path: str = "/agents") -> str:
    async with served.client(headers=bearer(token)) as client:
        answer = await client.get(path)
    return "passed" if answer.is_success else answer.json()["type"].rpartition(":")[2]


RUNS = pytest.mark.parametrize("runs", [False, True], ids=["stopped", "running"])


@RUNS
async def test_tokens(runs: bool, registry: Registry) -> None:
    """Made with all that can be said of them, listed without what is secret, and revoked."""
    async with registry.either(runs=runs):
        options = ("--group", "order-*", "--group", "g", "--expires", "30d", "--note", "for CI")
        viewer = (await registry.done("token", "create", "--role", "viewer", *options)).strip()
        enrol = ("--role", "enrol", "--uses", "2", "--reclaim", "lapsed")
        enrolment = (await registry.done("token", "create", *enrol)).strip()
        gone = (await registry.done("token", "create", "--role", "operator")).strip()
        assert registry.root == tokens.parse(enrolment).root
        by_role = {one["role"]: one for one in await registry.listed()}
        shown = by_role["viewer"]
        assert (["order-*", "g"], "for CI") == (shown["groups"], shown["note"])
        assert shown["expiresAt"] > shown["createdAt"]
        assert (2, 0, "lapsed") == tuple(by_role["enrol"][k] for k in ("uses", "used", "reclaim"))
        assert (runs, None) == (shown["issuedBy"] is not None, by_role["enrol"]["expiresAt"])
        text = await registry.done("token", "list")
        for secret in (viewer, enrolment, gone, registry.admin):
            assert secret not in text
        await registry.done("token", "revoke", by_role["operator"]["tokenId"])
        await registry.done("token", "revoke", by_role["operator"]["tokenId"])  # changes nothing
        status = {one["role"]: one["status"] for one in await registry.listed()}
        assert ("revoked", "active") == (status["operator"], status["viewer"])
        for wrong in (
            ("token", "revoke", "nobody"),
            ("token", "create", "--role", "viewer", "--uses", "1"),
            ("token", "create", "--role", "viewer", "--group", "a b"),
            ("token", "create", "--role", "viewer", "--expires", "0"),
            ("token", "create", "--role", "agent"),
        ):
            number, out, err = await registry.auth(*wrong)
            assert (True, "") == (number != 0, out), wrong
            assert "Traceback" not in err
        assert 5 == len(await registry.listed())
    async with registry.running() as served:
        assert "passed" == await code_of(served, viewer)
        assert "insufficient-role" == await code_of(served, viewer, "/auth/tokens")
        assert "credential-revoked" == await code_of(served, gone)
        async with served.client(headers=bearer(enrolment)) as client:
            for agent_id, expected in (("a", 201), ("a", 409), ("b", 201), ("c", 401)):
                body = {"agentId": agent_id, "group": "g"}
                answer = await client.post("/agents/register", json=body)
                assert expected == answer.status_code


@RUNS
async def test_keys(runs: bool, registry: Registry) -> None:
    """Shown, announced, active and revoked; the file, the database and the server agree."""
    async with registry.either(runs=runs):
        for use in ("command", "token"):
            for expected in ("next", "retired"):
                assert expected in await registry.done("keys", "rotate", use)
        shown = (await registry.done("keys", "show")).splitlines()
        active = next(line.split("\t")[0] for line in shown if "command\tactive" in line)
        assert "revoked" in await registry.done("keys", "revoke", active)
        status, out, err = await registry.auth("keys", "revoke", "nobody")
        assert (True, "") == (status != 0, out)
        assert "Traceback" not in err
    document = json.loads(registry.database.with_name("keys.json").read_text())
    async with registry.running() as served, served.client() as client:
        keys = KeySet.read((await client.get("/keys")).content, root=registry.root)
    assert 6 == keys.version
    of_file = KeySet.read(document["keySet"].encode(), root=registry.root)
    assert keys == of_file
    found = keys.find(active)
    assert found is not None
    assert Status.REVOKED is found.status
    assert keys.active(Use.COMMAND) not in (None, found)
    if runs:
        status, _, err = await registry.auth("keys", "show")
        assert 0 == status, err


async def test_who_may_not(registry: Registry) -> None:
    """Of a running server only an admin changes tokens and keys; everybody is shown the keys."""
    async with registry.either(runs=True):
        viewer = (await registry.done("token", "create", "--role", "viewer")).strip()
        for command in (
            ("token", "list"),
            ("token", "create", "--role", "viewer"),
            ("token", "revoke", "x"),
            ("keys", "rotate", "command"),
            ("keys", "revoke", "x"),
        ):
            for token in (viewer, "camo_x"):
                status, out, err = await registry.auth(*command, token=token)
                assert (True, "") == (status != 0, out), command
                assert token not in err
        status, _, err = await registry.auth("keys", "show", token=viewer)
        assert 0 == status, err


async def gathered(calls: Any) -> list[httpx.Response]:
    answers: list[httpx.Response] = await asyncio.gather(*calls)
    return answers


async def test_a_hundred_agents_over_restarts(registry: Registry) -> None:
    """Keys are rotated while the server is stopped, and nobody enrols again.

    Who was revoked stays so, also when the agent is deleted.
    """
    agents = [f"a-{number:03}" for number in range(COUNT)]
    async with (
        registry.running() as served,
        served.client(headers=bearer(registry.enrolment)) as client,
    ):
        answers = await gathered(
            client.post("/agents/register", json={"agentId": one, "group": "g"}) for one in agents
        )
        shown = {
            one: bearer(answer.json()["credential"]["accessToken"])
            for one, answer in zip(agents, answers, strict=True)
        }
    for use in ("token", "token", "command", "command"):
        await registry.done("keys", "rotate", use)

    async def codes(client: httpx.AsyncClient, *of: str) -> list[int]:
        return [
            answer.status_code
            for answer in await gathered(
                client.post(f"/agents/{one}/heartbeat", headers=shown[one]) for one in of
            )
        ]

    async with registry.running() as served, served.client() as client:
        assert [204] * COUNT == await codes(client, *agents)
        admin = bearer(registry.admin)
        assert 204 == (await client.delete("/agents/a-000/token", headers=admin)).status_code
        assert 204 == (await client.delete("/agents/a-001/token", headers=admin)).status_code
        assert 204 == (await client.delete("/agents/a-001", headers=admin)).status_code
        # Within the same second it enrols again, as another process.
        answer = await client.post(
            "/agents/register",
            json={"agentId": "a-001", "group": "g"},
            headers=bearer(registry.enrolment),
        )
        assert 201 == answer.status_code
        again = bearer(answer.json()["credential"]["accessToken"])
        assert [401, 401, 204] == await codes(client, "a-000", "a-001", "a-002")
    async with registry.running() as served, served.client() as client:
        answers = await gathered(
            client.post(f"/agents/{one}/{what}", headers=shown[one])
            for one in ("a-000", "a-001")
            for what in ("heartbeat", "token")
        )
        assert {"urn:cameleer:problem:credential-revoked"} == {
            answer.json()["type"] for answer in answers
        }
        answer = await client.post("/agents/a-001/heartbeat", headers=again)
        assert 204 == answer.status_code
        assert [204] * (COUNT - 2) == await codes(client, *agents[2:])
