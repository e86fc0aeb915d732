"""Secrets are shown once, to whoever they are for: not in logs, refusals, lists or metrics."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import httpx
import pytest

from cameleer_registry import errors
from cameleer_registry.client import Agent, Operator

from ..closed import closed
from ..processes import PROGRAM, environment, run, server
from ..support import eventually, within


def altered(secret: str) -> str:
    """Return a token that is nearly that one: as a slip of the hand has it, and as secret."""
    at = len(secret) // 2
    return secret[:at] + ("A" if secret[at] != "A" else "B") + secret[at + 1 :]


def private_keys(path: Path) -> list[str]:
    """Return the private halves of the keys in a file."""
    document = json.loads(path.read_text())
    return [key["d"] for key in (document["root"], *document["keys"])]


def told(answer: httpx.Response) -> str:
    """Return all that an answer says."""
    return f"{answer.status_code} {answer.headers.multi_items()!r} {answer.text}"


async def test_no_secret_gets_out(tmp_path: Path) -> None:
    """Whoever has them uses them well, wrongly, and in the wrong places; all is logged."""
    database, log = tmp_path / "r.db", tmp_path / "log"
    status, out, err = await run("auth", "init", "--database", str(database))
    assert 0 == status, err
    made = {line[:17].strip(): line[17:] for line in out.splitlines()}
    admin, enrol = made["admin token"], made["enrolment token"]
    said: list[str] = [err]
    with log.open("wb") as stderr:
        async with (
            server(
                *("--port", "0", "--database", str(database), "--log-level", "debug"),
                stderr=stderr,
            ) as served,
            served.client() as client,
        ):

            async def ask(method: str, path: str, token: str | None, **more: Any) -> Any:
                headers = [("Authorization", f"Bearer {token}")] if token is not None else []
                headers += more.pop("headers", [])
                return await client.request(method, path, headers=headers, **more)

            registration = {"agentId": "a", "group": "g"}
            answer = await ask("POST", "/agents/register", enrol, json=registration)
            agent = answer.json()["credential"]["accessToken"]
            answer = await ask("POST", "/agents/a/token", agent)
            renewed = answer.json()["credential"]["accessToken"]
            answer = await ask("POST", "/auth/tokens", admin, json={"role": "viewer", "note": "n"})
            viewer = answer.json()["token"]
            answer = await ask("POST", "/auth/session", None, json={"token": admin})
            name, _, cookie = answer.headers["set-cookie"].partition(";")[0].partition("=")

            shown = [admin, enrol, agent, renewed, viewer]
            secrets = [*shown, cookie, *map(altered, shown), altered(cookie)]
            secrets += [token.rpartition(".")[2] for token in (agent, renewed)]
            for token in [*shown, *map(altered, shown)]:
                for path in ("/agents", "/auth", "/auth/tokens", "/keys", "/commands", "/agents/a"):
                    said.append(told(await ask("GET", path, token)))
                for member in ("token", "access_token"):
                    said.append(told(await ask("GET", f"/agents?{member}={token}", None)))
                    said.append(told(await ask("GET", f"/agents?{member}={token}", token)))
                said.append(
                    told(await ask("GET", "/agents", None, headers=[("Authorization", token)]))
                )
                twice = [("Authorization", f"Bearer {token}")]
                said.append(told(await ask("GET", "/agents", token, headers=twice)))
                body = {"type": "replay"}
                said.append(told(await ask("POST", "/agents/commands", token, json=body)))
                said.append(told(await ask("POST", "/auth/tokens", token, json={"role": 7})))
            for token in (altered(admin), agent, altered(viewer)):
                said.append(told(await ask("POST", "/auth/session", None, json={"token": token})))
            for value in (cookie, altered(cookie)):
                headers = [("Cookie", f"{name}={value}")]
                answer = await ask("GET", "/agents", None, headers=headers)
                assert (200 if value == cookie else 401) == answer.status_code
                said.append(told(answer))
            for use in ("command", "token"):
                said.append(told(await ask("POST", f"/keys/{use}/rotate", admin)))
            said.append(told(await ask("GET", f"{served.url}/metrics", admin)))
            async with client.stream(
                "GET", "/events", headers={"Authorization": f"Bearer {admin}"}
            ) as feed:
                async with asyncio.timeout(20):
                    async for line in feed.aiter_lines():
                        said.append(line)
                        if "event: position" in line:
                            answer = await ask("DELETE", "/agents/a/token", admin)
                            assert 204 == answer.status_code
                        if "credential-revoked" in line:
                            break
            said.append(told(await ask("GET", "/agents/a", agent)))
            secrets += private_keys(tmp_path / "keys.json")
            assert 0 == await served.terminate()
    said.append(log.read_text())
    assert "credential-revoked" in "".join(said)
    assert "cameleer_" in "".join(said)
    assert 15 < len(secrets) == len([one for one in secrets if len(one) >= 22])
    found = [(secret, text) for secret in secrets for text in said if secret in text]
    assert [] == found


async def program(*args: str, **env: str) -> Process:
    """Start the command line."""
    return await asyncio.create_subprocess_exec(
        *PROGRAM, *args, env=environment(**env), stdout=PIPE, stderr=PIPE
    )


def command_line(process: Process) -> str:
    """Return what everybody on this machine can read of a process."""
    return Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()


@pytest.mark.parametrize("is_good", [True, False])
async def test_programs_that_are_given_a_token_do_not_tell_it(is_good: bool) -> None:
    """A simulated fleet, and a command line that follows: on no command line, in no message."""
    async with closed(agents={}) as served:
        kinds = {"enrol": served.tokens["enrol"], "viewer": served.tokens["viewer"]}
        tokens = kinds if is_good else {kind: altered(text) for kind, text in kinds.items()}
        said = []
        for kind, args in (
            ("enrol", ("simulate", "--agents", "3")),
            ("viewer", ("agents", "--watch")),
        ):
            process = await program(*args, "--url", served.url, CAMELEER_TOKEN=tokens[kind])
            try:
                said.append(command_line(process))
                if is_good:
                    if kind == "enrol":
                        await eventually(lambda: len(served.node.streams) == 3)
                    else:
                        await asyncio.sleep(1)
                    process.send_signal(signal.SIGINT)
                out, err = await within(process.communicate())
            finally:
                if process.returncode is None:
                    process.kill()
            said += [out.decode(), err.decode()]
        given = [] if not is_good else list(served.node.authority.verifier._verified)
        assert is_good == bool(given)
        assert any(said)
        secrets = [*tokens.values(), *(text.partition("_")[2][:36] for text in tokens.values())]
        assert [] == [secret for secret in secrets for text in said if secret in text]
        assert "eyJ" not in "".join(said), "no agent's own token, either"


async def test_a_backup_tells_no_secret(tmp_path: Path) -> None:
    """It copies keys and hashes, and says where to, also if it cannot."""
    database = str(tmp_path / "r.db")
    status, out, err = await run("auth", "init", "--database", database)
    assert 0 == status, err
    made = {line[:17].strip(): line[17:] for line in out.splitlines()}
    tokens = [made["admin token"], made["enrolment token"]]
    secrets = [*tokens, *private_keys(tmp_path / "keys.json")]
    # Whoever makes backups may have a token in the environment.
    env = {"CAMELEER_TOKEN": tokens[0]}
    copy = str(tmp_path / "copy.db")
    said = []
    for args in (
        ("backup", "--database", database, copy),
        ("backup", "--database", database, copy),  # it exists by now
        ("backup", "--json", "--database", database, str(tmp_path / "second.db")),
        ("restore", "--database", database, copy),
        ("restore", "--revoke-all", "--database", database, copy),
        ("restore", "--database", database, database),
    ):
        _, out, err = await run(*args, **env)
        said += [out, err]
    assert "keys" in "".join(said)
    assert [] == [secret for secret in secrets for text in said if secret in text]
    for name in ("r.db", "copy.db", "second.db"):
        content = (tmp_path / name).read_bytes()
        assert [] == [secret for secret in secrets if secret.encode() in content], name


async def test_what_the_client_raises_and_logs_tells_no_secret(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refusals of the server, of what cannot be reached, and of the client itself."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    async with closed() as served:
        token, shown = served.tokens["viewer"], served.tokens["a"]
        tokens = [token, altered(token), shown, altered(shown), served.tokens["enrol"]]
        password = "pass-word-pass-word-pass-word"
        host = f"user:{password}@127.0.0.1:1"
        for given in tokens:
            monkeypatch.setenv("CAMELEER_TOKEN", given)
            for url in (served.url, f"http://{host}", f"https://{served.host}:{served.port}"):
                async with Operator(url) as operator:
                    for act in (
                        operator.agents,
                        lambda asked=operator: asked.agent("nobody"),
                        lambda asked=operator: asked.delete("b"),
                    ):
                        try:
                            await act()
                        except (errors.RegistryError, errors.ServerUnreachable) as error:
                            said += [str(error), repr(error), repr(error.__cause__)]
                    said.append(repr(operator))
        for given in (f"{token} {shown}", f"{token}\n"):
            with pytest.raises(ValueError, match="token: expected") as raised:
                Agent(served.url, agent_id="n", group="g", token=given)
            said.append(repr(raised.value))
        agent = Agent(served.url, agent_id="n", group="g", token=tokens[1])
        task = asyncio.create_task(agent.run())
        refused = served.node.meters.refusals["invalid-token"]
        await eventually(lambda: served.node.meters.refusals["invalid-token"] > refused)
        said += [repr(agent), repr(agent._credentials)]
        agent.stop()
        await asyncio.wait_for(task, 20)
    said += [f"{record.getMessage()} {record.__dict__!r}" for record in caplog.records]
    assert len([one for one in said if one]) > 20
    secrets = [*tokens, password, shown.rpartition(".")[2]]
    assert [] == [(secret, text) for secret in secrets for text in said if secret in text]
