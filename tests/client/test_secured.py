"""An agent of a registry that asks for credentials and signs what it commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import evolve

from cameleer_registry.client import Agent, membership, trust
from cameleer_registry.client.connection import Connection
from cameleer_registry.client.missed import Missed
from cameleer_registry.core.events import CloseReason
from cameleer_registry.errors import ServerUnreachable
from cameleer_registry.node.streams import frames
from cameleer_registry.security.jwt import Lifetimes
from cameleer_registry.security.keyring import KeyRing

from ..closed import RING, SETTINGS, Closed, closed
from ..support import eventually, virtual_clock, within
from .support import VirtualServerClock


@asynccontextmanager
async def running(served: Closed, **more: Any) -> AsyncIterator[tuple[Agent, list[dict[str, Any]]]]:
    """Run an agent, and gather the payloads of what it was told to do."""
    taken: list[dict[str, Any]] = []
    agent = Agent(served.url, agent_id="n", group="g", **{"token": served.tokens["enrol"], **more})

    @agent.on("config-update")
    @agent.on("replay")
    async def take(command: Any) -> None:
        taken.append(dict(command.payload))

    task = asyncio.create_task(agent.run())
    try:
        await eventually(lambda: agent.connected or task.done())
        yield agent, taken
    finally:
        agent.stop()
        await asyncio.wait_for(task, 20)


async def command(served: Closed, kind: str = "replay", **payload: Any) -> dict[str, Any]:
    """Command the agent, and wait until nothing is pending."""
    body = {"type": kind, "payload": payload}
    answer = await served.ask("operator", "POST", "/agents/n/commands", body)
    path = f"/commands/{answer.json()['commandId']}?wait=20"
    done: dict[str, Any] = (await served.ask("operator", "GET", path)).json()
    return done


async def message(served: Closed, done: dict[str, Any]) -> str | None:
    path = f"/commands/{done['commandId']}/deliveries"
    result = (await served.ask("operator", "GET", path)).json()[0]["result"]
    return None if result is None else result["message"]


async def test_it_enrols_and_carries_out_what_is_signed() -> None:
    """Its token names the root, so that nobody else could have it do anything."""
    async with closed(agents={}) as served, running(served) as (agent, taken):
        assert agent._believing is not None
        assert RING.root_id == agent._believing.trust.pin.root
        done = await command(served, n=1)
        assert {"SUCCESS": 1, "FAILURE": 0} == done["outcomes"]
        assert [{"n": 1}] == taken
        # By its own token from now on.
        assert 204 == (await served.ask("operator", "DELETE", "/agents/n/token")).status
        await eventually(lambda: not agent.connected)
        await eventually(lambda: agent.connected)
        assert {"SUCCESS": 1, "FAILURE": 0} == (await command(served, n=2))["outcomes"]


async def test_keys_are_rotated_and_revoked_and_it_goes_on() -> None:
    """It looks for a key that it does not know, once a minute at most."""
    async with closed(agents={}) as served, running(served) as (agent, taken):
        await command(served, n=1)
        for _ in range(2):
            assert 200 == (await served.ask("admin", "POST", "/keys/command/rotate")).status
        assert {"SUCCESS": 1, "FAILURE": 0} == (await command(served, n=2))["outcomes"]
        assert [{"n": 1}, {"n": 2}] == taken
        assert agent._believing is not None
        assert 3 == agent._believing.trust.pin.version


async def test_it_looks_for_revoked_keys_though_none_signs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its heartbeats, once an hour: somebody may have stolen the key and hold the set back."""
    monkeypatch.setattr(trust, "FRESH", 0)
    # It may have looked just before the key was rotated.
    monkeypatch.setattr(trust, "ASK_AGAIN", 0)
    settings = evolve(SETTINGS, heartbeat_interval=0.05)
    async with closed(agents={}, settings=settings) as served, running(served) as (agent, _):
        assert agent._believing is not None
        assert 1 == agent._believing.trust.pin.version
        assert 200 == (await served.ask("admin", "POST", "/keys/command/rotate")).status
        believing = agent._believing
        await eventually(lambda: believing.trust.pin.version == 2)


async def test_a_server_that_signs_and_hides_its_keys_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An agent that knows no root would take its commands as they come."""
    connection = Connection.send
    hides = True

    async def send(self: Connection, method: str, *path: str, **more: Any) -> Any:
        if path == ("keys",) and hides:
            raise ServerUnreachable("hidden")
        return await connection(self, method, *path, **more)

    monkeypatch.setattr(Connection, "send", send)
    monkeypatch.setattr(membership, "FIRST_DELAY", 0.01)
    async with closed(agents={}) as served:
        await served.enrol("n")
        agent = Agent(served.url, agent_id="n", group="g", token=served.tokens["n"])
        task = asyncio.create_task(agent.run())
        answered = served.node.meters
        await eventually(lambda: answered.registrations["resumed"] > 1 or task.done())
        assert not agent.connected
        hides = False
        await eventually(lambda: agent.connected)
        assert agent._believing is not None
        assert RING.root_id == agent._believing.trust.pin.root
        agent.stop()
        await asyncio.wait_for(task, 20)


async def test_it_refuses_what_its_registry_has_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A man in the middle strips the signature, flips a byte, or signs by himself."""
    async with closed(agents={}) as served, running(served) as (_, taken):
        await command(served, n=0)
        other = KeyRing.generate(at=RING.keys.issued_at)
        event = frames.event

        def strip(sent: Any, _line: bytes | None = None) -> frames.Frame:
            return event(sent)

        def flip(sent: Any, line: bytes | None = None) -> frames.Frame:
            assert line is not None
            return event(sent, line.replace(b'"n":', b'"m":'))

        for forged, why in ((strip, "not signed"), (flip, "the signature is wrong")):
            monkeypatch.setattr(frames, "event", forged)
            done = await command(served, n=1)
            assert {"SUCCESS": 0, "FAILURE": 1} == done["outcomes"]
            assert f"refused: {why}" == await message(served, done)
        monkeypatch.setattr(frames, "event", event)
        served.node.signer.use(evolve(other, line=other.line))
        done = await command(served, n=1)
        assert (await message(served, done) or "").startswith("refused: ")
        assert [{"n": 0}] == taken


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Cleared, it holds up the list of what was missed."""
    opened = asyncio.Event()
    fetch = Missed._fetch

    async def later(self: Missed) -> Any:
        await opened.wait()
        return await fetch(self)

    monkeypatch.setattr(Missed, "_fetch", later)
    return opened


async def test_a_configuration_that_overtakes_the_list(gate: asyncio.Event) -> None:
    """It waits for older ones that were missed: each is above that which was taken before it."""
    async with closed(agents={}) as served:
        await served.enrol("n")
        body = {"type": "config-update", "payload": {"n": 0}}
        missed = (await served.ask("operator", "POST", "/agents/n/commands", body)).json()
        async with running(served, token=served.tokens["n"]) as (_, taken):
            body["payload"] = {"n": 1}
            newer = (await served.ask("operator", "POST", "/agents/n/commands", body)).json()
            await asyncio.sleep(0.2)
            assert [] == taken
            gate.set()
            for one in (missed, newer):
                path = f"/commands/{one['commandId']}?wait=20"
                done = (await served.ask("operator", "GET", path)).json()
                assert {"SUCCESS": 1, "FAILURE": 0} == done["outcomes"]
            assert [{"n": 0}, {"n": 1}] == taken


async def test_what_waits_for_the_list_when_the_stream_breaks(gate: asyncio.Event) -> None:
    """It is in the list of the next stream, and is not taken for a repetition."""
    async with closed(agents={}) as served, running(served) as (agent, taken):
        body = {"type": "replay", "payload": {"n": 0}}
        issued = (await served.ask("operator", "POST", "/agents/n/commands", body)).json()
        await asyncio.sleep(0.2)
        stream = served.node.streams.of("n")
        assert stream is not None
        served.node.close_stream(stream, CloseReason.SHUTDOWN)
        await eventually(lambda: not agent.connected)
        await eventually(lambda: agent.connected)
        gate.set()
        path = f"/commands/{issued['commandId']}?wait=20"
        done = (await served.ask("operator", "GET", path)).json()
        assert {"SUCCESS": 1, "FAILURE": 0} == done["outcomes"]
        assert [{"n": 0}] == taken


@pytest.mark.looptime(start=1000)
async def test_it_renews_its_token() -> None:
    """Before it ends, without a break of its stream."""
    lifetimes = Lifetimes(token=3, renewable=600)
    async with (
        closed(agents={}, lifetimes=lifetimes, clock=virtual_clock()) as served,
        running(served, clock=VirtualServerClock()) as (agent, _),
    ):
        opened = served.node.meters.streams_opened
        assert agent._credentials is not None
        first = agent._credentials.header()
        await eventually(lambda: agent._credentials.header() != first)
        await asyncio.sleep(1.5)  # beyond the end of the first
        assert agent.connected
        assert opened == served.node.meters.streams_opened
        assert {"SUCCESS": 1, "FAILURE": 0} == (await command(served))["outcomes"]


async def test_a_token_that_is_not_good_is_waited_for() -> None:
    """An agent does not end the service that it is part of."""
    async with closed(agents={}) as served:
        agent = Agent(served.url, agent_id="n", group="g", token="camo_" + "x" * 36)
        task = asyncio.create_task(agent.run())
        await eventually(lambda: served.node.meters.refusals["invalid-token"] > 0)
        assert not task.done()
        agent.stop()
        await asyncio.wait_for(task, 20)


@pytest.mark.parametrize("token", ["two words", "umläut", "\n"])
def test_what_is_no_token(token: str) -> None:
    """The message quotes none of it."""
    with pytest.raises(ValueError, match="token: expected") as raised:
        Agent("http://localhost", agent_id="n", group="g", token=token)
    assert token not in str(raised.value).replace("expected one word", "")


async def test_an_answer_is_told_by_the_next_token_if_the_first_is_over() -> None:
    """What was carried out while the agent's credentials were revoked, was carried out."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    async with closed(agents={}) as served, running(served) as (agent, _):

        @agent.on("deep-trace")
        async def take(_: Any) -> None:
            begun.set()
            await go_on.wait()

        commanded = asyncio.create_task(command(served, "deep-trace"))
        await within(begun.wait())
        assert 204 == (await served.ask("operator", "DELETE", "/agents/n/token")).status
        go_on.set()
        assert {"SUCCESS": 1, "FAILURE": 0} == (await within(commanded))["outcomes"]
