"""Every address, with every kind of credential, on both ways to answer a request."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from aiohttp import web

from cameleer_registry.core.instant import NANOSECONDS
from cameleer_registry.security.inputs import Given
from cameleer_registry.security.principals import Role
from cameleer_registry.web.inline import InlineRunner
from cameleer_registry.web.routes import PAGES, ROUTES

from ..closed import Closed, bearer, closed
from ..support import connected

WAYS: Final = {"inline": InlineRunner, "aiohttp's": web.AppRunner}
EVERYBODY: Final = frozenset({"nobody", "enrol", "a", "metrics", "viewer", "operator", "admin"})
READERS: Final = frozenset({"viewer", "operator", "admin"})
OPERATORS: Final = frozenset({"operator", "admin"})

MAY: Final = {
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /metrics": READERS | {"metrics"},
    "GET /api/v1/agents": READERS,
    "DELETE /api/v1/agents": OPERATORS,
    "GET /api/v1/commands": READERS,
    "GET /api/v1/server": READERS,
    "GET /api/v1/nodes": READERS,
    "POST /api/v1/agents/register": {"enrol", "a"},
    "GET /api/v1/agents/groups": READERS,
    "GET /api/v1/agents/{agent_id}": READERS | {"a"},
    "DELETE /api/v1/agents/{agent_id}": OPERATORS | {"a"},
    "POST /api/v1/agents/{agent_id}/heartbeat": {"a"},
    "GET /api/v1/agents/{agent_id}/events": {"a"},
    "POST /api/v1/agents/{agent_id}/token": {"a"},
    "DELETE /api/v1/agents/{agent_id}/token": OPERATORS,
    "POST /api/v1/agents/{agent_id}/commands": OPERATORS,
    "POST /api/v1/agents/groups/{group}/commands": OPERATORS,
    "POST /api/v1/agents/commands": OPERATORS,
    "GET /api/v1/agents/{agent_id}/commands": READERS | {"a"},
    "POST /api/v1/agents/{agent_id}/commands/{command_id}/ack": {"a"},
    "GET /api/v1/events": READERS,
    "GET /api/v1/commands/{command_id}": READERS,
    "GET /api/v1/commands/{command_id}/deliveries": READERS,
    "GET /api/v1/auth": EVERYBODY,
    "POST /api/v1/auth/session": EVERYBODY,
    "POST /api/v1/auth/session/code": READERS,
    "DELETE /api/v1/auth/session": EVERYBODY,
    "POST /api/v1/auth/tokens": {"admin"},
    "GET /api/v1/auth/tokens": {"admin"},
    "DELETE /api/v1/auth/tokens/{token_id}": {"admin"},
    "GET /api/v1/keys": EVERYBODY,
    "POST /api/v1/keys/{use}/rotate": {"admin"},
    "DELETE /api/v1/keys/{key_id}": {"admin"},
    "GET /api/v1/openapi.json": EVERYBODY,
}
"""Who may ask at each address, written out by hand: the contract, and not the code."""

OWN: Final = [address for address in MAY if "{agent_id}" in address]


def template(path: str) -> str:
    path = re.sub(r"{agent_id:.*?\)\[\^/\]\+}", "{agent_id}", path)
    return re.sub(r"{(\w+):[^{}]*}", r"{\1}", path)


ADDRESSES: Final = [f"{method} {template(path)}" for method, path, *_ in ROUTES]


def test_the_table_is_whole() -> None:
    """An address that is added has to be decided upon here."""
    assert sorted(ADDRESSES) == sorted(MAY)


@pytest.fixture(params=[*WAYS.values()], ids=[*WAYS])
def way(request: pytest.FixtureRequest) -> type[web.AppRunner]:
    runs: type[web.AppRunner] = request.param
    return runs


def filled(address: str, agent_id: str = "a", **parts: str) -> tuple[str, str]:
    method, path = address.split(" ")
    values = {
        **{"agent_id": agent_id, "group": "g", "command_id": "none", "token_id": "none"},
        **{"key_id": "none", "use": "command"},
        **parts,
    }
    return method, f"/{path.format_map(values)}"


async def code_of(served: Closed, address: str, kind: str | None, **more: Any) -> str:
    """Return what comes of a request: a refusal by its code, or "passed"."""
    agent_id = more.pop("agent_id", "a")
    method, path = filled(address, agent_id)
    headers = {} if kind is None else bearer(served.tokens[kind])
    async with connected(served) as connection:
        head = [f"{method} {path[1:]} HTTP/1.1", f"Host: {served.host}", "Content-Length: 0"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        connection.writer.write("\r\n".join([*head, "", ""]).encode())
        answer = await connection.head()
        if (
            answer.headers["content-type"] != "application/problem+json"
            if ("content-type" in answer.headers)
            else True
        ):
            return "passed"
        length = int(answer.headers["content-length"])
        answer.body = await connection.reader.readexactly(length)
        code = answer.code
    refusals = {"unauthenticated", "insufficient-role", "not-your-agent", "group-not-allowed"}
    refusals |= {"invalid-token", "token-expired", "credential-revoked", "credential-in-url"}
    return code if code in refusals else "passed"


@pytest.mark.parametrize("kind", sorted(EVERYBODY))
async def test_who_may_ask(way: type[web.AppRunner], kind: str) -> None:
    """At each address: those whom the table names, and nobody else."""
    for address, may in MAY.items():
        async with closed(runs=way) as served:
            code = await code_of(served, address, None if kind == "nobody" else kind)
        if kind in may:
            assert "passed" == code, address
        else:
            refusal = "unauthenticated" if kind == "nobody" else "insufficient-role"
            assert refusal == code, address


@pytest.mark.parametrize("address", OWN)
async def test_another_agent_is_refused_whether_or_not_it_exists(
    way: type[web.AppRunner], address: str
) -> None:
    """Also under an id that is written with escapes."""
    async with closed(runs=way) as served:
        for agent_id in ("b", "%62", "nobody", "%6eobody"):
            assert "not-your-agent" == await code_of(served, address, "a", agent_id=agent_id)
        if "a" in MAY[address]:
            assert "passed" == await code_of(served, address, "a", agent_id="%61")


@pytest.mark.parametrize("address", ADDRESSES)
async def test_what_is_no_good_is_refused_everywhere(
    way: type[web.AppRunner], address: str
) -> None:
    """Also where no credential is needed: nobody shall take an answer for one to somebody else."""
    async with closed(runs=way) as served:
        authority, now = served.node.authority, served.node.clock.now()
        for role in (Role.ADMIN, Role.ENROL):
            text = served.create(role)
            token = authority.credentials.tokens()[-1]
            served.node.carry_out(authority.credentials.revoke_token(token.token_id, now=now))
            served.tokens["revoked"] = text
            assert "credential-revoked" == await code_of(served, address, "revoked")
        served.tokens["expired"] = served.create(Role.ADMIN, expires_in_ms=1)
        earlier = now.after(-100 * 86_400 * NANOSECONDS)
        given = Given(token_id="t", lives=3600)
        made = authority.credential("a", "g", given, revocation=0, now=earlier)
        assert made is not None
        authority.verifier._verified.clear()
        served.tokens["expired agent"] = made.access_token
        for kind, garbage in {
            "garbage": "x",
            "mistyped": served.tokens["admin"][:-1] + "!",
            "no jwt": "eyJ.eyJ.x",
            "another's": "camo_" + "a" * 36,
        }.items():
            served.tokens[kind] = garbage
            assert "invalid-token" == await code_of(served, address, kind)
        for kind in ("expired", "expired agent"):
            assert "token-expired" == await code_of(served, address, kind), kind


async def test_a_revoked_agent_is_refused_at_once(way: type[web.AppRunner]) -> None:
    """By a counter: it may enrol again within the same moment."""
    async with closed(runs=way) as served:
        heartbeat = "POST /api/v1/agents/{agent_id}/heartbeat"
        assert "passed" == await code_of(served, heartbeat, "a")
        old = served.tokens["a"]
        assert 204 == (await served.ask("operator", "DELETE", "/agents/a/token")).status
        assert "credential-revoked" == await code_of(served, heartbeat, "a")
        assert 200 == (await served.enrol("a")).status
        assert "passed" == await code_of(served, heartbeat, "a")
        served.tokens["old"] = old
        assert "credential-revoked" == await code_of(served, heartbeat, "old")
        # Deleting the agent un-revokes nothing.
        assert 204 == (await served.ask("operator", "DELETE", "/agents/a")).status
        assert "credential-revoked" == await code_of(served, heartbeat, "old")


@pytest.mark.parametrize("name", ["token", "access_token", "%74oken", "access%5Ftoken"])
async def test_a_credential_in_the_address_is_refused(way: type[web.AppRunner], name: str) -> None:
    """With or without one in the header."""
    async with closed(runs=way) as served:
        for method, path in (("GET", "/agents"), ("POST", "/agents/a/heartbeat"), ("GET", "/auth")):
            for kind in (None, "admin"):
                answer = await served.ask(kind, method, f"{path}?{name}=x")
                assert "credential-in-url" == answer.code


async def test_one_header_and_no_other_scheme(way: type[web.AppRunner]) -> None:
    """Two are ambiguous, and the scheme may be written in any case."""
    async with closed(runs=way) as served:
        token = served.tokens["a"]
        for scheme in ("Bearer", "bearer", "BEARER"):
            answer = await served.request(
                "POST", "/agents/a/heartbeat", headers={"Authorization": f"{scheme} {token}"}
            )
            assert 204 == answer.status
        answer = await served.request(
            "POST", "/agents/a/heartbeat", headers={"Authorization": f"Basic {token}"}
        )
        assert "unauthenticated" == answer.code
        assert answer.headers["www-authenticate"].startswith("Bearer")
        twice = {"Authorization": f"Bearer {token}", "authorization": f"Bearer {token}"}
        answer = await served.request("POST", "/agents/a/heartbeat", headers=twice)
        assert "invalid-request" == answer.code


async def test_nothing_of_a_body_is_read_before(way: type[web.AppRunner]) -> None:
    """A body that never comes is not waited for, and none is asked for."""
    async with closed(runs=way) as served, connected(served) as connection:
        connection.writer.write(
            b"POST /api/v1/agents/commands HTTP/1.1\r\nHost: localhost\r\n"
            b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"
        )
        answer = await connection.head()
        assert 401 == answer.status
    async with closed(runs=way) as served, connected(served) as connection:
        head = "\r\n".join(
            [
                *("POST /api/v1/agents/commands HTTP/1.1", "Host: localhost"),
                f"Authorization: Bearer {served.tokens['operator']}",
                *("Expect: 100-continue", "Content-Length: 17", "", ""),
            ]
        )
        connection.writer.write(head.encode())
        assert 100 == (await connection.head()).status
        connection.writer.write(b'{"type":"replay"}')
        assert 202 == (await connection.answer()).status


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v2/agents", "/nothing"])
async def test_what_does_not_exist_is_404_to_everybody(way: type[web.AppRunner], path: str) -> None:
    async with closed(runs=way) as served:
        for kind in (None, "a", "admin"):
            assert "not-found" == (await served.ask(kind, "GET", f"/{path}")).code


async def test_pages_are_open(way: type[web.AppRunner]) -> None:
    """Somebody has to see the page at which to sign in."""
    async with closed(runs=way) as served:
        for _, path, *_ in PAGES:
            if "{" not in path and path:
                answer = await served.request("GET", f"/{path}", headers={"Cookie": "cameleer=x"})
                assert answer.status in (200, 302, 308), path
