"""The agents in a shell and in Java, run as programs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from attrs import define, evolve, field, frozen

from cameleer_registry import Order, Settings, Target
from cameleer_registry.core.instant import NANOSECONDS
from cameleer_registry.node.clock import Clock

from ..closed import SETTINGS as CLOSED
from ..closed import closed
from ..processes import environment, free_port, required, run, server
from ..support import Served, eventually, running, serving, within
from .test_examples import EXAMPLES

AGENT = "a.1:b@c"  # an id may hold what means something elsewhere in an address
STALE_AFTER = timedelta(seconds=3)
SETTINGS = (
    *("--heartbeat-interval", "0.5"),
    *("--stale-after", str(STALE_AFTER.total_seconds())),
    *("--keepalive-interval", "1"),
)
HOSTILE = {
    "quotes": "\"'`$(exit 9)${HOME}%s%n\\",
    "lines": "a\nb\r\n\nid: 1\nevent: replay\ndata: {}\n\n\t\x00\x1f\x7f\x85\u2028\u2029",
    '"},{"commandId":"forged","type":"replay","payload":{': ["}]", '","createdAt":"', "\\", "\\\\"],
    "endings": ['"}]}]}', '"}]}]}'],
    "letters": "äß漢字🐫\U0010ffff",
    "numbers": [0, -1, 2**64 - 1, -(2**63), 0.1, -2.5e-300, 1e300],
    "others": [True, False, None, {}, [], "", {"": {"": []}}],
    "long": '"\\' * 50_000,
}


@frozen
class Language:
    """How an agent in that language is run, and what is particular about it."""

    name: str
    program: str
    source: Path
    payload_of: Callable[[Any], Any]
    """Finds the payload in the data of an acknowledged config-update."""
    ends_with: int
    """The exit status after SIGTERM."""


SHELL = Language(
    name="sh",
    program="dash" if shutil.which("dash") else "sh",
    source=EXAMPLES / "04_agent.sh",
    payload_of=lambda data: data["applied"]["payload"],
    ends_with=0,
)
JAVA = Language(
    name="java",
    program="java",
    source=EXAMPLES / "05_Agent.java",
    payload_of=lambda data: data["applied"],
    ends_with=128 + signal.SIGTERM,
)


@pytest.fixture(params=[SHELL, JAVA], ids=lambda language: language.name)
def language(request: pytest.FixtureRequest) -> Language:
    language: Language = request.param
    required("curl")
    required(language.program)
    return language


@define
class Agent:
    """A running agent, and what it has said so far."""

    language: Language
    process: Process
    lines: list[str] = field(factory=list)

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    async def says(self, line: str, times: int = 1) -> None:
        """Wait until it has said that so often."""
        await eventually(lambda: self.lines.count(line) >= times, 60)

    def carried_out(self) -> Counter[str]:
        """Return how often it has carried out each command."""
        told = [line.rpartition(": ") for line in self.lines if line.startswith("told to ")]
        return Counter(command_id for _, _, command_id in told)


@asynccontextmanager
async def agent(language: Language, url: str, folder: Path, **more: str) -> AsyncIterator[Agent]:
    """Run the agent in a session of its own, and leave nothing of it behind.

    Whoever runs it has settings of their own for curl, which are not meant for it.
    """
    home = folder.with_name(f"{folder.name}-home")
    home.mkdir(exist_ok=True)
    (home / ".curlrc").write_text('include\nverbose\nproxy = "http://127.0.0.1:9"\n')
    process = await asyncio.create_subprocess_exec(
        *(language.program, str(language.source), url, AGENT, "g"),
        env=environment(TMPDIR=str(folder), HOME=str(home), CURL_HOME=str(home), **more),
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    agent = Agent(language, process)
    listening = asyncio.create_task(agent.listen())
    try:
        yield agent
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        await listening


async def is_live_and_connected(client: httpx.AsyncClient) -> dict[str, Any]:
    """Wait until the agent is, and return what the server shows of it."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(f"/agents/{AGENT}")
            shown: dict[str, Any] = answer.json()
            if answer.status_code == 200 and shown["connected"]:
                assert "LIVE" == shown["status"]
                return shown
            await asyncio.sleep(0.02)


async def issue(client: httpx.AsyncClient, type: str, payload: Any) -> str:
    answer = await client.post(f"/agents/{AGENT}/commands", json={"type": type, "payload": payload})
    assert 202 == answer.status_code
    command_id: str = answer.json()["commandId"]
    return command_id


async def result_of(client: httpx.AsyncClient, command_id: str) -> Any:
    """Wait until a command is acknowledged, and return its result."""
    answer = await client.get(f"/commands/{command_id}", params={"wait": 15})
    assert "ACKNOWLEDGED" == answer.json()["status"]
    ((delivery),) = (await client.get(f"/commands/{command_id}/deliveries")).json()
    return delivery["result"]


async def obeys(agent: Agent, client: httpx.AsyncClient, payload: Any) -> None:
    """Check that a command is acknowledged, having been carried out once, with its payload."""
    command_id = await issue(client, "config-update", payload)
    result = await result_of(client, command_id)
    assert "SUCCESS" == result["status"]
    assert payload == agent.language.payload_of(result["data"])
    assert 1 == agent.carried_out()[command_id]


async def test_at_work(language: Language, tmp_path: Path) -> None:
    """It is LIVE and connected, obeys, says so, and leaves nothing behind when told to end."""
    async with (
        server("--port", "0", *SETTINGS) as served,
        served.client() as client,
        agent(language, served.url, tmp_path) as running_agent,
    ):
        shown = await is_live_and_connected(client)
        assert ("g", True) == (shown["group"], "config-update" in shown["capabilities"])
        await obeys(running_agent, client, {"revision": 7})
        await obeys(running_agent, client, HOSTILE)
        result = await result_of(client, await issue(client, "replay", {}))
        assert "FAILURE" == result["status"]
        assert result["message"]

        enough = datetime.fromisoformat(shown["registeredAt"]) + STALE_AFTER
        async with asyncio.timeout(30):
            while datetime.fromisoformat(shown["lastHeartbeatAt"]) < enough:
                await asyncio.sleep(0.05)
                shown = (await client.get(f"/agents/{AGENT}")).json()
        assert shown["registeredAt"] == shown["statusChangedAt"], "it was LIVE all the time"

        running_agent.process.terminate()
        assert language.ends_with == await within(running_agent.process.wait())
        with pytest.raises(ProcessLookupError):
            os.killpg(running_agent.process.pid, 0)
        assert [] == os.listdir(tmp_path)
        assert 3 == running_agent.carried_out().total()


def command_lines(containing: str) -> list[str]:
    """Return the command lines of processes in which that stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            found.append(path.read_text(errors="replace"))
    return [line for line in found if containing in line]


@pytest.mark.parametrize("in_file", [True, False], ids=["file", "variable"])
async def test_where_credentials_are_asked_for(
    language: Language, tmp_path: Path, in_file: bool
) -> None:
    """It enrols, works with a token of its own that it renews, and enrols again when that is void.

    No token stands on a command line, or in what it says.
    """
    database, file, folder = tmp_path / "r.db", tmp_path / "token", tmp_path / "work"
    folder.mkdir()
    _, out, _ = await run("auth", "init", "--database", str(database))
    made = {line[:17].strip(): line[17:] for line in out.splitlines()}
    file.write_text(made["enrolment token"] + "\n")
    given = (
        {"CAMELEER_TOKEN_FILE": str(file)}
        if in_file
        else {"CAMELEER_TOKEN": made["enrolment token"]}
    )
    admin = {"Authorization": f"Bearer {made['admin token']}"}
    settings = (*SETTINGS, "--database", str(database), "--agent-token-ttl", "6")
    async with (
        server("--port", "0", *settings) as served,
        served.client(headers=admin) as client,
        agent(language, served.url, folder, **given) as an_agent,
    ):
        await is_live_and_connected(client)
        await obeys(an_agent, client, HOSTILE)
        shown = command_lines(served.url)
        assert shown
        assert not [line for line in shown if "came_" in line or "eyJ" in line]

        # Longer than a token is good for: the stream of before is still open.
        began = (await client.get(f"/agents/{AGENT}")).json()["registeredAt"]
        await asyncio.sleep(7)
        await obeys(an_agent, client, {"after": "its first token"})
        assert 1 == an_agent.lines.count("listening")
        assert began == (await client.get(f"/agents/{AGENT}")).json()["registeredAt"]

        assert 204 == (await client.delete(f"/agents/{AGENT}/token")).status_code
        await an_agent.says("listening", times=2)
        await is_live_and_connected(client)
        await obeys(an_agent, client, {"after": "its token was revoked"})
        assert not [line for line in an_agent.lines if "came_" in line or "eyJ" in line]


async def outlives_its_server(language: Language, folder: Path) -> None:
    """Kill the server; the next one at that address knows nobody."""
    port = str(free_port())
    async with contextlib.AsyncExitStack() as stack:
        async with server("--port", port, *SETTINGS) as served, served.client() as client:
            an_agent = await stack.enter_async_context(agent(language, served.url, folder))
            await is_live_and_connected(client)
            served.process.kill()
        async with server("--port", port, *SETTINGS) as again, again.client() as client:
            await is_live_and_connected(client)
            await obeys(an_agent, client, {"after": "the server was killed"})


async def outlives_its_own_deletion(language: Language, folder: Path) -> None:
    """Have the server forget it."""
    async with (
        server("--port", "0", *SETTINGS) as served,
        served.client() as client,
        agent(language, served.url, folder) as an_agent,
    ):
        await is_live_and_connected(client)
        assert 204 == (await client.delete(f"/agents/{AGENT}")).status_code
        await is_live_and_connected(client)
        await obeys(an_agent, client, {"after": "it was deleted"})


async def gives_up_a_silent_stream(language: Language, folder: Path) -> None:
    """Stop the server, which closes no connection; and issue a command before the next stream."""
    settings = (*SETTINGS, "--keepalive-interval", "0.4")
    async with (
        server("--port", "0", *settings) as served,
        served.client() as client,
        agent(language, served.url, folder) as an_agent,
    ):
        await is_live_and_connected(client)
        await obeys(an_agent, client, {"before": "the silence"})
        served.process.send_signal(signal.SIGSTOP)
        try:
            await an_agent.says("the stream is silent")
        finally:
            served.process.send_signal(signal.SIGCONT)
        await eventually_disconnected(client)
        await obeys(an_agent, client, {"while": "there was no stream"})
        await an_agent.says("listening", times=2)


async def eventually_disconnected(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while (await client.get(f"/agents/{AGENT}")).json()["connected"]:
            pass


async def test_comes_back(language: Language, tmp_path: Path) -> None:
    """Whatever became of its server or its stream; at once, because each takes some waiting."""
    async with asyncio.TaskGroup() as tasks:
        for outlive in (outlives_its_server, outlives_its_own_deletion, gives_up_a_silent_stream):
            folder = tmp_path / outlive.__name__
            folder.mkdir()
            tasks.create_task(outlive(language, folder), name=outlive.__name__)


def slowed_down(language: Language, folder: Path, seconds: int) -> Language:
    """Return an agent that needs so long to apply a configuration."""
    source = folder / language.source.name
    text = language.source.read_text()
    slow = {
        "sh": ("message='applied'", f"sleep {seconds}; message='applied'"),
        "java": (
            '"config-update" -> Map.of("applied", command.payload());',
            '"config-update" -> {\n'
            f"try {{ Thread.sleep({seconds * 1000}); }} catch (InterruptedException e) {{}}\n"
            'yield Map.of("applied", command.payload()); }',
        ),
    }[language.name]
    assert 1 == text.count(slow[0])
    source.write_text(text.replace(*slow))
    return evolve(language, source=source)


async def test_deleted_at_work(language: Language, tmp_path: Path) -> None:
    """It is registered again while it carries out a command, and not when it is done with it."""
    (tmp_path / "work").mkdir()
    slow = slowed_down(language, tmp_path, 8)
    async with (
        server("--port", "0", *SETTINGS) as served,
        served.client() as client,
        agent(slow, served.url, tmp_path / "work") as an_agent,
    ):
        await is_live_and_connected(client)
        command_id = await issue(client, "config-update", {})
        await an_agent.says(f"told to config-update: {command_id}")
        assert 204 == (await client.delete(f"/agents/{AGENT}")).status_code
        async with asyncio.timeout(30):
            while (await client.get(f"/agents/{AGENT}")).status_code != 200:
                pass
        done = [line for line in an_agent.lines if "acknowledge" in line]
        assert [] == done, "it is still at work"
        await is_live_and_connected(client)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_what_has_expired(language: Language, tmp_path: Path, hours: int) -> None:
    """It is not carried out, by the clock of a server whose clock is another than our own."""
    now = datetime.now(UTC) + timedelta(hours=hours)

    def at(seconds: float) -> str:
        return (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    # A payload may hold what looks like the deadline.
    payloads = {"late": {"expiresAt": at(3600)}, "good": {"expiresAt": at(-3600), "a": "08:09"}}
    commands = [
        {
            "commandId": name,
            "type": "config-update",
            "payload": payloads[name],
            "createdAt": at(-60),
            "expiresAt": at(-10 if name == "late" else 60),
        }
        for name in ("late", "good")
    ]
    acknowledged: list[str] = []
    app = pretended(commands, commands[::-1], acknowledged, headers={"X-Cameleer-Time": at(0)})
    async with (
        running(app) as (host, port),
        agent(language, f"http://{host}:{port}", tmp_path) as an_agent,
    ):
        await an_agent.says("too late to config-update: late")
        await an_agent.says("acknowledged: SUCCESS")
    assert (["good"], {"good": 1}) == (acknowledged, an_agent.carried_out())


DAY = 86_400 * NANOSECONDS


@define
class SetBack:
    """The time of day of a server in this process; it is set back."""

    by: int = 0
    """Nanoseconds."""

    def clock(self, patch: pytest.MonkeyPatch) -> Clock:
        """Return a clock of this time, which the heads of answers tell as well."""
        usual = time.time_ns
        patch.setattr(time, "time_ns", lambda: usual() - self.by)
        return Clock(wall=lambda: usual() - self.by)


async def outcome(served: Served, seconds: float = 20) -> tuple[str, str | None]:
    """Return what becomes of a command that is sent now."""
    issued = await served.node.issue(Order(type="config-update"), Target.agent(AGENT))
    await served.node.wait(issued.command_id, seconds)
    [delivery] = served.node.deliveries(issued.command_id)
    if delivery.result is None:
        return "nothing", None
    refused = delivery.result.status == "FAILURE"
    return str(delivery.result.status), delivery.result.message if refused else None


async def connected(served: Served) -> None:
    await eventually(
        lambda: AGENT in served.node.registry and served.node.agent(AGENT).connected, 60
    )


async def test_the_clock_of_a_server_that_signs_is_set_back(
    language: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its commands look expired, until the agent has asked for its time; not ever again."""
    required("openssl")
    back = SetBack()
    settings = evolve(CLOSED, heartbeat_interval=0.5)
    async with (
        closed(agents={}, settings=settings, clock=back.clock(monkeypatch)) as served,
        agent(language, served.url, tmp_path, CAMELEER_TOKEN=served.tokens["enrol"]) as an_agent,
    ):
        await connected(served)
        assert ("SUCCESS", None) == await outcome(served)
        registrations = served.node.meters.registrations
        back.by = DAY
        assert ("FAILURE", "refused: expired") == await outcome(served)
        await eventually(lambda: registrations["resumed"] == 1, 60)
        # It is the agent's turn to read the answer.
        async with asyncio.timeout(30):
            while await outcome(served) != ("SUCCESS", None):
                pass
        assert 1 == an_agent.lines.count("listening"), "the stream goes on"
        # Whoever repeats what has expired has nobody register more often than once a minute.
        back.by = 2 * DAY
        for _ in range(3):
            assert ("FAILURE", "refused: expired") == await outcome(served)
        assert 1 == registrations["resumed"]
        # Who registers for another reason learns the time likewise.
        assert 204 == (await served.ask("operator", "DELETE", f"/agents/{AGENT}")).status
        await connected(served)
        assert ("SUCCESS", None) == await outcome(served)


async def test_the_clock_of_a_server_that_does_not_sign_is_set_back(
    language: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent knows its time again with the next answer, such as that to a heartbeat."""
    back = SetBack()
    settings = Settings(heartbeat_interval=0.5)
    async with (
        serving(settings, clock=back.clock(monkeypatch)) as served,
        agent(language, served.url, tmp_path),
    ):
        await connected(served)
        assert ("SUCCESS", None) == await outcome(served)
        back.by = DAY
        async with asyncio.timeout(60):
            while await outcome(served, seconds=1) != ("SUCCESS", None):
                pass
        assert 0 == served.node.meters.registrations["resumed"]


@pytest.mark.parametrize(
    "said", ["0", "08", "99999999999999999999999999", "soon", "", "a[$(kill $$)]"]
)
async def test_times_that_no_server_names(language: Language, tmp_path: Path, said: str) -> None:
    """The agent neither asks without a pause nor stays away, and ends upon none."""
    asked: list[tuple[str, float]] = []

    def times(name: str) -> list[float]:
        return [moment for one, moment in asked if one == name]

    async def handle(request: web.Request) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        asked.append((name, time.monotonic()))
        if name == "register":
            config = {"heartbeatIntervalMs": 0, "keepaliveIntervalMs": 0, "commandTtlMs": 60_000}
            return web.json_response({"sseEndpoint": "/stream", "config": config})
        if name == "stream":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(f"retry: {said}\n: connected\n".encode())
            for _ in range(20):  # or it would be silent
                await asyncio.sleep(0.05)
                await response.write(b":\n")
            return response
        return web.json_response([])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with (
        running(app) as (host, port),
        agent(language, f"http://{host}:{port}", tmp_path) as an_agent,
    ):
        await eventually(lambda: len(times("heartbeat")) > 5, 90)
        await an_agent.says("listening")
        assert an_agent.process.returncode is None
    first, *_, last = times("heartbeat")
    assert (last - first) / len(times("heartbeat")) > 0.05


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        *(("0", 100), ("00", 100), ("08", 100), ("99", 100), ("0150", 150), ("4368", 4368)),
        *(("60001", 60000), ("9" * 30, 60000)),
        *(("", 777), ("-5", 777), ("1e3", 777), ("1\n2", 777), ("a[$(exit 9)]", 777)),
    ],
)
async def test_a_number_of_the_servers_in_sh(said: str, taken: int) -> None:
    """Within its bounds, never octal, and not carried out."""
    text = SHELL.source.read_text()
    function = text[text.index("bounded() {") : text.index("\n}\n", text.index("bounded() {")) + 3]
    process = await asyncio.create_subprocess_exec(
        *(SHELL.program, "-uc", f'{function}bounded "$1" 100 60000 777', "sh", said), stdout=PIPE
    )
    out, _ = await process.communicate()
    assert (f"{taken}\n", 0) == (out.decode(), process.returncode)


def pretended(
    streamed: list[dict[str, Any]],
    pending: list[dict[str, Any]],
    acknowledged: list[str],
    *,
    headers: dict[str, str],
) -> web.Application:
    """Return what looks like a server to an agent; it holds the stream open."""

    async def register(_: web.Request) -> web.Response:
        intervals = ("heartbeatIntervalMs", "keepaliveIntervalMs", "commandTtlMs")
        config = dict.fromkeys(intervals, 60_000)
        welcome = {"sseEndpoint": "/stream", "config": config}
        return web.json_response(welcome, headers=headers)

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(b"retry: 10\n: connected\n")
        for command in streamed:
            name = f"id: {command['commandId']}\nevent: {command['type']}\n"
            await response.write(f"{name}data: {json.dumps(command)}\n\n".encode())
        await asyncio.sleep(60)
        return response

    async def missed(_: web.Request) -> web.Response:
        return web.json_response(pending, headers=headers)

    async def acknowledge(request: web.Request) -> web.Response:
        acknowledged.append(request.match_info["id"])
        return web.json_response({}, headers=headers)

    app = web.Application()
    app.router.add_post("/api/v1/agents/register", register)
    app.router.add_get("/stream", stream)
    app.router.add_get(f"/api/v1/agents/{AGENT}/commands", missed)
    app.router.add_post(f"/api/v1/agents/{AGENT}/commands/{{id}}/ack", acknowledge)
    return app


async def test_several_addresses(language: Language, tmp_path: Path) -> None:
    """The next one is used when one does not answer, and when the one that did is gone."""
    async with contextlib.AsyncExitStack() as stack:
        ports = [str(free_port()), str(free_port())]
        urls = ",".join(f"http://127.0.0.1:{port}" for port in ("1", *ports))
        async with server("--port", ports[0], *SETTINGS) as first, first.client() as client:
            an_agent = await stack.enter_async_context(agent(language, urls, tmp_path))
            await is_live_and_connected(client)
            await obeys(an_agent, client, {"at": "the first"})
        async with server("--port", ports[1], *SETTINGS) as second, second.client() as client:
            await is_live_and_connected(client)
            await obeys(an_agent, client, {"at": "the second"})


async def test_a_node_that_ends_sends_it_to_another(language: Language, tmp_path: Path) -> None:
    """As soon as it says at the end of the stream, and not when it had said at the beginning."""
    opened: list[str] = []

    def node(name: str) -> web.Application:
        async def register(_: web.Request) -> web.Response:
            intervals = ("heartbeatIntervalMs", "keepaliveIntervalMs", "commandTtlMs")
            config = dict.fromkeys(intervals, 60_000)
            return web.json_response(
                {"sseEndpoint": f"/api/v1/agents/{AGENT}/events", "config": config}
            )

        async def stream(request: web.Request) -> web.StreamResponse:
            opened.append(name)
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"retry: 60000\n: connected\n")
            if len(opened) == 1:
                await response.write(b"retry: 100\n")
            else:
                await asyncio.sleep(60)
            return response

        async def missed(_: web.Request) -> web.Response:
            return web.json_response([])

        app = web.Application()
        app.router.add_post("/api/v1/agents/register", register)
        app.router.add_get(f"/api/v1/agents/{AGENT}/events", stream)
        app.router.add_get(f"/api/v1/agents/{AGENT}/commands", missed)
        return app

    async with running(node("a")) as (host, port), running(node("b")) as (_, other):
        urls = f"http://{host}:{port},http://{host}:{other}"
        async with agent(language, urls, tmp_path) as an_agent:
            await an_agent.says("listening")
            await an_agent.says("listening", 2)
    assert {"a", "b"} == set(opened)


async def test_each_command_once(language: Language, tmp_path: Path) -> None:
    """Though it comes thrice; and its acknowledgement again and again until it is taken."""
    commands = [
        {
            "commandId": f"id-{number}",
            "type": "config-update",
            "payload": HOSTILE,
            "expiresAt": (datetime.now(UTC) + timedelta(minutes=1)).strftime("%FT%T.000Z"),
            "result": None,
        }
        for number in range(3)
    ]
    acknowledged: list[tuple[str, int]] = []
    payloads: list[Any] = []

    async def register(_: web.Request) -> web.Response:
        intervals = ("heartbeatIntervalMs", "keepaliveIntervalMs", "commandTtlMs")
        config = dict.fromkeys(intervals, 60_000)
        return web.json_response({"sseEndpoint": "/stream", "config": config})

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"retry: 10\n: connected\n")
        for command in [commands[2], commands[2]]:
            name = f"id: {command['commandId']}\nevent: {command['type']}\n"
            await response.write(f"{name}data: {json.dumps(command)}\n\n".encode())
        await eventually(lambda: len(acknowledged) == 6)
        return response

    async def pending(_: web.Request) -> web.Response:
        return web.json_response(commands[::-1])

    async def acknowledge(request: web.Request) -> web.Response:
        command_id = request.match_info["id"]
        status = 200 if (command_id, 500) in acknowledged else 500
        acknowledged.append((command_id, status))
        payloads.append(language.payload_of((await request.json())["data"]))
        return web.json_response({}, status=status)

    app = web.Application()
    app.router.add_post("/api/v1/agents/register", register)
    app.router.add_get("/stream", stream)
    app.router.add_get(f"/api/v1/agents/{AGENT}/commands", pending)
    app.router.add_post(f"/api/v1/agents/{AGENT}/commands/{{id}}/ack", acknowledge)
    async with (
        running(app) as (host, port),
        agent(language, f"http://{host}:{port}", tmp_path) as an_agent,
    ):
        await an_agent.says("acknowledged: SUCCESS", times=3)
        await an_agent.says("listening", times=2)
    ids = [command["commandId"] for command in commands]
    assert ids == list(an_agent.carried_out()), "the oldest first"
    assert dict.fromkeys(ids, 1) == an_agent.carried_out()
    assert Counter((one, status) for one in ids for status in (500, 200)) == Counter(acknowledged)
    assert [HOSTILE] * 6 == payloads


@pytest.mark.parametrize("language", [SHELL, JAVA], ids=lambda language: language.name)
def test_every_example_says_how_to_run_it(language: Language) -> None:
    """In its first lines."""
    run = f"{language.name} examples/{language.source.name} http://127.0.0.1:8081 my-agent my-group"
    assert run in language.source.read_text()
