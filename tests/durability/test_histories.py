"""Any history, killed anywhere: what is loaded is the registry as it was when that was durable."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from cameleer_registry import Node
from cameleer_registry.core import target_lists
from cameleer_registry.core.events import CloseReason, Event
from cameleer_registry.core.instant import Instant
from cameleer_registry.core.model import Ack, Order, Outcome, Target
from cameleer_registry.core.registry import Registry
from cameleer_registry.errors import RegistryError
from cameleer_registry.node.journal.kinds import NEVER_KEPT
from cameleer_registry.node.journal.sqlite import folding, journal, writer
from cameleer_registry.node.journal.sqlite.journal import SqliteJournal

from ..core.invariants import check
from ..core.keeping import comparable
from ..faults.figures import tell
from ..faults.scale import IS_LONG
from . import nodes

SEEDS = 200 if IS_LONG else 12
SETTINGS = {
    "stale_after": 10,
    "dead_after": 20,
    "heartbeat_interval": 5,
    "command_ttl": 60,
    "command_history": 15,
    "command_history_bytes": 1_048_576,
    "idempotency_keys": 8,
    "max_agents": 150,
    "max_pending_per_agent": 5,
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have rows made, and facts dropped, as often as may be."""
    monkeypatch.setattr(folding, "ROWS", 3)
    monkeypatch.setattr(folding, "TICK", 0.001)
    monkeypatch.setattr(folding, "TOLD_AGAIN", 10)
    monkeypatch.setattr(folding, "BEHIND", 30)
    monkeypatch.setattr(journal, "RIDE_ALONG", 0.005)


class History:
    """A node to which anything happens."""

    def __init__(self, node: Node, host: nodes.Host, chance: random.Random) -> None:
        self.node, self.host, self.chance = node, host, chance
        self.number = 0

    async def happen(self, steps: int) -> None:
        doing = (
            [self.register] * 6
            + [self.issue] * 6
            + [self.acknowledge] * 8
            + [self.remove] * 2
            + [self.beat] * 4
            + [self.connect] * 3
            + [self.wait] * 3
        )
        tasks = []
        for _ in range(steps):
            tasks.append(asyncio.ensure_future(self.chance.choice(doing)()))
            if self.chance.random() < 0.4:
                await asyncio.sleep(self.chance.choice((0, 0, 0.001, 0.004)))
        if self.chance.random() < 0.5:
            await asyncio.sleep(0.01)
        for task in tasks:
            if self.chance.random() < 0.9:
                with suppress(RegistryError):
                    await task
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def register(self) -> None:
        self.number += 1
        many = self.chance.random() < 0.7
        name = f"many-{self.chance.randrange(120)}" if many else f"a{self.chance.randrange(12)}"
        group = self.chance.choice(("g", "h", f"g-{self.number % 5}"))
        with suppress(RegistryError):
            await self.node.register(nodes.agent(name, group, version=str(self.number)))

    async def issue(self) -> None:
        target = self.chance.choice(
            (
                Target.all(),
                Target.of_group("g"),
                *(Target.agent(self.some()) for _ in range(3)),
            )
        )
        key = f"k{self.chance.randrange(30)}" if self.chance.random() < 0.5 else None
        order = Order(type="replay", payload={"n": self.chance.randrange(2)})
        with suppress(RegistryError):
            await self.node.issue(order, target, idempotency_key=key)

    def some(self) -> str:
        agents = list(self.node.registry._roster.agents)
        return self.chance.choice(agents) if agents else "nobody"

    async def acknowledge(self) -> None:
        commands = list(self.node.registry._ledger.commands.values())
        commands = [command for command in commands[-6:] if command.targets]
        if not commands:
            return
        command = self.chance.choice(commands)
        agent_id = self.chance.choice(list(command.targets))
        ack = Ack(status=self.chance.choice(list(Outcome)), message="m" * self.chance.randrange(9))
        with suppress(RegistryError):
            await self.node.acknowledge(agent_id, command.command_id, ack)

    async def remove(self) -> None:
        with suppress(RegistryError):
            await self.node.remove(self.some())

    async def beat(self) -> None:
        with suppress(RegistryError):
            self.node.heartbeat(self.some())

    async def connect(self) -> None:
        """Open an agent's stream, or end one."""
        registry, now = self.node.registry, self.node.clock.now()
        agent_id, self.number = self.some(), self.number + 1
        with suppress(RegistryError):
            record = registry._roster.agents.get(agent_id)
            if record is None or record.stream_id is None:
                facts = registry.stream_opened(agent_id, self.number, now=now)
            else:
                gone = CloseReason.CLIENT_GONE
                facts = registry.stream_closed(agent_id, record.stream_id, gone, now=now)
            self.node.carry_out(facts)

    async def wait(self) -> None:
        self.host.passes(self.chance.choice((0.001, 1, 4, 30)))
        await self.node.catch_up()


class Kept:
    """All facts that were durable, over many lives of one registry."""

    def __init__(self) -> None:
        self.facts: list[Event] = []
        # Those of this life, with their positions.
        self.new: list[tuple[int, Event]] = []

    def follow(self, journal: SqliteJournal) -> None:
        """Note what is appended to a journal."""
        append = journal.append

        def note(facts: Sequence[Event]) -> int:
            kept = [fact for fact in facts if type(fact) not in NEVER_KEPT]
            self.new += enumerate(kept, start=journal.position + 1)
            return append(facts)

        journal.append = note  # type: ignore[method-assign]

    def end(self, position: int) -> None:
        """Forget what was not durable when this life ended."""
        self.facts += [fact for number, fact in self.new if number <= position]
        self.new = []

    def check(self, loaded: Registry, now: Instant) -> None:
        """Fail unless a registry is what these facts make of an empty one."""
        loaded._roster.sort()
        check(loaded, now)
        expected = Registry(loaded.limits)
        expected.apply(self.facts)
        assert list(expected._roster.agents) == list(loaded._roster.agents)
        for record in expected._roster.agents.values():  # of which no facts are kept
            record.heard = loaded._roster.agents[record.agent_id].heard
        expected._roster.sort()
        wanted, found = comparable(expected, now), comparable(loaded, now)
        assert [] == [name for name in wanted if wanted[name] != found[name]]


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_what_is_loaded_is_what_was_durable(
    small: None, tmp_path: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    """Registrations, commands to one and to many, limits of the history, keys, deletions, time.

    Facts that were on their way when the process was killed are gone, and all others are there.
    """
    chance, host, kept = random.Random(seed), nodes.Host(), Kept()
    path = tmp_path / "0.db"
    for life in range(1, 7):
        node = nodes.start(path, host, follow=kept.follow, **SETTINGS)
        history = History(node, host, chance)
        await history.happen(chance.randrange(20, 150))
        journal = nodes.journal_of(node)
        if chance.random() < 0.25:
            await nodes.end(node)
        else:
            path = tmp_path / f"{life}.db"
            await nodes.kill(node, to=path)
        host.passes(chance.choice((0, 1, 100)))
        other = SqliteJournal(path)
        registry, clock = Registry(node.registry.limits), host.clock()
        loaded = other.open(registry, clock)
        assert loaded.last_position >= journal.durable
        kept.end(loaded.last_position)
        kept.check(registry, loaded.now)
        await other.close()
    tell(record_property, facts=len(kept.facts))


def copied_after_each_job(kept: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Copy a journal's file after each job from now on, as a crash would leave it; return where."""
    insist, copies = kept.insist, list[Path]()

    async def insist_and_copy(job: writer.Job, *, size: int = 0) -> None:
        await insist(job, size=size)
        copies.append(kept.path.with_name(f"copy-{len(copies)}.db"))
        for end_of_name in ("", "-wal"):
            shutil.copy(f"{kept.path}{end_of_name}", f"{copies[-1]}{end_of_name}")

    monkeypatch.setattr(kept, "insist", insist_and_copy)
    return copies


async def test_a_crash_while_the_log_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was dropped last, no fact that is left refers to a list of targets that is not."""
    monkeypatch.setattr(folding, "TOLD_AGAIN", 10)
    path = tmp_path / "0.db"
    node = nodes.start(path, command_history=0)
    for number in range(target_lists.MANY):
        await node.register(nodes.agent(f"a{number:03}"))
    keeper, kept = nodes.folding_of(node), nodes.journal_of(node)
    # The first command's fact has the list in it; that of the second, which is left, refers to it.
    for _ in range(2):
        command = await node.issue(Order(type="replay"), Target.all())
        await keeper.fold()
        await keeper._trim()
        for number in range(target_lists.MANY):
            await node.acknowledge(f"a{number:03}", command.command_id, Ack())
    await keeper.fold()
    await keeper._drop_lists(-1)  # no command refers to the list from here on
    for number in range(20):
        await node.register(nodes.agent(f"b{number}"))
    await keeper.fold()
    copies = copied_after_each_job(kept, monkeypatch)
    await keeper._trim()
    await nodes.kill(node)
    assert len(copies) >= 3
    for copy in copies:
        async with nodes.running(copy, command_history=0) as node:
            assert target_lists.MANY + 20 == len(node.agents())


@pytest.mark.parametrize("crash", [False, True])
async def test_a_crash_while_rows_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: bool
) -> None:
    """No row of a command refers to a list of targets that has no row, whatever was written last.

    The list comes with the command, or has been found in the log after a crash before this one.
    """
    monkeypatch.setattr(folding, "ROWS", 4)
    monkeypatch.setattr(folding, "TICK", 3600)
    path = tmp_path / "0.db"
    node = nodes.start(path)
    for number in range(target_lists.MANY):
        await node.register(nodes.agent(f"a{number:03}"))
    commands = 3
    for each in range(commands):
        await node.issue(Order(type="replay"), Target.all())
        await node.register(nodes.agent(f"b{each}"))  # the next one has another list
    if crash:
        path = tmp_path / "crashed.db"
        await nodes.kill(node, to=path)
        node = nodes.start(path)
    keeper, kept = nodes.folding_of(node), nodes.journal_of(node)
    copies = copied_after_each_job(kept, monkeypatch)
    await keeper.fold()
    await nodes.kill(node)
    assert len(copies) > target_lists.MANY // 4
    for copy in copies:
        async with nodes.running(copy) as node:
            assert target_lists.MANY + commands == len(node.agents())
            assert commands == len(node.commands())
