"""Two workers of one server are noticed when they start."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, logging, os, sys
from cameleer_registry import create_app

logging.basicConfig(level="WARNING", stream=sys.stdout, format="%(message)s")

async def run_one(number):
    apps = [create_app() for _ in range(2)]
    for app in apps:
        app.freeze()
        await app.startup()
    for app in apps:
        await app.shutdown()
        await app.cleanup()

def worker(number, ready, go):
    asyncio.run(run_one(number))
    os.write(ready, b"x")
    os.read(go, 1)
    os._exit(0)

ready, told = os.pipe()
wait, go = os.pipe()
children = []
for number in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        worker(number, told, wait)
    children.append(child)
    os.read(ready, 1)  # it has started, and is still there
os.write(go, b"x" * len(children))
for child in children:
    os.waitpid(child, 0)
"""


def said(workers: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(workers)], capture_output=True, text=True, check=True
    )
    assert "" == done.stderr
    return done.stdout.splitlines()


def test_one_worker_says_nothing() -> None:
    """Though it was forked, and has two applications."""
    assert [] == said(1)


def test_every_worker_beyond_the_first_says_so() -> None:
    """In its log, with its id, when it starts."""
    lines = said(3)
    assert 2 == len(lines)
    assert all("another worker of this server has a registry, too" in line for line in lines)


def test_a_program_of_its_own_is_no_worker() -> None:
    """Two servers that were started by one shell."""
    code = (
        "from cameleer_registry.workers import _is_fork_of; import os;"
        "print(_is_fork_of(os.getppid()))"
    )
    assert "False\n" == subprocess.check_output([sys.executable, "-c", code], text=True)
