"""Many nodes, one registry: any request at any node, and the same everywhere."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from cameleer_registry.core.inputs import Mark
from cameleer_registry.core.model import Target

from ...core.conversations import ORDER, registration
from ...docs.pages import CLUSTER, rows
from ...support import eventually, following, streaming, within
from .world import world


async def test_what_is_registered_at_one_is_known_at_the_other() -> None:
    """At once where the request carries the position of the answer, and soon without."""
    async with world("a", "b") as of:
        a, b = of.members
        answer = await a.enter("x")
        assert 201 == answer.status
        token = answer.headers["x-cameleer-position"]
        shown = await b.request("GET", "/agents/x", headers={"X-Cameleer-Position": token})
        assert (200, "LIVE") == (shown.status, shown.json()["status"])
        assert 200 == (await b.enter("x")).status
        await of.level()


async def test_nothing_is_unknown_for_mere_lag() -> None:
    """Registered at one, everything else at the other at once: never 404."""
    async with world("a", "b") as of:
        a, b = of.members
        for number in range(30):
            agent_id = f"x-{number}"
            await a.enter(agent_id)
            assert 204 == (await b.request("POST", f"/agents/{agent_id}/heartbeat")).status
            command = await a.order(f"/agents/{agent_id}/commands")
            path = f"/agents/{agent_id}/commands/{command['commandId']}/ack"
            assert 200 == (await b.request("POST", path)).status
            assert 200 == (await a.request("GET", f"/commands/{command['commandId']}")).status
        assert 404 == (await b.request("POST", "/agents/nobody/heartbeat")).status
        assert 404 == (await b.request("GET", "/commands/none")).status
        await of.level()


async def test_a_command_reaches_streams_at_all_nodes_once() -> None:
    """In the order of the log; it is delivered, acknowledged and finished everywhere."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        await b.enter("y")
        async with streaming(a, "x") as at_a, streaming(b, "y") as at_b:
            issued = [await at.order() for at in (a, b, a, b)]
            assert [2, 2, 2, 2] == [each["connectedCount"] for each in issued]
            ids = [each["commandId"] for each in issued]
            for connection in (at_a, at_b):
                assert ids == [(await connection.event())["id"] for _ in ids]
            for command_id in ids:
                await b.ack("x", command_id)
                await a.ack("y", command_id)
        for member in (a, b):
            for command_id in ids:
                shown = await member.request("GET", f"/commands/{command_id}?wait=5")
                assert "ACKNOWLEDGED" == shown.json()["status"]
                deliveries = member.node.deliveries
                assert ["x", "y"] == [each.agent_id for each in deliveries(command_id)]
                await eventually(
                    lambda d=deliveries, c=command_id: all(each.delivered_at for each in d(c))
                )
        await of.level()


async def test_the_newest_stream_wins_wherever_it_is() -> None:
    """The older one is ended at its node, and its end does not end the newer."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        async with streaming(a, "x") as older, streaming(b, "x") as newer:
            await older.closed()
            command = await a.order("/agents/x/commands")
            assert command["commandId"] == (await newer.event())["id"]
            await eventually(lambda: len(a.node.streams) == 0)
            shown = await a.request("GET", "/agents/x")
            assert shown.json()["connected"] is True


async def test_a_wait_at_one_ends_with_an_acknowledgement_at_the_other() -> None:
    """And is answered with what has come of it."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        command = await a.order()
        waiting = asyncio.create_task(a.request("GET", f"/commands/{command['commandId']}?wait=30"))
        await asyncio.sleep(0.05)
        await b.ack("x", command["commandId"])
        answer = await within(waiting)
        assert "ACKNOWLEDGED" == answer.json()["status"]


async def test_one_key_at_two_nodes_is_one_command() -> None:
    """Also where both ask at once."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        key = {"Idempotency-Key": '"once"'}
        one, other = await asyncio.gather(
            *(
                m.request("POST", "/agents/commands", {"type": "replay"}, headers=key)
                for m in (a, b)
            )
        )
        assert [202, 202] == [one.status, other.status]
        assert one.json()["commandId"] == other.json()["commandId"]


async def test_the_feed_is_the_same_at_all_nodes() -> None:
    """The same events with the same ids, and one may move from one node to the other."""
    async with world("a", "b") as of:
        a, b = of.members
        async with following(a) as at_a, following(b) as at_b:
            await a.enter("x")
            await b.enter("y")
            command = await b.order()
            await a.ack("x", command["commandId"])
            await b.ack("y", command["commandId"])
            events_a: list[dict[str, Any]] = []
            events_b: list[dict[str, Any]] = []
            for events, connection in ((events_a, at_a), (events_b, at_b)):
                while not events or events[-1]["event"] != "delivery-acknowledged":
                    events.append(await connection.event())
            assert events_a == events_b
        async with following(b, last_event_id=events_a[0]["id"]) as moved:
            assert events_a[1:] == [await moved.event() for _ in events_a[1:]]


async def test_a_node_that_ends_takes_its_streams_along() -> None:
    """At once; its agents come back elsewhere, and nobody is STALE for it."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        async with streaming(a, "x") as stream:
            ending = asyncio.create_task(a.end())
            await stream.closed()
            await eventually(lambda: not b.node.agent("x").connected)
        await within(ending)
        async with streaming(b, "x") as stream:
            command = await b.order()
            assert command["commandId"] == (await stream.event())["id"]
            assert "LIVE" == b.node.agent("x").status


async def test_a_node_that_is_killed_is_missed() -> None:
    """Its streams count as closed after five seconds; until then nobody concludes anything."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        async with streaming(a, "x"):
            loop = asyncio.get_running_loop()
            killed = loop.time()
            await a.kill()
            await eventually(lambda: not b.node.agent("x").connected)
            assert loop.time() - killed > 3.5, "it had been heard of for the last time just before"
            assert "LIVE" == b.node.agent("x").status
        assert 200 == (await b.enter("x")).status


async def test_a_name_is_listed_once() -> None:
    """Of a node that was killed or stopped and has come back, its newest start is shown."""
    async with world("a", "b") as of:
        a, b = of.members
        await b.kill()
        await eventually(lambda: "LOST" in {node.status for node in a.node.nodes()}, 30)
        await b.end()
        listed = [(node.name, node.status) for node in a.node.nodes()]
        assert [("a", "LIVE"), ("b", "LOST")] == listed
        for ends in ("LIVE", "LEFT"):
            b = await of.join("b")
            if ends == "LEFT":
                await b.end()
            await of.level(a)
            listed = [(node.name, node.status) for node in a.node.nodes()]
            assert [("a", "LIVE"), ("b", ends)] == listed
            if ends == "LIVE":
                await b.end()


async def test_who_comes_back_does_not_win() -> None:
    """A node that was cut off, and whose agent has gone elsewhere, ends its stream."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        async with streaming(a, "x") as older:
            a.log.cut = True
            await eventually(lambda: not b.node.agent("x").connected)
            async with streaming(b, "x") as newer:
                a.log.heal()
                await older.closed()
                command = await a.order("/agents/x/commands")
                assert command["commandId"] == (await newer.event())["id"]
                await eventually(lambda: a.shared.part.number == 3)
                await of.level()


async def test_a_joiner_starts_from_a_snapshot() -> None:
    """And from what the log has behind it; then it is equal to all others."""
    async with world("a") as of:
        [a] = of.members
        for number in range(20):
            await a.enter(f"x-{number}")
        command = await a.order()
        a.shared.tell(Mark())
        await eventually(lambda: a.shared.copying.snapshot_position > 0)
        assert of.engine.snapshots[-1].position == a.shared.copying.snapshot_position
        await a.ack("x-1", command["commandId"])
        b = await of.join("b")
        await of.level()
        assert 20 == len(b.node.registry)
        shown = await b.request("GET", f"/commands/{command['commandId']}")
        assert 1 == shown.json()["counts"]["ACKNOWLEDGED"]


async def test_a_heartbeat_at_one_is_known_at_the_other() -> None:
    """Within a second, and at once where it changes a status."""
    async with world("a", "b", stale_after=2, heartbeat_interval=1, dead_after=60) as of:
        a, b = of.members
        await a.enter("x")
        before = b.node.agent("x").last_heartbeat_at
        assert 204 == (await a.request("POST", "/agents/x/heartbeat")).status
        await eventually(lambda: b.node.agent("x").last_heartbeat_at > before)
        await eventually(lambda: b.node.agent("x").status == "STALE")
        assert 204 == (await b.request("POST", "/agents/x/heartbeat")).status
        assert "LIVE" == b.node.agent("x").status
        await eventually(lambda: a.node.agent("x").status == "LIVE")
        await of.level()


async def test_settings_that_decide_are_the_logs() -> None:
    """A node with others says so, and takes these; agents are told these."""
    async with world("a", max_agents=1, stale_after=200) as of:
        b = await of.join("b", max_agents=0, stale_after=100)
        answer = await b.enter("x")
        assert 200_000 == answer.json()["config"]["staleAfterMs"]
        assert (503, "at-capacity") == ((await b.enter("y")).status, (await b.enter("y")).code)


async def test_each_counts_what_has_come_in_there() -> None:
    """So that sums over nodes are right."""
    async with world("a", "b") as of:
        a, b = of.members
        await a.enter("x")
        await b.enter("y")
        command = await a.order()
        await b.ack("x", command["commandId"])
        await a.ack("y", command["commandId"])
        await of.level()
        meters = [each.node.meters for each in (a, b)]
        assert [1, 1] == [each.registrations["new"] for each in meters]
        assert [1, 0] == [sum(each.commands_issued.values()) for each in meters]
        delivered = [each.deliveries["replay", "success"] for each in meters]  # type: ignore[index]
        assert [1, 1] == delivered
        assert 1 == sum(sum(each.commands_finished.values()) for each in meters)
        shown = await a.request("GET", "//metrics")
        assert b"cameleer_cluster_nodes 2.0" in shown.body


async def test_every_metric_of_a_cluster_is_documented() -> None:
    """By its name and type, and no other."""
    async with world("a") as of:
        [a] = of.members
        shown = (await a.request("GET", "//metrics")).body.decode()
        exposed = dict(re.findall(r"^# TYPE (cameleer_cluster_\w+) (\w+)$", shown, re.M))
        documented = {name: kind for name, kind, *_ in rows(CLUSTER, "Metric of a cluster")}
        assert exposed == documented


async def test_what_is_too_large_for_the_log_is_refused_at_once() -> None:
    """However large a body may be: 413, and nothing waits for an append that must fail."""
    async with world() as of:
        of.engine.max_entry = 4096
        a = await of.join("a")
        await a.enter("x")
        await eventually(lambda: a.shared.part.appender is not None and a.shared.part.appender.idle)
        order = {"type": "replay", "payload": {"text": "x" * 4000}}
        for path in ("/agents/x/commands", "/agents/commands"):
            answer = await a.request("POST", path, order)
            assert (413, "body-too-large") == (answer.status, answer.code)
        assert [] == (await a.request("GET", "/commands")).json()
        assert (await a.order())["commandId"]


async def test_pending_commands_are_limited_alike_at_all_nodes() -> None:
    """However they come: who has too many is left out by the order of the log."""
    async with world("a", "b", max_pending_per_agent=3) as of:
        a, b = of.members
        for agent_id in ("x", "y"):
            await a.enter(agent_id)
        await of.level()
        issued = await asyncio.gather(*(at.order() for at in (a, b) * 4))
        skipped = sorted(tuple(each["skipped"]) for each in issued)
        assert [()] * 3 + [("x", "y")] * 5 == skipped
        refused = await b.request("POST", "/agents/x/commands", {"type": "replay"})
        assert (429, "too-many-pending") == (refused.status, refused.code)
        await of.level()


async def test_many_are_forgotten_at_once() -> None:
    """Each is judged where it stands in the log."""
    async with world("a", "b", stale_after=1, heartbeat_interval=1, dead_after=1) as of:
        a, b = of.members
        for number in range(5):
            await a.enter(f"x-{number}")
        await eventually(lambda: all(each.status == "DEAD" for each in b.node.agents()))
        await a.enter("x-0")
        answer = await b.request("DELETE", "/agents?status=DEAD")
        assert {"removed": 4} == answer.json()
        await of.level()
        assert ["x-0"] == [each.agent_id for each in a.node.agents()]


async def test_what_comes_while_everything_is_copied_waits_and_is_not_lost() -> None:
    """Copies are of one position, however much comes meanwhile; and others get their turn."""
    async with world("a", "b") as of:
        a, b = of.members
        for number in range(500):
            await a.node.register(registration(f"x-{number:03}"))
        for _ in range(3):
            a.shared.tell(Mark())
            await asyncio.gather(*(b.node.issue(ORDER, Target.all()) for _ in range(20)))
        await eventually(
            lambda: a.shared.copying.snapshot_position > 0 and not a.shared.applying.is_holding
        )
        await of.level()
        c = await of.join("c")
        await of.level()
        assert 60 == len(c.node.commands())
