"""Counting: what a histogram holds, how late the loop is, and what is forgotten."""

from __future__ import annotations

import asyncio

import pytest

from cameleer_registry import (
    Ack,
    CommandStatus,
    CommandType,
    Node,
    Order,
    Registration,
    Settings,
    Target,
)
from cameleer_registry.core.rules import AgentId, GroupName
from cameleer_registry.errors import CommandExpired
from cameleer_registry.node.clock import Clock
from cameleer_registry.node.telling import meters
from cameleer_registry.node.telling.histogram import Histogram
from cameleer_registry.node.telling.meters import ACK_SECONDS, LAG_SECONDS
from cameleer_registry.web.metrics import REQUEST_SECONDS

from ..support import at_once, virtual_clock

SECOND = 1_000_000_000


class Hands:
    """Clock hands that a test moves."""

    def __init__(self) -> None:
        self.steady = 5 * SECOND

    def node(self, settings: Settings | None = None) -> Node:
        """Return a node on this clock, with an agent."""
        node = Node(settings or Settings(), clock=Clock(steady=lambda: self.steady))
        at_once(node.register(Registration(agent_id=AgentId("a"), group=GroupName("g"))))
        return node


@pytest.mark.parametrize("bounds", [ACK_SECONDS, LAG_SECONDS, REQUEST_SECONDS])
def test_bounds_rise(bounds: tuple[float, ...]) -> None:
    """Otherwise values would be counted anywhere."""
    assert sorted(set(bounds)) == list(bounds)


def test_a_bound_belongs_to_what_is_below_it() -> None:
    """As Prometheus has it: less or equal."""
    histogram = Histogram((1, 2.5))
    for value in (0, 1, 1.1, 2.5, 2.6, 1000):
        histogram.observe(value)
    assert [2, 2, 2] == histogram.counts
    assert 1007.2 == histogram.sum


@pytest.mark.looptime(start=1000)
async def test_the_lag_of_the_loop_is_measured_every_tick() -> None:
    """By how much later than asked for it wakes somebody; nothing, where it is on time."""
    clock = virtual_clock()
    node = Node(Settings(), clock=clock)
    node.start()
    try:
        await asyncio.sleep(10.1)
        lag = node.meters.loop_lag
        assert (20, 20) == (lag.counts[0], sum(lag.counts))
        steady = clock._steady
        clock._steady = lambda: steady() + 300_000_000  # a handler that blocks would do that
        await asyncio.sleep(10)
        late = LAG_SECONDS.index(0.5)
        assert (39, 1, 40) == (lag.counts[0], lag.counts[late], sum(lag.counts))
        assert pytest.approx(0.3) == lag.sum
    finally:
        await node.stop()


@pytest.mark.parametrize("history", [0, 100])
async def test_late_acks_are_counted_by_type(history: int) -> None:
    """Also where the command is forgotten in the moment in which it finishes."""
    hands = Hands()
    node = hands.node(Settings(command_history=history))
    command = await node.issue(Order(type=CommandType.DEEP_TRACE), Target.agent("a"))
    hands.steady += 60 * SECOND
    with pytest.raises(CommandExpired):
        await node.acknowledge("a", command.command_id, Ack())
    assert 1 == node.meters.late_acks[CommandType.DEEP_TRACE]
    assert 1 == node.meters.deliveries[CommandType.DEEP_TRACE, "expired"]
    assert 1 == node.meters.commands_finished[CommandType.DEEP_TRACE, CommandStatus.EXPIRED]


async def test_only_so_many_finished_commands_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A late acknowledgement of another one is counted as of an unknown type."""
    monkeypatch.setattr(meters, "FINISHED_REMEMBERED", 3)
    hands = Hands()
    node = hands.node()
    commands = [
        await node.issue(Order(type=CommandType.REPLAY), Target.agent("a")) for _ in range(5)
    ]
    assert 5 == len(node.meters._open)
    hands.steady += 60 * SECOND
    for command in commands:
        with pytest.raises(CommandExpired):
            await node.acknowledge("a", command.command_id, Ack())
    assert (0, 3) == (len(node.meters._open), len(node.meters._finished))
    assert {"replay": 3, "unknown": 2} == {k: n for k, n in node.meters.late_acks.items() if n}


async def test_a_command_that_was_not_counted_is_left_out() -> None:
    """However it ends."""
    hands = Hands()
    node = hands.node()
    for _ in range(2):
        lost = await node.issue(Order(type=CommandType.REPLAY), Target.agent("a"))
        del node.meters._open[lost.command_id]
        facts = node.registry.acknowledge(
            "a", lost.command_id, Ack(), now=node.clock.now(), size=0
        )[1]
        node.carry_out(facts)
    expiring = await node.issue(Order(type=CommandType.REPLAY), Target.agent("a"))
    del node.meters._open[expiring.command_id]
    hands.steady += 60 * SECOND
    node.carry_out(node.registry.sweep_commands(now=node.clock.now()))
    assert {0} == set(node.meters.deliveries.values())
    assert {0} == set(node.meters.commands_finished.values())
    assert 3 == node.meters.commands_issued[CommandType.REPLAY]


async def test_an_answer_at_the_deadline_is_late() -> None:
    """One a nanosecond before it took 60 s, the last bound that there is."""
    hands = Hands()
    node = hands.node()
    command = await node.issue(Order(type=CommandType.REPLAY), Target.agent("a"))
    hands.steady += 60 * SECOND - 1
    await node.acknowledge("a", command.command_id, Ack())
    took = node.meters.ack_seconds[CommandType.REPLAY]
    assert [60] == [bound for bound, n in zip(took.bounds, took.counts, strict=False) if n]
    assert 0 == took.counts[-1]
