"""``agents --watch``: in a pipe, and in a terminal."""

from __future__ import annotations

import asyncio
import json
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cameleer_registry import Agent
from cameleer_registry.cli import watch
from cameleer_registry.client import Operator

from ..processes import PROGRAM, environment, server
from ..support import Served, eventually, serving, streaming, within
from ..terminal import INTERRUPT, terminal
from .support import read_by_one_who_leaves

ALTERNATE_SCREEN_LEFT = b"\x1b[?1049l"


@asynccontextmanager
async def watching(served: Served, *, as_json: bool = False, **asked: str) -> AsyncIterator[None]:
    """Watch a server from this process."""
    groups = [asked["group"]] if "group" in asked else []
    question = watch.Question(served.url, [], groups)
    async with Operator(served.url) as operator:
        task = asyncio.create_task(watch.watch(operator, question, as_json=as_json))
        yield
        task.cancel()


async def test_a_line_for_each_change(
    served: Served, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent appears, changes, goes; a heartbeat is no change."""
    monkeypatch.setattr(watch, "INTERVAL", 0.01)
    lines: list[str] = []

    async def told(count: int) -> list[list[str]]:
        def enough() -> bool:
            lines.extend(capfd.readouterr().out.splitlines())
            return len(lines) >= count

        await eventually(enough)
        return [line.split("\t")[:5] for line in lines]

    await served.register("a", version="1")
    async with watching(served):
        assert [["appeared", "a", "g", "LIVE", "no"]] == await told(1)
        await served.request("POST", "/agents/a/heartbeat")
        async with streaming(served, "a"):
            assert [["changed", "a", "g", "LIVE", "yes"]] == (await told(2))[1:]
        assert [["changed", "a", "g", "LIVE", "no"]] == (await told(3))[2:]
        await served.register("b", "h")
        assert [["appeared", "b", "h", "LIVE", "no"]] == (await told(4))[3:]
        await served.request("DELETE", "/agents/a")
        assert [["gone", "a", "g", "LIVE", "no"]] == (await told(5))[4:]


async def test_a_document_for_each_change(
    served: Served, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a line of its own, with the agent as the server shows it; of those that are wanted."""
    monkeypatch.setattr(watch, "INTERVAL", 0.01)
    await served.register("a")
    await served.register("b", "h")
    agent = (await served.request("GET", "/agents/b")).json()
    out = ""

    def told() -> bool:
        nonlocal out
        out += capfd.readouterr().out
        return bool(out)

    async with watching(served, as_json=True, group="h"):
        await eventually(told)
    assert {"change": "appeared", "agent": agent} == json.loads(out)


def test_a_loss_is_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Each time the server is lost, and each time it is back."""
    view = watch.Lines("http://x", as_json=False)
    for answers in (True, False, False, True, True, False, True):
        if answers:
            view.show([])
        else:
            view.lost("cannot reach it")
    told = ["cannot reach it; trying again", "http://x answers again"] * 2
    assert [f"cameleer-registry: {line}" for line in told] == capfd.readouterr().err.splitlines()


@pytest.mark.looptime
async def test_a_large_fleet_is_looked_at_less_often() -> None:
    """Every two seconds; but reading takes a fifth of the time at most."""
    loop = asyncio.get_running_loop()
    asked_at: list[float] = []

    class Slow(watch.Question):
        async def asked(self, operator: Operator) -> list[Agent]:
            asked_at.append(loop.time())
            await asyncio.sleep(0.1 if len(asked_at) < 3 else 1.0)
            return []

    question = Slow("http://x", [], [])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(12):
            await watch.watch(Operator(question.server), question, as_json=False)
    assert [0.0, 2.1, 4.2, 10.2] == asked_at


async def test_whoever_reads_may_have_enough(served: Served) -> None:
    """The watch ends, also where nothing happens any more."""
    await served.register("a")
    begun, status, err = await read_by_one_who_leaves("agents", "--watch", "--url", served.url)
    assert begun.startswith(b"appeared\ta\t")
    assert (141, b"") == (status, err)


async def test_a_server_that_goes_and_comes_back() -> None:
    """Standard error says so, once each; nothing else ends the watch but a signal."""
    async with serving() as served:
        port = served.port
        process = await asyncio.create_subprocess_exec(
            *PROGRAM,
            *("agents", "--watch", "--url", served.url),
            env=environment(),
            stdout=PIPE,
            stderr=PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        await served.register("a")
        assert (await within(process.stdout.readline())).startswith(b"appeared\ta\t")
    lost = (await within(process.stderr.readline())).decode()
    assert lost.startswith(f"cameleer-registry: cannot reach {served.url}: ")
    assert lost.endswith("; trying again\n")
    async with server("--port", str(port)):
        back = f"cameleer-registry: {served.url} answers again\n"
        assert back == (await within(process.stderr.readline())).decode()
        assert (await within(process.stdout.readline())).startswith(b"gone\ta\t")
        process.send_signal(signal.SIGINT)
        out, err = await within(process.communicate())
    assert (b"", b"", 130) == (out, err.strip(), process.returncode)


async def test_in_a_terminal(served: Served) -> None:
    """The whole screen, the worst first; Ctrl-C gives back what was on it before."""
    for number in range(40):
        await served.register(f"agent-{number}")
    async with terminal("agents", "--watch", "--url", served.url) as shown:
        totals = "40 agents: 40 LIVE, 0 STALE, 0 DEAD; 0 connected"
        await shown.shows(totals, "agent-0 ", "agent-24 ", "\n… and 21 more")
        async with streaming(served, "agent-0"):
            await shown.until(lambda: "agent-0 " not in shown.text and "agent-25 " in shown.text)
            await shown.shows("1 connected", "\n… and 21 more")
        shown.type(INTERRUPT)
        assert 130 == await shown.ended()
        assert b"Traceback" not in shown.raw
        assert ALTERNATE_SCREEN_LEFT in shown.raw


async def test_a_terminal_whose_server_goes() -> None:
    """It says so in red above the list, and later from when to when it was away."""
    async with serving() as served:
        await served.register("a")
        shown_in = terminal("agents", "--watch", "--url", served.url)
        shown = await shown_in.__aenter__()
        await shown.shows("1 agent: ")
    try:
        await shown.shows("lost since ", "trying again: cannot reach http://", "1 agent: ")
        assert "red" == shown.colour_of("lost since")
        async with server("--port", str(served.port)):
            await shown.shows("the server was away from ", "0 agents: ")
            shown.process.send_signal(signal.SIGTERM)
            assert 143 == await shown.ended()
            assert ALTERNATE_SCREEN_LEFT in shown.raw
    finally:
        await shown_in.__aexit__(None, None, None)
