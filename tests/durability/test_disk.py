"""A disk that is slow, fails, or is full, below a server in a process of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import frozen

from ..processes import Server, server
from ..support import Answer, Served, following, streaming, within
from .disk import Disk

LOG, MAIN = ".db-wal", ".db"

UNNAMED = "(deleted)"
"""The end of the name of a file that has none, in /proc: one that is written to look for room."""


@frozen
class OnDisk:
    """A server, and the disk that it writes to."""

    server: Server
    disk: Disk
    at: Served
    path: Path

    async def readiness(self) -> tuple[int, list[str]]:
        answer = await self.at.request("GET", "//readyz")
        return answer.status, answer.json().get("reasons", [])

    async def answers(self, status: int) -> None:
        """Wait until the server says that it takes work (200), or that it does not (503)."""
        async with asyncio.timeout(20):
            while (await self.readiness())[0] != status:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)

    async def ended(self) -> tuple[int, list[str]]:
        """Wait for the end: exit status, and the lines on standard error."""
        assert self.server.process.stderr is not None
        err = await within(self.server.process.stderr.read())
        status: int = await within(self.server.process.wait())
        return status, err.decode().splitlines()


@asynccontextmanager
async def on_disk(directory: Path, *args: str) -> AsyncIterator[OnDisk]:
    """Start a server on a disk that does as it is told."""
    disk, path = Disk.made_in(directory), directory / "registry.db"
    all_args = ("--port", "0", "--log-level", "error", "--database", str(path), *args)
    async with server(*all_args, stderr=PIPE, env=disk.env) as process:
        parts = urlsplit(process.url)
        at = Served(None, parts.hostname, parts.port)  # type: ignore[arg-type]
        yield OnDisk(process, disk, at, path)


async def still_waits(*tasks: asyncio.Task[Any]) -> None:
    """Fail if one of them is done before a while has passed, in which there is time for that."""
    await asyncio.sleep(0.3)
    assert [False] * len(tasks) == [task.done() for task in tasks]


async def beats(at: Served, agent_id: str) -> None:
    answer = await at.request("POST", f"/agents/{agent_id}/heartbeat")
    assert 204 == answer.status


# Slow


async def test_nothing_is_told_before_it_is_durable(tmp_path: Path) -> None:
    """Not by an answer, on a stream, by the feed, nor to whoever asks; heartbeats wait for nothing.

    So for a registration, a command, the same command again, an acknowledgement, and a deletion.
    """
    async with on_disk(tmp_path) as on:
        at = on.at
        for agent_id in "ab":
            await at.register(agent_id)
        earlier = (await at.issue("/agents/b")).json()["commandId"]
        async with following(at) as feed, streaming(at, "a") as stream:
            while "stream-opened" != (await feed.event())["event"]:
                pass  # all that was before
            on.disk.set(f"sync {LOG} hold")
            order = {"type": "replay"}
            key = {"Idempotency-Key": "k"}

            def issue() -> Any:
                return at.request("POST", "/agents/a/commands", order, headers=key)

            first = asyncio.create_task(at.register("c"))
            await still_waits(first)
            tasks = [
                asyncio.create_task(doing)
                for doing in (
                    at.register("c"),
                    issue(),
                    issue(),
                    at.ack("b", earlier),
                    at.ack("b", earlier),
                    at.request("DELETE", "/agents/b"),
                    at.request("GET", "/agents/c"),
                    at.request("GET", "/agents"),
                    at.request("GET", "/agents/a/commands"),
                    at.request("GET", f"/commands/{earlier}"),
                    at.request("GET", "/commands"),
                    stream.event(),
                    feed.event(),
                )
            ]
            for _ in range(20):
                await beats(at, "a")
            assert 200 == (await at.request("GET", "//healthz")).status
            await still_waits(first, *tasks)
            late = asyncio.create_task(at.request("GET", "/agents/nobody"))
            await still_waits(first, *tasks, late)
            on.disk.set()
            _, waiting = await asyncio.wait([first, *tasks, late], timeout=20)
            assert set() == waiting
            answers = [task.result() for task in (first, *tasks, late)]
        assert 201 == answers[0].status
        statuses = [answer.status for answer in answers[1:] if isinstance(answer, Answer)]
        assert 200 == statuses[0]
        assert [202, 202] == statuses[1:3]
        assert answers[2].json()["commandId"] == answers[3].json()["commandId"]
        assert answers[2].json()["commandId"] == answers[12]["id"]
        assert "agent-registered" == answers[13]["event"]
        assert 404 == statuses[-1]


async def test_too_much_that_waits_is_refused(tmp_path: Path) -> None:
    """More than 64 MiB: 503 ``storage-slow``, until the disk has come along."""
    async with on_disk(tmp_path) as on:
        await on.at.register("a")
        on.disk.set(f"sync {LOG} hold")
        held = []
        for number in range(70):
            payload = {"text": "x" * 1_000_000}
            held.append(asyncio.create_task(on.at.issue("/agents/a", "replay", payload)))
            if number % 10 == 9:
                await asyncio.sleep(0)
                await beats(on.at, "a")
        async with asyncio.timeout(30):
            done, _ = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().result()
        assert (503, "storage-slow") == (refused.status, refused.code)
        assert int(refused.headers["retry-after"]) >= 1
        on.disk.set()
        answers = await within(asyncio.gather(*held), 60)
        assert {202, 503} >= {answer.status for answer in answers}
        assert 64 <= sum(answer.status == 202 for answer in answers) <= 69
        assert 201 == (await on.at.register("b")).status


# Failing


@pytest.mark.parametrize("rule", [f"sync {LOG} EIO", f"write {LOG} EIO"])
async def test_an_error_in_a_commit_ends_the_process(tmp_path: Path, rule: str) -> None:
    """With status 1, one line that says why, and without any answer; then it starts again."""
    async with on_disk(tmp_path) as on:
        await on.at.register("a")
        on.disk.set(rule)
        with pytest.raises((ConnectionError, EOFError)):
            await on.at.register("b")
        status, lines = await on.ended()
        said = [line for line in lines if line.startswith("cameleer-registry: ")]
        assert (1, 1) == (status, len(said))
        assert str(on.path) in said[0]
        assert "disk I/O error" in said[0]
        assert [] == [line for line in lines if "Traceback" in line]
    await is_there_again(tmp_path, {"a"}, {"b"})


async def test_a_quota_that_is_used_up_in_a_checkpoint(tmp_path: Path) -> None:
    """What is in the write-ahead log is written back as soon as there is room."""
    async with on_disk(tmp_path) as on:
        on.disk.set(f"write {MAIN} EDQUOT", f"write {UNNAMED} EDQUOT")
        assert 201 == (await on.at.register("a")).status
        await on.answers(503)
        assert ["storage: the disk quota is used up"] == (await on.readiness())[1]
        on.disk.set()
        await on.answers(200)
        assert 201 == (await on.at.register("b")).status
        assert 0 == await on.server.terminate()
    await is_there_again(tmp_path, {"a", "b"}, set())


@pytest.mark.parametrize("rule", [f"sync {MAIN} EIO", f"write {MAIN} EIO"])
async def test_an_error_in_a_checkpoint_ends_the_process(tmp_path: Path, rule: str) -> None:
    """Which SQLite's own checkpoints would not even notice."""
    async with on_disk(tmp_path) as on:
        on.disk.set(rule)
        with suppress(ConnectionError, EOFError):
            assert 201 == (await on.at.register("a")).status
        status, lines = await on.ended()
        said = [line for line in lines if line.startswith("cameleer-registry: ")]
        assert (1, 1) == (status, len(said))
    await is_there_again(tmp_path, {"a"}, set())


async def is_there_again(directory: Path, surely: set[str], perhaps: set[str]) -> None:
    path = directory / "registry.db"
    async with server("--port", "0", "--log-level", "error", "--database", str(path)) as served:
        async with served.client() as client:
            found = {agent["agentId"] for agent in (await client.get("/agents")).json()}
            assert surely <= found <= surely | perhaps
            body = {"agentId": "later", "group": "g"}
            assert 201 == (await client.post("/agents/register", json=body)).status_code
        assert 0 == await served.terminate()


# Full


@pytest.mark.parametrize(
    ("error", "reason"),
    [("ENOSPC", "the disk is full"), ("EDQUOT", "the disk quota is used up")],
)
async def test_a_full_disk_refuses_changes_and_nothing_else(
    tmp_path: Path, error: str, reason: str
) -> None:
    """What was under way gets 503 within 5 s; then changes do at once, until there is room again.

    Heartbeats, streams and reads go on, and no supervisor is given a reason to kill the server.
    """
    async with on_disk(tmp_path, "--keepalive-interval", "1") as on:
        at = on.at
        await at.register("a")
        async with streaming(at, "a") as stream:
            command_id = (await at.issue("/agents/a")).json()["commandId"]
            assert command_id == (await stream.event())["id"]
            on.disk.set(f"write {LOG} {error}", f"write {UNNAMED} {error}")
            order, key = {"type": "replay"}, {"Idempotency-Key": "k"}
            under_way = [
                asyncio.create_task(at.request("POST", "/agents/a/commands", order, headers=key)),
                asyncio.create_task(at.register("b")),
            ]
            await on.answers(503)
            assert (503, [f"storage: {reason}"]) == await on.readiness()
            assert 200 == (await at.request("GET", "//healthz")).status
            for refused in (
                await at.register("c"),
                await at.issue("/agents/a"),
                await at.ack("a", command_id),
                await at.request("DELETE", "/agents/a"),
            ):
                assert (503, "storage-unavailable") == (refused.status, refused.code)
                assert int(refused.headers["retry-after"]) >= 1
            assert [False, False] == [task.done() for task in under_way]
            await beats(at, "a")
            shown = (await at.request("GET", f"/commands/{command_id}")).json()
            assert 1 == shown["counts"]["PENDING"], "what is refused is not applied"
            assert 404 == (await at.request("GET", "/agents/c")).status
            assert b":" == await stream.line(), "a keepalive"
            answers = await within(asyncio.gather(*under_way))
            assert [503, 503] == [answer.status for answer in answers]
            assert {"storage-unavailable"} == {answer.code for answer in answers}
            on.disk.set()
            await on.answers(200)
            again = await at.request("POST", "/agents/a/commands", order, headers=key)
            assert 202 == again.status
            assert again.json()["commandId"] == (await stream.event())["id"]
            assert 200 == (await at.ack("a", command_id)).status
        assert 0 == await on.server.terminate()
    await is_there_again(tmp_path, {"a", "b"}, set())


async def test_a_disk_that_is_nearly_full_refuses_before_anything_is_applied(
    tmp_path: Path,
) -> None:
    """Below 32 MiB of free space; above that it is over, without a restart."""
    async with on_disk(tmp_path) as on:
        await on.at.register("a")
        on.disk.set(f"free - {31 * 2**20}")
        await on.answers(503)
        assert ["storage: the disk is full: 31 MiB are free"] == (await on.readiness())[1]
        refused = await on.at.register("b")
        assert (503, "storage-unavailable") == (refused.status, refused.code)
        assert 404 == (await on.at.request("GET", "/agents/b")).status
        await beats(on.at, "a")
        on.disk.set(f"free - {33 * 2**20}")
        await on.answers(200)
        assert 201 == (await on.at.register("b")).status


@pytest.mark.parametrize("rule", [f"write {LOG} ENOSPC", f"sync {LOG} hold"])
@pytest.mark.parametrize("waiting", [False, True])
async def test_the_end_does_not_wait_for_the_disk(tmp_path: Path, rule: str, waiting: bool) -> None:
    """Whether it is full or hangs; what was answered is there afterwards."""
    async with on_disk(tmp_path) as on:
        await on.at.register("a")
        on.disk.set(rule, f"write {MAIN} ENOSPC")
        task = asyncio.create_task(on.at.register("b")) if waiting else None
        await beats(on.at, "a")
        assert 0 == await on.server.terminate()
        if task is not None:
            with suppress(ConnectionError, EOFError):
                assert 503 == (await task).status
    await is_there_again(tmp_path, {"a"}, {"b"})


async def test_a_disk_that_is_full_at_the_start(tmp_path: Path) -> None:
    """The server shows what there is, and refuses changes until there is room.

    Though it could not write that it had begun, its end is no clean one if it is killed.
    """
    async with on_disk(tmp_path) as on:
        await on.at.register("a")
        assert 0 == await on.server.terminate()
    async with on_disk(tmp_path) as on:
        on.disk.set(f"write {LOG} ENOSPC", "free - 1000")
        assert 200 == (await on.at.request("GET", "/agents/a")).status
        await on.answers(503)
        assert 503 == (await on.at.register("b")).status
        on.disk.set()
        await on.answers(200)
        assert 201 == (await on.at.register("b")).status
        on.server.process.kill()
        await on.server.process.wait()
    with sqlite3.connect(tmp_path / "registry.db") as connection:
        [[closed]] = connection.execute("SELECT closed FROM state").fetchall()
    connection.close()
    assert 0 == closed, "that was no clean end"
