"""The public testing module: a node on a clock that a test moves."""

from __future__ import annotations

from cameleer_registry import (
    Ack,
    CommandStatus,
    Order,
    Registration,
    Settings,
    Target,
)
from cameleer_registry.core.events import (
    AgentRegistered,
    AgentWentDead,
    AgentWentStale,
    Event,
    HeartbeatReceived,
)
from cameleer_registry.core.model import AgentStatus, CommandType
from cameleer_registry.core.rules import AgentId, GroupName
from cameleer_registry.testing import running_node

AGENT = Registration(agent_id=AgentId("a"), group=GroupName("g"))


async def test_time_passes_when_the_test_says_so() -> None:
    """An agent is LIVE, STALE and DEAD at the moments that the settings name."""
    async with running_node(Settings(stale_after=90, dead_after=300)) as (node, clock):
        await node.register(AGENT)
        for seconds, status in (
            (89.9, AgentStatus.LIVE),
            (0.1, AgentStatus.STALE),
            (299.9, AgentStatus.STALE),
            (0.1, AgentStatus.DEAD),
        ):
            await clock.advance(seconds)
            assert status is node.agent("a").status


async def test_commands_expire_when_their_time_has_passed() -> None:
    """And may be acknowledged until then."""
    async with running_node(Settings(command_ttl=60)) as (node, clock):
        await node.register(AGENT)
        order = Order(type=CommandType.REPLAY)
        first = await node.issue(order, Target.agent("a"))
        await clock.advance(59)
        await node.acknowledge("a", first.command_id, Ack())
        second = await node.issue(order, Target.agent("a"))
        await clock.advance(61)
        statuses = [node.command(each.command_id).status for each in (first, second)]
        assert [CommandStatus.ACKNOWLEDGED, CommandStatus.EXPIRED] == statuses


async def test_a_listener_is_told_of_facts_in_order_until_it_leaves() -> None:
    """Of the kinds that it names, or of all of them."""
    async with running_node() as (node, clock):
        every: list[type[Event]] = []
        some: list[type[Event]] = []
        node.listen(lambda fact: every.append(type(fact)))
        forget = node.listen(lambda fact: some.append(type(fact)), AgentWentDead)
        await node.register(AGENT)
        node.heartbeat("a")
        await clock.advance(1000)
        expected = [AgentRegistered, HeartbeatReceived, AgentWentStale, AgentWentDead]
        assert expected == every
        assert [AgentWentDead] == some
        forget()
        forget()
        node.heartbeat("a")
        await clock.advance(1000)
        assert [AgentWentDead] == some


async def test_nodes_may_share_a_clock() -> None:
    """What passes for one passes for the other."""
    async with running_node() as (one, clock), running_node(clock=clock) as (other, _):
        await one.register(AGENT)
        await other.register(AGENT)
        await clock.advance(100)
        assert {AgentStatus.STALE} == {node.agent("a").status for node in (one, other)}
