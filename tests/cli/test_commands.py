"""``commands`` and ``forget --dead``, against a server that answers as the contract has it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from attrs import define, field

from ..processes import run
from ..support import running
from ..terminal import terminal
from .support import complaint


def command(number: int, **more: Any) -> dict[str, Any]:
    """Return a command as the server lists it."""
    return {
        "commandId": f"0193a1b2-0000-7000-8000-{number:012}",
        "type": "config-update",
        "payload": {"revision": number},
        "target": {"level": "group", "group": "orders"},
        "status": "ACKNOWLEDGED",
        "createdAt": "2026-11-23T08:15:30.123Z",
        "expiresAt": "2026-11-23T08:16:30.123Z",
        "targetCount": 3,
        "connectedCount": 3,
        "skipped": [],
        "counts": {"PENDING": 0, "ACKNOWLEDGED": 3, "EXPIRED": 0},
        "outcomes": {"SUCCESS": 3, "FAILURE": 0},
        "issuedBy": None,
        **more,
    }


@define
class Stub:
    """A server with some commands, and agents that are DEAD."""

    commands: list[dict[str, Any]] = field(factory=list)
    asked: list[str] = field(factory=list)
    url: str = ""

    async def list(self, request: web.Request) -> web.Response:
        self.asked.append(request.query_string)
        following = [
            each for each in self.commands if each["commandId"] < request.query.get("before", "9")
        ]
        return web.json_response(following[: int(request.query["limit"])])

    async def forget(self, request: web.Request) -> web.Response:
        self.asked.append(request.query_string)
        return web.json_response({"removed": 12})


@asynccontextmanager
async def stub(*commands: dict[str, Any]) -> AsyncIterator[Stub]:
    made = Stub(list(commands))
    app = web.Application()
    app.router.add_get("/api/v1/commands", made.list)
    app.router.add_delete("/api/v1/agents", made.forget)
    async with running(app) as (host, port):
        made.url = f"http://{host}:{port}"
        yield made


FAILED = command(3, outcomes={"SUCCESS": 1, "FAILURE": 2}, payload={}, payloadTruncated=True)
EXPIRED = command(
    2,
    type="deep-trace",
    target={"level": "agent", "agentId": "order-service-1"},
    status="EXPIRED",
    counts={"PENDING": 0, "ACKNOWLEDGED": 2, "EXPIRED": 1},
    outcomes={"SUCCESS": 2, "FAILURE": 0},
)
NOBODY = command(
    1,
    target={"level": "all"},
    status="UNDELIVERABLE",
    targetCount=0,
    counts={"PENDING": 0, "ACKNOWLEDGED": 0, "EXPIRED": 0},
    outcomes={"SUCCESS": 0, "FAILURE": 0},
)


async def test_commands() -> None:
    """A line each, newest first: how many have done it, failed, let it expire, or are pending."""
    async with stub(FAILED, EXPIRED, NOBODY) as asked:
        status, out, err = await run("commands", "--url", asked.url)
    assert (0, "") == (status, err)
    at = "2026-11-23T08:15:30.123Z"
    expected = [
        f"{FAILED['commandId']}\tconfig-update\tgroup orders\tACKNOWLEDGED\t1\t2\t0\t0\t{at}",
        f"{EXPIRED['commandId']}\tdeep-trace\tagent order-service-1\tEXPIRED\t2\t0\t1\t0\t{at}",
        f"{NOBODY['commandId']}\tconfig-update\tall\tUNDELIVERABLE\t0\t0\t0\t0\t{at}",
    ]
    assert expected == out.splitlines()


async def test_commands_in_a_terminal() -> None:
    """One whose agents have failed cannot be taken for one that is done, in 80 columns either."""
    async with (
        stub(FAILED, EXPIRED, NOBODY) as asked,
        terminal("commands", "--url", asked.url) as s,
    ):
        assert 0 == await s.ended()
        head, failed, expired, nobody = s.text.splitlines()
        assert ["COMMAND", "TYPE", "RESULTS"] == head.split()
        assert failed.endswith("1 acknowledged, 2 failed")
        assert "red" == s.colour_of("2 failed")
        assert "2 acknowledged, 1" in expired
        assert nobody.endswith("nobody was there")
    async with stub() as asked, terminal("commands", "--url", asked.url) as s:
        assert 0 == await s.ended()
        assert "No commands." == s.text


async def test_commands_as_json() -> None:
    """What the server says, in its words; a payload that was left out says so."""
    async with stub(FAILED, EXPIRED) as asked:
        status, out, _ = await run("commands", "--url", asked.url, "--json")
    assert 0 == status
    first, second = json.loads(out)
    assert {name: value for name, value in FAILED.items() if name != "payload"} == first
    assert EXPIRED == second


async def test_commands_that_are_wanted() -> None:
    """Every filter is the server's, and may be given more than once."""
    args = (
        *("--status", "expired", "--status", "PENDING", "--type", "replay", "--agent", "a-1"),
        *("--group", "orders", "--group", "billing"),
    )
    async with stub() as asked:
        status, _, _ = await run("commands", *args, "--url", asked.url)
    assert 0 == status
    expected = "status=EXPIRED&status=PENDING&type=replay&agentId=a-1&group=orders&group=billing"
    assert [f"{expected}&limit=100"] == asked.asked


async def test_commands_come_in_pages() -> None:
    """As many as are wanted, and no page more."""
    many = [command(number) for number in range(250, 0, -1)]
    async with stub(*many) as asked:
        _, out, _ = await run("commands", "--limit", "120", "--url", asked.url)
        assert 120 == len(out.splitlines())
        assert ["limit=100", f"limit=100&before={many[99]['commandId']}"] == asked.asked
        async with terminal("commands", "--url", asked.url) as shown:
            assert 0 == await shown.ended()
            assert "There are more: --limit 500 shows them." == shown.text.splitlines()[-1]


async def test_forgetting_the_dead() -> None:
    """All at once, or those of some groups; it says how many there were."""
    async with stub() as asked:
        assert (0, "forgotten\t12\n", "") == await run("forget", "--dead", "--url", asked.url)
        args = ("forget", "--dead", "--group", "a", "--group", "b", "--json", "--url", asked.url)
        assert (0, '{"removed":12}\n', "") == await run(*args)
        async with terminal("forget", "--dead", "--url", asked.url) as shown:
            assert 0 == await shown.ended()
            assert "forgotten  12 agents" == shown.text
    assert ["status=DEAD", "status=DEAD&group=a&group=b", "status=DEAD"] == asked.asked


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "say one of ID and --dead"),
        (["a", "--dead"], "say one of ID and --dead"),
        (["a", "--group", "g"], "--group goes with --dead"),
    ],
)
def test_forgetting_nobody_in_particular(
    args: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A word that is missing must not forget a fleet."""
    assert words in complaint(capsys, monkeypatch, "forget", *args)
