"""An agent's life, on a real server; where it takes minutes, on virtual time."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import threading
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from cameleer_registry import (
    Ack,
    CommandStatus,
    DeliveryState,
    Order,
    Outcome,
    Settings,
    Target,
    UnsupportedProtocolVersion,
)
from cameleer_registry.client import Agent, CommandEvent, connection
from cameleer_registry.node.streams import frames

from ..support import Served, eventually, serving, virtual_clock, within
from .support import VirtualServerClock, connected, echoing, proxy, running_agent, virtual_time

ORDER = Order(type="config-update")


async def issue(served: Served, type: str = "config-update", **payload: Any) -> Any:
    """Send a command to the agent, wait for its end, and return the delivery."""
    order = Order(type=type, payload=payload)
    command = await served.node.issue(order, Target.agent("a"))
    await within(served.node.wait(command.command_id, 20), 25)
    [delivery] = served.node.deliveries(command.command_id)
    return delivery


async def test_a_life(served: Served) -> None:
    """It is registered as it declares, connected, and answers with what its handler returns."""
    agent, told = echoing(served.url, name="Orders", version="2", route_ids=["in", "out"])
    assert (False, False) == (agent.registered, agent.connected)
    async with running_agent(agent):
        await connected(served)
        shown = served.node.agent("a")
        assert ("Orders", "2", ("in", "out")) == (shown.name, shown.version, shown.route_ids)
        assert {"config-update": True} == shown.capabilities
        assert shown.instance_id
        delivery = await issue(served, revision=7)
        assert Ack(data={"revision": 7}) == delivery.result
        assert [{"revision": 7}] == [command.payload for command in told]
        assert (True, True) == (agent.registered, agent.connected)
    assert (False, False) == (agent.registered, agent.connected)
    await eventually(lambda: not served.node.agent("a").connected)


async def test_it_can_run_again(served: Served) -> None:
    """After it has ended; not while it runs."""
    agent, _ = echoing(served.url)
    for _ in range(2):
        async with running_agent(agent):
            await connected(served)
            with pytest.raises(RuntimeError, match="a is running already"):
                await agent.run()
        await eventually(lambda: not served.node.agent("a").connected)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"agent_id": "groups"}, "agent_id: 'groups' is a reserved word"),
        ({"group": ""}, "group: expected at least 1"),
        ({"name": "a\nb"}, "name: control characters"),
        ({"route_ids": "orders"}, "route_ids: expected an array, got a string"),
        ({"capabilities": "replay"}, "capabilities: expected an object, got a string"),
        ({"max_concurrent": 0}, "max_concurrent: expected at least 1, got 0"),
        ({"url": "localhost"}, "expected an address such as"),
    ],
)
def test_what_cannot_be_is_refused_at_once(wrong: dict[str, Any], complaint: str) -> None:
    """When the agent is made, not when it runs."""
    with pytest.raises(ValueError, match=complaint):
        Agent(**{"url": "http://127.0.0.1:1", "agent_id": "a", "group": "g", **wrong})


def test_what_json_cannot_express_is_refused_at_once() -> None:
    """Likewise."""
    with pytest.raises(TypeError):
        Agent("http://127.0.0.1:1", agent_id="a", group="g", capabilities={"x": object()})


def test_handlers_are_for_types_that_there_are() -> None:
    """Each has one."""
    agent, _ = echoing("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="'reboot' is not a valid CommandType"):
        agent.on("reboot")
    with pytest.raises(ValueError, match="config-update has a handler already"):
        agent.on("config-update")(print)


async def test_a_registration_that_is_refused_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the author's mistake, and ends the run."""
    monkeypatch.setitem(connection.HEADERS, "X-Cameleer-Protocol-Version", "9")
    async with serving() as served:
        with pytest.raises(UnsupportedProtocolVersion):
            await within(echoing(served.url)[0].run())
        assert [] == served.node.agents()


class Speechless(Exception):
    """One of whose making something went wrong."""

    def __repr__(self) -> str:
        raise AttributeError("reason")

    __str__ = __repr__


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ValueError("no such revision"), "no such revision"),
        (KeyError("revision"), "KeyError('revision')"),
        (RuntimeError(), "RuntimeError()"),
        (ValueError("caf\udce9"), "caf\\udce9"),
        (ValueError("long" * 2001), "long" * 2000 + "…"),
        (Speechless(), "Speechless"),
        (asyncio.CancelledError(), "the handler was cancelled"),
    ],
    ids=["message", "key", "nothing", "surrogate", "long", "speechless", "cancelled"],
)
async def test_a_handler_that_fails(served: Served, raised: BaseException, message: str) -> None:
    """It is a FAILURE that says why, and the agent goes on."""
    agent = Agent(served.url, agent_id="a", group="g")

    @agent.on("config-update")
    async def fail(_command: CommandEvent) -> None:
        raise raised

    @agent.on("replay")
    def fail_in_a_thread(_command: CommandEvent) -> None:
        raise raised

    async with running_agent(agent):
        await connected(served)
        for kind in ("config-update", "replay", "config-update"):
            expected = Ack(status=Outcome.FAILURE, message=message)
            assert expected == (await issue(served, type=kind)).result


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, Ack()),
        ([1, "two"], Ack(data=[1, "two"])),
        (Ack(message="later"), Ack(message="later")),
        (Ack(status=Outcome.FAILURE, data=3), Ack(status=Outcome.FAILURE, data=3)),
    ],
)
async def test_what_a_handler_returns(served: Served, returned: Any, expected: Ack) -> None:
    """It is the data of the acknowledgement, or the whole of it."""
    agent = Agent(served.url, agent_id="a", group="g")
    agent.on("config-update")(lambda _command: returned)
    async with running_agent(agent):
        await connected(served)
        assert expected == (await issue(served)).result


async def test_what_json_cannot_express_is_a_failure(served: Served) -> None:
    """The command has not been answered for by it."""
    agent = Agent(served.url, agent_id="a", group="g")
    agent.on("config-update")(lambda _command: object())
    async with running_agent(agent):
        await connected(served)
        result = (await issue(served)).result
        assert Outcome.FAILURE is result.status
        assert "not JSON serializable" in result.message


async def test_data_that_the_server_refuses() -> None:
    """What became of the command is told without it."""
    async with serving(Settings(max_body=1000)) as served:
        agent = Agent(served.url, agent_id="a", group="g")
        agent.on("config-update")(lambda _command: "x" * 2000)
        async with running_agent(agent):
            await connected(served)
            result = (await issue(served)).result
    assert Outcome.SUCCESS is result.status
    assert "the server refused what came with this: the body is larger" in result.message


async def test_a_type_without_a_handler(served: Served) -> None:
    """It is answered, not left to expire."""
    agent, _ = echoing(served.url)
    async with running_agent(agent):
        await connected(served)
        order = Order(type="replay")
        command = await served.node.issue(order, Target.agent("a"))
        command = await served.node.wait(command.command_id, 20)
        [delivery] = served.node.deliveries(command.command_id)
    assert (
        Ack(status=Outcome.FAILURE, message="this agent has no handler for replay")
        == delivery.result
    )


async def test_a_plain_function_runs_in_a_thread(served: Served) -> None:
    """So that it may block."""
    agent, threads = Agent(served.url, agent_id="a", group="g"), []

    @agent.on("config-update")
    def block(_command: CommandEvent) -> str:
        threads.append(threading.current_thread())
        return "done"

    async with running_agent(agent):
        await connected(served)
        assert Ack(data="done") == (await issue(served)).result
    assert threading.main_thread() not in threads


async def test_plain_functions_hold_up_nothing_but_themselves(served: Served) -> None:
    """As many block as may at a time; what else needs a thread, like looking up a host, has one."""
    number = 40  # more than asyncio has threads, unless there are many processors
    agent = Agent(served.url, agent_id="a", group="g", max_concurrent=number)
    all_there, goes_on = threading.Barrier(number + 1), threading.Event()

    @agent.on("replay")
    def block(_command: CommandEvent) -> None:
        all_there.wait(20)
        goes_on.wait(20)

    async with running_agent(agent):
        await connected(served)
        order = Order(type="replay")
        commands = [await served.node.issue(order, Target.agent("a")) for _ in range(number)]
        await within(asyncio.to_thread(all_there.wait, 20))
        await within(asyncio.to_thread(goes_on.set))
        for command in commands:
            done = await within(served.node.wait(command.command_id, 20))
            assert CommandStatus.ACKNOWLEDGED is done.status


async def test_declaring_anew(served: Served) -> None:
    """The server is told, and the stream stays open."""
    agent, _ = echoing(served.url, capabilities=["trace"])
    async with running_agent(agent):
        await connected(served)
        [stream] = served.node.streams
        agent.declare(route_ids=["in"], capabilities={"depth": 3}, group="h")
        await eventually(lambda: served.node.agent("a").route_ids == ("in",))
        shown = served.node.agent("a")
        assert ({"depth": 3}, "h") == (shown.capabilities, shown.group)
        assert [stream] == list(served.node.streams)
    with pytest.raises(TypeError, match="cannot change its agent_id"):
        agent.declare(agent_id="b")
    with pytest.raises(ValueError, match="group: expected at least 1"):
        agent.declare(group="")


async def test_a_session_of_ones_own(served: Served) -> None:
    """It is used, and left open."""
    async with aiohttp.ClientSession() as session:
        agent, _ = echoing(served.url, session=session)
        async with running_agent(agent):
            await connected(served)
        assert not session.closed


# What it survives


@virtual_time
async def test_heartbeats_go_on_whatever_a_handler_does() -> None:
    """At the server's interval: an hour of LIVE, with every slot taken for all of it."""
    async with serving(Settings(command_ttl=7200), clock=virtual_clock()) as served:
        agent = Agent(
            served.url, agent_id="a", group="g", max_concurrent=1, clock=VirtualServerClock()
        )

        @agent.on("config-update")
        async def sleep(_command: CommandEvent) -> None:
            await asyncio.sleep(3600)

        async with running_agent(agent):
            await connected(served)
            order = await served.node.issue(ORDER, Target.agent("a"))
            for _ in range(120):
                await asyncio.sleep(30)
                heard = served.node.agent("a").last_heartbeat_at.timestamp()
                assert asyncio.get_running_loop().time() - (heard - 1_795_000_000) <= 30.5
            await asyncio.sleep(60)
            assert CommandStatus.ACKNOWLEDGED is served.node.command(order.command_id).status


@virtual_time
async def test_being_deleted() -> None:
    """It registers again and is told what to do as before."""
    async with serving(clock=virtual_clock()) as served:
        agent, told = echoing(served.url, clock=VirtualServerClock())
        async with running_agent(agent):
            await connected(served)
            await served.request("DELETE", "/agents/a")
            await connected(served, seconds=60)
            assert Ack(data={}) == (await issue(served)).result
            assert 1 == len(told)


@virtual_time
async def test_a_half_open_connection() -> None:
    """Three keepalives of silence, and it takes the stream for dead."""
    async with serving(clock=virtual_clock()) as served, proxy(served) as network:
        agent, told = echoing(network.url, catch_up=False, clock=VirtualServerClock())
        async with running_agent(agent):
            await connected(served)
            await asyncio.sleep(100)
            loop = asyncio.get_running_loop()
            network.freeze()
            network.go()
            frozen_at = loop.time()
            lost = served.node.command(
                (await served.node.issue(ORDER, Target.agent("a"))).command_id
            )
            await eventually(lambda: not agent.connected, 120)
            assert 30 <= loop.time() - frozen_at <= 46
            await eventually(lambda: agent.connected, 120)
            assert Ack(data={}) == (await issue(served)).result
            assert 1 == len(told), "what was written into the void is not pushed again"
            assert not served.node.command(lost.command_id).counts[DeliveryState.ACKNOWLEDGED]


@virtual_time
async def test_catching_up() -> None:
    """What was written into the void is fetched when the stream is open again, once."""
    settings = Settings(command_ttl=300)
    async with serving(settings, clock=virtual_clock()) as served, proxy(served) as network:
        agent, told = echoing(network.url, clock=VirtualServerClock())
        async with running_agent(agent):
            await connected(served)
            network.freeze()
            network.go()
            commands = [
                await served.node.issue(
                    Order(type="config-update", payload={"n": n}),
                    Target.agent("a"),
                )
                for n in range(3)
            ]
            for command in commands:
                done = await within(served.node.wait(command.command_id, 200), 300)
                assert CommandStatus.ACKNOWLEDGED is done.status
            network.cut()
            await eventually(lambda: not agent.connected, 60)
            await connected(served, seconds=60)
            assert [0, 1, 2] == [command.payload["n"] for command in told]


@virtual_time
@pytest.mark.parametrize("minutes", [1, 10])
async def test_a_server_that_is_stopped_for_minutes(minutes: int) -> None:
    """It is LIVE and connected again without help, within the longest delay."""
    async with serving(clock=virtual_clock()) as served, proxy(served) as network:
        agent, told = echoing(network.url, clock=VirtualServerClock())
        async with running_agent(agent):
            await connected(served)
            network.stop()
            await asyncio.sleep(60 * minutes)
            network.go()
            await asyncio.sleep(90)
            await connected(served)
            assert Ack(data={}) == (await issue(served)).result
            assert 1 == len(told)


@virtual_time
@pytest.mark.parametrize("seed", range(3))
async def test_a_network_that_cuts_at_random(seed: int) -> None:
    """Half an hour of it: what is acknowledged was carried out once, and it ends well."""
    chance = random.Random(seed)
    async with serving(clock=virtual_clock()) as served, proxy(served) as network:
        agent, told = echoing(network.url, clock=VirtualServerClock())
        async with running_agent(agent):
            await connected(served)
            issued = []
            for number in range(100):
                await asyncio.sleep(chance.uniform(0, 36))
                match chance.randrange(3):
                    case 0:
                        network.cut()
                    case 1:
                        network.freeze()
                        network.go()
                order = Order(type="config-update", payload={"n": number})
                issued.append(await served.node.issue(order, Target.agent("a")))
            await asyncio.sleep(180)
            await connected(served)
            assert Ack(data={}) == (await issue(served)).result
        carried_out = [command.command_id for command in told]
        assert sorted(set(carried_out)) == carried_out, "an older one never after a newer one"
        results = {
            command.command_id: served.node.deliveries(command.command_id)[0].result
            for command in issued
        }
        done = {each for each, ack in results.items() if ack and ack.status is Outcome.SUCCESS}
        assert done <= set(carried_out)
        assert len(done) > len(issued) / 2
        refused = [ack.message for ack in results.values() if ack and ack.message]
        assert all(message.startswith("superseded by config-update") for message in refused)


@virtual_time
async def test_it_waits_as_long_as_the_server_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the stream is opened again; a server with less room can say more."""
    monkeypatch.setattr(frames, "RETRY_MS", (40_000, 40_000))
    async with serving(clock=virtual_clock()) as served, proxy(served) as network:
        agent, _ = echoing(network.url, clock=VirtualServerClock())
        async with running_agent(agent):
            await connected(served)
            network.cut()
            await asyncio.sleep(39)
            assert not agent.connected
            await asyncio.sleep(42)
            assert agent.connected


@virtual_time
async def test_streams_that_break_at_once() -> None:
    """They are opened ever more rarely, as where they cannot be opened at all."""
    async with serving(clock=virtual_clock()) as served, proxy(served) as network:
        agent, _ = echoing(network.url, clock=VirtualServerClock())
        opened = []
        async with running_agent(agent):
            for _ in range(20):
                while not agent.connected:  # noqa: ASYNC110 - nothing tells when it is
                    await asyncio.sleep(0.5)
                opened.append(asyncio.get_running_loop().time())
                network.cut()
                await eventually(lambda: not agent.connected)
            pauses = [later - earlier for earlier, later in pairwise(opened)]
            assert 10 < sum(pauses[8:]) / len(pauses[8:]) <= 61
            await asyncio.sleep(120)
            assert agent.connected
            network.cut()
            await eventually(lambda: not agent.connected)
            await connected(served, seconds=11)


@virtual_time
async def test_two_processes_under_one_id() -> None:
    """They take the stream from each other ever more rarely, and nobody else is troubled."""
    async with serving(clock=virtual_clock()) as served:
        first, _ = echoing(served.url, clock=VirtualServerClock())
        second, _ = echoing(served.url, clock=VirtualServerClock())
        async with running_agent(first), running_agent(second):
            await asyncio.sleep(60)
            in_the_first_minute = served.node.streams._next_id
            await asyncio.sleep(1140)
            in_each_of_the_others = (served.node.streams._next_id - in_the_first_minute) / 19
        assert in_the_first_minute <= 30
        assert in_each_of_the_others < 6
        assert served.node.meters.conflicts >= 1


@virtual_time
async def test_a_registry_that_is_full() -> None:
    """It waits as long as it is told, and is let in when there is room."""
    async with serving(Settings(max_agents=1), clock=virtual_clock()) as served:
        await served.register("other")
        agent, _ = echoing(served.url, clock=VirtualServerClock())
        async with running_agent(agent):
            await asyncio.sleep(120)
            assert not agent.registered
            await served.node.remove("other")
            await connected(served, seconds=60)


async def test_a_later_refusal_does_not_end_it(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent is part of a service that should not lose it for that."""
    agent, _ = echoing(served.url)
    async with running_agent(agent) as task:
        await connected(served)
        monkeypatch.setitem(connection.HEADERS, "X-Cameleer-Protocol-Version", "9")
        agent.declare(version="3")
        await eventually(lambda: "registration failed" in caplog.text)
        monkeypatch.undo()
        await eventually(lambda: served.node.agent("a").version == "3")
        assert not task.done()


# Deadlines


@virtual_time
async def test_a_command_that_is_too_late_is_not_carried_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It waits for its turn in vain, and is refused in time: whoever sent it is told why."""
    async with serving(clock=virtual_clock()) as served:
        agent, told = (
            Agent(
                served.url, agent_id="a", group="g", max_concurrent=1, clock=VirtualServerClock()
            ),
            [],
        )

        @agent.on("config-update")
        async def sleep(command: CommandEvent) -> None:
            told.append(command.command_id)
            await asyncio.sleep(61)

        async with running_agent(agent):
            await connected(served)
            commands = [await served.node.issue(ORDER, Target.agent("a")) for _ in range(2)]
            await asyncio.sleep(130)
            assert [commands[0].command_id] == told
        assert "acknowledgement lost" in caplog.text
        [delivery] = served.node.deliveries(commands[1].command_id)
        assert delivery.result is not None
        assert Outcome.FAILURE is delivery.result.status
        assert "the agent is busy with 1 command" in (delivery.result.message or "")


@virtual_time
async def test_an_ack_is_sent_until_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """It gets through when the network is back in time; else the log has it."""
    async with serving(clock=virtual_clock()) as served, proxy(served) as network:
        agent, _ = echoing(network.url, clock=VirtualServerClock())

        @agent.on("replay")
        async def lose_the_network(_command: CommandEvent) -> None:
            network.stop()
            network.cut()

        async with running_agent(agent):
            await connected(served)
            for seconds, status in ((30, "ACKNOWLEDGED"), (90, "EXPIRED")):
                await connected(served, seconds=300)
                order = Order(type="replay")
                command = await served.node.issue(order, Target.agent("a"))
                await asyncio.sleep(seconds)
                assert ("acknowledgement lost" in caplog.text) == (status == "EXPIRED")
                network.go()
                await asyncio.sleep(29)
                assert status == served.node.command(command.command_id).status


# The end


async def test_sigterm(served: Served) -> None:
    """It ends the run, after what has begun was answered; and the handler is taken off again."""
    agent, begun = Agent(served.url, agent_id="a", group="g"), asyncio.Event()
    goes_on = asyncio.Event()

    @agent.on("config-update")
    async def work(_command: CommandEvent) -> str:
        begun.set()
        await goes_on.wait()
        return "done"

    task = asyncio.create_task(agent.run())
    await connected(served)
    command = await served.node.issue(ORDER, Target.agent("a"))
    await within(begun.wait())
    signal.raise_signal(signal.SIGTERM)
    await eventually(lambda: not agent.connected)
    goes_on.set()
    await within(task)
    [delivery] = served.node.deliveries(command.command_id)
    assert Ack(data="done") == delivery.result
    assert signal.SIG_DFL is signal.getsignal(signal.SIGTERM)


async def test_sigterm_is_for_all_agents_of_a_process(served: Served) -> None:
    """And for none where the process has a handler of its own."""
    agents = [echoing(served.url, f"a{n}")[0] for n in range(3)]
    tasks = [asyncio.create_task(agent.run()) for agent in agents]
    for agent in agents:
        await connected(served, agent.agent_id)
    signal.raise_signal(signal.SIGTERM)
    await within(asyncio.gather(*tasks))
    calls: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda *_: calls.append(1))
    try:
        async with running_agent(agents[0]) as task:
            await connected(served, "a0")
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0.05)
            assert not task.done()
            assert [1] == calls
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_stopping_what_does_not_end(served: Served) -> None:
    """It is cut off after its grace and answered as a failure; what has not begun stays pending."""
    agent = Agent(served.url, agent_id="a", group="g", max_concurrent=1, grace=0.05)
    begun = asyncio.Event()

    @agent.on("config-update")
    async def never_end(_command: CommandEvent) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(agent.run())
    await connected(served)
    commands = [await served.node.issue(ORDER, Target.agent("a")) for _ in range(2)]
    await within(begun.wait())
    agent.stop()
    await within(task)
    [cut_off], [left] = (served.node.deliveries(command.command_id) for command in commands)
    assert Ack(status=Outcome.FAILURE, message="cut off by the end of the agent") == cut_off.result
    assert DeliveryState.PENDING is left.status


async def test_nothing_is_left_when_it_has_ended(served: Served) -> None:
    """No task and no connection."""
    before = asyncio.all_tasks()
    agent, _ = echoing(served.url)
    async with running_agent(agent):
        await connected(served)
        await issue(served)
    await eventually(lambda: len(served.node.streams) == 0)
    await eventually(lambda: asyncio.all_tasks() <= before)


@pytest.mark.parametrize("ticks", range(4))
async def test_cancelled_twice(served: Served, ticks: int) -> None:
    """Whoever does not wait for its end is left with nothing that goes on either."""
    agent, begun = Agent(served.url, agent_id="a", group="g"), asyncio.Event()

    @agent.on("config-update")
    async def never_end(_command: CommandEvent) -> None:
        begun.set()
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    task = asyncio.create_task(agent.run())
    await connected(served)
    await served.node.issue(ORDER, Target.agent("a"))
    await within(begun.wait())
    task.cancel()
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    commands = [task for task in asyncio.all_tasks() - before if "command" in task.get_name()]
    assert [] == commands


async def test_the_log_names_the_agent(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """In each line, and says nothing of a life without trouble but its milestones."""
    caplog.set_level(logging.INFO, logger="cameleer_registry.client")
    agent, _ = echoing(served.url)
    async with running_agent(agent):
        await connected(served)
        await issue(served)
    lines = [r for r in caplog.records if r.name.startswith("cameleer_registry.client")]
    assert ["registered", "stream opened"] == [record.getMessage() for record in lines]
    assert {"a"} == {getattr(record, "agent_id", None) for record in lines}
