"""Calls to an agent: from other threads, before it runs, from handlers, in forked processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from cameleer_registry import CommandStatus, Order, Outcome, Target
from cameleer_registry.client import Agent, CommandEvent
from cameleer_registry.core.events import CloseReason

from ..processes import environment, server
from ..support import Served, eventually, serving, virtual_clock, within
from .support import VirtualServerClock, connected, echoing, running_agent, virtual_time


def in_a_thread(call: Callable[[], object]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(20)


def by_a_signal(_call: Callable[[], object]) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


FROM = pytest.mark.parametrize("call_from", [in_a_thread, by_a_signal])

IDLE = 0.3
"""Seconds after which an agent's loop has nothing to do but to wait for many more."""

SOON = 8
"""Seconds before which nothing wakes it up: a keepalive comes after 15."""


@contextmanager
def upon_a_signal(call: Callable[[], object]) -> Iterator[None]:
    """Have a signal's handler call that."""
    before = signal.signal(signal.SIGUSR1, lambda *_: call() and None)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


@FROM
@pytest.mark.parametrize("debug", [False, True])
async def test_declaring_from_elsewhere(
    call_from: Callable[[Callable[[], object]], None], debug: bool
) -> None:
    """The server is told at once: the agent's loop does not have to wake up by itself."""

    def declare() -> None:
        agent.declare(route_ids=["new"])

    def call_and_look() -> bool:
        time.sleep(IDLE)
        call_from(declare)
        until = time.monotonic() + SOON
        with httpx.Client() as client:
            while time.monotonic() < until:
                shown = client.get(f"{served.api}/agents/a").json()
                if shown["routeIds"] == ["new"]:
                    return True
        return False

    asyncio.get_running_loop().set_debug(debug)
    async with server("--port", "0", "--database", "memory") as served:
        agent, _ = echoing(served.url)
        async with running_agent(agent):
            await eventually(lambda: agent.connected)
            with upon_a_signal(declare):
                assert await asyncio.to_thread(call_and_look)


@FROM
async def test_stopping_from_elsewhere(call_from: Callable[[Callable[[], object]], None]) -> None:
    """Likewise."""
    async with server("--port", "0", "--database", "memory") as served:
        agent, _ = echoing(served.url)
        task = asyncio.create_task(agent.run())
        await eventually(lambda: agent.connected)
        with upon_a_signal(agent.stop):
            timer = threading.Timer(IDLE, call_from, (agent.stop,))
            timer.start()
            await within(task, SOON)
        timer.join()


async def test_what_is_wrong_is_told_in_the_thread(served: Served) -> None:
    """And the agent declares what it did before."""
    agent, _ = echoing(served.url)
    wrong: list[Exception] = []

    def declare() -> None:
        try:
            agent.declare(group="")
        except ValueError as error:
            wrong.append(error)

    async with running_agent(agent):
        await connected(served)
        in_a_thread(declare)
        assert 1 == len(wrong)
        agent.declare(version="2")
        await eventually(lambda: served.node.agent("a").version == "2")
        assert "g" == served.node.agent("a").group


async def test_a_handler_that_comes_later_is_declared(served: Served) -> None:
    """Where the agent declares its handlers."""
    agent, _ = echoing(served.url)
    async with running_agent(agent):
        await connected(served)
        agent.on("replay")(lambda _command: None)
        both = {"config-update": True, "replay": True}
        await eventually(lambda: served.node.agent("a").capabilities == both)


async def test_a_plain_handler_declares(served: Served) -> None:
    """From the thread that it runs in, and is not held up by it."""
    agent = Agent(served.url, agent_id="a", group="g")

    @agent.on("config-update")
    def apply(_command: CommandEvent) -> None:
        agent.declare(route_ids=["new"])

    async with running_agent(agent):
        await connected(served)
        command = await served.node.issue(Order(type="config-update"), Target.agent("a"))
        command = await within(served.node.wait(command.command_id, 20), 25)
        assert CommandStatus.ACKNOWLEDGED is command.status
        await eventually(lambda: served.node.agent("a").route_ids == ("new",))


# The end before the beginning


async def test_stopped_before_its_task_has_begun(served: Served) -> None:
    """It ends at once, and was never there."""
    agent, _ = echoing(served.url)
    task = asyncio.create_task(agent.run())
    agent.stop()
    await within(task)
    assert [] == served.node.agents()


async def test_stopped_before_it_is_run(served: Served) -> None:
    """A program that is told to end while it starts does not start its agent for good."""
    agent, _ = echoing(served.url)
    agent.stop()
    await within(agent.run())
    assert [] == served.node.agents()
    async with running_agent(agent):
        await connected(served)


async def test_stopped_after_it_has_ended(served: Served) -> None:
    """That is not for the next run."""
    agent, _ = echoing(served.url)
    task = asyncio.create_task(agent.run())
    await connected(served)
    agent.stop()
    await within(task)
    agent.stop()
    async with running_agent(agent) as again:
        await connected(served)
        assert not again.done()


# Handlers that end themselves


@pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "async"])
@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (SystemExit(2), "the handler called exit(2)"),
        (SystemExit(), "the handler called exit()"),
        (SystemExit("no file"), "the handler called exit('no file')"),
        (BaseException("odd"), "odd"),
        (GeneratorExit("closed"), "closed"),
        (BaseExceptionGroup("some", [SystemExit(1)]), "some (1 sub-exception)"),
    ],
    ids=["2", "none", "text", "base", "generator", "group"],
)
async def test_a_handler_that_exits(
    served: Served, is_plain: bool, raised: BaseException, message: str
) -> None:
    """Its command has failed; the service in which the agent lives goes on."""
    agent = Agent(served.url, agent_id="a", group="g")

    def fail(_command: CommandEvent) -> None:
        raise raised

    async def fail_here(_command: CommandEvent) -> None:
        raise raised

    agent.on("replay")(fail if is_plain else fail_here)
    async with running_agent(agent) as task:
        await connected(served)
        for _ in range(2):
            command = await served.node.issue(Order(type="replay"), Target.agent("a"))
            await within(served.node.wait(command.command_id, 20), 25)
            [delivery] = served.node.deliveries(command.command_id)
            assert delivery.result is not None
            assert (Outcome.FAILURE, message) == (delivery.result.status, delivery.result.message)
        assert not task.done()


async def test_an_interrupt_in_a_thread_is_the_handlers(served: Served) -> None:
    """Ctrl-C comes to the main thread only."""
    agent = Agent(served.url, agent_id="a", group="g")

    @agent.on("replay")
    def interrupt(_command: CommandEvent) -> None:
        raise KeyboardInterrupt

    async with running_agent(agent) as task:
        await connected(served)
        command = await served.node.issue(Order(type="replay"), Target.agent("a"))
        await within(served.node.wait(command.command_id, 20), 25)
        [delivery] = served.node.deliveries(command.command_id)
        assert delivery.result is not None
        assert Outcome.FAILURE is delivery.result.status
        assert not task.done()


# Processes


async def test_processes_that_were_forked(served: Served) -> None:
    """Each has an instance id of its own, and each keeps it."""
    program = f"""
import asyncio, os
from cameleer_registry.client import Agent, Operator

agent = Agent({served.url!r}, agent_id="a", group="g")

async def told():
    async with Operator({served.url!r}) as operator:
        for _ in range(2):
            task = asyncio.create_task(agent.run())
            while not agent.connected:
                await asyncio.sleep(0.01)
            print((await operator.agent("a")).instance_id, flush=True)
            agent.stop()
            await task

for _ in range(2):
    if (pid := os.fork()) == 0:
        asyncio.run(told())
        os._exit(0)
    os.waitpid(pid, 0)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment(), stdout=PIPE
    )
    out, _ = await within(process.communicate())
    first, again, second, second_again = out.decode().split()
    assert (first, second) == (again, second_again)
    assert first != second


async def test_an_instance_id_of_ones_own(served: Served) -> None:
    """It is declared as it was given."""
    agent, _ = echoing(served.url, instance_id="mine")
    async with running_agent(agent):
        await connected(served)
        assert "mine" == served.node.agent("a").instance_id


# Leaving


@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_leaving(served: Served, how: str) -> None:
    """It is forgotten when it has ended, after what it has begun was answered."""
    agent, begun, goes_on = (
        Agent(served.url, agent_id="a", group="g", leave=True),
        asyncio.Event(),
        asyncio.Event(),
    )

    @agent.on("replay")
    async def work(_command: CommandEvent) -> None:
        begun.set()
        await goes_on.wait()

    task = asyncio.create_task(agent.run())
    await connected(served)
    command = await served.node.issue(Order(type="replay"), Target.agent("a"))
    await within(begun.wait())
    if how == "stopped":
        agent.stop()
        goes_on.set()
        await within(task)
    else:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
    assert [] == served.node.agents()
    [delivery] = served.node.deliveries(command.command_id)
    assert delivery.result is not None
    assert how == ("stopped" if delivery.result.status is Outcome.SUCCESS else "cancelled")


async def test_it_does_not_leave_unless_it_shall(served: Served) -> None:
    """Its next process resumes, with what is pending."""
    agent, _ = echoing(served.url)
    task = asyncio.create_task(agent.run())
    await connected(served)
    agent.stop()
    await within(task)
    assert ["a"] == [each.agent_id for each in served.node.agents()]


async def test_it_does_not_take_its_successor_along(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """The next process has registered before this one has ended, as in a rolling restart."""
    caplog.set_level("INFO", logger="cameleer_registry.client")
    agent, _ = echoing(served.url, leave=True)
    task = asyncio.create_task(agent.run())
    await connected(served)
    await served.register("a", instanceId="successor")
    agent.stop()
    await within(task)
    assert "successor" == served.node.agent("a").instance_id
    assert "another process has taken over the id" in caplog.text


async def test_leaving_what_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    """A server that does not answer is told to the log; one that knows nobody is right."""
    async with serving() as served:
        agent, _ = echoing(served.url, leave=True)
        task = asyncio.create_task(agent.run())
        await connected(served)
        agent.stop()
        await served.node.remove("a")
        await within(task)
        assert "could not leave" not in caplog.text
        again = asyncio.create_task(agent.run())
        await connected(served)
    agent.stop()
    await within(again)
    assert "could not leave" in caplog.text


# Streams of limited age, and ghosts


@virtual_time
@pytest.mark.parametrize("age", [15, 20, 30])
async def test_streams_that_a_balancer_ends(age: float) -> None:
    """Cleanly, again and again: connected nearly always, and no conflict."""
    async with serving(clock=virtual_clock()) as served:
        agent, _ = echoing(served.url, clock=VirtualServerClock())
        looks = connected_at = 0
        async with running_agent(agent):
            await connected(served)
            loop = asyncio.get_running_loop()

            def end_the_stream() -> None:
                for stream in list(served.node.streams):
                    served.node.close_stream(stream, CloseReason.CLIENT_GONE)

            opened, until = loop.time(), loop.time() + 600
            while loop.time() < until:
                await asyncio.sleep(0.1)
                looks, connected_at = looks + 1, connected_at + agent.connected
                if not agent.connected:
                    opened = loop.time()
                elif loop.time() - opened >= age:
                    end_the_stream()
                    opened = loop.time()
        assert connected_at / looks > 0.95
        assert 0 == served.node.meters.conflicts


async def test_the_process_before_is_a_ghost(served: Served) -> None:
    """Its stream ends when the next one registers, and it comes back against nobody."""
    ghost, _ = echoing(served.url)
    async with running_agent(ghost):
        await connected(served)
        [stream] = list(served.node.streams)
        await served.register("a", instanceId="next")
        assert stream not in list(served.node.streams)
