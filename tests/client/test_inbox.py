"""The commands that have come to an agent, without a network, on virtual time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from cameleer_registry.client import inbox as module
from cameleer_registry.client.inbox import Inbox
from cameleer_registry.core.model import Ack, CommandEvent, CommandType, Outcome

from .support import VirtualServerClock, virtual_time

pytestmark = virtual_time


def command(number: int, *, ttl: float = 60) -> CommandEvent:
    """Return a command that comes now."""
    now = datetime.fromtimestamp(1_795_000_000 + asyncio.get_running_loop().time(), UTC)
    return CommandEvent(
        command_id=f"c{number}",
        type=CommandType.REPLAY,
        payload={"n": number},
        created_at=now,
        expires_at=now + timedelta(seconds=ttl),
    )


class Desk:
    """An inbox with what it carries out and answers."""

    def __init__(self, *, takes: float = 0, max_concurrent: int = 2) -> None:
        self.takes = takes
        self.begun: list[int] = []
        self.side_by_side = 0
        self.most_side_by_side = 0
        self.acks: list[tuple[str, Ack]] = []
        self.answering_takes: float = 0
        self.inbox = Inbox(
            dict.fromkeys(CommandType, self.work),
            self.answer,
            VirtualServerClock(),
            max_concurrent=max_concurrent,
        )

    async def work(self, command: CommandEvent) -> int:
        self.begun.append(command.payload["n"])
        self.side_by_side += 1
        self.most_side_by_side = max(self.most_side_by_side, self.side_by_side)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.side_by_side -= 1
        return int(command.payload["n"])

    async def answer(self, command_id: str, ack: Ack, _expires_at: datetime) -> None:
        await asyncio.sleep(self.answering_takes)
        self.acks.append((command_id, ack))


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Check that no command's task outlives a test."""
    yield
    assert [] == [task for task in asyncio.all_tasks() if task.get_name().startswith("command")]


async def test_up_to_a_bound_and_in_order() -> None:
    """They begin as they came, so many at a time, and all are answered."""
    desk = Desk(takes=1, max_concurrent=3)
    for number in range(10):
        desk.inbox.offer(command(number))
    await asyncio.sleep(4.5)
    assert [*range(10)] == desk.begun
    assert 3 == desk.most_side_by_side
    assert [(f"c{n}", Ack(data=n)) for n in range(10)] == desk.acks


async def test_answers_take_nobodys_turn() -> None:
    """A server that does not answer holds up no command."""
    desk = Desk(max_concurrent=1)
    desk.answering_takes = 1000
    for number in range(3):
        desk.inbox.offer(command(number))
    await asyncio.sleep(1)
    assert [0, 1, 2] == desk.begun


async def test_each_once() -> None:
    """However often it comes, until its deadline; and then it is too late."""
    desk, again = Desk(), command(1)
    for _ in range(3):
        desk.inbox.offer(again)
        await asyncio.sleep(1)
    await asyncio.sleep(60)
    desk.inbox.offer(again)
    await asyncio.sleep(1)
    assert [1] == desk.begun
    assert 1 == len(desk.acks)


async def test_what_has_been_seen_is_forgotten_in_time() -> None:
    """Memory does not grow with the life of an agent."""
    desk = Desk()
    for number in range(1000):
        desk.inbox.offer(command(number))
        await asyncio.sleep(10)
    assert 1000 == len(desk.acks)
    assert len(desk.inbox._seen) <= 7


async def test_too_late_to_begin() -> None:
    """It waited for its turn, and is refused in time for its sender to be told why."""
    desk = Desk(takes=50, max_concurrent=1)
    for number in range(3):
        desk.inbox.offer(command(number))
    await asyncio.sleep(54)
    assert ["c0"] == [command_id for command_id, _ in desk.acks]
    await asyncio.sleep(2)
    busy = "the agent is busy with 1 command, for 5 s with replay c1"
    assert ("c2", Ack(status=Outcome.FAILURE, message=busy)) == desk.acks[1]
    await asyncio.sleep(200)
    assert [0, 1] == desk.begun


async def test_too_late_when_it_comes(caplog: pytest.LogCaptureFixture) -> None:
    """Its sender has been told that it expired: there is nothing to be answered."""
    desk, late = Desk(), command(0, ttl=1)
    await asyncio.sleep(2)
    desk.inbox.offer(late)
    await asyncio.sleep(1)
    assert ([], []) == (desk.begun, desk.acks)
    assert "command refused: its deadline has passed" in caplog.text


async def test_handlers_that_hang(caplog: pytest.LogCaptureFixture) -> None:
    """They hold up nobody behind them once their commands have expired, and the log names them."""
    desk = Desk(takes=1_000_000, max_concurrent=2)
    for number in range(2):
        desk.inbox.offer(command(number))
    await asyncio.sleep(59)
    assert "has not returned" not in caplog.text
    desk.inbox.offer(command(2))
    assert [0, 1] == desk.begun
    await asyncio.sleep(2)
    assert [0, 1, 2] == desk.begun
    told = [r for r in caplog.records if r.getMessage().startswith("a handler has not returned")]
    assert ["c0", "c1"] == [getattr(record, "command_id", None) for record in told]
    assert [] == desk.acks, "they may still return"
    await desk.inbox.close(grace=0)
    assert ["c2"] == [command_id for command_id, _ in desk.acks]


async def test_a_handler_that_returns_late(caplog: pytest.LogCaptureFixture) -> None:
    """What it has done is answered: the server notes that it came late."""
    desk = Desk(takes=70)
    desk.inbox.offer(command(0))
    await asyncio.sleep(80)
    assert [("c0", Ack(data=0))] == desk.acks
    assert "a handler has returned late" in caplog.text


async def test_no_more_than_so_many_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may hold a thread for ever. Beyond that the agent tells that it is busy."""
    monkeypatch.setattr(module, "MAX_OVERDUE", 3)
    desk = Desk(takes=1_000_000, max_concurrent=2)
    for number in range(10):
        desk.inbox.offer(command(number))
        await asyncio.sleep(50)
    assert [0, 1, 2, 3, 4] == desk.begun
    assert ["c5", "c6", "c7", "c8"] == [command_id for command_id, _ in desk.acks]
    assert all("the agent is busy with 5 commands" in (ack.message or "") for _, ack in desk.acks)
    await desk.inbox.close(grace=0)


def update(number: int, *, ttl: float = 60) -> CommandEvent:
    """Return a config-update that comes now."""
    return evolve(command(number, ttl=ttl), type=CommandType.CONFIG_UPDATE)


async def test_config_updates_one_after_the_other() -> None:
    """Others go on beside them, and they are in each other's way only."""
    desk = Desk(takes=3, max_concurrent=5)
    for number in range(3):
        desk.inbox.offer(update(number))
    desk.inbox.offer(command(3))
    await asyncio.sleep(1)
    assert [0, 3] == desk.begun
    await asyncio.sleep(3)
    assert [0, 3, 1] == desk.begun
    await asyncio.sleep(10)
    assert [0, 3, 1, 2] == desk.begun
    assert 2 == desk.most_side_by_side


async def test_an_older_config_update_never_after_a_newer() -> None:
    """One that was missed and comes late is refused; it takes nothing back."""
    desk = Desk(max_concurrent=5)
    older = update(0)
    await asyncio.sleep(1)
    newer = update(1)
    desk.inbox.offer(newer)
    desk.inbox.offer(older, missed=True)
    desk.inbox.offer(command(2), missed=True)
    await asyncio.sleep(1)
    assert [1, 2] == desk.begun
    refused = Ack(status=Outcome.FAILURE, message="superseded by config-update c1")
    assert refused == dict(desk.acks)["c0"]
    desk.inbox.offer(update(3), missed=True)
    await asyncio.sleep(1)
    assert [1, 2, 3] == desk.begun


async def test_what_a_stream_brings_is_the_newest() -> None:
    """Also where the server's clock was set back meanwhile."""
    desk = Desk(max_concurrent=5)
    back = update(1)
    await asyncio.sleep(10)
    desk.inbox.offer(update(0))
    desk.inbox.offer(back)
    await asyncio.sleep(1)
    assert [0, 1] == desk.begun


@pytest.mark.parametrize("max_concurrent", [1, 5])
async def test_a_config_update_that_hangs_is_cut_off_for_the_next(max_concurrent: int) -> None:
    """Once it has expired; the next one begins when it has ended, and not before."""
    desk = Desk(takes=1_000_000, max_concurrent=max_concurrent)
    desk.inbox.offer(update(0))
    await asyncio.sleep(30)
    desk.inbox.offer(update(1))
    await asyncio.sleep(29)
    assert [0] == desk.begun
    await asyncio.sleep(2)
    assert [0, 1] == desk.begun
    assert 1 == desk.most_side_by_side
    await desk.inbox.close(grace=0)
    assert ["c1"] == [command_id for command_id, _ in desk.acks]


async def test_a_config_update_that_hangs_in_a_thread() -> None:
    """It cannot be ended: the agent is busy, rather than to apply a newer one beneath it."""
    desk, goes_on = Desk(max_concurrent=5), threading.Event()
    desk.inbox._handlers = {CommandType.CONFIG_UPDATE: lambda _command: goes_on.wait(20)}
    desk.inbox.offer(update(0, ttl=2))
    desk.inbox.offer(update(1, ttl=4))
    await asyncio.sleep(5)
    goes_on.set()
    [(command_id, ack)] = desk.acks
    assert ("c1", Outcome.FAILURE) == (command_id, ack.status)
    assert "busy with 1 command, for 3 s with config-update c0" in (ack.message or "")


async def test_too_many_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are answered at once, as failures."""
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    desk = Desk(takes=1, max_concurrent=1)
    for number in range(3):
        desk.inbox.offer(command(number))
    await asyncio.sleep(0.5)
    failure = Ack(status=Outcome.FAILURE, message="too many commands are waiting")
    assert [("c2", failure)] == desk.acks
    await asyncio.sleep(5)
    assert [0, 1] == desk.begun


@pytest.mark.usefixtures("nothing_left")
async def test_an_end_that_gives_time() -> None:
    """What has begun is finished and answered; what has not begun is left."""
    desk = Desk(takes=3, max_concurrent=1)
    for number in range(2):
        desk.inbox.offer(command(number))
    await asyncio.sleep(1)
    await desk.inbox.close(grace=5)
    assert [0] == desk.begun
    assert [("c0", Ack(data=0))] == desk.acks


@pytest.mark.usefixtures("nothing_left")
async def test_an_end_that_cuts_off() -> None:
    """What has begun is answered as a failure, once it has been cut off."""
    desk = Desk(takes=3, max_concurrent=2)
    for number in range(2):
        desk.inbox.offer(command(number))
    await asyncio.sleep(1)
    await desk.inbox.close(grace=1)
    failure = Ack(status=Outcome.FAILURE, message="cut off by the end of the agent")
    assert [("c0", failure), ("c1", failure)] == desk.acks
    assert 0 == desk.side_by_side


@pytest.mark.usefixtures("nothing_left")
async def test_an_end_while_answering() -> None:
    """What went well is not answered as a failure because its answer takes time."""
    desk = Desk()
    desk.inbox.offer(command(0))
    desk.answering_takes = 1.5
    await asyncio.sleep(1)
    await desk.inbox.close(grace=0)
    assert [("c0", Ack(data=0))] == desk.acks


@pytest.mark.usefixtures("nothing_left")
async def test_an_end_that_nobody_hears(caplog: pytest.LogCaptureFixture) -> None:
    """It comes all the same, and the log says what was not answered."""
    desk = Desk()
    desk.answering_takes = 1000
    desk.inbox.offer(command(0))
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()
    await desk.inbox.close(grace=1)
    assert pytest.approx(1 + module.LAST_WORDS) == asyncio.get_running_loop().time() - began
    assert "command left without an answer" in caplog.text


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("after", [1, 6])
async def test_an_end_that_is_cut_short(after: float) -> None:
    """Whoever waits for it is cancelled, in the grace or in the last words: nothing goes on."""
    desk = Desk(takes=100)
    desk.answering_takes = 100
    for number in range(3):
        desk.inbox.offer(command(number))
    await asyncio.sleep(1)
    end = asyncio.create_task(desk.inbox.close(5))
    await asyncio.sleep(after)
    end.cancel()
    with pytest.raises(asyncio.CancelledError):
        await end
    assert 0 == desk.side_by_side


async def test_an_answer_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A defect of ours is in the log, and the inbox goes on."""
    desk = Desk()
    answered = desk.answer

    async def fail(*_: Any) -> None:
        raise RuntimeError("a defect")

    desk.inbox._send_ack = fail
    desk.inbox.offer(command(0))
    await asyncio.sleep(1)
    assert "a command was not answered" in caplog.text
    desk.inbox._send_ack = answered
    desk.inbox.offer(command(1))
    await asyncio.sleep(1)
    assert [("c1", Ack(data=1))] == desk.acks
