"""``agents``, ``agent``, ``groups`` and ``forget``, through a pipe and in a terminal."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from cameleer_registry import Settings

from ..processes import PROGRAM, environment, run
from ..support import Served, eventually, serving, streaming
from ..terminal import in_terminal, terminal

HOSTILE = "[b]:x:\u202e"
LONG = "a" + "-very" * 24 + "-long"


async def asked(served: Served, *args: str) -> str:
    """Return what a command prints that succeeds."""
    status, out, err = await run(*args, "--url", served.url)
    assert (0, "") == (status, err)
    return out


async def two_agents(served: Served) -> None:
    await served.register("a-1", "orders", version="4.8.1", routeIds=["in", "out"])
    await served.register("b-1", "billing", capabilities={"replay": True, "trace": {"depth": 3}})


async def test_agents(served: Served) -> None:
    """A line for each, with its values between tabs; a hyphen for what there is none of."""
    await two_agents(served)
    async with streaming(served, "a-1"):
        listed = (await served.request("GET", "/agents")).json()
        out = await asked(served, "agents")
    times = [agent["lastHeartbeatAt"] for agent in listed]
    expected = [
        f"a-1\torders\tLIVE\tyes\t4.8.1\t{times[0]}",
        f"b-1\tbilling\tLIVE\tno\t-\t{times[1]}",
    ]
    assert expected == out.splitlines()


async def test_agents_that_are_wanted(served: Served) -> None:
    """By status, in any case, and by group; each may be given more than once."""
    await two_agents(served)
    names = {
        ("--group", "orders"): ["a-1"],
        ("--group", "orders", "--group", "billing"): ["a-1", "b-1"],
        ("--status", "live", "--status", "DEAD"): ["a-1", "b-1"],
        ("--status", "STALE"): [],
        ("--group", "none"): [],
    }
    for args, expected in names.items():
        out = await asked(served, "agents", *args)
        assert expected == [line.split("\t")[0] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("args", "path"),
    [(["agents"], "/agents"), (["agent", "b-1"], "/agents/b-1"), (["groups"], "/agents/groups")],
)
async def test_json(args: list[str], path: str, served: Served) -> None:
    """One document on one line: what the server says, in its words."""
    await two_agents(served)
    out = await asked(served, *args, "--json")
    assert 1 == out.count("\n")
    assert (await served.request("GET", path)).json() == json.loads(out)


async def test_agent(served: Served) -> None:
    """A line for each thing that is known of it."""
    await two_agents(served)
    agent = (await served.request("GET", "/agents/b-1")).json()
    expected = [
        "agent\tb-1",
        "name\tb-1",
        "group\tbilling",
        "version\t-",
        "instance\t-",
        "status\tLIVE",
        f"status changed\t{agent['statusChangedAt']}",
        "connected\tno",
        f"last heartbeat\t{agent['lastHeartbeatAt']}",
        f"registered\t{agent['registeredAt']}",
        "capability\treplay",
        'capability\ttrace: {"depth":3}',
    ]
    assert expected == (await asked(served, "agent", "b-1")).splitlines()
    assert "route\tin\nroute\tout\n" in await asked(served, "agent", "a-1")


async def test_nodes(served: Served) -> None:
    """A registry alone is one node, which is called as its host."""
    [line] = (await asked(served, "nodes")).splitlines()
    name, status, streams, position, *_ = line.split("\t")
    assert (socket.gethostname(), "LIVE", "0", "0") == (name, status, streams, position)
    [node] = json.loads(await asked(served, "nodes", "--json"))
    assert (name, True) == (node["name"], node["own"])


async def test_groups(served: Served) -> None:
    """A line for each: LIVE, STALE, DEAD, connected."""
    assert "" == await asked(served, "groups")
    await two_agents(served)
    async with streaming(served, "a-1"):
        assert "billing\t1\t0\t0\t0\norders\t1\t0\t0\t1\n" == await asked(served, "groups")


async def test_forget(served: Served) -> None:
    """The agent is gone; and it says so."""
    await two_agents(served)
    assert "forgotten\ta-1\n" == await asked(served, "forget", "a-1")
    assert '{"agentId":"b-1"}\n' == await asked(served, "forget", "b-1", "--json")
    assert [] == served.node.agents()


async def test_forgetting_several(served: Served) -> None:
    """Each is told; one that is not there holds up no other, and is named at the end."""
    await two_agents(served)
    await served.register("c-1")
    status, out, err = await run("forget", "a-1", "x-1", "b-1", "a-1", "--url", served.url)
    assert (3, ["forgotten\ta-1", "forgotten\tb-1"]) == (status, out.splitlines())
    assert err == "cameleer-registry: not registered: x-1\n"
    assert '[{"agentId":"c-1"}]\n' == await asked(served, "forget", "c-1", "c-1", "--json")


@pytest.mark.parametrize("command", ["agent", "forget"])
@pytest.mark.parametrize("agent_id", ["a-1", "../groups", "\x1b[31m"])
async def test_an_agent_that_is_not_there(command: str, agent_id: str, served: Served) -> None:
    """The server refuses, or would: status 3."""
    status, out, err = await run(command, agent_id, "--url", served.url)
    assert (3, "") == (status, out)
    assert f"cameleer-registry: agent {agent_id!r} is not registered\n" == err


async def test_nothing_is_cut_off_in_a_pipe(served: Served) -> None:
    """However long it is, and however narrow the terminal would be."""
    await served.register(LONG, version="v" * 256)
    status, out, _ = await run("agents", "--url", served.url, COLUMNS="20")
    assert (0, 1) == (status, out.count("\n"))
    assert f"{LONG}\tg\tLIVE\tno\t{'v' * 256}\t" in out


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("command", ["agents", "agent"])
async def test_names_cannot_write_to_the_terminal(
    command: str, options: tuple[str, ...], served: Served
) -> None:
    """Neither markup nor what turns the direction of text is obeyed, and no escape is passed on."""
    await served.register("a", version=HOSTILE, routeIds=[HOSTILE], capabilities={"\x1b[2J": "\n"})
    args = [command, *(["a"] if command == "agent" else []), *options, "--url", served.url]
    async with terminal(*args, COLUMNS="200") as shown:
        assert 0 == await shown.ended()
    status, out, _ = await run(*args)
    assert 0 == status
    for written in (shown.raw.decode(), out):
        assert "[b]:x:" in written
        assert "\\u202e" in written
        assert not any(char in written for char in ("\u202e", "\x1b[2J"))
    assert "\x1b" not in out


async def test_who_has_not_come_back_since_the_server_has(tmp_path: Path) -> None:
    """One line in a terminal, which is gone when all have; programs are told by GET /server."""
    settings = Settings(database=str(tmp_path / "registry.db"))
    async with serving(settings) as served:
        await two_agents(served)
    async with serving(settings) as served:
        args = (*PROGRAM, "agents", "--url", served.url)
        await served.request("POST", "/agents/a-1/heartbeat")
        for line in (
            r"The server was away for \d+ s, until \d+ s ago: 1 agent that was LIVE or STALE "
            r"before has not come back since\.",
            None,
        ):
            async with in_terminal(*args, env=environment(TERM="xterm"), columns=200) as shown:
                assert 0 == await shown.ended()
                assert (line is not None) == bool(re.search(line or "The server was", shown.text))
            assert "The server" not in await asked(served, "agents")
            await served.request("POST", "/agents/b-1/heartbeat")


async def test_agents_in_a_terminal() -> None:
    """A table in colours, no wider than the terminal, in which no id is cut off."""
    settings = Settings(heartbeat_interval=0.2, stale_after=0.2, dead_after=0.2)
    async with serving(settings) as dying:
        await dying.register("old")
        await eventually(lambda: dying.node.agent("old").status == "DEAD")
        async with terminal("agents", "--url", dying.url) as shown:
            assert 0 == await shown.ended()
            assert "red" == shown.colour_of("DEAD")
            assert "1 agent: 0 LIVE, 0 STALE, 1 DEAD; 0 connected" == shown.text.splitlines()[-1]
    async with serving() as served:
        await served.register(LONG, "orders", version="v" * 256)
        async with streaming(served, LONG), terminal("agents", "--url", served.url) as shown:
            assert 0 == await shown.ended()
            head, *rows, totals = shown.text.splitlines()
            assert ["AGENT", "GROUP", "STATUS", "CONNECTED", "HEARTBEAT"] == head.split()
            assert re.search("orders  LIVE    yes        [0-9]+ s ago$", rows[0])
            assert 3 == len(rows)
            assert LONG == "".join(row.split()[0] for row in rows)
            assert "green" == shown.colour_of("LIVE")
            assert "1 agent: 1 LIVE, 0 STALE, 0 DEAD; 1 connected" == totals


@pytest.mark.parametrize(
    ("columns", "head"),
    [
        (70, "AGENT GROUP STATUS CONNECTED VERSION HEARTBEAT"),
        (60, "AGENT GROUP STATUS CONNECTED HEARTBEAT"),
        (36, "AGENT GROUP STATUS CONNECTED"),
        (25, "AGENT GROUP STATUS"),
    ],
)
async def test_agents_in_a_narrow_terminal(columns: int, head: str, served: Served) -> None:
    """Less is told of them, but always of whom."""
    await served.register("order-1", "orders", version="v" * 256)
    ask = (*PROGRAM, "agents", "--url", served.url)
    async with in_terminal(*ask, env=environment(TERM="xterm"), columns=columns) as shown:
        assert 0 == await shown.ended()
        first, row, *_ = shown.text.splitlines()
    assert head == " ".join(first.split())
    assert "order-1" == row.split()[0]


async def test_a_terminal_without_colours(served: Served) -> None:
    """Where the user wants none (no-color.org), or the terminal has none."""
    await served.register("a")
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        async with terminal("agents", "--url", served.url, **env) as shown:
            assert 0 == await shown.ended()
            assert "default" == shown.colour_of("LIVE")
            assert "AGENT" in shown.text


@pytest.mark.parametrize(
    ("command", "expected"), [("agents", "No agents."), ("groups", "No groups.")]
)
async def test_nobody_is_there(command: str, expected: str, served: Served) -> None:
    """People are told so; programs get nothing."""
    assert "" == await asked(served, command)
    async with terminal(command, "--url", served.url) as shown:
        assert 0 == await shown.ended()
        assert expected == shown.text


async def test_one_agent_and_groups_in_a_terminal(served: Served) -> None:
    """Names in a column, values in another."""
    await two_agents(served)
    async with terminal("agent", "a-1", "--url", served.url) as shown:
        assert 0 == await shown.ended()
        assert "agent           a-1" == shown.text.splitlines()[0]
        assert "green" == shown.colour_of("LIVE")
    async with terminal("groups", "--url", served.url) as shown:
        assert 0 == await shown.ended()
        expected = [
            "GROUP    LIVE  STALE  DEAD  CONNECTED",
            "billing     1      0     0          0",
        ]
        assert expected == shown.text.splitlines()[:2]


@pytest.mark.parametrize("env", [{"COLUMNS": "0"}, {"COLUMNS": "00", "LINES": "0"}])
async def test_a_terminal_that_does_not_know_how_wide_it_is(
    env: dict[str, str], served: Served
) -> None:
    """Is not taken for one in which there is no room for anything."""
    await served.register("order-1", "orders", version="1.2.3")
    async with terminal("agents", "--url", served.url, **env) as shown:
        assert 0 == await shown.ended()
        head, row, _ = shown.text.splitlines()
    assert ["AGENT", "GROUP", "STATUS", "CONNECTED", "VERSION", "HEARTBEAT"] == head.split()
    assert ["order-1", "orders", "LIVE", "no", "1.2.3"] == row.split()[:5]
