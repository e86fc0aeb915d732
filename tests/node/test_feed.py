"""The operators' feed as a conversation: facts go in, and events come out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import define, field

from cameleer_registry import Ack, CommandType, Order, Outcome, Settings, Target
from cameleer_registry.core.events import CloseReason, Event
from cameleer_registry.core.instant import Instant
from cameleer_registry.core.registry import Registry
from cameleer_registry.core.views import time_of_day
from cameleer_registry.node.feed import feed as feed_module
from cameleer_registry.node.feed.feed import Feed
from cameleer_registry.node.feed.followers import Follower
from cameleer_registry.node.feed.ring import USUAL_SIZE, Entry
from cameleer_registry.wire.times import timestamp

from ..core.conversations import DEAD, STALE, START, TTL, Talk, limits, registration
from ..support import eventually, following, serving

FIRST = START.wall // 1000
COUNTS = ("PENDING", "ACKNOWLEDGED", "EXPIRED")


@define
class Told:
    """A feed, and a conversation with a registry all of whose facts it gets."""

    feed: Feed = field(factory=lambda: Feed(Settings(), started=START))
    talk: Talk = field(factory=lambda: Talk(Registry(limits(max_pending_per_agent=10_000))))
    seen: int = FIRST - 1

    def of(self, facts: list[Event]) -> list[tuple[str, dict[str, Any]]]:
        """Return what is told of these facts at once: types and data."""
        for fact in facts:
            self.feed.take(fact)
        return self.news()

    def later(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what is told when the moment is over."""
        self.feed._shares.tell_all()
        return self.news()

    def news(self) -> list[tuple[str, dict[str, Any]]]:
        news = [parsed(event) for event in self.events()]
        self.seen = self.feed._ring.newest
        return news

    def events(self) -> list[Entry]:
        ring = self.feed._ring
        return [ring[event_id] for event_id in range(self.seen + 1, ring.newest + 1)]


def parsed(event: Entry) -> tuple[str, dict[str, Any]]:
    """Take an event apart; its lines say what it is."""
    id_line, event_line, data_line, *rest = event.content.decode().split("\n")
    assert [f"id: {event.id}", f"event: {event.type}"] == [id_line, event_line]
    assert ["", ""] == rest
    return event.type, json.loads(data_line.removeprefix("data: "))


@pytest.fixture
def told() -> Told:
    return Told()


def at(seconds: int) -> str:
    """Return the time of day so many seconds after the start of a conversation."""
    return timestamp(time_of_day(Instant(START.wall + seconds * 1_000_000_000, 0, 0)))


# Agents


def test_registrations_are_told(told: Told) -> None:
    """With what the agent declared; the second one resumes it."""
    declared = {"name": "A", "version": "1.2", "instance_id": "i"}
    expected = {"name": "A", "version": "1.2", "instanceId": "i", "agentId": "a", "group": "g"}
    assert [("agent-registered", {"at": at(0), **expected, "resumed": False})] == told.of(
        told.talk.register("a", "g", **declared)
    )
    plain = {"name": "a", "version": None, "instanceId": None, "agentId": "a", "group": "h"}
    assert [("agent-registered", {"at": at(5), **plain, "resumed": True})] == told.of(
        told.talk.at(5).register("a", "h")
    )


def test_heartbeats_are_not_told_but_changes_of_status_are(told: Told) -> None:
    """At the moment they happened, from one status to the other."""
    told.of(told.talk.register("a"))
    assert [] == told.of(told.talk.at(1).heartbeat("a"))
    agent = {"agentId": "a", "group": "g"}
    stale = {"at": at(91), **agent, "from": "LIVE", "to": "STALE"}
    assert [("agent-status", stale)] == told.of(told.talk.at(STALE + 2).sweep_leases())
    dead = {"at": at(391), **agent, "from": "STALE", "to": "DEAD"}
    assert [("agent-status", dead)] == told.of(told.talk.at(DEAD + 2).sweep_leases())
    live = {"at": at(400), **agent, "from": "DEAD", "to": "LIVE"}
    assert [("agent-status", live)] == told.of(told.talk.at(400).heartbeat("a"))


def test_an_agent_that_moves_comes_back_in_its_new_group(told: Told) -> None:
    """What happened before is about the old one."""
    told.of(told.talk.register("a", "g"))
    news = told.of(told.talk.at(100).register("a", "h"))
    assert [
        ("agent-status", "g", "STALE"),
        ("agent-registered", "h", None),
        ("agent-status", "h", "LIVE"),
    ] == [(kind, data["group"], data.get("to")) for kind, data in news]


def test_streams_and_removals_are_told(told: Told) -> None:
    """With the reason of each end."""
    agent = {"at": at(0), "agentId": "a", "group": "g"}
    told.of(told.talk.register("a"))
    assert [("stream-opened", agent)] == told.of(told.talk.open("a", 1))
    for stream_id in (2, 3):
        assert [("stream-closed", {**agent, "reason": "replaced"}), ("stream-opened", agent)] == (
            told.of(told.talk.open("a", stream_id))
        )
    assert ("stream-conflict", agent) == told.of(told.talk.open("a", 4))[-1]
    for reason in (CloseReason.CLIENT_GONE, CloseReason.SLOW_CONSUMER, CloseReason.SHUTDOWN):
        closed = told.of(told.talk.close("a", 4, reason))
        assert [("stream-closed", {**agent, "reason": str(reason)})] == closed
        told.of(told.talk.open("a", 4))
    assert [("stream-closed", {**agent, "reason": "agent-removed"}), ("agent-removed", agent)] == (
        told.of(told.talk.remove("a"))
    )


# Commands


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (Target.agent("a"), {"level": "agent", "agentId": "a"}),
        (Target.of_group("g"), {"level": "group", "group": "g"}),
        (Target.all(), {"level": "all"}),
    ],
)
def test_a_command_is_told_when_it_is_issued(
    told: Told, target: Target, shown: dict[str, str]
) -> None:
    """Not its payload, which may be large, or secret."""
    told.of(told.talk.register("a"))
    told.of(told.talk.open("a", 1))
    issued = {
        "at": at(0),
        "commandId": "c",
        "type": "config-update",
        "target": shown,
        "targetCount": 1,
        "connectedCount": 1,
        "skippedCount": 0,
        "issuedBy": None,
        "createdAt": at(0),
        "expiresAt": at(60),
    }
    assert [("command-issued", issued)] == told.of(told.talk.issue("c", target))
    assert [] == told.of(told.talk.pushed("c", "a"))


def deliveries(told: Told, count: int) -> list[str]:
    """Issue a command ``c`` to so many agents, and say nothing of it."""
    ids = [f"a{number:04}" for number in range(count)]
    for agent_id in ids:
        told.of(told.talk.register(agent_id))
    told.of(told.talk.issue("c", Target.all()))
    return ids


def counts(*numbers: int) -> dict[str, int]:
    return dict(zip(COUNTS, numbers, strict=True))


def outcomes(successes: int, failures: int) -> dict[str, dict[str, int]]:
    return {"outcomes": {"SUCCESS": successes, "FAILURE": failures}}


def test_acknowledgements_of_a_moment_share_an_event(told: Told) -> None:
    """The last one is not waited for: it comes with the end of the command."""
    ids = deliveries(told, 5)
    for agent_id in ids[:3]:
        assert [] == told.of(told.talk.at(1).ack(agent_id, "c"))
    shared = {"commandId": "c", "type": "config-update", "failures": [], "failedCount": 0}
    first = {"at": at(1), **shared, "agentIds": ids[:3], "status": "PENDING", **outcomes(3, 0)}
    assert [("delivery-acknowledged", {**first, "counts": counts(2, 3, 0)})] == told.later()
    assert [] == told.later()
    told.of(told.talk.at(2).ack(ids[3], "c"))
    last = {"at": at(3), **shared, "agentIds": ids[3:], "status": "ACKNOWLEDGED", **outcomes(5, 0)}
    assert [("delivery-acknowledged", {**last, "counts": counts(0, 5, 0)})] == told.of(
        told.talk.at(3).ack(ids[4], "c")
    )


def test_a_second_acknowledgement_and_a_late_one_are_not_told(told: Told) -> None:
    """The first says it all."""
    first, second = deliveries(told, 2)
    told.of(told.talk.ack(first, "c"))
    told.later()
    assert [] == told.of(told.talk.ack(first, "c")) + told.later()
    told.of(told.talk.at(TTL).sweep_commands())
    assert [] == told.of(told.talk.ack(second, "c")) + told.later()


def test_failures_are_named_with_their_messages(told: Told) -> None:
    """Cut where they are long, absent where there is none."""
    ids = deliveries(told, 3)
    for agent_id, message in zip(ids, ("x" * 501, None, "ok"), strict=True):
        outcome = Outcome.SUCCESS if message == "ok" else Outcome.FAILURE
        news = told.of(told.talk.ack(agent_id, "c", Ack(status=outcome, message=message)))
    [(_, data)] = news
    assert [
        {"agentId": ids[0], "message": "x" * 500},
        {"agentId": ids[1], "message": None},
    ] == data["failures"]
    assert 2 == data["failedCount"]
    assert outcomes(1, 2).items() <= data.items()


def test_failures_are_counted_from_the_first_on(told: Told) -> None:
    """Also where only the newest ones are named, and where others follow that are none."""
    ids = deliveries(told, 450)
    failed = Ack(status=Outcome.FAILURE)
    news = []
    for agent_id in ids[:401]:
        news += told.of(told.talk.ack(agent_id, "c", failed))
    news += told.later()
    assert [] == told.of(told.talk.ack(ids[0], "c", failed))  # the first answer stands
    for agent_id in ids[401:]:
        news += told.of(told.talk.ack(agent_id, "c"))
    assert [(200, 200), (200, 400), (1, 401), (0, 401)] == [
        (len(data["failures"]), data["failedCount"]) for _, data in news
    ]


@pytest.mark.parametrize(
    ("outcome", "count", "expected"),
    [
        (Outcome.SUCCESS, 2500, [1000, 1000, 500]),
        (Outcome.FAILURE, 500, [200, 200, 100]),
    ],
)
def test_a_share_is_bounded(told: Told, outcome: Outcome, count: int, expected: list[int]) -> None:
    """In its agents, and in its failures; each is told once."""
    ids = deliveries(told, count)
    news = []
    for agent_id in ids:
        news += told.of(told.talk.ack(agent_id, "c", Ack(status=outcome)))
    assert expected == [len(data["agentIds"]) for _, data in news]
    assert ids == [agent_id for _, data in news for agent_id in data["agentIds"]]
    assert [count - sum(expected[:n]) for n in (1, 2, 3)] == [
        data["counts"]["PENDING"] for _, data in news
    ]


def test_a_deadline_is_told_in_few_events(told: Told) -> None:
    """Together with the acknowledgements that came before it."""
    ids = deliveries(told, 2502)
    told.of(told.talk.ack(ids[0], "c"))
    news = told.of(told.talk.at(TTL + 1).sweep_commands(None))
    assert [
        ("delivery-acknowledged", None, 1, "PENDING", counts(1501, 1, 1000)),
        ("delivery-expired", "deadline", 1000, "PENDING", counts(1501, 1, 1000)),
        ("delivery-expired", "deadline", 1000, "PENDING", counts(501, 1, 2000)),
        ("delivery-expired", "deadline", 501, "EXPIRED", counts(0, 1, 2501)),
    ] == [
        (kind, data.get("reason"), len(data["agentIds"]), data["status"], data["counts"])
        for kind, data in news
    ]
    assert {at(0), at(60)} == {data["at"] for _, data in news}


def test_what_is_deleted_in_a_moment_expires_in_one_event(told: Told) -> None:
    """A fleet that is deleted agent by agent is no flood, either."""
    ids = deliveries(told, 10)
    news = [event for agent_id in ids[:9] for event in told.of(told.talk.remove(agent_id))]
    assert {"agent-removed"} == {kind for kind, _ in news}
    [(kind, data)] = told.later()
    assert ("delivery-expired", "agent-removed", ids[:9]) == (
        kind,
        data["reason"],
        data["agentIds"],
    )


def test_kinds_that_take_turns_share_one_event_each(told: Told) -> None:
    """Also where every second target is deleted; the counts are those after both."""
    ids = deliveries(told, 401)
    news = []
    for acknowledging, deleted in zip(ids[0:400:2], ids[1:400:2], strict=True):
        news += told.of(told.talk.ack(acknowledging, "c"))
        news += told.of(told.talk.remove(deleted))
    assert {"agent-removed"} == {kind for kind, _ in news}
    assert [
        ("delivery-acknowledged", ids[0:400:2], counts(1, 200, 200)),
        ("delivery-expired", ids[1:400:2], counts(1, 200, 200)),
    ] == [(kind, data["agentIds"], data["counts"]) for kind, data in told.later()]


def test_a_full_share_is_told_with_all_others_of_its_command(told: Told) -> None:
    """So their counts agree with what has been told."""
    ids = deliveries(told, 1102)
    told.of(told.talk.remove(ids[0]))
    news = [event for agent_id in ids[1:1002] for event in told.of(told.talk.ack(agent_id, "c"))]
    assert [
        ("delivery-expired", 1, counts(101, 1000, 1)),
        ("delivery-acknowledged", 1000, counts(101, 1000, 1)),
    ] == [(kind, len(data["agentIds"]), data["counts"]) for kind, data in news]
    [(_, rest)] = told.later()
    assert (ids[1001:1002], counts(100, 1001, 1)) == (rest["agentIds"], rest["counts"])


def test_deliveries_of_a_command_that_nobody_was_told_of_are_left_out(told: Told) -> None:
    """It could not be said how many there are; others are told."""
    ids = deliveries(told, 3)
    del told.feed._shares._open["c"]
    assert [] == told.of(told.talk.ack(ids[0], "c")) + told.later()
    assert ["agent-removed"] == [kind for kind, _ in told.of(told.talk.remove(ids[1]))]
    told.of(told.talk.issue("d", Target.agent(ids[2])))
    told.of(told.talk.ack(ids[2], "d"))
    assert [] == told.of(told.talk.at(TTL + 1).sweep_commands(None)) + told.later()


def test_what_is_forgotten_is_told_all_the_same() -> None:
    """A command that does not fit into the history is forgotten when it finishes."""
    told = Told(talk=Talk(Registry(limits(command_history=0))))
    told.of(told.talk.register("a"))
    told.of(told.talk.issue("c", Target.all()))
    [(kind, data)] = told.of(told.talk.ack("a", "c"))
    assert ("delivery-acknowledged", "ACKNOWLEDGED") == (kind, data["status"])


def test_nothing_is_kept_of_a_command_that_has_finished(told: Told) -> None:
    """By acknowledgement, by deadline, and where there was nobody to target."""
    told.of(told.talk.issue("nobody", Target.all()))
    for agent_id in deliveries(told, 3):
        told.of(told.talk.ack(agent_id, "c"))
    told.of(told.talk.issue("d", Target.all()))
    assert 1 == len(told.feed._shares._open)
    told.of(told.talk.at(TTL).sweep_commands())
    assert not told.feed._shares._open
    assert not told.feed._shares


async def test_a_feed_that_fails_is_started_again_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who follows it then is told what it was not."""
    monkeypatch.setattr(feed_module, "MOMENT", 0.001)
    async with serving() as served, following(served) as follower:
        with monkeypatch.context() as broken:
            broken.setattr(Follower, "advance", lambda _self: 1 / 0)
            await served.node.register(registration("a"))
            await eventually(
                lambda: "event feed has failed and is started again" in caplog.messages
            )
        assert "agent-registered" == (await follower.event())["event"]


# Groups


def test_events_are_about_the_groups_of_their_agents(told: Told) -> None:
    """Those of a command about the group it was meant for, and those its targets were in."""
    for agent_id, group in (("a", "g"), ("b", "g"), ("c", "h")):
        told.of(told.talk.register(agent_id, group))
    told.of(told.talk.issue("one", Target.agent("c")))
    told.of(told.talk.issue("all", Target.all()))
    told.of(told.talk.at(STALE).issue("group", Target.of_group("g")))
    told.of(told.talk.ack("c", "all"))
    told.seen = FIRST - 1
    told.feed._shares.tell_all()
    about: dict[Any, set[str]] = {}
    for event in told.events():
        _, data = parsed(event)
        about[event.type, data.get("commandId") or data["agentId"]] = set(event.groups)
    assert {
        ("agent-registered", "a"): {"g"},
        ("agent-registered", "b"): {"g"},
        ("agent-registered", "c"): {"h"},
        ("command-issued", "one"): {"h"},
        ("command-issued", "all"): {"g", "h"},
        ("command-issued", "group"): {"g"},
        ("delivery-expired", "one"): {"h"},
        ("delivery-expired", "all"): {"g", "h"},
    } == about


# The ring


def test_ids_are_a_sequence_that_begins_with_the_time_of_the_start(told: Told) -> None:
    """In microseconds, which JavaScript counts exactly."""
    told.of(told.talk.register("a"))
    told.of(told.talk.register("b"))
    assert [FIRST, FIRST + 1] == [event.id for event in told.feed._ring._entries]
    assert FIRST + 1 < 2**53


def test_the_history_is_bounded_in_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest stay."""
    monkeypatch.setattr(feed_module, "HISTORY", 3)
    told = Told()
    for number in range(5):
        for fact in told.talk.register(f"a{number}"):
            told.feed.take(fact)
    ring = told.feed._ring
    assert [FIRST + 2, FIRST + 3, FIRST + 4] == [event.id for event in ring._entries]
    assert (FIRST + 2, FIRST + 4) == (ring.oldest, ring.newest)
    assert 3 * USUAL_SIZE == ring.size
    assert sum(len(event.content) for event in ring._entries) == ring.size != 3 * USUAL_SIZE


def test_the_history_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many events that is; an event larger than the bound is numbered, and gone."""
    monkeypatch.setattr(feed_module, "HISTORY_BYTES", 1500)
    told = Told()
    for number in range(20):
        told.of(told.talk.register(f"a{number}"))
        assert told.feed._ring.size <= 1500
    assert len(told.feed._ring) > 3
    deliveries(told, 1)
    for fact in told.talk.ack("a0000", "c", Ack(status=Outcome.FAILURE, message="\x00" * 500)):
        told.feed.take(fact)
    told.feed._shares.tell_all()
    ring = told.feed._ring
    assert (0, 0) == (len(ring), ring.size)
    assert ring.oldest == ring.newest + 1


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (FIRST - 2, "another-server"),
        (FIRST - 1, "history-lost"),
        (FIRST + 5, "history-lost"),
        (FIRST + 6, FIRST + 6),
        (FIRST + 9, FIRST + 9),
        (FIRST + 10, "another-server"),
        (0, "another-server"),
        ("", "another-server"),
        ("-1", "another-server"),
        ("1e3", "another-server"),
        ("٣", "another-server"),
        ("9" * 5000, "another-server"),
        ("0193-a-uuid", "another-server"),
    ],
)
def test_a_position_is_known_while_the_ring_reaches_back_to_it(
    monkeypatch: pytest.MonkeyPatch, seen: str | int, expected: str | int
) -> None:
    """What is no id of this server, or none at all, is another server's."""
    monkeypatch.setattr(feed_module, "HISTORY", 3)
    told = Told()
    for number in range(10):
        told.of(told.talk.register(f"a{number}"))
    assert expected == told.feed._ring.find(str(seen))


def test_before_anything_has_happened_the_position_is_known(told: Told) -> None:
    """It is that before the first event; a reset may have told it."""
    assert FIRST - 1 == told.feed._ring.find(str(FIRST - 1))
    assert "another-server" == told.feed._ring.find(str(FIRST))


def test_line_ends_of_unicode_are_escaped(told: Told) -> None:
    """Some clients take them for line ends."""
    told.of(told.talk.register("a", name="x\u2028y\x85z"[:3]))
    [event] = told.feed._ring._entries
    assert 4 == len(event.content.decode().splitlines())
    assert "x\u2028y" == parsed(event)[1]["name"]


def test_orders_of_every_type_are_told(told: Told) -> None:
    """By the name that the type has on the wire."""
    told.of(told.talk.register("a"))
    for kind in CommandType:
        [(_, data)] = told.of(told.talk.issue(kind, Target.agent("a"), Order(type=kind)))
        assert kind.value == data["type"]
