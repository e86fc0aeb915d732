"""``auth``: from an open server to a closed one, in processes of their own."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from cameleer_registry.cli.offline import stopped
from cameleer_registry.errors import SettingsError
from cameleer_registry.node.journal.sqlite import journal
from cameleer_registry.node.journal.sqlite.writer import Done, Writer
from cameleer_registry.security import lines
from cameleer_registry.security.keys import KeySet, Use
from cameleer_registry.security.lines import Kind

from ..processes import run, server
from ..support import within


def said(out: str) -> dict[str, str]:
    """Return what ``auth init`` has printed."""
    return {line[:17].strip(): line[17:] for line in out.splitlines()}


async def test_from_an_open_server_to_a_closed_one(tmp_path: Path) -> None:
    """Keys and tokens are made, and from then on the server asks for them."""
    database = str(tmp_path / "state" / "registry.db")
    os.umask(0o022)
    status, out, err = await run("auth", "init", "--database", database)
    assert (0, 1) == (status, len(err.splitlines())), err
    made = said(out)
    keys = tmp_path / "state" / "keys.json"
    assert str(keys) == made["keys"]
    assert 0o600 == stat.S_IMODE(keys.stat().st_mode)
    assert 0o700 == stat.S_IMODE(keys.parent.stat().st_mode)
    assert made["enrolment token"].endswith(f".{made['root key']}")
    async with server("--port", "0", "--database", database) as closed:
        url = closed.url
        async with closed.client() as nobody:
            assert (await nobody.get("/auth")).json()["required"] is True
            assert 401 == (await nobody.get("/agents")).status_code
        async with closed.client(
            headers={"Authorization": f"Bearer {made['enrolment token']}"}
        ) as enrol:
            answer = await enrol.post("/agents/register", json={"agentId": "a", "group": "g"})
            assert 201 == answer.status_code
            assert answer.json()["credential"]["accessToken"].startswith("eyJ")
        environment = {"CAMELEER_TOKEN": made["admin token"], "CAMELEER_URL": url}
        status, out, err = await run("agents", **environment)
        assert (0, True) == (status, out.startswith("a\t")), err
        status, out, err = await run(
            *("auth", "token", "create", "--role", "viewer", "--group", "order-*"), **environment
        )
        assert (0, True) == (status, out.startswith("camo_")), err
        viewer = out.strip()
        status, out, err = await run("agents", **{**environment, "CAMELEER_TOKEN": viewer})
        assert (0, "") == (status, out), "the group g does not exist for it"
        status, out, err = await run("auth", "token", "list", "--json", **environment)
        listed = json.loads(out)
        assert ["admin", "enrol", "viewer"] == [one["role"] for one in listed]
        assert viewer not in out
        status, _, err = await run("auth", "token", "revoke", listed[2]["tokenId"], **environment)
        assert 0 == status, err
        status, _, err = await run("agents", **{**environment, "CAMELEER_TOKEN": viewer})
        assert 3 == status
        assert "not valid for this server" in err
        status, before, err = await run("auth", "keys", "show", **environment)
        assert (0, 2) == (status, len(before.splitlines())), err
        for expected in ("next", "retired"):
            status, out, err = await run("auth", "keys", "rotate", "command", **environment)
            assert (0, True) == (status, expected in out), err
        # The database is the running server's.
        status, _, err = await run("auth", "token", "list", "--database", database)
        assert 2 == status
        assert "in use by process" in err
        assert "stop it first" in err
        for secret in (made["admin token"], made["enrolment token"], viewer):
            assert secret not in err
    status, out, err = await run("auth", "token", "list", "--json", "--database", database)
    assert (0, 3) == (status, len(json.loads(out))), err
    status, out, err = await run(
        "auth", "token", "create", "--role", "admin", "--database", database
    )
    assert 0 == status, err
    headers = {"Authorization": f"Bearer {out.strip()}"}
    async with (
        server("--port", "0", "--database", database) as closed,
        closed.client(headers=headers) as admin,
    ):
        assert ["a"] == [one["agentId"] for one in (await admin.get("/agents")).json()]
        line = (await admin.get("/keys")).content
    found = KeySet.read(line, root=made["root key"])
    assert 3 == found.version
    assert lines.verify(line, Kind.KEYS, lambda _: found.root)["version"] == 3
    assert found.active(Use.COMMAND) is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_without_a_credential_nobody_else_is_served(host: str, tmp_path: Path) -> None:
    """One line says what to do, nothing is listened on, and no file is made."""
    for database in ("memory", str(tmp_path / "new" / "r.db")):
        args = ("serve", "--port", "0", "--host", host, "--database", database)
        status, out, err = await run(*args)
        assert (2, "") == (status, out)
        [line] = err.splitlines()
        assert "cameleer-registry auth init" in line
        assert "--auth off" in line
    assert not os.listdir(tmp_path)


async def test_a_database_without_a_credential_is_not_served_to_all(tmp_path: Path) -> None:
    """One that was made here is left as it is, and one line is said of it."""
    path = str(tmp_path / "r.db")
    async with server("--port", "0", "--database", path) as served:
        assert 0 == await served.terminate()
    status, _, err = await run("serve", "--port", "0", "--host", "0.0.0.0", "--database", path)
    assert 2 == status
    [line] = err.splitlines()
    assert "cameleer-registry auth init" in line


async def test_keys_of_another_registry_are_said_in_one_line(tmp_path: Path) -> None:
    """The database is as it was."""
    for name in ("mine", "other"):
        folder = tmp_path / name
        status, _, err = await run("auth", "init", "--database", str(folder / "r.db"))
        assert 0 == status, err
    args = ("serve", "--port", "0", "--database", str(tmp_path / "mine" / "r.db"))
    status, out, err = await run(*args, CAMELEER_KEYS_FILE=str(tmp_path / "other" / "keys.json"))
    assert (2, "") == (status, out)
    assert 1 == len(err.splitlines()), err


async def test_an_open_server_says_which_names_it_takes() -> None:
    """At the start, if it is asked from afar; not on this machine, nor if names are set."""
    open_to_all = ("--auth", "off", "--host", "0.0.0.0", "--port", "0")
    named = ("--allowed-hosts", "registry.example")
    for args, says in ((open_to_all, True), (open_to_all[:2], False), (open_to_all + named, False)):
        args = args if "--port" in args else (*args, "--port", "0")
        async with server(*args, stderr=PIPE) as served:
            served.process.terminate()
            _, err = await within(served.process.communicate())
        assert says == (b"set allowed_hosts" in err)


async def test_a_container_of_which_the_volume_has_credentials(tmp_path: Path) -> None:
    """Or their files are mounted, as docs/operations.md has it: it is served on every address."""
    volume = {"STATE_DIRECTORY": str(tmp_path), "CAMELEER_DATABASE": str(tmp_path / "registry.db")}
    status, out, err = await run("auth", "init", **volume)
    assert 0 == status, err
    made = said(out)
    assert str(tmp_path / "keys.json") == made["keys"]
    for name, kind in (("admin", "admin token"), ("enrol", "enrolment token")):
        (tmp_path / name).write_text(made[kind] + "\n")
    mounted = {
        "CAMELEER_ADMIN_TOKEN_FILE": str(tmp_path / "admin"),
        "CAMELEER_ENROL_TOKEN_FILE": str(tmp_path / "enrol"),
        "CAMELEER_KEYS_FILE": str(tmp_path / "keys.json"),
    }
    for environment in (volume, mounted):
        async with (
            server("--port", "0", "--host", "0.0.0.0", env=environment) as closed,
            closed.client() as client,
        ):
            headers = {"Authorization": f"Bearer {made['admin token']}"}
            assert 401 == (await client.get("/agents")).status_code
            assert 200 == (await client.get("/agents", headers=headers)).status_code


async def test_a_server_in_memory_says_nothing_of_what_nobody_has_done() -> None:
    """Tokens of a process before are void, which is no news that anybody were to look at."""
    async with server("--port", "0", "--auth", "required", stderr=PIPE) as served:
        served.process.terminate()
        _, err = await within(served.process.communicate())
    assert b"revoked" not in err


@pytest.mark.parametrize(
    "args",
    [("token", "list"), ("token", "revoke", "x"), ("keys", "show"), ("keys", "rotate", "token")],
    ids=" ".join,
)
async def test_a_database_that_does_not_exist_is_not_made_to_look_at_it(
    args: tuple[str, ...], tmp_path: Path
) -> None:
    """Its path is mistyped: nothing is in it, and a revocation there would revoke nothing."""
    database = tmp_path / "registry.bd"
    status, out, err = await run("auth", *args, "--database", str(database))
    assert (2, "") == (status, out)
    assert f"there is no database {database}" in err
    assert not database.exists()


@pytest.mark.parametrize("content", [None, "", "short"])
async def test_a_file_of_tokens_that_is_no_such_file(content: str | None, tmp_path: Path) -> None:
    """Missing, empty or holding what is no token: the server does not start, and quotes nothing."""
    file = tmp_path / "admin"
    if content is not None:
        file.write_text(content)
    database = tmp_path / "new" / "r.db"
    for args in ((), ("--database", str(database))):
        status, _, err = await run(
            "serve", "--port", "0", *args, CAMELEER_ADMIN_TOKEN_FILE=str(file)
        )
        assert 2 == status
        [line] = err.splitlines()
        assert str(file) in line
    assert not database.parent.exists()


async def test_tokens_from_files_in_memory(tmp_path: Path) -> None:
    """As containers have it: what a file does not hold any more is revoked."""
    admin, enrol = tmp_path / "admin", tmp_path / "enrol"
    admin.write_text("a" * 40)
    enrol.write_text("e" * 40)
    env = {"CAMELEER_ADMIN_TOKEN_FILE": str(admin), "CAMELEER_ENROL_TOKEN_FILE": str(enrol)}
    async with server("--port", "0", env=env) as closed:
        async with closed.client(headers={"Authorization": f"Bearer {'e' * 40}"}) as agent:
            answer = await agent.post("/agents/register", json={"agentId": "a", "group": "g"})
            assert 201 == answer.status_code
            assert answer.json()["serverPublicKey"] is None, "no key outlives the process"
            assert answer.json()["credential"]
        async with closed.client(headers={"Authorization": f"Bearer {'a' * 40}"}) as operator:
            assert 200 == (await operator.get("/agents")).status_code
            admin.write_text("b" * 40)
            for _ in range(200):
                answer = await operator.get("/agents")
                if answer.status_code == 401:
                    break
            assert answer.json()["type"].endswith(":credential-revoked")


async def test_what_cannot_be_stored_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that is shown would be good for nothing, and one that is revoked still good."""
    database = tmp_path / "r.db"
    async with stopped(str(database)):
        pass

    def fail(_: Writer, __: object) -> Done:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        return Done(error, [], 0.0)

    monkeypatch.setattr(journal, "FLUSH_SECONDS", 0.05)
    monkeypatch.setattr(Writer, "_carry_out", fail)
    with pytest.raises(SettingsError, match=f"cannot write {database}: .*the disk is full"):
        async with stopped(str(database)) as server:
            server.keep(server.credentials.revoke_all(now=server.now))
