"""``backup`` and ``restore``: beside a running server, after a crash, of what is none of ours."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest

from cameleer_registry.errors import CannotOpenDatabase
from cameleer_registry.node.journal.sqlite import backup, schema
from cameleer_registry.node.journal.sqlite.backup import CopyFailed, back_up, restore

from ..processes import Server, run, server
from ..support import eventually

REGISTRATION = {"group": "g", "version": "1"}


@asynccontextmanager
async def keeping(path: Path) -> AsyncIterator[Server]:
    """Run a server that keeps what it answers in a file."""
    async with server("--port", "0", "--database", str(path)) as served:
        yield served


async def register(served: Server, agent_ids: Iterable[str]) -> None:
    async with served.client() as client:
        for agent_id in agent_ids:
            body = {"agentId": agent_id, **REGISTRATION}
            answer = await client.post("/agents/register", json=body)
            assert answer.status_code in (200, 201)


async def agents(served: Server) -> list[str]:
    async with served.client() as client:
        return [agent["agentId"] for agent in (await client.get("/agents")).json()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_backup_beside_a_running_server_that_is_asked_much(tmp_path: Path) -> None:
    """Changes go on while it is made, and it has all that was answered before it was begun."""
    path, answered, at_beginning, during = tmp_path / "r.db", 0, 0, 0
    async with keeping(path) as served:
        done = asyncio.Event()

        async def ask(number: int) -> None:
            nonlocal answered
            async with served.client() as client:
                count = 0
                while not done.is_set():
                    body = {"agentId": f"a-{number}-{count}", **REGISTRATION}
                    answer = await client.post("/agents/register", json=body)
                    assert 201 == answer.status_code
                    answered, count = answered + 1, count + 1

        asking = [asyncio.create_task(ask(number)) for number in range(4)]
        await eventually(lambda: answered >= 100)
        for number in range(3):
            at_beginning = answered
            status, out, err = await run(
                "backup", "--json", "--database", str(path), str(tmp_path / f"{number}.db")
            )
            during = answered - at_beginning
            assert (0, "") == (status, err)
            told = json.loads(out)
            assert at_beginning <= told["agents"] <= answered + 4
        done.set()
        await asyncio.gather(*asking)
        assert during > 0, "changes went on"
        assert answered == len(await agents(served))
        assert 0 == await served.terminate()
    assert 0o600 == stat.S_IMODE(os.stat(tmp_path / "2.db").st_mode)
    async with keeping(tmp_path / "2.db") as served:
        found = await agents(served)
    assert told["agents"] == len(found)
    for number in range(4):
        mine = [agent for agent in found if agent.startswith(f"a-{number}-")]
        assert {f"a-{number}-{count}" for count in range(len(mine))} == set(mine), "no gap"


async def test_a_backup_in_a_directory_is_named_after_the_moment(tmp_path: Path) -> None:
    """So a timer needs no program around it. For programs, what there is stands between tabs."""
    path, folder = tmp_path / "r.db", tmp_path / "backups"
    folder.mkdir()
    async with keeping(path) as served:
        await register(served, ["a", "b"])
        async with served.client() as client:
            await client.post("/agents/a/commands", json={"type": "replay"})
        status, out, _ = await run("backup", str(folder), CAMELEER_DATABASE=str(path))
    assert 0 == status
    [name] = names(folder)
    assert re.fullmatch(r"r-\d{8}T\d{6}\.\d{6}Z\.db", name)
    lines = dict(line.split("\t") for line in out.splitlines())
    assert (str(folder / name), "2 1") == (lines["backup"], lines["holds"])


async def test_a_restored_backup_beside_a_stale_write_ahead_log(tmp_path: Path) -> None:
    """What the process that was killed has left is moved aside, and none of it comes back."""
    path, copy = tmp_path / "r.db", tmp_path / "copy.db"
    async with keeping(path) as served:
        await register(served, ["old"])
        assert 0 == (await run("backup", "--database", str(path), str(copy)))[0]
        await register(served, ["new-1", "new-2"])
        await served.terminate(signal.SIGKILL)
    assert "r.db-wal" in names(tmp_path)
    status, out, err = await run("restore", "--json", "--database", str(path), str(copy))
    assert (0, "") == (status, err)
    aside = Path(json.loads(out)["movedAside"])
    assert {aside.name, f"{aside.name}-wal", "r.db"} <= {*names(tmp_path)}
    assert not {"r.db-wal", "r.db-shm"} & {*names(tmp_path)}
    async with keeping(path) as served:
        assert ["old"] == await agents(served)
    async with keeping(aside) as served:
        assert ["new-1", "new-2", "old"] == await agents(served)


async def test_a_database_is_not_restored_under_a_running_server(tmp_path: Path) -> None:
    """It ends with status 2 and one line that says which process it is; nothing is touched."""
    path, copy = tmp_path / "r.db", tmp_path / "copy.db"
    async with keeping(path) as served:
        await register(served, ["a"])
        assert 0 == (await run("backup", "--database", str(path), str(copy)))[0]
        before = names(tmp_path)
        status, out, err = await run("restore", "--database", str(path), str(copy))
        assert (2, "") == (status, out)
        assert f"in use by process {served.process.pid}; stop it first\n" in err
        assert before == names(tmp_path)
        await register(served, ["b"])
        assert ["a", "b"] == await agents(served)


async def test_whoever_follows_the_feed_is_told_to_look_again(tmp_path: Path) -> None:
    """Ids of the time that is gone are not given again, and nobody takes up from one of them."""
    path, copy = tmp_path / "r.db", tmp_path / "copy.db"

    async def first(served: Server, last: str | None) -> tuple[int, str]:
        """Return the id and the type of what somebody is told first."""
        headers = {} if last is None else {"Last-Event-ID": last}
        async with (
            served.client() as client,
            client.stream("GET", "/events", headers=headers) as stream,
        ):
            found: dict[str, str] = {}
            async with asyncio.timeout(20):
                async for line in stream.aiter_lines():
                    name, _, value = line.partition(": ")
                    found[name] = value
                    if name == "data":
                        return int(found["id"]), found["event"]
        raise AssertionError("nothing was told")

    async with keeping(path) as served:
        await register(served, ["a"])
        assert 0 == (await run("backup", "--database", str(path), str(copy)))[0]
        await register(served, ["b", "c", "d"])
        newest, _ = await first(served, None)
        assert 0 == await served.terminate()
    assert 0 == (await run("restore", "--database", str(path), str(copy)))[0]
    async with keeping(path) as served:
        told_id, kind = await first(served, str(newest))
        await register(served, ["e"])
        anew, _ = await first(served, None)
    assert "reset" == kind
    assert newest < told_id <= anew


async def test_a_server_without_a_database_has_no_backup() -> None:
    """Whether the flag or the environment says so."""
    status, out, err = await run("backup", "x")
    assert (2, "") == (status, out)
    assert "cameleer-registry: a server with --database memory has no file\n" == err


async def test_the_database_may_stand_in_a_file_of_settings(tmp_path: Path) -> None:
    """As for serve; a setting that makes no sense is said as there."""
    path, config = tmp_path / "r.db", tmp_path / "c.toml"
    make(path)
    config.write_text(f'database = "{path}"\n')
    env = {"CAMELEER_DATABASE": "", "CAMELEER_CONFIG": str(config)}
    status, _, err = await run("backup", "--database", str(path), str(tmp_path / "b.db"), **env)
    assert (0, "") == (status, err)
    status, _, err = await run("restore", str(tmp_path / "b.db"), "--config", str(tmp_path))
    assert 2 == status
    assert f"cannot read {tmp_path}" in err


def make(path: Path) -> None:
    """Make a database as a server makes one, in which there is nothing yet."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {schema.FORMAT}")
        for statement in schema.CREATE:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO state (id, registry, first_event, alive) VALUES (1, 'r', 1000, '')"
        )


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")


def newer(path: Path) -> None:
    make(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.FORMAT + 1}")


def cut_off(path: Path) -> None:
    make(path)
    os.truncate(path, 5000)


NONE_OF_OURS: Mapping[str, Callable[[Path], object]] = {
    "there is no database": lambda path: None,
    "is not an SQLite database": lambda path: path.write_text("hello"),
    "is a database of another program": foreign,
    "written by a newer version": newer,
    "ends in the middle of a page": cut_off,
    "is a directory": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("reason", NONE_OF_OURS)
def test_what_is_none_of_ours_is_neither_copied_nor_restored(tmp_path: Path, reason: str) -> None:
    """It is named with the reason, and nothing is written."""
    path, target = tmp_path / "x.db", tmp_path / "target.db"
    NONE_OF_OURS[reason](path)
    before = names(tmp_path)
    for copying in (partial(back_up, path, target), partial(restore, target, path)):
        with pytest.raises(CannotOpenDatabase, match=reason) as refused:
            copying()
        assert "x.db" in str(refused.value)
        assert before == names(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("is_new", [True, False])
def test_what_root_restores_belongs_to_whoever_runs_the_server(
    tmp_path: Path, is_new: bool
) -> None:
    """Or the server could not open it: the owner is that of the file before, or of its folder."""
    copy, path = tmp_path / "copy.db", tmp_path / "state" / "r.db"
    path.parent.mkdir()
    make(copy)
    os.chown(path.parent, 12345, 23456)
    if not is_new:
        make(path)
        os.chown(path, 12345, 23456)
    restore(path, copy)
    for file in (path, path.with_name("r.db.lock")):
        assert (12345, 23456) == (file.stat().st_uid, file.stat().st_gid)


def test_a_copy_takes_nobodys_place(tmp_path: Path) -> None:
    """A file that exists is left as it is; and a folder has to be there."""
    path, taken = tmp_path / "r.db", tmp_path / "taken.db"
    make(path)
    taken.write_text("mine")
    with pytest.raises(CopyFailed, match=r"taken\.db exists, and is not overwritten"):
        back_up(path, taken)
    assert "mine" == taken.read_text()
    with pytest.raises(CopyFailed, match="No such file or directory"):
        back_up(path, tmp_path / "nowhere" / "b.db")
    with pytest.raises(CannotOpenDatabase, match="is the database itself"):
        restore(path, path)
    assert ["r.db", "taken.db"] == names(tmp_path)


def test_a_damaged_database_has_no_backup(tmp_path: Path) -> None:
    """Pages of noise are noticed when they are read, and a copy of them gets no name."""
    path = tmp_path / "r.db"
    make(path)
    with closing(sqlite3.connect(path)) as connection:
        facts = json.dumps(["x" * 3000])
        connection.executemany(
            "INSERT INTO log VALUES (?, '', ?)", [(number, facts) for number in range(1, 100)]
        )
        connection.commit()
    with path.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(os.urandom(40 * 4096))
    with pytest.raises((CopyFailed, CannotOpenDatabase)):
        back_up(path, tmp_path / "b.db")
    assert ["r.db"] == names(tmp_path)


def test_what_cannot_be_loaded_gets_no_name(tmp_path: Path) -> None:
    """A whole file of SQLite, with facts that nobody understands, is no backup."""
    path = tmp_path / "r.db"
    make(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO log VALUES (1, '', '[[\"from-tomorrow\", [1, 2, 3]]]')")
        connection.commit()
    with pytest.raises(CannotOpenDatabase, match="does not understand"):
        back_up(path, tmp_path / "b.db")
    with pytest.raises(CannotOpenDatabase, match="does not understand"):
        restore(tmp_path / "target.db", path)
    assert ["r.db", "target.db.lock"] == names(tmp_path)


def test_what_is_left_half_done_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-C, or a disk that is full; and what was there is still there."""
    path = tmp_path / "r.db"
    make(path)

    for error, expected in (
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(28, ""), CopyFailed),
    ):

        def fail(_: Path, error: BaseException = error) -> int:
            raise error

        monkeypatch.setattr(backup, "_sync", fail)
        for copying in (
            partial(back_up, path, tmp_path / "b.db"),
            partial(restore, tmp_path / "target.db", path),
        ):
            with pytest.raises(expected):
                copying()
            assert {"r.db"} == {*names(tmp_path)} - {"target.db.lock"}


async def init(path: Path) -> dict[str, str]:
    """Make keys and tokens for a database, and return what was said."""
    status, out, err = await run("auth", "init", "--database", str(path))
    assert 0 == status, err
    return {line[:17].strip(): line[17:] for line in out.splitlines()}


async def status_of(path: Path, token: str) -> int | str:
    """Return how a server on that database answers to whoever shows that: a status, or a code."""
    async with keeping(path) as served, served.client() as client:
        answer = await client.get("/agents", headers={"Authorization": f"Bearer {token}"})
        assert 0 == await served.terminate()
    return "credential-revoked" if "credential-revoked" in answer.text else answer.status_code


async def test_keys_beside_the_database_are_in_the_backup(tmp_path: Path) -> None:
    """On another machine the registry is the same, and no secret is printed."""
    path, copy = tmp_path / "here" / "r.db", tmp_path / "copy.db"
    made = await init(path)
    status, out, err = await run("backup", "--json", "--database", str(path), str(copy))
    assert (0, "") == (status, err)
    keys = tmp_path / "copy.db.keys.json"
    assert str(keys) == json.loads(out)["keys"]
    assert 0o600 == stat.S_IMODE(keys.stat().st_mode)
    assert (path.with_name("keys.json")).read_text() == keys.read_text()
    there = tmp_path / "there" / "r.db"
    status, out, err = await run("restore", "--database", str(there), str(copy))
    assert 0 == status
    assert [True] == ["valid again" in line for line in err.splitlines()]
    assert f"keys\t{there.with_name('keys.json')}\n" in out
    assert 0o600 == stat.S_IMODE(there.with_name("keys.json").stat().st_mode)
    assert made["admin token"] not in out + err
    assert 200 == await status_of(there, made["admin token"])
    # A second backup over it is none.
    copy.unlink()
    status, _, err = await run("backup", "--database", str(path), str(copy))
    assert (1, True) == (status, f"{keys} exists" in err)
    assert not copy.exists()


async def test_keys_elsewhere_stay_there(tmp_path: Path) -> None:
    """Both say so, and touch nothing."""
    path, copy, keys = tmp_path / "r.db", tmp_path / "copy.db", tmp_path / "secrets" / "k.json"
    status, _, err = await run("auth", "init", "--database", str(path), "--keys-file", str(keys))
    assert 0 == status, err
    named = {"CAMELEER_KEYS_FILE": str(keys)}
    for command in (("backup", str(copy)), ("restore", str(copy))):
        status, out, _ = await run(*command, "--database", str(path), **named)
        assert 0 == status
        assert re.search(
            rf"^keys\tnot in the backup; they are .*{re.escape(str(keys))}$", out, re.M
        )
    assert not {"copy.db.keys.json", "keys.json"} & {*names(tmp_path)}


async def test_what_was_revoked_since_is_good_again_and_how_to_prevent_it(tmp_path: Path) -> None:
    """It is said; with --revoke-all nothing in the backup is good, and new tokens can be made."""
    path, copy = tmp_path / "r.db", tmp_path / "copy.db"
    old = (await init(path))["admin token"]
    assert 0 == (await run("backup", "--database", str(path), str(copy)))[0]
    _, out, _ = await run("auth", "token", "list", "--json", "--database", str(path))
    token_id = next(one["tokenId"] for one in json.loads(out) if one["role"] == "admin")
    assert 0 == (await run("auth", "token", "revoke", token_id, "--database", str(path)))[0]
    assert "credential-revoked" == await status_of(path, old)

    status, _, err = await run("restore", "--database", str(path), str(copy))
    assert (0, True) == (status, "revoked since the backup was made are valid again" in err)
    assert 200 == await status_of(path, old)

    upto = json.loads((await run("restore", "--json", "--database", str(path), str(copy)))[1])
    status, out, err = await run(
        "restore", "--json", "--revoke-all", "--database", str(path), str(copy)
    )
    assert (0, True) == (status, "every token is revoked" in err)
    assert upto["upTo"] == json.loads(out)["upTo"], "it is of the backup's moment"
    assert not [name for name in names(tmp_path) if "partial" in name]
    assert "credential-revoked" == await status_of(path, old)
    new = (await init(path))["admin token"]
    assert 200 == await status_of(path, new)


async def test_keys_that_are_there_and_those_of_another_registry(tmp_path: Path) -> None:
    """A key that was revoked since stays revoked. Another registry's keys are moved aside."""
    path, copy, other = tmp_path / "r.db", tmp_path / "copy.db", tmp_path / "other" / "r.db"
    made = await init(path)
    assert 0 == (await run("backup", "--database", str(path), str(copy)))[0]
    assert 0 == (await run("auth", "keys", "rotate", "command", "--database", str(path)))[0]
    before = path.with_name("keys.json").read_bytes()
    status, out, _ = await run("restore", "--database", str(path), str(copy))
    assert (0, True) == (status, "stay, because they are at least as new" in out)
    assert before == path.with_name("keys.json").read_bytes()
    assert 200 == await status_of(path, made["admin token"])

    await init(other)
    link, kept = other.with_name("keys.json"), tmp_path / "kept.json"
    link.rename(kept)
    link.symlink_to(kept)
    theirs = kept.read_bytes()
    status, out, _ = await run("restore", "--json", "--database", str(other), str(copy))
    assert 0 == status
    assert link.is_symlink()
    [aside] = kept.parent.glob("kept.json.before-*")
    assert str(aside) == json.loads(out)["keysMovedAside"]
    assert theirs == aside.read_bytes()
    assert 200 == await status_of(other, made["admin token"])


async def test_an_open_registry_has_nothing_to_warn_of(tmp_path: Path) -> None:
    """And no keys."""
    path, copy = tmp_path / "r.db", tmp_path / "copy.db"
    make(path)
    for command in ("backup", "restore"):
        status, out, err = await run(command, "--database", str(path), str(copy))
        assert (0, "", False) == (status, err, "keys" in out)


def test_what_has_nothing_of_a_registry_is_not_restored(tmp_path: Path) -> None:
    """It has our mark, and lacks the table with which everything begins."""
    path = tmp_path / "r.db"
    make(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE state")
        connection.commit()
    with pytest.raises(CopyFailed, match="the copy cannot be used: no such table: state"):
        restore(tmp_path / "target.db", path)
    assert ["r.db", "target.db.lock"] == names(tmp_path)
