"""``send`` and ``command``: what is sent, what comes of it, and what the exit status says."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cameleer_registry import (
    Settings,
)

from ..processes import PROGRAM, environment, run, server
from ..support import Served, eventually, serving, within
from ..terminal import END_OF_INPUT, INTERRUPT, Terminal, terminal
from .support import complaint


async def issued(served: Served) -> str:
    """Wait for the first command, and return its id."""

    def commands() -> list[Any]:
        return served.node.agent_deliveries("a") if served.node.agents() else []

    await eventually(commands)
    return str(commands()[0].command_id)


def sending(served: Served, *args: str, **more: str) -> asyncio.Task[tuple[int, str, str]]:
    """Send, while the test goes on."""
    return asyncio.create_task(run("send", *args, "--url", served.url, **more))


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A registry with three agents in two groups, of which none listens."""
    async with serving(Settings(max_pending_per_agent=2)) as served:
        await served.register("a", "orders")
        await served.register("b", "orders")
        await served.register("c", "billing")
        yield served


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder with files in it that may be payloads."""
    monkeypatch.chdir(tmp_path)
    Path("update.json").write_text('{"from": "file"}')
    Path("bad.json").write_text("oops")
    Path("latin1.json").write_bytes(b'{"x": "\xe9"}')


@pytest.mark.parametrize(
    ("args", "targets"),
    [
        (["--agent", "c"], ["c"]),
        (["--group", "orders"], ["a", "b"]),
        (["--all", "--yes"], ["a", "b", "c"]),
    ],
)
async def test_sending(args: list[str], targets: list[str], served: Served) -> None:
    """Once it is on its way: status 0, the command's id, and how many it will reach."""
    payload = '{"revision": 7, "exact": 18446744073709551615}'
    status, out, err = await sending(served, "config-update", *args, "--payload", payload)
    assert (0, "") == (status, err)
    command_ids = {
        delivery.command_id
        for agent_id in targets
        for delivery in served.node.agent_deliveries(agent_id)
    }
    assert f"command\t{command_ids.pop()}\ntargets\t{len(targets)}\nconnected\t0\n" == out
    assert set() == command_ids


async def test_sending_again(served: Served) -> None:
    """With the same key it is the same command, and another one with it is refused."""
    args = ["--agent", "a", "--idempotency-key", "rollout 7"]
    first, again = [await sending(served, "replay", *args) for _ in range(2)]
    assert (0, first) == (again[0], again)
    assert 1 == len(served.node.agent_deliveries("a"))
    status, out, err = await sending(served, "deep-trace", *args)
    assert (3, "") == (status, out)
    assert "the key 'rollout 7' was used for a different command" in err


async def test_sending_as_json(served: Served) -> None:
    """The command as the server answered."""
    status, out, err = await sending(served, "replay", "--agent", "a", "--json")
    assert (0, "") == (status, err)
    command = json.loads(out)
    path = f"/commands/{command['commandId']}"
    assert (await served.request("GET", path)).json() == command


@pytest.mark.parametrize(
    ("args", "stdin", "expected"),
    [
        ([], "", {}),
        (["--payload", "-"], '{"from": "stdin"}', {"from": "stdin"}),
        (["--payload", "-"], '\ufeff{"from": "Windows"}', {"from": "Windows"}),
        (["--payload", "@update.json"], "", {"from": "file"}),
        (["--payload", '{"big": 18446744073709551615}'], "", {"big": 2**64 - 1}),
    ],
)
async def test_payloads(
    args: list[str],
    stdin: str,
    expected: Any,
    served: Served,
    files: None,
) -> None:
    """From the command line, standard input or a file; as it was written."""
    status, _, err = await sending(served, "replay", "--agent", "a", *args, stdin=stdin)
    assert (0, "") == (status, err)
    assert expected == served.node.agent_deliveries("a")[0].payload


@pytest.mark.parametrize(
    ("payload", "part"),
    [
        ('{"a": 1,\n "b" 2}', "line 2 column 6"),
        ("[1]", "expected an object, got an array"),
        ("null", "expected an object, got null"),
        ("", "expected an object, got nothing"),
        ('{"a": 18446744073709551616}', "$.a: integers must fit into 64 bits"),
        ('{"a": NaN}', "line 1 column 7"),
        ("@none.json", "cannot read none.json: No such file or directory"),
        ("@bad.json", "bad.json: unexpected character, expected a JSON value: line 1 column 1"),
        ("@latin1.json", "latin1.json: not UTF-8: invalid continuation byte at byte 7"),
        ("-", "standard input: unexpected character, expected a JSON value: line 1"),
    ],
)
def test_a_payload_that_is_none(
    payload: str,
    part: str,
    files: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line that says where; status 2; and no server is asked."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"oops")))
    args = ("send", "replay", "--agent", "a", "--payload", payload)
    said = complaint(capsys, monkeypatch, *args)
    assert said.startswith("cameleer-registry: Invalid value for '--payload': ")
    assert part in said


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["replay"], "give one of --agent ID, --group GROUP and --all"),
        (["replay", "--agent", "a", "--group", "orders"], "give one of"),
        (["replay", "--all", "--agent", "a", "--yes"], "give one of"),
        (["reboot", "--all"], "'reboot' is not one of 'config-update', 'deep-trace', 'replay'"),
        (["replay", "--agent", "a", "--wait", "soon"], "expected seconds, or a duration"),
        (["replay", "--agent", "a", "--idempotency-key", ""], "expected 1 to 255 characters"),
        (["replay", "--agent", "a", "--idempotency-key", "clé"], "printable ASCII only"),
        (["replay", "--all"], "--all needs --yes, because there is no terminal on which to ask"),
        (
            ["replay", "--all", "--json"],
            "--all needs --yes, because there is no terminal on which to ask",
        ),
    ],
)
def test_used_wrongly(
    args: list[str],
    part: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, status 2, and no server is asked."""
    assert part in complaint(capsys, monkeypatch, "send", *args)


@pytest.mark.parametrize("wait", [(), ("--wait", "10")])
@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_nobody_to_send_it_to(wait: tuple[str, ...], options: tuple[str, ...]) -> None:
    """Status 1, whether or not it was to be waited for."""
    async with serving() as empty:
        status, out, err = await sending(empty, "replay", "--all", "--yes", *wait, *options)
    assert (1, "cameleer-registry: there was no agent to send it to\n") == (status, err)
    if options:
        assert "UNDELIVERABLE" == json.loads(out)["status"]
    else:
        assert "targets\t0\n" in out


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["--agent", "nobody"], "agent 'nobody' is not registered"),
        (["--group", "none"], "no agent has ever declared the group 'none'"),
    ],
)
async def test_a_target_that_is_not_there(args: list[str], part: str, served: Served) -> None:
    """The server refuses: status 3."""
    status, out, err = await sending(served, "replay", *args)
    assert (3, "", f"cameleer-registry: {part}\n") == (status, out, err)


async def test_an_agent_that_has_too_many(served: Served) -> None:
    """Alone it is refused, status 3; among others it is left out and named, status 1."""
    for _ in range(2):
        await served.issue("/agents/a")
    status, out, err = await sending(served, "replay", "--agent", "a")
    assert (3, "") == (status, out)
    assert "cameleer-registry: agent 'a' already has 2 pending commands\n" == err
    status, out, err = await sending(served, "replay", "--group", "orders")
    assert (1, "") == (status, err)
    assert "delivery\ta\tskipped\ttoo many pending commands" == out.splitlines()[-1]


async def test_an_agent_that_is_left_out_of_what_is_waited_for(served: Served) -> None:
    """It has not done it, although all the others have: status 1."""
    for _ in range(2):
        await served.issue("/agents/a")
    sent = sending(served, "deep-trace", "--group", "orders", "--wait", "60")
    await eventually(lambda: served.node.agent_deliveries("b"))
    await served.ack("b", served.node.agent_deliveries("b")[0].command_id)
    status, out, err = await sent
    assert (1, "") == (status, err)
    assert "acknowledged\t1\n" in out
    assert "delivery\ta\tskipped\ttoo many pending commands" == out.splitlines()[-1]


async def test_the_id_is_told_at_once(served: Served) -> None:
    """Whatever becomes of the wait, and however the output is buffered."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *("send", "replay", "--agent", "a", "--wait", "60", "--url", served.url),
        env=environment(PYTHONUNBUFFERED=""),
        stdout=PIPE,
    )
    assert process.stdout is not None
    command_id = await issued(served)
    assert f"command\t{command_id}\n" == (await within(process.stdout.readline())).decode()
    await served.ack("a", command_id)
    assert 0 == await within(process.wait())


async def test_waiting_until_all_have_done_it(served: Served) -> None:
    """Status 0, as soon as the last has."""
    sent = sending(served, "replay", "--group", "orders", "--wait", "60")
    command_id = await issued(served)
    for agent_id in "ab":
        await served.ack(agent_id, command_id)
    status, out, err = await sent
    assert (0, "") == (status, err)
    expected = [
        f"command\t{command_id}",
        "targets\t2",
        "connected\t0",
        "acknowledged\t2",
        "failed\t0",
        "expired\t0",
        "pending\t0",
    ]
    assert expected == out.splitlines()


async def test_waiting_for_those_that_do_not(served: Served) -> None:
    """Status 1 and their names: a failure, with its message; an expiry; one still pending."""
    await served.register("d", "orders")
    sent = sending(served, "replay", "--group", "orders", "--wait", "1.5s")
    command_id = await issued(served)
    failure = {"status": "FAILURE", "message": "no [bold]disk[/]\n\x1b[31m"}
    await served.ack("a", command_id, failure)
    await served.request("DELETE", "/agents/b")
    status, out, err = await sent
    assert (1, "") == (status, err)
    expected = [
        "acknowledged\t0",
        "failed\t1",
        "expired\t1",
        "pending\t1",
        "delivery\ta\tfailed\tno [bold]disk[/]\\n\\x1b[31m",
        "delivery\tb\texpired\tthe agent was not connected",
        "delivery\td\tpending\tthe agent was not connected",
    ]
    assert expected == out.splitlines()[3:]


async def test_waiting_as_json(served: Served) -> None:
    """One document at the end: the command with all of its deliveries."""
    sent = sending(served, "replay", "--group", "orders", "--wait", "60", "--json")
    command_id = await issued(served)
    await served.ack("a", command_id, {"data": [1]})
    await served.ack("b", command_id, {"status": "FAILURE"})
    status, out, err = await sent
    assert (1, "") == (status, err)
    document = json.loads(out)
    path = f"/commands/{command_id}"
    assert (await served.request("GET", f"{path}/deliveries")).json() == document.pop("deliveries")
    assert (await served.request("GET", path)).json() == document
    status, out, err = await run("command", command_id, "--json", "--url", served.url)
    assert (0, "") == (status, err)
    assert document.keys() | {"deliveries"} == json.loads(out).keys()


async def test_a_server_that_is_lost_meanwhile() -> None:
    """Status 3; what was sent is named, so that it can be asked for."""
    async with server() as lost, lost.client() as client:
        await client.post("/agents/register", json={"agentId": "a", "group": "g"})
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            *("send", "replay", "--agent", "a", "--wait", "60", "--url", lost.url),
            env=environment(),
            stdout=PIPE,
            stderr=PIPE,
        )
        try:
            assert process.stdout is not None
            first = (await within(process.stdout.readline())).decode()  # it waits, or is about to
            [sent] = (await client.get("/agents/a/commands")).json()
            assert f"command\t{sent['commandId']}\n" == first
            lost.process.kill()
            _, raw = await within(process.communicate())
        finally:
            if process.returncode is None:
                process.kill()
    assert 3 == process.returncode
    assert raw.startswith(b"cameleer-registry: cannot reach ")
    assert raw.endswith(f"; command {sent['commandId']} was sent\n".encode())


async def test_command(served: Served) -> None:
    """What was ordered, how far it has come, and who has not done it; status 0."""
    order = {"type": "deep-trace", "payload": {"depth": 3}}
    command = (await served.request("POST", "/agents/groups/orders/commands", order)).json()
    await served.ack("a", command["commandId"])
    status, out, err = await run("command", command["commandId"], "--url", served.url)
    assert (0, "") == (status, err)
    expected = [
        f"command\t{command['commandId']}",
        "targets\t2",
        "connected\t0",
        "type\tdeep-trace",
        'payload\t{"depth":3}',
        "target\tgroup orders",
        f"created\t{command['createdAt']}",
        f"expires\t{command['expiresAt']}",
        "acknowledged\t1",
        "failed\t0",
        "expired\t0",
        "pending\t1",
        "delivery\tb\tpending\tthe agent was not connected",
    ]
    assert expected == out.splitlines()


@pytest.mark.parametrize("command_id", ["01a2090e-3fdd-751c-a875-3287a4af1059", "x/y", "\x07"])
async def test_a_command_that_is_not_there(command_id: str, served: Served) -> None:
    """Status 3."""
    status, out, err = await run("command", command_id, "--url", served.url)
    expected = f"cameleer-registry: there is no command {command_id!r}\n"
    assert (3, "", expected) == (status, out, err)


# In a terminal


async def test_the_bar(served: Served) -> None:
    """It moves, and is coloured by what became of the deliveries; a table is the end."""
    args = ("send", "replay", "--group", "orders", "--wait", "60", "--url", served.url)
    async with terminal(*args) as shown:
        await shown.shows("0/2", "0 acknowledged  0 failed  0 expired  2 pending")
        command_id = await issued(served)
        assert 0 == coloured(shown, "green")
        await served.ack("a", command_id)
        await shown.shows("1/2", "1 acknowledged  0 failed  0 expired  1 pending")
        assert 38 == coloured(shown, "green")
        await served.ack("b", command_id, {"status": "FAILURE", "message": "disk full"})
        assert 1 == await shown.ended()
        await shown.shows("2/2", "1 acknowledged  1 failed  0 expired  0 pending")
        assert (38, 38) == (coloured(shown, "green"), coloured(shown, "red"))
        expected = ["AGENT  DELIVERY  MESSAGE", "b      failed    disk full"]
        assert expected == shown.text.splitlines()[-2:]


def coloured(shown: Terminal, colour: str) -> int:
    """Return the length of the bar's part in that colour."""
    [row] = [n for n, line in enumerate(shown.screen.display) if "━" in line]
    cells = shown.screen.buffer[row]
    return sum(cells[x].data == "━" and cells[x].fg == colour for x in range(80))


@pytest.mark.parametrize(
    ("answer", "status", "sent"),
    [
        ("y\r", 0, 1),
        ("YES\r", 0, 1),
        ("n\r", 1, 0),
        ("\r", 1, 0),
        (END_OF_INPUT, 1, 0),
        (INTERRUPT, 130, 0),
    ],
)
async def test_all_asks_before(answer: str, status: int, sent: int, served: Served) -> None:
    """It says how many it will reach, and sends only where it is told yes."""
    async with terminal("send", "replay", "--all", "--url", served.url) as shown:
        question = f"Send replay to all 3 LIVE agents of {served.url}? [y/N]"
        await shown.shows(question)
        assert [] == served.node.agent_deliveries("a")
        shown.type(answer)
        assert status == await shown.ended()
    assert sent == len(served.node.agent_deliveries("a"))
    assert (status == 1) == ("nothing was sent" in shown.text)
    assert b"Traceback" not in shown.raw


async def test_waiting_can_be_interrupted(served: Served) -> None:
    """Status 130, the cursor is back, and no traceback."""
    args = ("send", "replay", "--agent", "a", "--wait", "60", "--url", served.url)
    async with terminal(*args) as shown:
        await shown.shows("1 pending")
        shown.type(INTERRUPT)
        assert 130 == await shown.ended()
        assert b"Traceback" not in shown.raw
        assert shown.raw.rfind(b"\x1b[?25h") > shown.raw.rfind(b"\x1b[?25l")


async def test_a_command_in_a_terminal(served: Served) -> None:
    """The same bar, and the same table."""
    command = (await served.issue("/agents/groups/orders")).json()
    await served.ack("a", command["commandId"])
    async with terminal("command", command["commandId"], "--url", served.url) as shown:
        assert 0 == await shown.ended()
        await shown.shows("1/2", "1 acknowledged", "b      pending   the agent was not connected")


async def test_failures_are_counted_while_it_waits(served: Served) -> None:
    """As the command itself tells: its deliveries are not read before the end."""
    args = ("send", "replay", "--group", "orders", "--wait", "60", "--url", served.url)
    async with terminal(*args) as shown:
        await shown.shows("2 pending")
        [delivery] = served.node.agent_deliveries("a")
        body = {"status": "FAILURE", "message": "no"}
        await served.ack("a", delivery.command_id, body)
        await shown.shows("0 acknowledged  1 failed  0 expired  1 pending")
        shown.type(INTERRUPT)
        assert 130 == await shown.ended()
