"""In which order a request is refused that is wrong in every way, and that nothing else is read."""

from __future__ import annotations

from typing import Any, Final

import pytest
from aiohttp import web
from attrs import evolve, frozen

from cameleer_registry.setting_values import HostNames
from cameleer_registry.web.inline import InlineRunner

from ..closed import SETTINGS, Closed, closed
from ..support import Answer, connected

WAYS: Final = {"inline": InlineRunner, "aiohttp's": web.AppRunner}


@frozen(kw_only=True)
class Asked:
    """A request, wrong in every way unless something is said."""

    host: str = "evil.example"
    method: str = "POST"
    path: str = "/nix"
    version: str = "9"
    site: str = "cross-site"
    query: str = "?token=x"
    credential: str | None = "camo_garbage"
    body: bytes | None = None
    """None for one that is announced and never comes."""


@frozen(kw_only=True)
class Address:
    """An address, and who may not ask there, who may, and what is there."""

    method: str
    nobody_is_there: str
    code: str
    there: str
    may_not: str
    may: str
    good: bytes
    status: int


COMMAND: Final = b'{"type":"replay"}'
ADDRESSES: Final = {
    "to an agent": Address(
        method="POST",
        nobody_is_there="/agents/nobody/commands",
        code="agent-not-registered",
        there="/agents/a/commands",
        may_not="viewer",
        may="operator",
        good=COMMAND,
        status=202,
    ),
    "to a group": Address(
        method="POST",
        nobody_is_there="/agents/groups/nobody/commands",
        code="group-not-found",
        there="/agents/groups/g/commands",
        may_not="a",
        may="admin",
        good=COMMAND,
        status=202,
    ),
    "an answer": Address(
        method="POST",
        nobody_is_there="/agents/a/commands/0193f1aa-0000-7000-8000-000000000000/ack",
        code="command-not-found",
        there="/agents/a/commands/{command_id}/ack",
        may_not="operator",
        may="a",
        good=b'{"status":"SUCCESS"}',
        status=200,
    ),
}


async def answer_to(served: Closed, asked: Asked) -> tuple[list[int], Answer]:
    """Send a request; return the interim answers, and the one that counts."""
    token = served.tokens.get(asked.credential or "", asked.credential)
    lines = [
        f"{asked.method} /api/v1{asked.path}{asked.query} HTTP/1.1",
        f"Host: {asked.host}",
        f"X-Cameleer-Protocol-Version: {asked.version}",
        f"Sec-Fetch-Site: {asked.site}",
        *([] if token is None else [f"Authorization: Bearer {token}"]),
        f"Content-Length: {1000 if asked.body is None else len(asked.body)}",
        "Expect: 100-continue",
    ]
    interim = []
    async with connected(served) as connection:
        connection.writer.write("\r\n".join([*lines, "", ""]).encode())
        if asked.body is not None:
            interim.append((await connection.head()).status)
            connection.writer.write(asked.body)
        return interim, await connection.answer()


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=[*ADDRESSES])
@pytest.mark.parametrize("way", WAYS.values(), ids=[*WAYS])
async def test_the_order_of_refusals(way: type[web.AppRunner], address: Address) -> None:
    """Host, address, version, site, credential in the URL, credential, role, existence, body.

    A body that is announced, and never comes, is waited for by nobody before all that is right;
    nor is it asked for.
    """
    settings = evolve(SETTINGS, allowed_hosts=HostNames(("registry.example",)))
    async with closed(runs=way, settings=settings) as served:
        issued = await served.ask("admin", "POST", "/agents/a/commands", {"type": "replay"})
        there = address.there.format(command_id=issued.json()["commandId"])
        steps: list[tuple[dict[str, Any], str]] = [
            ({}, "unknown-host"),
            ({"host": "registry.example"}, "not-found"),
            ({"path": there, "method": "PUT"}, "method-not-allowed"),
            (
                {"path": address.nobody_is_there, "method": address.method},
                "unsupported-protocol-version",
            ),
            ({"version": "1"}, "cross-site-request"),
            ({"site": "none"}, "credential-in-url"),
            ({"query": ""}, "invalid-token"),
            ({"credential": None}, "unauthenticated"),
            ({"credential": address.may_not}, "insufficient-role"),
            ({"credential": address.may}, address.code),
        ]
        asked = Asked()
        for right, code in steps:
            asked = evolve(asked, **right)
            interim, answer = await answer_to(served, asked)
            assert ([], code) == (interim, answer.code), asked
        asked = evolve(asked, path=there)
        for body, expected in ((b"{", 400), (address.good, address.status)):
            interim, answer = await answer_to(served, evolve(asked, body=body))
            assert ([100], expected) == (interim, answer.status)


@pytest.mark.parametrize("way", WAYS.values(), ids=[*WAYS])
async def test_a_registration_is_judged_by_its_body_last(way: type[web.AppRunner]) -> None:
    """Which agent it is stands in there; whoever may register nobody is refused before."""
    async with closed(runs=way) as served:
        right = Asked(
            host="any", path="/agents/register", version="1", site="none", query="", body=None
        )
        for credential, code in {
            None: "unauthenticated",
            "camo_x": "invalid-token",
            "operator": "insufficient-role",
        }.items():
            interim, answer = await answer_to(served, evolve(right, credential=credential))
            assert ([], code) == (interim, answer.code)
        for body, code in {
            b"{": "malformed-json",
            b'{"agentId":"b","group":"g"}': "not-your-agent",
            b'{"agentId":"a","group":"other"}': "group-not-allowed",
        }.items():
            interim, answer = await answer_to(served, evolve(right, credential="a", body=body))
            assert ([100], code) == (interim, answer.code)
