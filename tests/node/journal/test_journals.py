"""One suite for every home of the journal: what a node relies on, whichever it has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cameleer_registry import Ack, Order, Settings, Target
from cameleer_registry.core.events import AgentRegistered, CommandIssued, Event
from cameleer_registry.core.model import CommandType, DeliveryState, Registration
from cameleer_registry.core.rules import AgentId, GroupName
from cameleer_registry.node.journal.memory import MemoryJournal
from cameleer_registry.node.journal.port import Journal
from cameleer_registry.node.journal.sqlite.folding import rows_at_once
from cameleer_registry.node.journal.sqlite.journal import SqliteJournal
from cameleer_registry.node.node import Node

from ...core.keeping import comparable
from ...journals import HeldJournal
from ...support import eventually, within
from ...wires import Wire

HOMES: dict[str, Callable[[Path], Journal]] = {
    "memory": lambda _: MemoryJournal(),
    "held": lambda _: HeldJournal(turns=3),
    "sqlite": lambda path: SqliteJournal(path / "registry.db"),
}
ORDER = Order(type=CommandType.REPLAY, payload={"n": 1})


def agent(agent_id: str, group: str = "g") -> Registration:
    return Registration(agent_id=AgentId(agent_id), group=GroupName(group))


@asynccontextmanager
async def running(journal: Journal, **settings: Any) -> AsyncIterator[Node]:
    node = Node(Settings(**settings), journal=journal)
    node.start()
    try:
        yield node
    finally:
        await node.shut_down()
        await node.stop()


@pytest.fixture(params=[*HOMES.values()], ids=[*HOMES])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    home: Journal = request.param(tmp_path)
    return home


async def test_what_is_done_is_durable_when_its_method_returns(journal: Journal) -> None:
    """Registration, command, acknowledgement and removal."""
    async with running(journal) as node:
        await within(node.register(agent("a")))
        assert journal.durable >= journal.awaited
        command = await within(node.issue(ORDER, Target.agent("a")))
        assert journal.durable >= journal.awaited
        await within(node.acknowledge("a", command.command_id, Ack()))
        assert journal.durable >= journal.awaited
        await within(node.remove("a"))
        assert journal.durable >= journal.awaited


async def test_facts_are_told_in_order_and_when_they_are_durable(journal: Journal) -> None:
    """Nobody hears of what a crash could take back."""
    told: list[Event] = []

    def hear(fact: Event) -> None:
        told.append(fact)
        if isinstance(fact, AgentRegistered | CommandIssued):
            assert journal.durable >= len([f for f in told if not isinstance(f, int)]) or (
                not journal.keeps
            )

    async with running(journal) as node:
        node.listen(hear)
        await asyncio.gather(*(node.register(agent(f"a{number}")) for number in range(20)))
        registered = [fact.agent_id for fact in told if isinstance(fact, AgentRegistered)]
        assert [f"a{number}" for number in range(20)] == registered


async def test_commands_reach_a_stream_in_order_of_issue(journal: Journal) -> None:
    """Many at once, some to all, so that a fan-out stands between them."""
    async with running(journal) as node:
        await asyncio.gather(*(node.register(agent(f"a{number:03}")) for number in range(200)))
        wire = Wire()
        node.open_stream("a199", wire, chunked=True)
        targets = [Target.agent("a199"), Target.all(), Target.agent("a199"), Target.of_group("g")]
        issued = await within(asyncio.gather(*(node.issue(ORDER, each) for each in targets)))
        assert [command.command_id for command in issued] == [e["id"] for e in wire.events()]


async def test_heartbeats_wait_for_nothing(journal: Journal) -> None:
    """They are plain calls."""
    async with running(journal) as node:
        await within(node.register(agent("a")))
        before = journal.position
        for _ in range(10):
            node.heartbeat("a")
        assert before == journal.position


async def test_who_waits_is_woken_by_a_durable_end(journal: Journal) -> None:
    """And not before."""
    async with running(journal) as node:
        await within(node.register(agent("a")))
        command = await within(node.issue(ORDER, Target.agent("a")))
        waiting = asyncio.create_task(node.wait(command.command_id, 30))
        await asyncio.sleep(0)
        await within(node.acknowledge("a", command.command_id, Ack()))
        assert "ACKNOWLEDGED" == (await within(waiting)).status


async def test_the_end_makes_everything_durable(journal: Journal) -> None:
    """What rides along, too."""
    async with running(journal) as node:
        await within(node.register(agent("a")))
        node.open_stream("a", Wire(), chunked=True)
        await within(node.issue(ORDER, Target.agent("a")))
    assert journal.position == journal.durable


# What is kept, and found again


async def test_a_registry_is_what_it_was(tmp_path: Path) -> None:
    """After a clean end, and after one that comes at once."""
    path = tmp_path / "registry.db"
    async with running(SqliteJournal(path), command_history=3) as node:
        for number in range(150):
            await node.register(agent(f"a{number:03}", f"g{number % 3}"))
        first = await node.issue(ORDER, Target.all(), idempotency_key="k")
        for number in range(0, 150, 2):
            await node.acknowledge(f"a{number:03}", first.command_id, Ack(data=number))
        await node.issue(ORDER, Target.of_group("g1"))
        await node.issue(ORDER, Target.agent("a007"))
        await node.remove("a003")
        await node.register(agent("a003", "other"))
        expected = comparable(node.registry, node.clock.now())
    for _ in range(2):
        async with running(SqliteJournal(path), command_history=3) as node:
            now = node.clock.now()
            found = comparable(node.registry, now)
            for seen in (expected, found):
                seen.pop("due")  # the leases have gone on
                for record in seen["records"]:
                    record.pop("heard")
                seen["agents"] = [agent.agent_id for agent in seen["agents"]]
            assert expected == found
            again = await node.issue(ORDER, Target.all(), idempotency_key="k")
            assert first.command_id == again.command_id
            counts = again.counts
            assert (75, 150) == (counts[DeliveryState.ACKNOWLEDGED], sum(counts.values()))
            expected = comparable(node.registry, now)


async def test_rows_are_made_behind_the_log_and_the_log_stays_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in rows, and not needed by the feed, is dropped from the log."""
    monkeypatch.setattr("cameleer_registry.node.journal.sqlite.folding.TOLD_AGAIN", 10)
    journal = SqliteJournal(tmp_path / "registry.db")
    async with running(journal) as node:
        for number in range(50):
            await node.register(agent(f"a{number}"))
        keeper = node.life.keeper
        assert keeper is not None
        await keeper.fold()  # type: ignore[attr-defined]
        await keeper._trim()  # type: ignore[attr-defined]
        result = await journal.carry_out(
            lambda connection: connection.execute(
                "SELECT (SELECT count(*) FROM rows WHERE kind = 'agent'), sum(1) FROM log"
            ).fetchall()
        )
        [(rows, log)] = result.rows
        assert 50 == rows
        assert log <= 11
    async with running(SqliteJournal(tmp_path / "registry.db")) as node:
        assert 50 == len(node.registry)


async def test_the_feed_goes_on_over_a_restart(tmp_path: Path) -> None:
    """Events have the ids that they had, and none is missing for who comes back."""
    path = tmp_path / "registry.db"

    async def events(node: Node, last: str | None, count: int) -> list[dict[str, Any]]:
        """Return what somebody is told who was there; first all that there is to be told."""
        wire = Wire()
        node.open_feed(wire, chunked=True, last_event_id=last)
        await eventually(lambda: len(wire.events()) >= count)
        return [{**event, "retry": ""} for event in wire.events()]

    async with running(SqliteJournal(path)) as node:
        [position] = await events(node, None, 1)
        await node.register(agent("a"))
        command = await node.issue(ORDER, Target.agent("a"))
        await node.acknowledge("a", command.command_id, Ack())
        before = await events(node, position["id"], 3)
        types = [event["event"] for event in before]
        assert ["agent-registered", "command-issued", "delivery-acknowledged"] == types
    async with running(SqliteJournal(path)) as node:
        assert before == await events(node, position["id"], 3)
        assert before[2:] == await events(node, before[1]["id"], 1)
        await node.register(agent("b"))
        after = await events(node, before[-1]["id"], 1)
        assert ["agent-registered"] == [event["event"] for event in after]
        assert int(before[-1]["id"]) < int(after[0]["id"])


async def test_nothing_happens_before_the_database_is_open(tmp_path: Path) -> None:
    """What would be changed then could not be kept."""
    from cameleer_registry.errors import StorageUnavailable

    node = Node(Settings(), journal=SqliteJournal(tmp_path / "registry.db"))
    with pytest.raises(StorageUnavailable, match="not open"):
        await node.register(agent("a"))


@pytest.mark.parametrize(
    ("gathered", "rows"), [(1, 100), (10_000, 100), (10_001, 200), (10**7, 6400)]
)
def test_more_rows_are_made_at_a_time_when_more_has_gathered(gathered: int, rows: int) -> None:
    """Or what gathers would grow for as long as facts come faster."""
    assert rows == rows_at_once(gathered)
