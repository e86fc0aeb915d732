"""``serve``, as a process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from cameleer_registry import Settings, __version__
from cameleer_registry.settings import environment_variable_of, flag_of

from ..processes import PROGRAM, READY, environment, run, server
from ..support import Connection, within
from ..terminal import in_terminal, terminal


@pytest.mark.parametrize("args", [("--port", "0"), ("serve", "--port", "0")])
async def test_serving(args: tuple[str, ...]) -> None:
    """With or without the word, it serves where its ready line says."""
    async with server(*args) as served:
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", served.url)
        async with httpx.AsyncClient() as client:
            assert 200 == (await client.get(f"{served.url}/healthz")).status_code
            assert {"status": "ready"} == (await client.get(f"{served.url}/readyz")).json()


async def test_a_name_of_several_addresses() -> None:
    """All have the same port, and the ready line names them as they were named."""
    named = server("--host", "localhost", "--port", "0")
    async with named as served, httpx.AsyncClient() as client:
        assert re.fullmatch(r"http://localhost:\d+", served.url)
        assert 200 == (await client.get(f"{served.url}/healthz")).status_code


async def test_both_families() -> None:
    """:: is every address, as in most servers."""
    async with (
        server("--host", "::", "--auth", "off", "--port", "0") as served,
        httpx.AsyncClient() as client,
    ):
        port = served.url.removeprefix("http://[::]:")
        for host in ("[::1]", "127.0.0.1"):
            answer = await client.get(f"http://{host}:{port}/healthz")
            assert 200 == answer.status_code


async def test_a_socket_in_the_file_system(tmp_path: Path) -> None:
    """Everything is there, streams included, and at the end it is removed."""
    path = tmp_path / "s"
    async with server("--host", f"unix:{path}", stderr=PIPE) as served:
        assert f"unix:{path}" == served.url
        over = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=over, base_url="http://x/api/v1") as client:
            body = {"agentId": "a", "group": "g"}
            assert 201 == (await client.post("/agents/register", json=body)).status_code
            async with client.stream("GET", "/agents/a/events") as stream:
                lines = stream.aiter_lines()
                assert (await within(anext(lines))).startswith("retry: ")
                issued = await client.post("/agents/a/commands", json={"type": "replay"})
                assert 202 == issued.status_code
                async with asyncio.timeout(20):
                    while not (await anext(lines)).startswith("data: "):
                        pass
                assert 0 == await served.terminate()
        assert served.process.stderr is not None
        assert b"Traceback" not in await served.process.stderr.read()
    assert not path.exists()


async def test_sockets_that_systemd_passes() -> None:
    """They come before the settings. A few lines stand for systemd."""
    systemd = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3);"
        "os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())};"
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", systemd, str(sock.fileno()), *PROGRAM, "--port", "1"),
            env=environment(),
            stdout=PIPE,
            stderr=PIPE,
            pass_fds=[sock.fileno()],
        )
    try:
        assert process.stdout is not None
        line = await within(process.stdout.readline())
        assert f"{READY}http://127.0.0.1:{port}\n" == line.decode()
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/healthz")
        assert 200 == answer.status_code
    finally:
        process.terminate()
        _, err = await within(process.communicate())
    assert b"passed with LISTEN_FDS" in err
    assert 0 == process.returncode


async def test_systemd_is_told(tmp_path: Path) -> None:
    """When it is ready, and when it ends."""
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(20)
        async with server("--port", "0", env={"NOTIFY_SOCKET": path}) as served:
            assert b"READY=1" == listener.recv(100)
            assert 0 == await served.terminate()
        assert b"STOPPING=1" == listener.recv(100)


async def test_a_hangup_without_a_terminal() -> None:
    """From logrotate, or a service's reload: it goes on, and streams with it."""
    async with server("--port", "0", stderr=PIPE) as served, served.client() as client:
        await client.post("/agents/register", json={"agentId": "a", "group": "g"})
        async with client.stream("GET", "/agents/a/events") as stream:
            lines = stream.aiter_lines()
            assert (await within(anext(lines))).startswith("retry: ")
            served.process.send_signal(signal.SIGHUP)
            await client.post("/agents/a/commands", json={"type": "replay"})
            async with asyncio.timeout(20):
                while not (await anext(lines)).startswith("data: "):
                    pass
        assert 0 == await served.terminate()
        assert served.process.stderr is not None
        assert b"SIGHUP: there is nothing to reload" in await served.process.stderr.read()


async def test_a_hangup_of_a_terminal() -> None:
    """It ends as upon SIGTERM: whoever closes the window wants nothing to stay behind."""
    async with terminal("serve", "--port", "0") as shown:
        await shown.shows("listening on")
        shown.process.send_signal(signal.SIGHUP)
        assert 0 == await shown.ended()
        assert "stopped" in shown.text


async def test_a_hangup_that_is_to_be_ignored() -> None:
    """Under nohup, also in a terminal."""
    nohup = ("sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *PROGRAM, "--port", "0")
    async with in_terminal(*nohup, env=environment(TERM="xterm"), columns=160) as shown:
        await shown.shows("listening on")
        shown.process.send_signal(signal.SIGHUP)
        shown.process.send_signal(signal.SIGTERM)
        assert 0 == await shown.ended()
        assert "SIGHUP" not in shown.text


async def test_a_log_that_nobody_reads() -> None:
    """Requests are answered all the same, and it ends in time."""
    read, write = os.pipe()
    try:
        os.set_blocking(write, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(write, b"x" * 4096)
        os.set_blocking(write, True)
        async with server("--port", "0", stderr=write) as served, served.client() as client:
            for number in range(50):
                body = {"agentId": f"a{number}", "group": "g"}
                assert 201 == (await client.post("/agents/register", json=body)).status_code
            assert 0 == await within(served.terminate())
    finally:
        os.close(read)
        os.close(write)


async def test_what_the_environment_holds_is_remarked_on() -> None:
    """In the log, and nothing is prevented."""
    env = {"CAMELEER_PORT": "tcp://10.96.0.12:8081", "CAMELEER_COMAND_TTL": "5"}
    async with server("--config", "/dev/null", "--port", "0", stderr=PIPE, env=env) as served:
        assert 0 == await served.terminate()
        assert served.process.stderr is not None
        log = (await served.process.stderr.read()).decode()
    assert re.search("is that of a Service called cameleer, .*variable=CAMELEER_PORT", log)
    assert re.search("is not a setting, .*did_you_mean=CAMELEER_COMMAND_TTL", log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_end(number: signal.Signals) -> None:
    """A signal ends it with status 0, also with streams open, whose clients are told so."""
    async with server(stderr=PIPE) as served, served.client() as client:
        for agent in range(20):
            body = {"agentId": f"a{agent}", "group": "g"}
            assert 201 == (await client.post("/agents/register", json=body)).status_code
        async with client.stream("GET", "/agents/a0/events") as stream:
            lines = stream.aiter_lines()
            assert (await within(anext(lines))).startswith("retry: ")
            others = [
                asyncio.create_task(read_to_end(client, f"/agents/a{agent}/events"))
                for agent in range(1, 20)
            ]
            await connected(client, "?status=live", 20)
            assert 0 == await served.terminate(number)
            assert [": connected"] == [line async for line in lines]
        assert all(text.startswith("retry: ") for text in await asyncio.gather(*others))
        assert served.process.stderr is not None
        assert b"Traceback" not in await served.process.stderr.read()


async def connected(client: httpx.AsyncClient, query: str, count: int) -> None:
    """Wait until so many agents are connected."""
    async with asyncio.timeout(20):
        found = 0
        while found < count:
            agents = (await client.get(f"/agents{query}")).json()
            found = sum(agent["connected"] for agent in agents)


async def read_to_end(client: httpx.AsyncClient, path: str) -> str:
    return (await client.get(path)).text


async def test_stuck_readers_do_not_delay_the_end() -> None:
    """Nor do requests whose bodies never come."""
    async with server() as served, served.client() as client:
        port = int(served.url.rsplit(":", 1)[1])
        await client.post("/agents/register", json={"agentId": "a", "group": "g"})
        _, stuck = await asyncio.open_connection("127.0.0.1", port, limit=1)
        stuck.write(b"GET /api/v1/agents/a/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stuck.transport.pause_reading()  # type: ignore[attr-defined]
        _, slow = await asyncio.open_connection("127.0.0.1", port)
        slow.write(
            b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 9\r\n\r\n{"
        )
        await connected(client, "", 1)
        for _ in range(12):
            payload = {"x": "y" * 900_000}
            await client.post("/agents/a/commands", json={"type": "replay", "payload": payload})
        assert 0 == await served.terminate()
        stuck.close()
        slow.close()


async def test_a_port_that_is_taken() -> None:
    """One clear line and status 1."""
    async with server() as served:
        port = served.url.rsplit(":", 1)[1]
        status, out, err = await run("--port", port)
    expected = f"cameleer-registry: cannot listen on 127.0.0.1:{port}: address already in use\n"
    assert (1, "", expected) == (status, out, err.lower())


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
async def test_an_address_that_is_not_ours(host: str) -> None:
    """One clear line and status 1."""
    status, out, err = await run("--host", host, "--port", "0")
    assert (1, "") == (status, out)
    assert err.startswith(f"cameleer-registry: cannot listen on {host}:0: ")
    assert 1 == err.count("\n")


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["--stale-after", "5"], "stale_after (5 s) is below heartbeat_interval (30 s)"),
        (["--port", "-1"], "port: expected 0 to 65535, got -1"),
        (["--port", "x"], "port: expected a whole number, got 'x'"),
        (["--command-ttl", "soon"], "command_ttl: expected seconds"),
        (["--public-url", "registry"], "public_url: expected an address"),
        (["--config", "no-such.toml"], "cannot read no-such.toml: No such file or directory"),
    ],
)
async def test_a_setting_that_makes_no_sense(args: list[str], part: str) -> None:
    """One clear line on standard error and status 2."""
    status, out, err = await run(*args)
    assert (2, "") == (status, out)
    assert part in err
    assert 1 == err.count("\n")


@pytest.mark.parametrize(
    "args", [["--no-such-setting", "1"], ["no-such-command"], ["--port"], ["--log-format", "xml"]]
)
async def test_a_command_line_that_makes_no_sense(args: list[str]) -> None:
    """One clear line on standard error and status 2."""
    status, out, err = await run(*args)
    assert (2, "") == (status, out)
    assert err.startswith("cameleer-registry: ")
    assert 1 == err.count("\n")


async def test_precedence(tmp_path: Path) -> None:
    """Flag before environment before file before default."""
    config = tmp_path / "registry.toml"
    config.write_text(
        "port = 0\ncommand_ttl = '7s'\nkeepalive_interval = 7\nheartbeat-interval = 7\n"
    )
    env = {"CAMELEER_COMMAND_TTL": "8", "CAMELEER_KEEPALIVE_INTERVAL": "8s"}
    args = ("--config", str(config), "--keepalive-interval", "9")
    async with server(*args, env=env) as served, served.client() as client:
        answer = await client.post("/agents/register", json={"agentId": "a", "group": "g"})
    names = ("keepaliveIntervalMs", "commandTtlMs", "heartbeatIntervalMs", "staleAfterMs")
    assert [9000, 8000, 7000, 90000] == [answer.json()["config"][name] for name in names]


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["serve", "--help"]])
async def test_help_explains_every_setting(args: list[str]) -> None:
    """With its flag, its environment variable, its default and what it is for."""
    status, out, err = await run(*args, COLUMNS="200")
    assert (0, "") == (status, err)
    text = " ".join(out.split()).replace("- ", "-")  # a line may end at a hyphen
    for setting in attrs.fields(Settings):
        assert flag_of(setting.name) in text
        assert f"[env: {environment_variable_of(setting.name)}; default: " in text
        assert " ".join(setting.metadata["help"].split()).replace("- ", "-") in text
    assert "--config" in text
    assert "serve" in text


@pytest.mark.parametrize(
    ("args", "status"),
    [([], 400), (["true"], 400), (["false"], 200), (["no"], 200)],
)
async def test_a_switch_may_have_a_value(args: list[str], status: int) -> None:
    """So that a flag can switch off what the environment has switched on."""
    env = {"CAMELEER_REQUIRE_PROTOCOL_VERSION": "true"}
    flags = ("--require-protocol-version", *args)
    async with server("--port", "0", *flags, env=env) as served, served.client() as client:
        assert status == (await client.get("/agents")).status_code


async def test_version() -> None:
    """The one of the package."""
    status, out, _ = await run("--version")
    assert (0, f"cameleer-registry, version {__version__}\n") == (status, out)


async def first_line(*args: str, end: signal.Signals, before: Sequence[str] = ()) -> dict[str, Any]:
    """Return the first line that a server logs, in which these agents have registered meanwhile."""
    args = ("--port", "0", "--log-format", "json", *args)
    async with server(*args, stderr=PIPE) as served, served.client() as client:
        for agent_id in before:
            await client.post("/agents/register", json={"agentId": agent_id, "group": "g"})
            await client.post(f"/agents/{agent_id}/commands", json={"type": "replay"})
        assert served.process.stderr is not None
        told: dict[str, Any] = json.loads(await within(served.process.stderr.readline()))
        served.process.send_signal(end)
        await within(served.process.communicate())
    return {name: told[name] for name in told if name not in ("timestamp", "level", "logger")}


async def test_the_first_line_of_the_log_names_the_database_and_what_was_found(
    tmp_path: Path,
) -> None:
    """How much, how long nobody was there, and how the process before ended."""
    path = tmp_path / "registry.db"
    args = ("--database", str(path))
    opened = {"event": "database opened", "database": str(path)}
    told = await first_line(*args, end=signal.SIGTERM, before=["a", "b"])
    assert {**opened, "found": "nothing: it is new"} == told
    for ended, how in ((signal.SIGKILL, "cleanly"), (signal.SIGTERM, "without closing it")):
        told = await first_line(*args, end=ended)
        assert 0 <= told.pop("away_seconds") < 600
        assert {**opened, "agents": 2, "commands": 2, "ended_before": how} == told


async def test_a_server_that_keeps_nothing_says_so() -> None:
    """On the first line of its log."""
    told = await first_line("--database", "memory", end=signal.SIGTERM)
    assert "memory" == told["database"]
    assert "nothing is stored: a restart forgets all agents and commands" == told["event"]


async def test_json_logs() -> None:
    """A line of JSON for each thing that happened, with its ids; none for a heartbeat."""
    async with server("--port", "0", "--log-format", "json", stderr=PIPE) as served:
        async with served.client() as client:
            await client.post("/agents/register", json={"agentId": "a", "group": "g"})
            await client.post("/agents/a/heartbeat")
            order = {"type": "replay"}
            command_answer = await client.post("/agents/a/commands", json=order)
            command = command_answer.json()
            await client.delete("/agents/a")
        assert 0 == await served.terminate()
        assert served.process.stderr is not None
        lines = (await served.process.stderr.read()).decode().splitlines()
    told = [json.loads(line) for line in lines]
    told = told[1:]  # the first is of the database
    assert [
        "listening",
        "agent registered",
        "command issued",
        "command expired",
        "command finished",
        "agent removed",
        "shutting down",
        "stopped",
    ] == [line["event"] for line in told]
    assert (served.url, __version__) == (told[0]["address"], told[0]["version"])
    assert command_answer.headers["x-cameleer-instance"] == told[0]["instance"]
    assert ("info", "a", "g") == (told[1]["level"], told[1]["agent_id"], told[1]["group"])
    assert command["commandId"] == told[2]["command_id"]
    assert all(line["timestamp"].endswith("Z") for line in told)


async def test_a_server_with_a_name_says_it() -> None:
    """In the first line of its log, and to whoever asks for it."""
    options = ("--name", "Production", "--name-color", "red", "--log-format", "json")
    async with server("--port", "0", *options, stderr=PIPE) as served:
        async with served.client() as client:
            told = (await client.get("/server")).json()
        assert ("Production", "red") == (told["name"], told["color"])
        assert 0 == await served.terminate()
        assert served.process.stderr is not None
        lines = (await served.process.stderr.read()).decode().splitlines()
    [listening] = [line for line in map(json.loads, lines) if line["event"] == "listening"]
    assert "Production" == listening["server"]


@pytest.mark.parametrize("stdout", ["/dev/full", "a closed pipe"])
async def test_a_server_whose_output_nobody_takes(stdout: str, tmp_path: Path) -> None:
    """It serves, and ends, as any other: the disk may be full, or whoever started it gone."""
    if stdout == "/dev/full":
        end = os.open(stdout, os.O_WRONLY)
    else:
        reading, end = os.pipe()
        os.close(reading)
    address = f"unix:{tmp_path}/socket"
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--host", address, stdout=end, stderr=PIPE, env=environment()
    )
    os.close(end)
    try:
        assert process.stderr is not None
        while b" listening " not in (line := await within(process.stderr.readline())):
            assert line
        async with httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=f"{tmp_path}/socket")
        ) as client:
            assert 200 == (await client.get("http://localhost/healthz")).status_code
        process.terminate()
        assert b"Traceback" not in await within(process.stderr.read())
        assert 0 == await within(process.wait())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_bytes_that_are_no_http_request() -> None:
    """400, and nothing in the log by which a stranger could fill a disk."""
    async with server("--port", "0", stderr=PIPE) as served:
        for raw in (
            b"GARBAGE\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: %b\r\n\r\n" % (b"x" * 65_536),
            b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ):
            port = int(served.url.rsplit(":", 1)[1])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw)
            answer = await Connection(reader, writer).answer()
            assert (400, "invalid-request") == (answer.status, answer.code)
            assert "1" == answer.headers["x-cameleer-protocol-version"]
            assert "no-store" == answer.headers["cache-control"]
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        chunked = b"HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(b"POST /api/v1/agents/a/heartbeat " + chunked)
        await asyncio.sleep(0.05)  # the answer is on its way when the body turns out to be none
        writer.write(b"zz\r\n")
        assert b" 404 " in await within(reader.readline())
        writer.close()
        # What cannot be unpacked is not told either, whether or not anybody wanted to read it.
        async with served.client(headers={"Content-Encoding": "gzip"}) as client:
            answers = [
                await client.post(path, content=b"x" * 9) for path in ("/x", "/agents/commands")
            ]
        assert [404, 415] == [answer.status_code for answer in answers]
        assert 0 == await served.terminate()
        assert served.process.stderr is not None
        told = (await served.process.stderr.read()).decode().splitlines()
    said = [line.split("] ")[1].split("  ")[0] for line in told[1:]]
    assert ["listening", "shutting down", "stopped"] == said


async def test_clients_that_leave_early_are_no_errors() -> None:
    """A storm of them leaves no line in the log."""
    async with server("--port", "0", stderr=PIPE) as served, served.client() as client:
        await client.post("/agents/register", json={"agentId": "a", "group": "g"})
        port = int(served.url.rsplit(":", 1)[1])
        head = b"POST /api/v1/agents/register HTTP/1.1\r\nHost: localhost\r\n"
        head += b"Content-Length: 99\r\n\r\n{"
        for raw in (b"GET /api/v1/agents/a/events HTTP/1.1\r\nHost: localhost\r\n\r\n", head) * 50:
            for leave in (asyncio.StreamWriter.close, reset):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(raw)
                leave(writer)
        assert 200 == (await client.get("/agents")).status_code
        assert 0 == await served.terminate()
        assert served.process.stderr is not None
        log = (await served.process.stderr.read()).decode()
    assert "error" not in log
    assert "Traceback" not in log


def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


LINGERS = """
import sys
from cameleer_registry import cli, serving
serving.LINGER = 2  # so that whoever asks without a pause is told also by a busy machine
del sys.argv[1:4]
cli.main()
"""


async def test_the_end_is_told_to_whoever_asks() -> None:
    """While it shuts down, /readyz says 503, and new streams are ended at once."""
    async with (
        server(within_program=(sys.executable, "-c", LINGERS)) as served,
        served.client() as client,
    ):
        await client.post("/agents/register", json={"agentId": "a", "group": "g"})
        served.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            while (answer := await client.get(f"{served.url}/readyz")).status_code == 200:
                pass
        assert (503, ["shutting down"]) == (answer.status_code, answer.json()["reasons"])
        assert 0 == await within(served.process.wait())
