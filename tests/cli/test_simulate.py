"""``simulate``: a fleet that really is there, and what is told of it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cameleer_registry import Order, Target

from ..processes import PROGRAM, environment
from ..support import Served, eventually, within
from ..terminal import INTERRUPT, terminal
from .support import complaint, read_by_one_who_leaves


@asynccontextmanager
async def simulating(served: Served, *args: str) -> AsyncIterator[Process]:
    """Run a fleet in a process of its own, without a terminal."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *("simulate", *args, "--url", served.url),
        env=environment(),
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def connected(served: Served, number: int) -> None:
    """Wait until so many agents are connected."""
    await eventually(lambda: number == sum(agent.connected for agent in served.node.agents()))


async def test_without_a_terminal(served: Served) -> None:
    """A line with the figures every few seconds; it ends by a signal, and the agents stay."""
    async with simulating(served, "--agents", "3", "--groups", "2") as process:
        await connected(served, 3)
        # Who has answered knows of its own stream, too.
        command = await served.node.issue(Order(type="replay"), Target.all())
        await within(served.node.wait(command.command_id, 20))
        process.send_signal(signal.SIGINT)
        out, err = await within(process.communicate())
    assert (130, b"") == (process.returncode, err.strip())
    lines = out.decode().splitlines()
    assert lines[0].startswith("agents=3 registered=0 connected=0 registrations=0 ")
    assert lines[-1].startswith("agents=3 registered=3 connected=3 registrations=3 ")
    assert ["sim-0001", "sim-0002", "sim-0003"] == [a.agent_id for a in served.node.agents()]
    assert {"sim-group-1": 2, "sim-group-2": 1} == {
        group.group: group.live for group in served.node.groups()
    }


async def test_whoever_reads_may_have_enough(served: Served) -> None:
    """It ends without a word when it has something to say, and nobody listens."""
    args = ("simulate", "--agents", "1", "--url", served.url)
    begun, status, err = await read_by_one_who_leaves(*args)
    assert begun.startswith(b"agents=")
    assert (141, b"") == (status, err)


async def test_as_json(served: Served) -> None:
    """One document, at the end."""
    async with simulating(served, "--agents", "2", "--json") as process:
        await connected(served, 2)
        await served.issue("/agents")
        await eventually(lambda: all_answered(served))
        process.terminate()
        out, err = await within(process.communicate())
    assert (143, b"") == (process.returncode, err)
    figures = json.loads(out)
    assert (2, 2, 2) == (figures["agents"], figures["registrations"], figures["received"])


def all_answered(served: Served) -> bool:
    return all(
        "ACKNOWLEDGED" == delivery.status
        for agent in served.node.agents()
        for delivery in served.node.agent_deliveries(agent.agent_id)
    )


async def test_in_a_terminal(served: Served) -> None:
    """A summary that moves, and stays when it has ended."""
    async with terminal("simulate", "--agents", "20", "--url", served.url) as shown:
        await shown.shows(f"20 simulated agents of {served.url}", "Ctrl-C ends them")
        await shown.until(lambda: re.search(r"^connected +20 +━", shown.text, re.M) is not None)
        await served.issue("/agents/sim-0001")
        await shown.until(lambda: re.search(r"^acknowledged +1$", shown.text, re.M) is not None)
        shown.type(INTERRUPT)
        assert 130 == await shown.ended()
        assert re.search(r"^registered +\d+ +━", shown.text, re.MULTILINE)
        assert b"Traceback" not in shown.raw


async def test_what_goes_wrong_is_shown(served: Served) -> None:
    """The last warning, with its time; however many agents had it."""
    async with terminal("simulate", "--agents", "5", "--url", served.url) as shown:
        await connected(served, 5)
        for number in range(1, 6):
            await served.request("DELETE", f"/agents/sim-000{number}")
        await shown.until(
            lambda: re.search(r"^\d\d:\d\d:\d\d (stream lost|the s)", shown.text, re.M) is not None
        )
        await connected(served, 5)
        await shown.until(lambda: re.search(r"^reconnects +5$", shown.text, re.M) is not None)


@pytest.mark.parametrize(
    ("args", "part"),
    [
        ([], "Missing option '--agents'"),
        (["--agents", "0"], "0 is not in the range 1<=x<=5000"),
        (["--agents", "5001"], "5001 is not in the range"),
        (["--agents", "5", "--groups", "0"], "0 is not in the range"),
        (["--agents", "5", "--ack-rate", "1.5"], "1.5 is not in the range"),
        (["--agents", "5", "--failure-rate", "-1"], "-1.0 is not in the range"),
        (["--agents", "5", "--churn", "nan"], "'nan' is not a number"),
        (["--agents", "5", "--ack-delay", "-1"], "-1.0 is not in the range"),
    ],
)
def test_used_wrongly(
    args: list[str],
    part: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, and status 2."""
    assert part in complaint(capsys, monkeypatch, "simulate", *args)


async def test_a_command_to_a_fleet_of_which_some_fail(served: Served) -> None:
    """The bar moves, the table names the failures, and the exit status is 1."""
    args = ("--agents", "200", "--failure-rate", "0.1", "--ack-delay", "1")
    async with simulating(served, *args):
        await connected(served, 200)
        sending = ("send", "config-update", "--all", "--yes", "--wait", "30")
        async with terminal(*sending, "--url", served.url) as shown:
            assert 1 == await shown.ended()
    seen = [int(number) for number in re.findall(rb" (\d+)/200", bytes(shown.raw))]
    assert len(set(seen)) > 3
    assert (sorted(seen), 200) == (seen, seen[-1])
    command_id = re.search(rb"[0-9a-f-]{36}", bytes(shown.raw))
    assert command_id is not None
    failed = [
        delivery.agent_id
        for delivery in served.node.deliveries(command_id[0].decode())
        if delivery.result and delivery.result.message == "simulated failure"
    ]
    assert failed
    assert f"{200 - len(failed)} acknowledged  {len(failed)} failed  0 expired" in plain(shown.raw)
    table = plain(shown.raw).partition("MESSAGE")[2]
    assert failed == re.findall(r"(sim-\d+)  failed    simulated failure", table)


def plain(raw: bytearray) -> str:
    """Return what was written, without what is for the terminal."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", raw.decode())
