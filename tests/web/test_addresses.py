"""Every address of the table of routes, with credentials that are good and not for it.

What is written out here by hand is the contract. An address that is added to the table has to be
decided upon here and in :mod:`.test_credentials`.
"""

from __future__ import annotations

from typing import Final

import pytest
from aiohttp import web

from cameleer_registry.security.principals import Role
from cameleer_registry.web.inline import InlineRunner

from ..closed import Closed, closed
from ..support import connected
from .test_credentials import ADDRESSES, MAY, OWN, code_of, filled

WAYS: Final = {"inline": InlineRunner, "aiohttp's": web.AppRunner}
OF_WHAT_WAS_SENT: Final = {"malformed-json", "invalid-request"}
"""Refusals that come when all of a credential is settled."""

OUTSIDE: Final = {
    "GET /metrics": "insufficient-role",
    "GET /api/v1/nodes": "insufficient-role",
    "GET /api/v1/agents": "passed",
    "DELETE /api/v1/agents": "passed",
    "GET /api/v1/commands": "passed",
    "GET /api/v1/server": "passed",
    "GET /api/v1/agents/groups": "passed",
    "GET /api/v1/agents/{agent_id}": "agent-not-registered",
    "DELETE /api/v1/agents/{agent_id}": "agent-not-registered",
    "DELETE /api/v1/agents/{agent_id}/token": "agent-not-registered",
    "POST /api/v1/agents/{agent_id}/commands": "agent-not-registered",
    "POST /api/v1/agents/groups/{group}/commands": "group-not-found",
    "POST /api/v1/agents/commands": "insufficient-role",
    "GET /api/v1/agents/{agent_id}/commands": "agent-not-registered",
    "GET /api/v1/events": "passed",
    "GET /api/v1/commands/{command_id}": "command-not-found",
    "GET /api/v1/commands/{command_id}/deliveries": "command-not-found",
    "POST /api/v1/auth/session/code": "passed",
    "POST /api/v1/auth/tokens": "passed",
    "GET /api/v1/auth/tokens": "passed",
    "DELETE /api/v1/auth/tokens/{token_id}": "not-found",
    "POST /api/v1/keys/{use}/rotate": "insufficient-role",
    "DELETE /api/v1/keys/{key_id}": "insufficient-role",
}
"""What comes of asking for what is outside of a token's groups, by a role that may ask."""


@pytest.fixture(params=[*WAYS.values()], ids=[*WAYS])
def way(request: pytest.FixtureRequest) -> type[web.AppRunner]:
    runs: type[web.AppRunner] = request.param
    return runs


async def asked(served: Closed, address: str, kind: str, **parts: str) -> str:
    """Ask, and return the code of the refusal, or "passed"."""
    method, path = filled(address, parts.pop("agent_id", "a"), **parts)
    async with connected(served) as connection:
        head = [f"{method} {path[1:]} HTTP/1.1", f"Host: {served.host}", "Content-Length: 0"]
        head.append(f"Authorization: Bearer {served.tokens[kind]}")
        connection.writer.write("\r\n".join([*head, "", ""]).encode())
        answer = await connection.head()
        if answer.headers.get("content-type") != "application/problem+json":
            return "passed"
        length = int(answer.headers["content-length"])
        answer.body = await connection.reader.readexactly(length)
        return "passed" if answer.code in OF_WHAT_WAS_SENT else answer.code


def test_the_table_is_whole() -> None:
    """Of what viewers, operators and admins may do at all."""
    assert {address for address in ADDRESSES if MAY[address] & {"admin"}} - {
        address for address in ADDRESSES if "nobody" in MAY[address]
    } == set(OUTSIDE)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
async def test_what_is_outside_of_a_scope(way: type[web.AppRunner], role: Role) -> None:
    """It does not exist, whether an id is written plainly or with escapes."""
    async with closed(runs=way) as served:
        served.tokens["narrow"] = served.create(role, groups=("other*",))
        command = await served.ask("admin", "POST", "/agents/a/commands", {"type": "replay"})
        parts = {"command_id": command.json()["commandId"]}
        parts["token_id"] = served.node.authority.credentials.tokens()[0].token_id
        for address, expected in OUTSIDE.items():
            if role in MAY[address]:
                for agent_id in ("a", "%61"):
                    came = await asked(served, address, "narrow", agent_id=agent_id, **parts)
                    assert expected == came, address
        assert "a" in served.node.registry, "nothing was deleted"
        assert 1 == len(served.node.commands())


@pytest.mark.parametrize("address", OWN)
async def test_an_agent_that_was_revoked(way: type[web.AppRunner], address: str) -> None:
    """At each of its own addresses, also for renewing, and under an id with escapes."""
    async with closed(runs=way) as served:
        await served.ask("operator", "DELETE", "/agents/a/token")
        for agent_id in ("a", "%61", "b", "nobody"):
            assert "credential-revoked" == await code_of(served, address, "a", agent_id=agent_id)


@pytest.mark.parametrize("address", [address for address in OWN if "a" in MAY[address]])
async def test_an_agent_that_is_in_another_group_now(
    way: type[web.AppRunner], address: str
) -> None:
    """Its former token opens nothing of what it is there."""
    async with closed(runs=way) as served:
        served.tokens["former"] = served.tokens["a"]
        assert 200 == (await served.enrol("a", "other")).status
        for agent_id in ("a", "%61"):
            code = await code_of(served, address, "former", agent_id=agent_id)
            assert "group-not-allowed" == code
            assert "passed" == await code_of(served, address, "a", agent_id=agent_id)
            if address.startswith("DELETE"):
                break


@pytest.mark.parametrize("kind", ["nobody", "garbage", "a", "enrol"])
async def test_head_is_asked_like_get(way: type[web.AppRunner], kind: str) -> None:
    """It tells as much: whether there is something, and how long that is."""
    async with closed(runs=way) as served:
        served.tokens["garbage"] = "garbage"
        headers = {} if kind == "nobody" else {"Authorization": f"Bearer {served.tokens[kind]}"}
        for address in ADDRESSES:
            method, path = filled(address)
            if method != "GET" or path.endswith("/events"):
                continue
            got, head = [
                await served.request(one, path, headers={**headers, "Content-Length": "0"})
                for one in ("GET", "HEAD")
            ]
            assert got.status == head.status, address
            if kind == "garbage":
                assert 401 == head.status
