"""Two things at one moment: every order is tried, and each comes to what the contract allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain, permutations
from typing import Any, Final

import pytest

from cameleer_registry.core.model import DeliveryState
from cameleer_registry.node import life
from cameleer_registry.node.streams import fanout

from .scale import SCALE
from .schedules import Explored, explore
from .world import TTL, World, until

NS: Final = 1e-9
EXPIRY, FAN_OUT = "command expiry", "command fan-out"

Record = Callable[[str, object], None]

# Where much is tried, and the machine has other things to do.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True, params=["aiohttp's way", "inline"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have requests go both ways: whichever they go, the same orders come to the same."""
    monkeypatch.setattr(World, "goes_inline", request.param == "inline")


@pytest.fixture
def tried(record_property: Record) -> Callable[[Explored], None]:
    """Say how many orders there were, and that these were all."""

    def say(explored: Explored, *, all: bool = True) -> None:
        assert explored.all or not all or World.goes_inline  # which has other steps, and more
        record_property("schedules", explored.schedules)
        record_property("all of them", explored.all)
        print(f"{explored.schedules} schedules, {'all' if explored.all else 'not all'} there are")

    return say


async def first_command(world: World, path: str = "/agents/a") -> str:
    """Issue a command before the race, and return its id."""
    await world.ask("first", "POST", f"{path}/commands", {"type": "replay"})
    return world.command_id("first")


@pytest.mark.parametrize(("off", "expected"), [(-1, 200), (0, 410), (1, 410)])
def test_ack_against_expiry(off: int, expected: int, tried: Any) -> None:
    """A nanosecond decides, and never who comes first: 200 before the deadline, 410 from it on.

    Whoever waits for the command, and whoever acknowledges twice, is told the same.
    """

    async def scenario() -> None:
        world = World.of("a", free=frozenset({EXPIRY}))
        world.open("a")
        command_id = await first_command(world)
        deadline = asyncio.get_running_loop().time() + TTL
        world.op("wait", world.ask("wait", "GET", f"/commands/{command_id}?wait=60"))
        await until(deadline + off * NS)
        world.acking("one", "a", command_id)
        world.acking("two", "a", command_id, slow=False)
        await world.over()
        assert (expected, expected) == (world.code("one"), world.code("two"))
        [delivery] = world.node.deliveries(command_id)
        if expected == 200:
            assert (DeliveryState.ACKNOWLEDGED, None) == (delivery.status, delivery.late_ack_at)
        else:
            assert (DeliveryState.EXPIRED, None) == (delivery.status, delivery.result)
            assert delivery.late_ack_at is not None
        await world.node.catch_up()
        assert str(delivery.status) == world.answers["wait"][1]["status"]
        world.check()

    tried(explore(scenario, limit=SCALE.schedules, free=frozenset({EXPIRY})))


OPS: Final[dict[str, Callable[[World, str], asyncio.Task[Any]]]] = {
    "ack": lambda world, command_id: world.acking("ack", "a", command_id),
    "again": lambda world, command_id: world.acking("again", "a", command_id),
    "delete": lambda world, _: world.deleting("delete", "a"),
    "register": lambda world, _: world.registering("register", "a"),
    "takeover": lambda world, _: world.opening("takeover", "a"),
    "hang up": lambda world, _: world.hanging_up("hang up", "a"),
    "command": lambda world, _: world.issuing("command", "/agents/a"),
    "broadcast": lambda world, _: world.issuing("broadcast", "/agents"),
    "key": lambda world, _: world.issuing("key", "/agents/a", key="k"),
    "key again": lambda world, _: world.issuing("key again", "/agents/a", key="k"),
}


@pytest.mark.parametrize(
    "names",
    [
        ("delete", "ack"),
        ("delete", "ack", "again"),
        ("register", "delete"),
        ("register", "delete", "ack"),
        ("takeover", "command"),
        ("takeover", "command", "delete"),
        ("takeover", "broadcast", "register"),
        ("takeover", "hang up", "command"),
        ("takeover", "hang up", "command", "delete"),
        ("command", "delete", "register"),
        ("key", "key again"),
        ("key", "key again", "delete"),
        ("key", "command", "key again"),
        ("ack", "delete", "register", "command"),
    ],
    ids=lambda names: ", ".join(names),
)
def test_it_is_as_if_one_had_come_after_the_other(names: tuple[str, ...], tried: Any) -> None:
    """Whatever the order of their steps: no outcome that no order of whole requests has."""
    possible = set()

    def scenario_of(order: tuple[str, ...], *, together: bool) -> Callable[[], Any]:
        async def scenario() -> None:
            world = World.of("a", "b", free=frozenset({FAN_OUT}))
            await asyncio.sleep(0)
            world.open("a")
            command_id = await first_command(world)
            for name in order:
                task = OPS[name](world, command_id)
                if not together:
                    await task
            await world.over()
            await asyncio.sleep(0)
            world.check()
            if together:
                assert world.outcome() in possible
            else:
                possible.add(world.outcome())

        return scenario

    for order in permutations(names):
        explore(scenario_of(order, together=False), limit=1)
    tried(explore(scenario_of(names, together=True), limit=SCALE.schedules))
    assert possible


@pytest.fixture
def in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have streams written to, and ended, two at a time, so that there is much in between."""
    for module in (fanout, life):
        monkeypatch.setattr(module, "BATCH", 2)


@pytest.mark.usefixtures("in_pairs")
def test_whatever_happens_during_a_broadcast(tried: Any) -> None:
    """Who holds a stream throughout is sent it once, on that or on the one that took over."""

    async def scenario() -> None:
        world = World.of(*"abcdef", free=frozenset({FAN_OUT}))
        await asyncio.sleep(0)
        for agent_id in "abcdef":
            world.open(agent_id)
        world.issuing("broadcast", "/agents")
        command_id = await world.issued
        world.acking("ack", "f", command_id, slow=False)
        world.issuing("command", "/agents/c", slow=False)
        world.opening("takeover", "d")
        world.deleting("delete", "e")
        await world.over()
        world.check()
        assert command_id == world.command_id("broadcast")
        assert [[command_id]] == world.arrived("b")
        assert [[command_id, world.command_id("command")]] == world.arrived("c")
        assert [[command_id], []] == sorted(world.arrived("d"), reverse=True)
        assert world.arrived("e") in ([[command_id]], [[]])
        assert world.arrived("f") in ([[command_id]], [[]])  # it has said that it knows of it
        assert (204, 200) == (world.code("delete"), world.code("ack"))
        states = {d.agent_id: str(d.status) for d in world.node.deliveries(command_id)}
        assert ("EXPIRED", "ACKNOWLEDGED") == (states.pop("e"), states.pop("f"))
        assert {"PENDING"} == set(states.values())
        assert ["agent-removed"] == world.reasons("e")
        assert world.streams["e"][0].ended
        assert ["replaced"] == world.reasons("d")

    tried(explore(scenario, limit=SCALE.draws, free=frozenset({FAN_OUT})), all=False)


@pytest.mark.usefixtures("in_pairs")
def test_shutdown_during_a_broadcast(tried: Any) -> None:
    """Every request is answered, every stream ends cleanly, and nobody waits any longer."""

    async def scenario() -> None:
        world = World.of(*"abcde", free=frozenset({FAN_OUT}))
        await asyncio.sleep(0)
        for agent_id in "abcde":
            world.open(agent_id)
        first = await first_command(world)
        waiting = world.op("wait", world.ask("wait", "GET", f"/commands/{first}?wait=60"))
        await asyncio.sleep(0)
        world.issuing("broadcast", "/agents", slow=False)
        world.issuing("key", "/agents", key="k", slow=False)
        world.op("shutdown", world.node.shut_down())
        world.opening("takeover", "d")
        await world.over()
        await world.node.stop()
        world.check()
        assert waiting.done()
        assert (200, "PENDING") == (world.code("wait"), world.answers["wait"][1]["status"])
        assert world.command_id("broadcast") != world.command_id("key")
        for agent_id, wires in world.streams.items():
            assert all(wire.ended for wire in wires)
            came = list(chain.from_iterable(world.arrived(agent_id)))
            assert [first] * (agent_id == "a") == [each for each in came if each == first]
            assert set(world.reasons(agent_id)) <= {"shutdown", "replaced"}
        assert not any(agent.connected for agent in world.node.agents())
        # Nothing is decided by the end of a stream: agents may yet be asked by another server.
        for name in ("broadcast", "key"):
            assert 5 == world.node.command(world.command_id(name)).counts[DeliveryState.PENDING]

    tried(explore(scenario, limit=SCALE.draws, free=frozenset({FAN_OUT})), all=False)


@pytest.mark.usefixtures("in_pairs")
def test_a_command_is_asked_for_again_while_it_is_on_its_way(tried: Any) -> None:
    """It is one command, and neither is answered before it is written to all."""

    async def scenario() -> None:
        world = World.of(*"abc", free=frozenset({FAN_OUT}))
        await asyncio.sleep(0)
        for agent_id in "abc":
            world.open(agent_id)

        async def asking(name: str) -> None:
            await world.ask(name, "POST", "/agents/commands", {"type": "replay"}, key="k")
            assert [[[world.command_id(name)]]] * 3 == [world.arrived(each) for each in "abc"]

        for name in ("key", "key again"):
            world.op(name, asking(name))
        await world.over()
        world.check()
        assert world.command_id("key") == world.command_id("key again")

    tried(explore(scenario, limit=max(2_000, SCALE.schedules), free=frozenset({FAN_OUT})))


def test_the_search_finds_what_one_order_in_many_does(tried: Any) -> None:
    """It would be worth nothing if it tried the same order again and again."""
    seen = []

    async def scenario() -> None:
        steps: list[str] = []

        async def two_steps(name: str) -> None:
            steps.append(name)
            await asyncio.sleep(0)
            steps.append(name)

        await asyncio.gather(*(asyncio.create_task(two_steps(n), name=f"op {n}") for n in "abc"))
        seen.append("".join(steps))

    tried(explore(scenario, limit=1000))
    assert 90 == len(seen) == len(set(seen))  # 6! / (2! 2! 2!)
