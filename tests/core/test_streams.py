from __future__ import annotations

import pytest

from cameleer_registry.core.events import (
    AgentRegistered,
    CloseReason,
    Event,
    StreamClosed,
    StreamConflict,
    StreamOpened,
)

from .conversations import DEAD, NS, Talk


@pytest.fixture
def talk(talk: Talk) -> Talk:
    """A conversation in which the agent ``a`` has registered."""
    talk.register("a")
    return talk


def takeover(talk: Talk, older: int, newer: int, *, conflict: bool = False) -> list[Event]:
    """Return what is told when a stream takes the place of another."""
    facts: list[Event] = [
        StreamClosed(
            at=talk.now, agent_id="a", group="g", stream_id=older, reason=CloseReason.REPLACED
        ),
        StreamOpened(at=talk.now, agent_id="a", group="g", stream_id=newer),
    ]
    if conflict:
        facts.append(StreamConflict(at=talk.now, agent_id="a", group="g"))
    return facts


def conflicts(talk: Talk, seconds: list[float]) -> list[float]:
    """Have a stream taken over at each of these moments; return those of the conflicts."""
    talk.open("a", 0)
    found = []
    for stream_id, moment in enumerate(seconds, start=1):
        facts = talk.at(moment).open("a", stream_id)
        found += [moment for fact in facts if isinstance(fact, StreamConflict)]
    return found


def test_open_and_close(talk: Talk) -> None:
    """A stream is its agent's from its opening to its end."""
    assert (None, False) == (talk.stream_of("a"), talk.agent("a").connected)
    assert [StreamOpened(at=talk.now, agent_id="a", group="g", stream_id=4)] == talk.open("a", 4)
    assert (4, True) == (talk.stream_of("a"), talk.agent("a").connected)
    talk.at(1)
    assert [
        StreamClosed(
            at=talk.now, agent_id="a", group="g", stream_id=4, reason=CloseReason.CLIENT_GONE
        )
    ] == talk.close("a", 4)
    assert (None, False) == (talk.stream_of("a"), talk.agent("a").connected)


@pytest.mark.parametrize("reason", CloseReason)
def test_the_reason_of_a_close_is_told(talk: Talk, reason: CloseReason) -> None:
    """Why a stream ended is the caller's to say."""
    talk.open("a", 1)
    assert [
        StreamClosed(at=talk.now, agent_id="a", group="g", stream_id=1, reason=reason)
    ] == talk.close("a", 1, reason)


def test_the_newest_stream_wins(talk: Talk) -> None:
    """The older one is closed before the newer one is opened."""
    talk.open("a", 1)
    talk.at(1)
    assert takeover(talk, 1, 2) == talk.open("a", 2)
    assert 2 == talk.stream_of("a")


@pytest.mark.parametrize("reason", CloseReason)
def test_the_end_of_an_older_stream_never_removes_the_newer(
    talk: Talk, reason: CloseReason
) -> None:
    """Whatever was replaced may end as late as it likes, and more than once."""
    talk.open("a", 1)
    talk.open("a", 2)
    assert [] == talk.close("a", 1, reason)
    assert [] == talk.close("a", 1, reason)
    assert 2 == talk.stream_of("a")
    assert {"g": (1, 0, 0, 1)} == talk.summaries()


def test_a_stream_ends_once(talk: Talk) -> None:
    """A second end of it is no fact, nor is that of one that never was."""
    talk.open("a", 1)
    talk.close("a", 1)
    assert [] == talk.close("a", 1)
    assert [] == talk.close("a", 99)


def test_the_end_of_a_removed_agents_stream_spares_its_successor(talk: Talk) -> None:
    """A later agent with the same id keeps its own stream."""
    talk.open("a", 1)
    talk.remove("a")
    talk.register("a")
    talk.open("a", 2)
    assert [] == talk.close("a", 1)
    assert 2 == talk.stream_of("a")


def test_connected_counts(talk: Talk) -> None:
    """Streams are counted by group, each once, whatever their agents' status."""
    talk.register("b")
    talk.register("c", "h")
    talk.open("a", 1)
    talk.open("b", 2)
    talk.open("b", 3)
    talk.open("c", 4)
    assert {"g": (2, 0, 0, 2), "h": (1, 0, 0, 1)} == talk.summaries()
    talk.close("a", 1)
    talk.remove("c")
    assert {"g": (2, 0, 0, 1)} == talk.summaries()
    talk.at(DEAD).sweep_leases()
    assert {"g": (0, 0, 2, 1)} == talk.summaries()


def test_the_third_takeover_within_a_minute_is_a_conflict(talk: Talk) -> None:
    """It is told with the takeover, after the streams have changed places."""
    talk.open("a", 1)
    talk.at(10)
    assert takeover(talk, 1, 2) == talk.open("a", 2)
    talk.at(20)
    assert takeover(talk, 2, 3) == talk.open("a", 3)
    talk.at(30)
    assert takeover(talk, 3, 4, conflict=True) == talk.open("a", 4)
    talk.at(31)
    assert takeover(talk, 4, 5) == talk.open("a", 5)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([0, 0, 0], [0]),
        ([0, 30, 60 - NS], [60 - NS]),
        ([0, 30, 60], []),
        ([0, 59, 61, 62], [62]),
        ([0, 100, 200, 300], []),
        # Not told again within a minute, however it goes on, and again after it.
        ([0, 1, 2, 3, 30, 61, 62 - NS, 62, 63], [2, 62]),
        ([0, 1, 2, 59, 70, 100], [2, 100]),
        # What was before a quiet minute does not count.
        ([0, 1, 2, 200, 201, 202], [2, 202]),
    ],
)
def test_conflicts_within_a_minute(talk: Talk, moments: list[float], expected: list[float]) -> None:
    """Three takeovers within 60 s are one, told no more than once in as long."""
    assert expected == conflicts(talk, moments)


def test_reconnecting_is_no_conflict(talk: Talk) -> None:
    """A stream that ended before the next one opened was not taken over."""
    for stream_id in range(10):
        assert [
            StreamOpened(at=talk.now, agent_id="a", group="g", stream_id=stream_id)
        ] == talk.open("a", stream_id)
        talk.close("a", stream_id)


def test_conflicts_are_counted_for_each_agent(talk: Talk) -> None:
    """Takeovers of one agent's stream say nothing of another's."""
    talk.register("b")
    talk.open("a", 1)
    talk.open("b", 2)
    talk.open("a", 3)
    talk.open("a", 4)
    assert 2 == len(talk.open("b", 5))


def test_conflicts_are_forgotten_with_their_agent(talk: Talk) -> None:
    """A later agent with the same id is not held responsible."""
    talk.open("a", 1)
    talk.open("a", 2)
    talk.open("a", 3)
    talk.remove("a")
    talk.register("a")
    talk.open("a", 4)
    assert takeover(talk, 4, 5) == talk.open("a", 5)


def test_pauses_and_clock_steps_make_no_conflict(talk: Talk) -> None:
    """The minute is one of real time."""
    talk.open("a", 1)
    talk.open("a", 2)
    talk.open("a", 3)
    talk.pause(60).set_wall_clock(-60)
    assert takeover(talk, 3, 4) == talk.open("a", 4)


def test_a_new_process_ends_the_stream_of_the_one_before(talk: Talk) -> None:
    """Its host may have gone down without a word; nobody is connected until it opens its own."""
    talk.register("a", instance_id="old")
    talk.open("a", 1)
    closed, registered = talk.at(1).register("a", "h", instance_id="new")
    assert closed == StreamClosed(
        at=talk.now, agent_id="a", group="g", stream_id=1, reason=CloseReason.REPLACED
    )
    assert isinstance(registered, AgentRegistered)
    assert (None, False) == (talk.stream_of("a"), talk.agent("a").connected)
    assert [StreamOpened(at=talk.now, agent_id="a", group="h", stream_id=2)] == talk.open("a", 2)
    assert [] == talk.close("a", 1)
    assert 2 == talk.stream_of("a")


@pytest.mark.parametrize(
    ("before", "now"), [("same", "same"), (None, "new"), ("old", None), (None, None)]
)
def test_a_registration_of_the_same_process_leaves_the_stream_open(
    talk: Talk, before: str | None, now: str | None
) -> None:
    """So does one that does not say whose it is."""
    talk.register("a", instance_id=before)
    talk.open("a", 1)
    talk.register("a", instance_id=now)
    assert 1 == talk.stream_of("a")


def test_processes_that_register_against_each_other_are_a_conflict(talk: Talk) -> None:
    """Each ends the stream of the other by registering: that is a takeover like any other."""
    talk.register("a", instance_id="0")
    told = []
    for number in range(1, 6):
        talk.at(number).open("a", number)
        facts = talk.register("a", "h", instance_id=str(number))
        told += [(number, fact) for fact in facts if isinstance(fact, StreamConflict)]
    assert [(3, StreamConflict(at=talk.moment(3), agent_id="a", group="h"))] == told
