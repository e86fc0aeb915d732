"""What was sent while there was no stream, on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cameleer_registry import (
    CommandStatus,
    InternalError,
    Order,
    ServerUnreachable,
    Target,
    UnexpectedAnswer,
)
from cameleer_registry.client import missed as module
from cameleer_registry.core.model import CommandEvent
from cameleer_registry.errors import AgentNotRegistered, Fault, InvalidRequest

from ..support import eventually, serving, virtual_clock
from .support import VirtualServerClock, connected, echoing, running_agent, virtual_time

pytestmark = virtual_time


class Connection:
    """One that answers with a list, or fails, when it is told to."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.asked = 0

    async def ask(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Membership:
    welcome = None
    longest_delay = 30.0

    def __init__(self) -> None:
        self.was_forgotten = False

    def forgotten(self, _since: object) -> None:
        self.was_forgotten = True


class Inbox:
    def __init__(self) -> None:
        self.offered: list[tuple[Any, bool]] = []

    def offer(self, command: Any, *, missed: bool = False) -> None:
        self.offered.append((command, missed))


class Believing:
    """One that believes everything, and reads nothing."""

    async def command(self, line: Any, *_: object) -> Any:
        return line

    async def of_delivery(self, delivery: Any) -> Any:
        return delivery


class Desk:
    def __init__(self, *, catch_up: bool = True) -> None:
        self.connection, self.membership, self.inbox = Connection(), Membership(), Inbox()
        doubles: Any = (self.connection, "a", self.membership, self.inbox)
        more: Any = {"believing": Believing(), "send_ack": None}
        self.missed = module.Missed(*doubles, catch_up=catch_up, **more)
        self.fetching = asyncio.create_task(self.missed.keep_fetching())

    async def answers(self, answer: Any) -> list[tuple[Any, bool]]:
        self.connection.answers.put_nowait(answer)
        await asyncio.sleep(0.1)
        return self.inbox.offered

    async def comes(self, *commands: Any) -> None:
        for command in commands:
            await self.missed.offer(module.Arrived("replay", command, None))


@pytest.fixture
async def desk() -> Any:
    desk = Desk()
    yield desk
    desk.fetching.cancel()
    await asyncio.gather(desk.fetching, return_exceptions=True)


async def test_the_stream_waits_for_the_list(desk: Desk) -> None:
    """The oldest first; then what came meanwhile, and from then on all at once."""
    desk.missed.stream_opened()
    await desk.comes("c", "d")
    await asyncio.sleep(10)
    assert [] == desk.inbox.offered
    expected = [("a", True), ("b", True), ("c", False), ("d", False)]
    assert expected == await desk.answers(["b", "a"])
    await desk.comes("e")
    assert ("e", False) == desk.inbox.offered[-1]


async def test_the_list_is_asked_for_once_for_each_stream(desk: Desk) -> None:
    """And not without one."""
    await asyncio.sleep(100)
    assert 0 == desk.connection.asked
    for number in range(1, 4):
        desk.missed.stream_opened()
        await desk.answers([])
        assert number == desk.connection.asked


async def test_a_stream_that_ends_before_the_list_has_come(desk: Desk) -> None:
    """The list is not lost: over a slow link it would never come. The next one has its own."""
    desk.missed.stream_opened()
    await desk.comes("b")
    await asyncio.sleep(20)
    desk.missed.stream_opened()
    await desk.comes("c")
    assert [("a", True)] == await desk.answers(["a"])
    assert [("a", True), ("b", True), ("c", False)] == await desk.answers(["b"])
    assert 2 == desk.connection.asked


@pytest.mark.parametrize(
    "error", [ServerUnreachable("no"), UnexpectedAnswer("502", status=502), InternalError("oops")]
)
async def test_a_list_that_cannot_be_had_now(
    desk: Desk, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream goes on without it, and it is asked for again."""
    desk.missed.stream_opened()
    await desk.comes("b")
    assert [("b", False)] == await desk.answers(error)
    assert "catching up failed" in caplog.text
    await asyncio.sleep(5)
    assert 2 == desk.connection.asked
    assert [("b", False), ("a", True)] == await desk.answers(["a"])


@pytest.mark.parametrize(
    ("error", "is_known"),
    [(InvalidRequest([Fault("$", "no")]), True), (AgentNotRegistered("a"), False)],
)
async def test_a_list_that_is_refused(
    desk: Desk, error: Exception, is_known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not asked for again before the next stream."""
    desk.missed.stream_opened()
    await desk.comes("b")
    assert [("b", False)] == await desk.answers(error)
    assert is_known != desk.membership.was_forgotten
    assert "cannot catch up" in caplog.text
    await asyncio.sleep(100)
    assert 1 == desk.connection.asked


async def test_no_more_than_so_many_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: they are taken as they came."""
    monkeypatch.setattr(module, "MOST_HELD", 3)
    desk.missed.stream_opened()
    await desk.comes(*"abc")
    assert [] == desk.inbox.offered
    await desk.comes(*"de")
    assert list("abcde") == [command for command, _ in desk.inbox.offered]


async def test_an_agent_that_shall_not() -> None:
    """It has what comes on its streams, at once."""
    desk = Desk(catch_up=False)
    desk.missed.stream_opened()
    await desk.comes("a")
    assert [("a", False)] == desk.inbox.offered
    await asyncio.sleep(1)
    assert 0 == desk.connection.asked
    desk.fetching.cancel()


async def test_by_default_it_catches_up() -> None:
    """What was sent before it was there is carried out, oldest first."""
    async with serving(clock=virtual_clock()) as served:
        await served.register("a")
        commands = [
            await served.node.issue(
                Order(type="config-update", payload={"n": n}), Target.agent("a")
            )
            for n in range(3)
        ]
        agent, told = echoing(served.url, clock=VirtualServerClock())
        async with running_agent(agent):
            await connected(served)
            await eventually(lambda: len(told) == 3)
            assert [0, 1, 2] == [command.payload["n"] for command in told]
            for command in commands:
                done = await served.node.wait(command.command_id, 20)
                assert CommandStatus.ACKNOWLEDGED is done.status
        assert all(isinstance(command, CommandEvent) for command in told)
