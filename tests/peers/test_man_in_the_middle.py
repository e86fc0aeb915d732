"""Somebody between agents and their registry: the agents in sh, in Java and in Python refuse.

Each refusal is told to whoever has sent the command, with its reason.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import pytest
from attrs import evolve, field, frozen

from cameleer_registry.client import Agent, CommandEvent
from cameleer_registry.client.trust import ROOT_VARIABLE
from cameleer_registry.security import lines
from cameleer_registry.security.keyring import KeyRing
from cameleer_registry.security.keys import Use
from cameleer_registry.security.lines import Kind

from ..closed import RING, SETTINGS, Closed, closed
from ..examples.test_agents_in_other_languages import AGENT, JAVA, SHELL, Language
from ..examples.test_agents_in_other_languages import agent as run_agent
from ..middle import Middle, as_it_came, in_the_middle
from ..processes import required
from ..support import eventually

OTHER: Final = "00000000-0000-4000-8000-000000000000"
FAST: Final = evolve(SETTINGS, heartbeat_interval=1.0)


class AnAgent(Protocol):
    def carried_out(self) -> Counter[str]: ...


Run = Callable[..., Any]


@frozen
class InPython:
    """An agent on the client library."""

    done: Counter[str] = field(factory=Counter)

    def carried_out(self) -> Counter[str]:
        return self.done


@asynccontextmanager
async def run_in_python(url: str, _: Path, **env: str) -> AsyncIterator[InPython]:
    it = InPython()
    agent = Agent(url, agent_id=AGENT, group="g", token=env.get("CAMELEER_TOKEN"))

    @agent.on("config-update")
    @agent.on("deep-trace")
    async def take(command: CommandEvent) -> None:
        it.done[command.command_id] += 1

    with pytest.MonkeyPatch.context() as patch:
        if ROOT_VARIABLE in env:
            patch.setenv(ROOT_VARIABLE, env[ROOT_VARIABLE])
        task = asyncio.create_task(agent.run())
        try:
            yield it
        finally:
            agent.stop()
            await asyncio.wait_for(task, 20)


def run_in(language: Language) -> Run:
    def run(url: str, folder: Path, **env: str) -> Any:
        required("curl")
        required("openssl")
        required(language.program)
        return run_agent(language, url, folder, **env)

    return run


RUNS: Final[dict[str, Run]] = {
    "sh": run_in(SHELL),
    "java": run_in(JAVA),
    "python": run_in_python,
}


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Run:
    return RUNS[request.param]


@frozen
class World:
    """An agent, its registry, and who stands between them."""

    served: Closed
    middle: Middle
    agent: AnAgent

    async def issue(self, kind: str = "config-update", path: str = f"/agents/{AGENT}") -> str:
        body = {"type": kind, "payload": {"revision": 7, "signature": "x"}}
        answer = await self.served.ask("operator", "POST", f"{path}/commands", body)
        assert 202 == answer.status
        command_id: str = answer.json()["commandId"]
        return command_id

    async def obeys(self, kind: str = "config-update") -> str:
        """Check that a command is carried out."""
        command_id = await self.issue(kind)
        assert ("SUCCESS", None) == await self.outcome(command_id)
        assert 1 == self.agent.carried_out()[command_id]
        return command_id

    async def refuses(self, why: str, kind: str = "config-update") -> None:
        """Check that a command is not carried out, and that its sender is told why."""
        command_id = await self.issue(kind)
        await self.is_refused(command_id, why)
        assert 0 == self.agent.carried_out()[command_id]

    async def is_refused(self, command_id: str, why: str) -> None:
        """Check what the operator sees; some say a little more."""
        status, message = await self.outcome(command_id)
        assert "FAILURE" == status
        assert f"refused: {why}" == (message or "").partition(": it is not JSON")[0]

    async def outcome(self, command_id: str) -> tuple[str, str | None]:
        """Return what the operator sees."""
        path = f"/commands/{command_id}"
        done = (await self.served.ask("operator", "GET", f"{path}?wait=25")).json()
        assert "ACKNOWLEDGED" == done["status"], done
        [delivery] = (await self.served.ask("operator", "GET", f"{path}/deliveries")).json()
        result = delivery["result"]
        message = result.get("message")
        return result["status"], message if result["status"] == "FAILURE" else None

    def signed(self, ring: KeyRing = RING, use: Use = Use.COMMAND, **changes: Any) -> bytes:
        """Return a command that nobody has issued, signed by the registry's key, or another."""
        now = datetime.now(UTC)
        members = {
            "commandId": f"made-{len(self.middle.acknowledged)}-{len(changes)}",
            "type": "deep-trace",
            "payload": {},
            "createdAt": written(now),
            "expiresAt": written(now + timedelta(minutes=1)),
            "target": {"level": "agent", "agentId": AGENT},
            "order": 2**53,
            "registry": RING.registry,
        }
        key = ring.signing(use)
        assert key is not None
        return lines.sign({**members, **changes}, Kind.COMMAND, key)

    async def is_told(self, line: bytes, why: str) -> None:
        """Check that a line that is made up, or meant for others, is refused."""
        command_id = json.loads(line)["commandId"]
        await self.middle.inject(line, command_id)
        assert f"refused: {why}" == await self.middle.refusal(command_id)
        assert 0 == self.agent.carried_out()[command_id]


def written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@asynccontextmanager
async def world(run: Run, folder: Path, **env: str) -> AsyncIterator[World]:
    async with (
        closed(agents={"b": "other"}, settings=FAST) as served,
        in_the_middle(served) as middle,
        run(middle.url, folder, **{"CAMELEER_TOKEN": served.tokens["enrol"], **env}) as agent,
    ):
        await is_connected(served)
        yield World(served, middle, agent)


async def is_connected(served: Closed) -> None:
    async with asyncio.timeout(60):
        while True:
            answer = await served.ask("operator", "GET", f"/agents/{AGENT}")
            if answer.status == 200 and answer.json()["connected"]:
                return
            await asyncio.sleep(0.05)


def flipped(line: bytes, at: int) -> bytes:
    return line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]


def stripped(line: bytes) -> bytes:
    return lines.split(line).message


async def test_what_is_changed_on_its_way(run: Run, tmp_path: Path) -> None:
    """A byte, or all of the signature; on the stream, and when the agent catches up."""
    async with world(run, tmp_path) as here:
        await here.obeys()
        here.middle.change_line = stripped
        await here.refuses("not signed")
        for change, why in (
            (lambda line: line.replace(b'"revision":7', b'"revision":8'), "the signature is wrong"),
            (lambda line: line[:-20] + (b"B" if line[-20:-19] == b"A" else b"A") + line[-19:], ""),
            (lambda line: flipped(line, 0), "not signed"),  # no JSON any more
            (lambda line: line.replace(b'"type":"', b'"tYpe":"'), "the signature is wrong"),
            (lambda line: line.replace(b'"command/1"', b'"command/2"'), "the signature is wrong"),
        ):
            here.middle.change_line = change
            await here.refuses(why or "the signature is wrong")
        here.middle.change_line = as_it_came
        await here.obeys()

        def altered(change: Callable[[dict[str, Any]], None]) -> Callable[[str, bytes], bytes]:
            def change_answer(path: str, body: bytes) -> bytes:
                if not path.endswith("/commands"):
                    return body
                deliveries = json.loads(body)
                for delivery in deliveries:
                    change(delivery)
                return json.dumps(deliveries).encode()

            return change_answer

        def flip(delivery: dict[str, Any]) -> None:
            delivery["signed"] = delivery["signed"].replace("revision", "Revision")

        for change, why in (
            (flip, "the signature is wrong"),
            (lambda delivery: delivery.pop("signed"), "not signed"),
            (lambda delivery: delivery.update(signed=None), "not signed"),
        ):
            here.middle.change_line = lambda _: None
            here.middle.change_answer = altered(change)
            command_id = await here.issue()
            here.middle.cut()
            await here.is_refused(command_id, why)
        # What is told besides the signed line is not gone by.
        here.middle.change_answer = altered(lambda delivery: delivery.update(type="replay"))
        command_id = await here.issue()
        here.middle.cut()
        assert ("SUCCESS", None) == await here.outcome(command_id)
        assert 3 == here.agent.carried_out().total()


async def test_what_was_signed_for_another_time_or_place(run: Run, tmp_path: Path) -> None:
    """Repeated, held, turned round, or meant for others; and what other keys have signed."""
    async with world(run, tmp_path) as here:
        command_id = await here.obeys()
        [genuine] = here.middle.lines
        said = len(here.middle.acknowledged)
        for name in (command_id, "another"):  # by its own word, or by that of whoever repeats it
            await here.middle.inject(genuine, name)

        now = datetime.now(UTC)
        target = {"level": "group", "group": "other"}
        other = KeyRing.generate(at=RING.keys.issued_at, registry=RING.registry)
        await here.is_told(here.signed(target=target), "not meant for this agent")
        await here.is_told(
            here.signed(target={"level": "agent", "agentId": "b"}), "not meant for this agent"
        )
        await here.is_told(here.signed(createdAt=written(now), expiresAt=written(now)), "expired")
        await here.is_told(here.signed(registry=OTHER), "of another registry")
        await here.is_told(
            here.signed(use=Use.TOKEN), "signed by a key that is for tokens, not for commands"
        )
        await here.is_told(here.signed(other), "signed by an unknown key")
        await here.is_told(
            here.signed(type="config-update", order=1),
            "older than the configuration that was taken last",
        )
        await here.obeys("deep-trace")
        assert 1 == here.agent.carried_out()[command_id]
        assert "another" not in {one for one, _ in here.middle.acknowledged[said:]}

        # A command to another group that was really sent: to this agent, too, but not by us.
        here.middle.lines.clear()
        sent = await here.issue(path="/agents/groups/other")
        answer = await here.served.ask("b", "GET", "/agents/b/commands?status=PENDING")
        await here.middle.inject(answer.json()[0]["signed"].encode(), sent)
        assert "refused: not meant for this agent" == await here.middle.refusal(sent)


async def test_keys_that_are_rotated_and_revoked(run: Run, tmp_path: Path) -> None:
    """It goes on without being touched; a key that was revoked commands nothing any more."""
    async with world(run, tmp_path) as here:
        registrations = here.middle.requests.count("/api/v1/agents/register")
        await here.obeys()
        for _ in range(2):
            assert 200 == (await here.served.ask("admin", "POST", "/keys/command/rotate")).status
        await here.obeys()
        line = here.signed(commandId="by-the-one-before")  # retired, and good
        await here.middle.inject(line, "by-the-one-before")
        await eventually(lambda: here.agent.carried_out()["by-the-one-before"] == 1)

        revoked = RING.keys.active(Use.COMMAND)
        assert revoked is not None
        active = json.loads(here.middle.lines[-1])["keyId"]
        assert active != revoked.key_id
        for key_id in (revoked.key_id, active):
            assert 200 == (await here.served.ask("admin", "DELETE", f"/keys/{key_id}")).status
        await here.obeys()
        await here.is_told(here.signed(commandId="stolen"), "signed by a revoked key")
        assert registrations == here.middle.requests.count("/api/v1/agents/register")


async def test_a_key_set_that_is_another(run: Run, tmp_path: Path) -> None:
    """Of another root, or of an earlier version: what it would let pass is refused."""
    other = KeyRing.generate(at=RING.keys.issued_at, registry=RING.registry)
    async with world(run, tmp_path) as here:
        await here.obeys()
        here.middle.change_answer = lambda path, body: (
            other.line if path.endswith("/keys") else body
        )
        await here.is_told(here.signed(other), "signed by an unknown key")
        assert 2 <= here.middle.requests.count("/api/v1/keys")


async def test_a_registry_that_is_not_believed(run: Run, tmp_path: Path) -> None:
    """No agent is commanded by one whose root is another than it was told."""
    other = KeyRing.generate(at=RING.keys.issued_at)
    async with closed(agents={}, settings=FAST) as served, in_the_middle(served) as middle:
        await served.enrol(AGENT)
        env = {"CAMELEER_TOKEN": served.tokens[AGENT], ROOT_VARIABLE: other.root_id}
        async with run(middle.url, tmp_path, **env) as agent:
            await eventually(lambda: middle.requests.count("/api/v1/keys") > 0, 60)
            body = {"type": "config-update", "payload": {}}
            await served.ask("operator", "POST", f"/agents/{AGENT}/commands", body)
            await eventually(lambda: middle.requests.count("/api/v1/agents/register") > 1, 60)
            assert f"/api/v1/agents/{AGENT}/events" not in middle.requests
            assert 0 == agent.carried_out().total()


@pytest.mark.parametrize(
    ("language", "change"),
    [
        ("sh", "serverTime"),
        ("java", "serverTime"),
        *(("python", one) for one in ("serverTime", "challenge", "signature", "serverPublicKey")),
    ],
)
async def test_an_answer_to_the_registration_that_is_changed(
    language: str, tmp_path: Path, change: str
) -> None:
    """Such as an old one, which would have old commands pass for new ones."""
    run = RUNS[language]
    async with closed(agents={}, settings=FAST) as served, in_the_middle(served) as middle:

        def changed(path: str, body: bytes) -> bytes:
            if not path.endswith("/register"):
                return body
            members = json.loads(body)
            members.pop(change) if change == "signature" else members.update({change: None})
            if change == "serverTime":
                members[change] = "2026-01-01T00:00:00.000Z"
            return json.dumps(members, separators=(",", ":")).encode()

        middle.change_answer = changed
        async with run(middle.url, tmp_path, CAMELEER_TOKEN=served.tokens["enrol"]) as agent:
            await eventually(lambda: middle.requests.count("/api/v1/agents/register") > 1, 60)
            assert f"/api/v1/agents/{AGENT}/events" not in middle.requests
            middle.change_answer = lambda _, body: body
            await is_connected(served)
            assert 0 == agent.carried_out().total()


async def test_a_root_that_is_believed_on_first_use(run: Run, tmp_path: Path) -> None:
    """The agent's own token names none; then nothing unsigned passes, either."""
    async with closed(agents={}, settings=FAST) as served, in_the_middle(served) as middle:
        await served.enrol(AGENT)
        async with run(middle.url, tmp_path, CAMELEER_TOKEN=served.tokens[AGENT]) as agent:
            await is_connected(served)
            here = World(served, middle, agent)
            await here.obeys()
            middle.change_line = stripped
            await here.refuses("not signed")
            middle.change_answer = lambda path, body: (
                stripped(body).replace(b'"serverPublicKey":"', b'"serverPublicKey":null,"x":"')
                if path.endswith("/register")
                else body
            )
            asked = middle.requests.count("/api/v1/agents/register")
            await served.ask("operator", "DELETE", f"/agents/{AGENT}")
            await eventually(lambda: middle.requests.count("/api/v1/agents/register") > asked, 60)
            middle.change_answer = lambda _, body: body
            middle.change_line = as_it_came
            await is_connected(served)
            await here.obeys()
