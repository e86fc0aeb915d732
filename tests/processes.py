"""Running the server, and programs that talk to it, as processes of their own."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from typing import Any, Final

import httpx
import pytest
from attrs import define

from .support import within

READY = "cameleer-registry listening on "
PROGRAM = (sys.executable, "-m", "cameleer_registry")
OF_TERMINALS = {"COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR"}


@define
class Server:
    """A server in a process of its own."""

    process: Process
    url: str

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"

    def client(self, **more: Any) -> httpx.AsyncClient:
        """Return a client whose addresses are below /api/v1."""
        return httpx.AsyncClient(base_url=self.api, timeout=20, **more)

    async def terminate(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        status: int = await within(self.process.wait())
        return status


def environment(**more: str) -> dict[str, str]:
    """Return this environment without settings of ours or for terminals, and with what is given.

    A server keeps nothing unless a test says where: the user's own database is none of ours.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CAMELEER_", "TTY_")) and name not in OF_TERMINALS
    }
    return {**inherited, "CAMELEER_DATABASE": "memory", "PYTHONUNBUFFERED": "1", **more}


def free_port() -> int:
    """Return a port on which nobody listens, and which the system gives to nobody.

    The system gives ports of its own range to whoever connects, so one of those may be in use by
    the time at which a server is started on it, or started again. Processes that run tests at the
    same time begin at different places.
    """
    for _ in _PORTS:
        port: int = next(_NEXT_PORT)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                sock.bind(("127.0.0.1", port))
                return port
    raise AssertionError("no port is free")


_PORTS: Final = range(12_000, 32_000)
"""Below 32,768, where the range of Linux begins (ip(7), ip_local_port_range)."""

_BEGIN: Final = os.getpid() * 37 % len(_PORTS)
_NEXT_PORT: Final[Iterator[int]] = cycle((*_PORTS[_BEGIN:], *_PORTS[:_BEGIN]))


def required(program: str) -> str:
    """Return where a program is. Where it is not, skip; but never in CI, which installs it."""
    found = shutil.which(program)
    if found is None:
        assert not os.environ.get("CI"), f"{program} is not installed"
        pytest.skip(f"{program} is not installed")
    return found


async def run(*args: str, stdin: str = "", **env: str) -> tuple[int, str, str]:
    """Run the command line to its end: exit status, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM,
        *args,
        env=environment(**env),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        out, err = await within(process.communicate(stdin.encode()))
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def server(
    *args: str,
    stderr: Any = None,
    open_files: int | None = None,
    env: Mapping[str, str] | None = None,
    within_program: Sequence[str] = (),
    patience: float = 20,
) -> AsyncIterator[Server]:
    """Start a server on a free port, and kill it at the end where it has not ended.

    ``within_program`` becomes the server when it has prepared something: ``ip netns exec NAME``.
    """

    def limit() -> None:
        if open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))

    process = await asyncio.create_subprocess_exec(
        *within_program,
        *PROGRAM,
        *(args or ("--port", "0")),
        env=environment(**(env or {})),
        stdout=PIPE,
        stderr=stderr,
        preexec_fn=limit,
    )
    assert process.stdout is not None
    try:
        line = (await within(process.stdout.readline(), patience)).decode()
        assert line.startswith(READY), "the ready line is the first on standard output"
        yield Server(process, line.removeprefix(READY).strip())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
