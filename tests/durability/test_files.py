"""Files that cannot be used are left as they are, and files that change below a server end it."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import re
import shutil
import sqlite3
import stat
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import cameleer_registry
from cameleer_registry import Node
from cameleer_registry.core.model import Order, Target
from cameleer_registry.errors import CannotOpenDatabase, StorageUnavailable
from cameleer_registry.node.journal.sqlite import condition, filesystems, schema, writer
from cameleer_registry.node.journal.sqlite import file as file_module
from cameleer_registry.node.journal.sqlite.backup import CopyFailed, back_up

from ..processes import required, run, server
from ..support import eventually, within
from ..wires import Wire
from . import nodes

Ruin = Callable[[Path], None]


async def make(path: Path, *, crash: bool = False) -> None:
    """Make a file with some agents and commands; after a crash, all in the write-ahead log."""
    node = nodes.start(path)
    for number in range(100):
        await node.register(nodes.agent(f"agent-{number}", f"group-{number % 7}"))
    for _ in range(20):
        await node.issue(Order(type="replay", payload={"text": "x" * 500}), Target.all())
    await eventually(lambda: not len(nodes.journal_of(node).touched))
    if crash:
        await nodes.kill(node, to=path.with_name("copy.db"))
        for each in ("", "-wal"):
            shutil.move(f"{path.with_name('copy.db')}{each}", f"{path}{each}")
    else:
        await nodes.end(node)


def contents(path: Path) -> dict[str, bytes]:
    """Return what is in a file and in its write-ahead log, which may be empty or not there."""
    names = (f"{path}{each}" for each in ("", "-wal"))
    return {name: Path(name).read_bytes() if Path(name).exists() else b"" for name in names}


def sql(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def overwritten(page: int) -> Ruin:
    def ruin(path: Path) -> None:
        raw = bytearray(path.read_bytes())
        page_at = (page % (len(raw) // 4096)) * 4096
        raw[page_at : page_at + 4096] = os.urandom(4096)
        path.write_bytes(raw)

    return ruin


def cut(size: Callable[[int], int]) -> Ruin:
    return lambda path: os.truncate(path, size(path.stat().st_size))


def foreign(path: Path) -> None:
    path.unlink()
    sql(path, "CREATE TABLE theirs (a)", "INSERT INTO theirs VALUES (1)")


def foreign_in_its_log(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("CREATE TABLE theirs (a)")
    for each in ("", "-wal"):
        shutil.copy(f"{path}{each}", f"{path}.copy{each}")
    connection.close()
    for each in ("", "-wal"):
        shutil.move(f"{path}.copy{each}", f"{path}{each}")


def replaced_by(raw: bytes) -> Ruin:
    def ruin(path: Path) -> None:
        path.write_bytes(raw)

    return ruin


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def an_empty_file_with_a_log(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(path.read_bytes())
    path.write_bytes(b"")


def an_unknown_fact(path: Path) -> None:
    facts = '[["agent-was-painted",[1,2,3],"blue"]]'
    sql(path, f"INSERT INTO log (seq, alive, facts) VALUES (1000000, '', '{facts}')")


def a_row_of_another_form(path: Path) -> None:
    sql(path, "UPDATE rows SET body = '[1]' WHERE kind = 'agent' AND key = 'agent-7'")


RUINED: dict[str, tuple[Ruin, str]] = {
    "newer": (lambda path: sql(path, "PRAGMA user_version = 2"), "newer version"),
    "foreign": (foreign, "of another program"),
    "foreign, in its log": (foreign_in_its_log, "of another program"),
    "another id": (lambda path: sql(path, "PRAGMA application_id = 7"), "of another program"),
    "text": (replaced_by(b"agents:\n" * 1000), "not an SQLite database"),
    "a few bytes": (replaced_by(b"SQLite format 3\0"), "not an SQLite database"),
    "cut in a page": (cut(lambda size: size - 1000), "ends in the middle of a page"),
    "cut": (cut(lambda size: size // 8192 * 4096), "has been cut off"),
    "cut by a page": (cut(lambda size: size - 4096), "has been cut off"),
    "second name": (lambda path: os.link(path, f"{path}.2"), "2 names"),
    "noise, 1": (overwritten(1), "cannot be read"),
    "noise, 2": (overwritten(2), "cannot be read"),
    "noise, 5": (overwritten(5), "cannot be read"),
    "noise, last": (overwritten(-1), "cannot be read"),
    "unknown fact": (an_unknown_fact, "does not understand"),
    "other row": (a_row_of_another_form, "does not understand"),
    "directory": (a_directory, "is a directory"),
    "empty, with a log": (an_empty_file_with_a_log, "write-ahead log is not"),
}


@pytest.mark.parametrize("name", RUINED)
async def test_a_file_that_cannot_be_used_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    """One line says what is the matter, and not a byte is changed."""
    path = tmp_path / "registry.db"
    await make(path)
    ruin, expected = RUINED[name]
    ruin(path)
    before = {} if path.is_dir() else contents(path)
    with pytest.raises(CannotOpenDatabase) as error:
        nodes.start(path)
    assert expected in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert before == ({} if path.is_dir() else contents(path))


@pytest.mark.parametrize("name", ["newer", "foreign", "text", "a few bytes", "cut", "second name"])
async def test_nothing_is_left_beside_a_file_that_is_refused(tmp_path: Path, name: str) -> None:
    """Neither a lock nor a write-ahead log."""
    path = tmp_path / "registry.db"
    await make(path)
    RUINED[name][0](path)
    os.unlink(f"{path}.lock")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(CannotOpenDatabase):
        nodes.start(path)
    assert before == sorted(os.listdir(tmp_path))


def test_a_lock_that_another_process_removes_is_not_relied_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refused the file, and removed its lock, between our opening and our locking it."""
    path = tmp_path / "registry.db"
    flock: Callable[[int, int], None] = fcntl.flock
    removed: list[Path] = []

    def late(descriptor: int, operation: int) -> None:
        if not removed:
            removed.append(Path(f"{path}.lock"))
            removed[0].unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    lock = file_module.take_lock(path)
    assert os.path.samestat(os.fstat(lock), os.stat(removed[0]))
    os.close(lock)


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK])
async def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: int) -> None:
    """To open a pipe would wait until somebody writes to it."""
    path = tmp_path / "registry.db"
    os.mknod(path, kind | 0o600)
    with pytest.raises(CannotOpenDatabase, match=r"registry\.db is not a regular file"):
        nodes.start(path)


@pytest.mark.parametrize("name", ["newer", "text", "unknown fact", "noise, 2"])
async def test_the_server_says_so_on_one_line(tmp_path: Path, name: str) -> None:
    """And ends with status 2. Its end writes nothing either, where SQLite's own end would."""
    path = tmp_path / "registry.db"
    await make(path, crash=name == "unknown fact")
    ruin, expected = RUINED[name]
    if name == "unknown fact":
        connection = sqlite3.connect(path, isolation_level=None)
        facts = '[["agent-was-painted",[1,2,3],"blue"]]'
        connection.execute("INSERT INTO log VALUES (1000000, '', ?)", (facts,))
        for each in ("", "-wal"):
            shutil.copy(f"{path}{each}", f"{path}.copy{each}")
        connection.close()
        for each in ("", "-wal"):
            shutil.move(f"{path}.copy{each}", f"{path}{each}")
    else:
        ruin(path)
    before = contents(path)
    status, out, err = await run("--port", "0", "--log-level", "error", "--database", str(path))
    assert (2, "") == (status, out)
    assert expected in err
    assert 1 == len(err.splitlines()), err
    assert before == contents(path)


@pytest.mark.parametrize("place", ["/proc/registry.db", "/proc/nothing/registry.db", "/"])
async def test_a_place_that_cannot_be_written_to(place: str) -> None:
    """One line names it, and what else may be said."""
    with pytest.raises(CannotOpenDatabase) as error:
        nodes.start(Path(place))
    assert place in str(error.value)
    assert "--database memory" in str(error.value)


async def test_a_file_that_may_not_be_written_to(tmp_path: Path) -> None:
    """SQLite would be content with reading it, until something is to be written."""
    path = tmp_path / "registry.db"
    await make(path)
    chattr = required("chattr")
    process = await asyncio.create_subprocess_exec(chattr, "+i", path, stderr=PIPE)
    if await process.wait():
        pytest.skip("no file can be protected here")
    try:
        with pytest.raises(CannotOpenDatabase, match=r"cannot write .*--database memory"):
            nodes.start(path)
    finally:
        process = await asyncio.create_subprocess_exec(chattr, "-i", path)
        await process.wait()


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    """As ``mktemp`` makes one."""
    path = tmp_path / "registry.db"
    path.touch()
    async with nodes.running(path) as node:
        await node.register(nodes.agent("a"))
    async with nodes.running(path) as node:
        assert "a" == node.agent("a").agent_id


@pytest.mark.parametrize("step", range(1, 16))
async def test_a_process_that_is_killed_while_it_makes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The next one makes what is missing, whichever statement was the last."""
    path, killed = tmp_path / "registry.db", tmp_path / "killed.db"
    statements = 0

    class Connection(sqlite3.Connection):
        def execute(self, *args):  # type: ignore[no-untyped-def]
            nonlocal statements
            statements += 1
            if statements > step:
                for each in ("", "-wal"):
                    if Path(f"{path}{each}").exists():
                        shutil.copy(f"{path}{each}", f"{killed}{each}")
                raise KeyboardInterrupt
            return super().execute(*args)

    connect = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Connection, **k))
        with pytest.raises(KeyboardInterrupt):
            nodes.start(path)
    async with nodes.running(killed) as node:
        await node.register(nodes.agent("a"))
    async with nodes.running(killed) as node:
        assert "a" == node.agent("a").agent_id


async def test_directories_that_are_made_are_for_nobody_else(tmp_path: Path) -> None:
    """0700, and files 0600; what exists stays as it is."""
    os.chmod(tmp_path, 0o755)
    path = tmp_path / "one" / "two" / "registry.db"
    async with nodes.running(path):
        files = [f"{path}{each}" for each in ("", "-wal", "-shm", ".lock")]
        assert ["600"] * 4 == list(map(mode, files))
    assert ["755", "700", "700"] == [mode(tmp_path), mode(tmp_path / "one"), mode(path.parent)]


def mode(path: str | Path) -> str:
    return f"{stat.S_IMODE(os.stat(path).st_mode):o}"


async def test_a_lock_is_one_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose it is cannot be written then; a server starts all the same, to be read."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "registry.db"
    monkeypatch.setattr(os, "pwrite", full)
    async with nodes.running(path):
        with pytest.raises(CannotOpenDatabase, match="in use by process"):
            file_module.take_lock(path)


async def test_no_room_for_the_index_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line does not say that the database cannot be read: nobody should restore a backup."""
    path = tmp_path / "registry.db"
    await make(path)

    class Connection(sqlite3.Connection):
        def execute(self, *args):  # type: ignore[no-untyped-def]
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
            error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
            raise error

    def no_room(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Connection, **k))
    with pytest.raises(CannotOpenDatabase, match="SHMSIZE"):
        nodes.start(path)
    monkeypatch.setattr(tempfile, "TemporaryFile", no_room)
    with pytest.raises(CannotOpenDatabase, match=r"cannot write .*: the disk is full; .* memory"):
        nodes.start(path)
    with pytest.raises(CopyFailed, match=r"cannot copy .*: the disk is full$"):
        back_up(path, tmp_path / "copy.db")


# Older


async def test_an_older_file_is_upgraded_beside_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is as it was, and what is in the file is all there."""
    path = tmp_path / "registry.db"
    await make(path)
    monkeypatch.setattr(schema, "FORMAT", 3)
    monkeypatch.setattr(
        schema,
        "UPGRADES",
        {1: ("CREATE TABLE added (a)",), 2: ("INSERT INTO added VALUES (1)",)},
    )
    async with nodes.running(path) as node:
        assert 100 == len(node.agents())
    copy = tmp_path / "registry.db.v1.bak"
    assert "600" == mode(copy)
    for name, expected in ((path, 3), (copy, 1)):
        connection = sqlite3.connect(name)
        assert [(expected,)] == connection.execute("PRAGMA user_version").fetchall()
        assert [(100,)] == connection.execute("SELECT count(*) FROM agents").fetchall()
        connection.close()
    assert not os.path.exists(f"{copy}.partial")  # noqa: ASYNC240
    monkeypatch.undo()
    with pytest.raises(CannotOpenDatabase, match="newer version"):
        nodes.start(path)


async def test_an_upgrade_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says why; the version before can go on with the file."""
    path = tmp_path / "registry.db"
    await make(path)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "FORMAT", 2)
        patch.setattr(schema, "UPGRADES", {1: ("CREATE TABLE added (a)", "DROP TABLE missing")})
        before = contents(path)
        with pytest.raises(CannotOpenDatabase, match="cannot be read"):
            nodes.start(path)
        assert before[str(path)] == contents(path)[str(path)]
    async with nodes.running(path) as node:
        assert 100 == len(node.agents())


# Two processes


async def test_a_second_process_on_the_file(tmp_path: Path) -> None:
    """It ends with status 2, and says on one line which process has it; also by another name."""
    path, link = tmp_path / "registry.db", tmp_path / "link.db"
    link.symlink_to(path)
    async with server("--port", "0", "--database", str(path), stderr=PIPE) as served:
        for name in (path, link):
            status, _, err = await run(
                "--port", "0", "--log-level", "error", "--database", str(name)
            )
            assert 2 == status
            assert 1 == len(err.splitlines())
            assert f"in use by process {served.process.pid}" in err
        async with served.client() as client:
            body = {"agentId": "a", "group": "g"}
            assert 201 == (await client.post("/agents/register", json=body)).status_code
        assert 0 == await served.terminate()


# What happens to the file meanwhile


def remove_the_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def replace_the_log(path: Path) -> None:
    shutil.copy(f"{path}-wal", f"{path}-copy")
    Path(f"{path}-copy").rename(f"{path}-wal")


def replace(path: Path) -> None:
    shutil.copy(path, f"{path}-copy")
    Path(f"{path}-copy").rename(path)


CHANGES: list[Ruin] = [os.unlink, replace, remove_the_log, replace_the_log]


@pytest.mark.parametrize("change", [replace, remove_the_log])
async def test_a_file_that_is_changed_below_a_server(tmp_path: Path, change: Ruin) -> None:
    """It ends with status 1 and one line, and answers nothing that could be false."""
    path = tmp_path / "registry.db"
    args = ("--port", "0", "--log-level", "error", "--database", str(path))
    async with server(*args, stderr=PIPE) as served, served.client() as client:
        body = {"agentId": "a", "group": "g"}
        assert 201 == (await client.post("/agents/register", json=body)).status_code
        change(path)
        with pytest.raises(httpx.TransportError):
            await client.post("/agents/register", json={**body, "agentId": "b"})
        assert served.process.stderr is not None
        lines = (await within(served.process.stderr.read())).decode().splitlines()
        assert 1 == await within(served.process.wait())
        [said] = [line for line in lines if line.startswith("cameleer-registry: ")]
        assert re.search(r"was (replaced by another file|removed)$", said)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_file_that_is_changed_below_a_host(tmp_path: Path, change: Ruin) -> None:
    """The host goes on, and its registry refuses every change, also when nobody asks for one."""
    path = tmp_path / "registry.db"
    node = nodes.start(path)
    reasons: list[str] = []
    node.on_storage_failure = reasons.append
    await node.register(nodes.agent("a"))
    stream, feed = Wire(), Wire()
    node.open_stream("a", stream, chunked=True)
    node.open_feed(feed, chunked=True)
    change(path)
    with pytest.raises(StorageUnavailable):
        await node.register(nodes.agent("b"))
    await eventually(lambda: stream.ended and feed.ended)
    with pytest.raises(StorageUnavailable):
        await node.issue(Order(type="replay"), Target.all())
    with pytest.raises(StorageUnavailable):
        await node.settled()
    node.heartbeat("a")
    assert 1 == len(reasons)
    assert 1 == len(node.ailments)
    assert node.ailments[0].startswith("storage: ")
    await within(nodes.end(node))


async def test_a_file_that_goes_while_nothing_is_written(tmp_path: Path) -> None:
    """It is noticed by itself: what is read could be false by then."""
    path = tmp_path / "registry.db"
    node = nodes.start(path)
    await node.register(nodes.agent("a"))
    os.unlink(path)
    await eventually(lambda: "is gone" in "".join(node.ailments))
    await within(nodes.end(node))


def remove_the_index(path: Path) -> None:
    Path(f"{path}-shm").unlink()


def replace_the_index(path: Path) -> None:
    shutil.copy(f"{path}-shm", f"{path}-copy")
    Path(f"{path}-copy").rename(f"{path}-shm")


@pytest.mark.parametrize("change", [remove_the_index, replace_the_index])
async def test_an_index_of_the_log_that_goes(tmp_path: Path, change: Ruin) -> None:
    """The locks of those who read are in it: a backup would get pages that have been overwritten.

    It is noticed when nothing is to be done, and at the latest before the log is written back.
    """
    path = tmp_path / "registry.db"
    node = nodes.start(path)
    await node.register(nodes.agent("a"))
    change(path)
    await eventually(lambda: "-shm was re" in "".join(node.ailments))
    with pytest.raises(StorageUnavailable):
        await node.register(nodes.agent("b"))
    await within(nodes.end(node))


async def test_a_database_without_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network file system SQLite keeps it in memory, and there is no file to look for."""
    monkeypatch.setattr(filesystems, "kind_of", lambda _: "nfs4")
    path = tmp_path / "registry.db"
    async with nodes.running(path) as node:
        await node.register(nodes.agent("a"))
        assert not os.path.exists(f"{path}-shm")  # noqa: ASYNC240
        await asyncio.sleep(writer.IDLE_SECONDS * 1.5)
        assert [] == node.ailments


@pytest.mark.parametrize(
    ("kind", "words"),
    [("overlay", "will be lost with this container"), ("nfs4", "is on a network file system")],
)
async def test_a_bad_place_is_told_of_behind_what_was_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    words: str,
) -> None:
    """The first line of the log says what was found, and a start that is refused only why."""
    monkeypatch.setattr(filesystems, "kind_of", lambda _: kind)
    caplog.set_level(logging.INFO)
    path = tmp_path / "registry.db"
    async with nodes.running(path):
        first, second, *_ = [record.getMessage() for record in caplog.records]
        assert ("database opened", True) == (first, words in second)
    caplog.clear()
    sql(path, "CREATE TABLE more (a)", "INSERT INTO log VALUES (1, '', 'x')")
    with pytest.raises(CannotOpenDatabase):
        nodes.start(path)
    assert [] == caplog.records


async def test_a_log_that_is_cut_off_below_a_server(tmp_path: Path) -> None:
    """SQLite writes on behind the gap, and would write the gap back into the file."""
    path = tmp_path / "registry.db"
    node = nodes.start(path)
    await node.register(nodes.agent("a"))
    os.truncate(f"{path}-wal", 0)
    await node.register(nodes.agent("b"))
    await eventually(lambda: "was overwritten" in "".join(node.ailments))
    await within(nodes.end(node))


def overwrite_with_noise(path: Path, older: Path) -> None:
    pages = os.path.getsize(path) // 4096
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom((pages - 1) * 4096))


def overwrite_with_an_older_copy(path: Path, older: Path) -> None:
    path.write_bytes(older.read_bytes())


def cut_off(path: Path, older: Path) -> None:
    os.truncate(path, 4096)


@pytest.mark.parametrize("change", [overwrite_with_noise, overwrite_with_an_older_copy, cut_off])
async def test_a_file_that_is_overwritten_below_a_server(
    tmp_path: Path, change: Callable[[Path, Path], None]
) -> None:
    """It is the same file, and all that is needed of it may be cached; what is answered would be
    lost with the next start.
    """
    path, older = tmp_path / "registry.db", tmp_path / "older.db"
    await make(path)
    shutil.copy(path, older)
    node = nodes.start(path)
    for number in range(200):
        await node.register(nodes.agent(f"later-{number}"))
    await nodes.folding_of(node).fold()
    done = await nodes.journal_of(node).carry_out(writer.WriteBack("TRUNCATE"))
    assert done.error is None
    change(path, older)
    with pytest.raises(StorageUnavailable, match="was overwritten"):
        await node.register(nodes.agent("b"))
    await within(nodes.end(node))


async def test_what_the_server_writes_itself_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes a millisecond a megabyte."""

    def look(_: writer.Writer) -> None:
        raise writer.Replaced("looked through")

    monkeypatch.setattr(writer.Writer, "_look_through", look)
    monkeypatch.setattr(writer, "CHECKPOINT_AFTER", 5)
    path = tmp_path / "registry.db"
    for _ in range(2):
        async with nodes.running(path) as node:
            before = path.stat().st_mtime_ns
            for number in range(50):
                await node.register(nodes.agent(f"a{number}"))
            await eventually(lambda now=before: path.stat().st_mtime_ns != now)
            await node.register(nodes.agent("a"))
            assert [] == node.ailments


async def test_a_log_that_another_process_has_written_back(tmp_path: Path) -> None:
    """And emptied, as programs that copy databases do: nothing is wrong."""
    path, shell = tmp_path / "registry.db", required("sqlite3")
    async with nodes.running(path) as node:
        for each in "abc":
            await node.register(nodes.agent(each))
            statement = "PRAGMA wal_checkpoint(TRUNCATE)"
            process = await asyncio.create_subprocess_exec(shell, path, statement, stdout=PIPE)
            await within(process.communicate())
            assert 0 == os.path.getsize(f"{path}-wal")  # noqa: ASYNC240
            await nodes.journal_of(node).carry_out(writer.statement("SELECT 1"))
        await asyncio.sleep(writer.IDLE_SECONDS * 1.5)
        assert [] == node.ailments
    async with nodes.running(path) as node:
        assert 3 == len(node.agents())


async def test_a_lock_that_is_removed_is_taken_again(tmp_path: Path) -> None:
    """Somebody took it for one that a process had left; a second server is still refused."""
    path = tmp_path / "registry.db"
    async with nodes.running(path) as node:
        os.unlink(f"{path}.lock")
        await eventually(lambda: os.path.exists(f"{path}.lock"))
        with pytest.raises(CannotOpenDatabase, match=f"in use by process {os.getpid()}"):
            await eventually(lambda: bool(file_module.take_lock(path)))
        await node.register(nodes.agent("a"))
        assert [] == node.ailments


async def test_a_lock_that_is_removed_and_then_taken_by_another(tmp_path: Path) -> None:
    """The first process gives up: two must not write one file."""
    path = tmp_path / "registry.db"
    node = nodes.start(path)
    os.unlink(f"{path}.lock")
    lock = file_module.take_lock(path)
    await eventually(lambda: "its lock was removed" in "".join(node.ailments))
    with pytest.raises(StorageUnavailable):
        await node.register(nodes.agent("a"))
    await within(nodes.end(node))
    os.close(lock)


# Others who read it


async def test_whoever_reads_beside_the_server_does_no_harm(tmp_path: Path) -> None:
    """The shell of SQLite and a copy, again and again; also when they end, and the file is open.

    This process must not open the file itself: to close it would drop the locks of its SQLite.
    """
    path, shell = tmp_path / "registry.db", required("sqlite3")

    async def ask(statement: str) -> str:
        process = await asyncio.create_subprocess_exec(shell, path, statement, stdout=PIPE)
        out, _ = await within(process.communicate())
        assert 0 == process.returncode
        text: str = out.decode().strip()
        return text

    async with nodes.running(path) as node:
        for number in range(5):
            await node.register(nodes.agent(f"a{number}"))
            await ask("SELECT count(*) FROM agents")
            await node.register(nodes.agent(f"b{number}"))
            await ask(f"VACUUM INTO '{tmp_path}/copy-{number}.db'")
        assert [] == node.ailments
        await eventually(lambda: not len(nodes.journal_of(node).touched))
        await node.issue(Order(type="replay"), Target.all())
        assert os.path.getsize(f"{path}-wal")  # noqa: ASYNC240
        assert "10" == await ask("SELECT count(*) FROM agents")
    async with nodes.running(path) as node:
        assert 10 == len(node.agents())
    async with nodes.running(tmp_path / "copy-4.db") as node:
        assert {f"{name}{number}" for name in "ab" for number in range(5)} == {
            each.agent_id for each in node.agents()
        }


async def test_the_log_is_bounded_while_a_reader_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By refusing changes; when the reader has gone, they are kept again."""
    monkeypatch.setattr(condition, "MOST_WAL", 2**20)
    limit = ("journal_size_limit", "262144", 262144)
    pragmas = [limit if each[0] == limit[0] else each for each in file_module._PRAGMAS]
    monkeypatch.setattr(file_module, "_PRAGMAS", pragmas)
    monkeypatch.setattr(writer, "CHECKPOINT_AFTER", 20)
    path = tmp_path / "registry.db"
    async with nodes.running(path, max_pending_per_agent=10_000) as node:
        await node.register(nodes.agent("a"))
        reading = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "c.execute('BEGIN'); c.execute('SELECT count(*) FROM rows').fetchall();"
            "print('reads', flush=True); sys.stdin.read()"
        )
        reader = await asyncio.create_subprocess_exec(
            *("python3", "-c", reading, path), stdin=PIPE, stdout=PIPE
        )
        assert reader.stdout is not None
        assert reader.stdin is not None
        assert b"reads\n" == await within(reader.stdout.readline())
        with pytest.raises(StorageUnavailable, match="because a process reads an old state"):
            await issue_many(node)
        assert node.ailments
        assert 8 * 2**20 > nodes.journal_of(node).sizes[1]
        reader.stdin.close()
        await within(reader.wait())
        await eventually(lambda: not node.ailments)
        await node.register(nodes.agent("b"))


async def issue_many(node: Node) -> None:
    """Issue commands, with a while now and then in which the registry can look about."""
    for count in range(1000):
        await node.issue(Order(type="replay", payload={"text": "x" * 20_000}), Target.agent("a"))
        if count % 40 == 0:
            await asyncio.sleep(0.3)


def test_nobody_in_the_process_opens_the_file_beside_sqlite() -> None:
    """To close it would drop the locks by which a shell is kept from removing the log."""
    journal = Path(cameleer_registry.__file__).parent / "node/journal/sqlite"
    opening = re.compile(r"\bopen\(|read_bytes|read_text|shutil|os\.sendfile|zipconnect")
    found = {
        (each.name, line.strip())
        for each in journal.glob("*.py")
        if each.name != "backup.py"  # which is another process
        for line in each.read_text().splitlines()
        if opening.search(line) and not line.strip().startswith(("#", "def "))
    }
    assert {
        ("file.py", 'with path.open("rb") as file:'),  # before SQLite opens it
        ("file.py", "os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))"),
        ("file.py", "lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)"),
        ("writer.py", 'with open(self._wal, "rb") as wal:'),  # on which SQLite has no locks
        ("file.py", "descriptor = os.open(directory, os.O_RDONLY)"),
        ("file.py", "descriptor = os.open(partial, os.O_RDONLY)"),
        ("filesystems.py", 'lines = mounts.read_text("utf-8", "surrogateescape").splitlines()'),
    } == {
        (name, line) for name, line in found if "def " not in line and "self._file.open" not in line
    }
