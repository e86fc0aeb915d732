"""A node that is cut off from NATS, in a network of its own: what it answers meanwhile, and after.

By how long the node has heard nothing, which it says itself, an answer belongs to a phase; one that
was asked for in one phase and answered in the next shows nothing, and is asked for again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from attrs import define, field

from cameleer_registry.node.sharing.contact import ENDING, REFUSING, WAITING

from ..faults.network import Network, network
from ..faults.scale import SCALE
from ..nats import nats_servers
from .nodes import NodeProcess, nodes

PHASES: Final = (
    ("at first", 0.0, WAITING),
    ("after 3 s", WAITING, REFUSING),
    ("after 15 s", REFUSING, ENDING),
    ("after 30 s", ENDING + 4, float("inf")),  # in some seconds its streams are ended
)
# Nothing is asked for just before a phase ends: it is answered by the state of one moment.
MARGIN: Final = 0.5

READ: Final = "a list is read"
HEARTBEAT: Final = "a heartbeat"
READY: Final = "/readyz"
CHANGE: Final = "a command is issued"
UNKNOWN: Final = "an agent is asked for that is not known"
STREAM: Final = "a stream is opened"
HELD: Final = "a stream that was open"

AT_ONCE: Final = {
    "at first": {READ: "200", HEARTBEAT: "204", READY: "200", HELD: "open"},
    "after 3 s": {READ: "200 as of then", HEARTBEAT: "204 as of then", READY: "200", HELD: "open"},
    "after 15 s": {
        READ: "200 as of then",
        HEARTBEAT: "503 not-in-contact",
        READY: "503",
        HELD: "open",
    },
    "after 30 s": {
        READ: "200 as of then",
        HEARTBEAT: "503 not-in-contact",
        READY: "503",
        HELD: "ended",
    },
}
"""What is answered in each phase, however often it is asked."""

REFUSED: Final = "503 not-in-contact"
UNDECIDED: Final = {"503 outcome-unknown", REFUSED}  # whether or not it had been sent
OPENED: Final = {"200", "200 as of then"}  # a second after it was asked for
IN_THE_END: Final = {
    "at first": {CHANGE: UNDECIDED, UNKNOWN: {REFUSED}, STREAM: OPENED},
    "after 3 s": {CHANGE: UNDECIDED, UNKNOWN: {REFUSED}, STREAM: OPENED},
    "after 15 s": {CHANGE: {REFUSED}, UNKNOWN: {REFUSED}, STREAM: OPENED},
    "after 30 s": {CHANGE: {REFUSED}, UNKNOWN: {REFUSED}, STREAM: {REFUSED}},
}
"""What is answered after up to ten seconds, where the node is not back before, by the phase in
which it was asked."""


@define(eq=False)
class Inside:
    """Asks a node from its own network; every method is for threads."""

    network: Network
    url: str
    # Of each phase, what was answered to what at once.
    at_once: dict[str, dict[str, set[str]]] = field(
        factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    # Of each phase, what was answered in the end, and after how many seconds.
    in_the_end: dict[str, dict[str, tuple[str, float]]] = field(factory=lambda: defaultdict(dict))
    held_ended: threading.Event = field(factory=threading.Event)
    _waiting: list[threading.Thread] = field(factory=list)

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """Give a client whose connections begin in there."""
        with self.network.inside(), httpx.Client(base_url=self.url, timeout=30) as client:
            yield client

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask something."""
        with self.client() as client:
            return client.request(method, path, **more)

    def silence(self) -> float:
        """For how long the node has heard nothing of its own, by its own account."""
        text = self.ask("GET", "/metrics").text
        name = "cameleer_cluster_silence_seconds "
        return float(next(x for x in text.splitlines() if x.startswith(name)).split()[1])

    def hold(self, agent_id: str, opened: threading.Event) -> None:
        """Hold a stream to its end."""
        with (
            self.client() as client,
            client.stream("GET", f"/api/v1/agents/{agent_id}/events", timeout=None) as answer,
        ):
            assert 200 == answer.status_code
            opened.set()
            for _ in answer.iter_bytes():
                pass
        self.held_ended.set()

    def sample(self, agent_id: str) -> None:
        """Ask one of each kind, and note in which phase that was."""
        kinds: dict[str, Callable[[], str]] = {
            READ: lambda: shown(self.ask("GET", "/api/v1/agents")),
            HEARTBEAT: lambda: shown(self.ask("POST", f"/api/v1/agents/{agent_id}/heartbeat")),
            READY: lambda: str(self.ask("GET", "/readyz").status_code),
            HELD: lambda: "ended" if self.held_ended.is_set() else "open",
        }
        phase = phase_of(self.silence())
        if phase is not None and phase not in self.in_the_end:
            self._begin_slow(phase)
        for kind, ask in kinds.items():
            before = phase_of(self.silence())
            answer = ask()
            if before is not None and before == phase_of(self.silence()):
                self.at_once[before][kind].add(answer)

    def _begin_slow(self, phase: str) -> None:
        """Ask what may wait, each in a thread of its own."""
        body = {"type": "replay"}
        kinds: dict[str, Callable[[], str]] = {
            CHANGE: lambda: shown(self.ask("POST", "/api/v1/agents/commands", json=body)),
            UNKNOWN: lambda: shown(self.ask("GET", "/api/v1/agents/nobody")),
            STREAM: self.open_stream,
        }
        of_phase = self.in_the_end[phase]

        def note(kind: str, ask: Callable[[], str]) -> None:
            began = time.monotonic()
            of_phase[kind] = (ask(), time.monotonic() - began)

        for kind, ask in kinds.items():
            self._waiting.append(threading.Thread(target=note, args=(kind, ask)))
            self._waiting[-1].start()

    def wait(self) -> None:
        """Wait for all that has not been answered."""
        for thread in self._waiting:
            thread.join()

    def open_stream(self) -> str:
        """Open one for an agent that has none, and let it go."""
        with (
            self.client() as client,
            client.stream("GET", "/api/v1/agents/passer-by/events") as answer,
        ):
            if answer.status_code != 200:
                answer.read()
            return shown(answer)


def shown(answer: httpx.Response) -> str:
    """Return what counts of an answer."""
    text = str(answer.status_code)
    if answer.status_code >= 400:
        text += " " + str(answer.json()["type"]).rpartition(":")[2]
        assert answer.status_code != 503 or int(answer.headers["Retry-After"]) > 0
        return text
    return text + " as of then" * ("X-Cameleer-As-Of" in answer.headers)


def phase_of(silence: float) -> str | None:
    """Return the phase in which a node is, unless it is about to end."""
    for name, begins, ends in PHASES:
        if begins + MARGIN / 5 < silence < ends - MARGIN:
            return name
    return None


def watch(inside: Inside, seconds: float) -> None:
    """Sample until it is time; and longer where a slow machine has not shown all that is due."""
    began = time.monotonic()
    while (past := time.monotonic() - began) < seconds or (
        past < seconds + 60
        and any(AT_ONCE[phase].keys() != inside.at_once[phase].keys() for phase in due(seconds))
    ):
        inside.sample("here")
        time.sleep(0.3)


def due(seconds: float) -> list[str]:
    """Return the phases that must be seen; the first is short, and a slow machine may miss it."""
    return [name for name, begins, _ in PHASES if 0 < begins and begins + 1 < seconds]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", SCALE.cut_off)
async def test_a_node_is_cut_off(tmp_path: Path, seconds: int, record_property: Any) -> None:
    """It says what it knows and refuses what it cannot keep; then all is as it should be."""
    with network() as net:
        within = ("ip", "netns", "exec", net.namespace)
        async with (
            nats_servers(tmp_path / "nats", host=net.here) as servers,
            nodes(servers, tmp_path, "b", quiet=True) as (other,),
        ):
            node = NodeProcess("a", servers, str(tmp_path / "a.db"), log=tmp_path / "a.log")
            node.within_program = within
            await node.start()
            try:
                await cut_off(net, node, other, seconds, record_property)
            finally:
                net.mend()
                await node.kill()


async def cut_off(
    net: Network, node: NodeProcess, other: NodeProcess, seconds: int, record_property: Any
) -> None:
    """Cut it off, ask, and let it come back."""
    inside = Inside(net, node.url)
    for agent_id in ("here", "passer-by", "there"):
        assert 201 == (await other.enter(agent_id)).status_code
    opened = threading.Event()
    holding = asyncio.create_task(asyncio.to_thread(inside.hold, "here", opened))
    assert await asyncio.to_thread(opened.wait, 30)
    net.cut()
    try:
        body, headers = {"type": "replay"}, {"Idempotency-Key": '"meanwhile"'}
        issue = ("POST", "/api/v1/agents/there/commands")
        early = asyncio.create_task(
            asyncio.to_thread(inside.ask, *issue, json=body, headers=headers)
        )
        await asyncio.to_thread(watch, inside, seconds)
        # The others go on meanwhile.
        assert 202 == (await other.ask("POST", "/agents/commands", body)).status_code
    finally:
        net.mend()
    answered = await early
    waited = answered.elapsed.total_seconds()
    async with asyncio.timeout(60):  # until it takes part again
        while True:
            again = await asyncio.to_thread(inside.ask, *issue, json=body, headers=headers)
            if again.status_code == 202:
                break
            assert 503 == again.status_code
            await asyncio.sleep(0.3)
    # Asked again, that is one command, whatever was answered at first.
    assert answered.status_code in (202, 503)
    if answered.status_code == 202:
        assert answered.json()["commandId"] == again.json()["commandId"]
    path = "/agents/there/commands"
    at_both = [
        (await asyncio.to_thread(inside.ask, "GET", f"/api/v1{path}")).json(),
        (await other.ask("GET", path)).json(),
    ]
    assert at_both[0] == at_both[1]
    ids = [delivery["commandId"] for delivery in at_both[0]]
    assert 1 == ids.count(again.json()["commandId"])
    assert len(ids) == len(set(ids))
    agents = (await other.ask("GET", "/agents")).json()
    assert {"LIVE"} == {agent["status"] for agent in agents}
    assert 200 == (await asyncio.to_thread(inside.ask, "GET", "/readyz")).status_code
    assert "200" == shown(await asyncio.to_thread(inside.ask, "GET", "/api/v1/agents"))
    await asyncio.to_thread(inside.wait)
    tell(inside, seconds, f"{shown(answered)} after {waited:.1f} s", record_property)
    for phase in due(seconds):
        assert AT_ONCE[phase].keys() == inside.at_once[phase].keys(), phase
    for phase, kinds in inside.at_once.items():
        for kind, answers in kinds.items():
            assert {AT_ONCE[phase][kind]} == answers, (phase, kind)
    for phase, begins, _ in PHASES:
        for kind, right in IN_THE_END[phase].items():
            asked = kind in inside.in_the_end[phase]
            if asked and (begins + 13 < seconds or begins >= REFUSING):
                assert inside.in_the_end[phase][kind][0] in right, (phase, kind)
    await asyncio.to_thread(inside.ask, "DELETE", "/api/v1/agents/here")  # ends its stream
    await asyncio.wait_for(holding, 30)


def tell(inside: Inside, seconds: int, first: str, record_property: Any) -> None:
    """Print what was answered."""
    print(f"cut off for {seconds} s: a command that was issued at once: {first}")
    for phase in inside.at_once:
        for kind, answers in inside.at_once[phase].items():
            print(f"  {phase}: {kind}: {', '.join(sorted(answers))}")
            record_property(f"{phase}: {kind}", sorted(answers))
        for kind, (answer, took) in inside.in_the_end[phase].items():
            print(f"  {phase}: {kind}: {answer} after {took:.1f} s")
