"""What all commands have in common: the address, exit statuses, and help."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from aiohttp import web
from click.shell_completion import BashComplete

from cameleer_registry import Registration, create_app
from cameleer_registry.cli.main import COMMANDS, cli
from cameleer_registry.core import rules

from ..processes import PROGRAM, environment, run
from ..support import Served, running, within
from .support import called, command, complaint, names, parent_context, read_by_one_who_leaves


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every command, and fits a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    status, out, err = called(capsys, monkeypatch, name, "--help")
    assert (0, "") == (status, err)
    assert re.search(rf"\n  Examples?:\n    cameleer-registry {name}", out)
    assert all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_can_be_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are command lines that are understood."""
    monkeypatch.chdir(tmp_path)
    Path("update.json").write_text("{}")
    lines = re.findall(r"^ +cameleer-registry (.*)$", command(name).epilog or "", re.MULTILINE)
    assert lines
    for line in lines:
        called, *args = shlex.split(line)
        assert name == called
        with command(name).make_context(name, args, parent=parent_context()):
            pass


def test_a_server_needs_neither_tables_nor_a_client() -> None:
    """They are not loaded, so that it starts as fast as it can."""
    code = "import sys, cameleer_registry.cli.serve; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "cameleer_registry.cli.main" in loaded
    assert not {"rich.live", "cameleer_registry.client"} & set(loaded)


@pytest.mark.parametrize(
    "code", ["import cameleer_registry.client.agent", "import cameleer_registry.cli.asking"]
)
def test_who_runs_an_agent_or_asks_does_not_load_the_server(code: str) -> None:
    """Neither the package itself nor what it is made of does: a shell has no time for that."""
    code = f"{code}; import sys; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    servers = ("cameleer_registry.web", "cameleer_registry.node", "prometheus_client")
    assert "cameleer_registry.client" in loaded
    assert not [name for name in loaded if name.startswith(servers)]


async def test_commands_are_listed_in_the_help() -> None:
    """With what each is for."""
    status, out, err = await run("--help")
    assert (0, "") == (status, err)
    listed = out.partition("\nCommands:\n")[2].partition("\n\n")[0]
    assert list(COMMANDS) == [line.split()[0] for line in listed.splitlines()]


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (["groups", "--url", "{}"], {}),
        (["--url", "{}", "groups"], {}),
        (["--url={}", "groups"], {"CAMELEER_URL": "http://127.0.0.1:1"}),
        (["groups", "--url={}"], {"CAMELEER_URL": "http://127.0.0.1:1"}),
        (["groups"], {"CAMELEER_URL": "{}"}),
        (["--url", "http://127.0.0.1:1", "groups", "--url", "{}"], {}),
    ],
)
async def test_the_address(args: list[str], env: dict[str, str], served: Served) -> None:
    """A flag, before or behind the command's name, comes before the environment."""
    await served.register("a", "orders")
    args = [arg.format(served.url) for arg in args]
    env = {name: value.format(served.url) for name, value in env.items()}
    assert (0, "orders\t1\t0\t0\t0\n", "") == await run(*args, **env)


async def test_an_address_with_a_prefix() -> None:
    """Where a registry is embedded in another application."""
    parent = web.Application()
    parent.add_subapp("/registry/", create_app())
    async with running(parent) as (host, port):
        assert (0, "[]\n", "") == await run(
            "agents", "--json", "--url", f"http://{host}:{port}/registry/"
        )


@pytest.mark.parametrize(
    "args",
    [
        ["agents"],
        ["agents", "--watch"],
        ["agent", "a"],
        ["groups"],
        ["forget", "a"],
        ["send", "replay", "--agent", "a"],
        ["command", "x"],
        ["simulate", "--agents", "1"],
    ],
)
async def test_a_server_that_is_not_there(args: list[str]) -> None:
    """One line on standard error, and status 3."""
    status, out, err = await run(*args, "--url", "http://127.0.0.1:1")
    assert (3, "") == (status, out)
    assert err.startswith("cameleer-registry: cannot reach http://127.0.0.1:1: ")
    assert 1 == err.count("\n")


async def test_something_else_answers() -> None:
    """It is no registry, and what it says is kept on one line of plain text."""

    async def answer(_request: web.Request) -> web.Response:
        raise web.HTTPFound("http://x/\x1b[31m")

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    async with running(app) as (host, port):
        status, out, err = await run("agents", "--url", f"http://{host}:{port}")
    assert (3, "") == (status, out)
    assert "302" in err
    assert 1 == err.count("\n")
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["agents", "--url", "localhost"], "expected an address such as http://127.0.0.1:8081"),
        (["agents", "--status", "ASLEEP"], "'ASLEEP' is not one of"),
        (["agents", "--sort"], "No such option"),
        (["agents", "a"], "unexpected extra argument"),
        (["agnets"], "No such command 'agnets'"),
        (["send"], "Missing argument 'TYPE'. Choose from: config-update, deep-trace, replay"),
        (["agent"], "Missing argument 'ID'"),
        (["--url", "http://x"], "Missing command"),
    ],
)
def test_used_wrongly(
    args: list[str],
    part: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line on standard error, and status 2."""
    assert part in complaint(capsys, monkeypatch, *args)


async def test_faults_are_told_on_one_line() -> None:
    """All that the server names, and when to try again."""

    async def answer(_request: web.Request) -> web.Response:
        body = {
            "type": "urn:cameleer:problem:invalid-request",
            "title": "x",
            "detail": "$.a: no (and 1 more)",
            "errors": [{"path": "$.a", "message": "no\n"}, {"path": "$.b", "message": "neither"}],
        }
        return web.json_response(body, status=400, headers={"Retry-After": "3"})

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    async with running(app) as (host, port):
        status, out, err = await run("agents", "--url", f"http://{host}:{port}")
    expected = "cameleer-registry: $.a: no\\n; $.b: neither (try again in 3 s)\n"
    assert (3, "", expected) == (status, out, err)


async def test_whoever_reads_may_have_enough(served: Served) -> None:
    """A pipe whose other end is closed is nothing to talk of."""
    for number in range(2000):
        agent_id, group = rules.agent_id(f"agent-{number}"), rules.group_name("g")
        await served.node.register(Registration(agent_id=agent_id, group=group))
    begun, status, err = await read_by_one_who_leaves("agents", "--url", served.url)
    assert begun.startswith(b"agent-0")
    assert (141, b"") == (status, err)


async def test_what_cannot_be_written(served: Served) -> None:
    """One line on standard error, and status 1."""
    await served.register("a")
    with open("/dev/full", "w") as full:  # noqa: ASYNC230 - a device
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "agents", env=environment(CAMELEER_URL=served.url), stdout=full, stderr=PIPE
        )
        _, err = await within(process.communicate())
    assert (1, b"cameleer-registry: No space left on device\n") == (process.returncode, err)


async def through_a_shell(script: str, *args: str) -> tuple[int | None, bytes, bytes]:
    """Run the command line as a shell script has it (``"$@"``)."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", script, "sh", *PROGRAM, *args, env=environment(), stdout=PIPE, stderr=PIPE
    )
    out, err = await within(process.communicate())
    return process.returncode, out, err


async def test_streams_that_are_closed(served: Served) -> None:
    """It does what it is told, as well as it can."""
    ask = ("agent", "nobody", "--url", served.url)
    assert (0, b"", b"") == await through_a_shell('"$@" >&-', "agents", "--url", served.url)
    assert (3, b"", b"") == await through_a_shell('"$@" 2>&-', *ask)
    send = ("send", "replay", "--all", "--yes", "--payload", "-", "--url", served.url)
    status, _, err = await through_a_shell('"$@" <&-', *send)
    assert (2, True) == (status, b"standard input: expected an object, got nothing" in err)


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
async def test_characters_that_the_encoding_does_not_have(encoding: str, served: Served) -> None:
    """They are escaped, in JSON as JSON has it."""
    name = "Snow ☃ \U0001f42a"
    await served.register("a", name=name)
    ask = ("agent", "a", "--url", served.url)
    status, out, err = await run(*ask, PYTHONIOENCODING=encoding)
    assert (0, "") == (status, err)
    assert r"Snow \u2603 \U0001f42a" in out
    status, out, err = await run(*ask, "--json", PYTHONIOENCODING=encoding)
    assert (0, "") == (status, err)
    assert name == json.loads(out)["name"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_ends_it_quietly(number: signal.Signals, status: int) -> None:
    """Whatever it waits for."""
    asked = asyncio.Event()

    async def answer(_request: web.Request) -> web.Response:
        asked.set()
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    async with running(app, handler_cancellation=True) as (host, port):
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "agents", "--url", f"http://{host}:{port}", stdout=PIPE, stderr=PIPE
        )
        await within(asked.wait())
        process.send_signal(number)
        out, err = await within(process.communicate())
    assert (b"", b"", status) == (out, err.strip(), process.returncode)


# What shells, packagers and those who misspell ask for


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("se", {"serve", "send"}),
        ("fo", {"forget"}),
        ("--po", {"--port"}),
        ("--u", {"--url"}),
        ("serve --max-b", {"--max-body"}),
        ("agents --status D", {"dead"}),
        ("send dee", {"deep-trace"}),
        ("commands --ty", {"--type"}),
    ],
)
def test_a_shell_completes(words: str, expected: set[str]) -> None:
    """Commands, options and values; where no command is named, serve's options, too."""
    *args, incomplete = words.split()
    completion = BashComplete(cli, {}, "cameleer-registry", "_CAMELEER_REGISTRY_COMPLETE")
    found = {item.value for item in completion.get_completions(args, incomplete)}
    assert expected == found


async def test_a_shell_is_told_how_to_complete() -> None:
    """By the variable that the documentation names."""
    for shell in ("bash", "zsh", "fish"):
        status, out, _ = await run(_CAMELEER_REGISTRY_COMPLETE=f"{shell}_source")
        assert 0 == status
        assert "_CAMELEER_REGISTRY_COMPLETE" in out
    env = {"COMP_WORDS": "cameleer-registry gro", "COMP_CWORD": "1"}
    status, out, _ = await run(_CAMELEER_REGISTRY_COMPLETE="bash_complete", **env)
    assert (0, "plain,groups") == (status, out.strip())


def test_man_pages(tmp_path: Path) -> None:
    """A page for each command, by the tool that packagers know, with what --help says."""
    maker = Path(sys.executable).parent / "click-man"
    subprocess.run([maker, "--target", tmp_path, "cameleer-registry"], check=True)
    expected = {"cameleer-registry.1", *(f"cameleer-registry-{name}.1" for name in names())}
    assert expected == {path.name for path in tmp_path.iterdir()}
    page = (tmp_path / "cameleer-registry-send.1").read_text().replace("\\-", "-")
    for option in command("send").params:
        assert all(name in page for name in option.opts if name.startswith("--"))


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["agnets"], "No such command 'agnets'. (Did you mean 'agents'?)"),
        (["xyz"], "No such command 'xyz'. (--help"),
        (["serve", "--prot", "1"], "'--port'"),
        (["--prot", "1"], "'--port'"),
        (["agents", "--grup", "g"], "'--group'"),
    ],
)
def test_what_is_misspelt_is_told_what_was_meant(
    args: list[str],
    hint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where something is like it."""
    assert hint in complaint(capsys, monkeypatch, *args)
