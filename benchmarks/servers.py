"""Servers in processes of their own: the product as users run it, and what it is compared with."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

from attrs import frozen

from . import machine

Address = tuple[str, int]

HERE: Final = Path(__file__).parent
YARDSTICKS: Final = HERE / "yardsticks"
READY: Final = re.compile(rb" listening on https?://(\S+):(\d+)\n")
STOPPING_SECONDS: Final = 10.0

ENVIRONMENT: Final = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "CAMELEER_DATABASE": "memory",
}
"""Of servers: their modules are compiled once, as those of a package are that pip has installed.
They keep nothing unless a measure says where."""

NO_ENDS: Final = ("--heartbeat-interval", "10m", "--stale-after", "1h", "--command-ttl", "1h")
"""Flags with which nobody is STALE, and nothing expires, in the middle of a measure."""

NCHAN_MODULE: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


@frozen
class Server:
    """One that runs. Its figures are of its process, and of those that this has started."""

    address: Address
    pid: int

    def cpu(self) -> float:
        """Return the CPU seconds used so far."""
        return sum(map(cpu_of, _family(self.pid)))

    def resident(self) -> int:
        """Return the bytes of memory it occupies."""
        return sum(_kilobytes(pid, "VmRSS") * 1024 for pid in _family(self.pid))


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _family(int(child))


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used so far, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) / 1e9 for thread in threads)


def _kilobytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)


@contextmanager
def product(
    *flags: str,
    port: int = 0,
    env: Mapping[str, str] = MappingProxyType({}),
    directory: Path | None = None,
) -> Iterator[Server]:
    """Run the registry with default settings, but for these flags; it keeps nothing by default.

    ``directory`` is a checkout whose registry is run; else it is the one that is installed.
    """
    command = [sys.executable, "-m", "cameleer_registry", "--port", str(port), *flags]
    with _announcing(command, env, directory) as server:
        yield server


@contextmanager
def node_of_cluster(name: str, nats: Sequence[str], *flags: str) -> Iterator[Server]:
    """Run a node of that name, which shares its registry with all others at these NATS servers."""
    cluster = ",".join(nats)
    with product("--node-name", name, "--cluster", cluster, *flags) as server:
        yield server


@contextmanager
def nats(count: int) -> Iterator[list[str]]:
    """Run so many NATS servers, each of which syncs what it confirms; return their addresses."""
    program = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="nats-"))
        taken = [stack.enter_context(socket.socket()) for _ in range(2 * count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        ports = [int(each.getsockname()[1]) for each in taken]
        for each in taken:
            each.close()
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports[count:])
        for number in range(count):
            file = Path(directory, f"{number}.conf")
            cluster = f'cluster {{ name: "b", listen: "127.0.0.1:{ports[count + number]}", '
            file.write_text(
                f'server_name: "n{number}"\nlisten: "127.0.0.1:{ports[number]}"\n'
                f'jetstream {{ store_dir: "{directory}/{number}", sync_interval: always }}\n'
                + (f"{cluster}routes: [{routes}] }}\n" if count > 1 else "")
            )
            stack.enter_context(_process([program, "-c", str(file)], spare=True))
        for port in ports[:count]:
            _wait_for(("127.0.0.1", port))
        yield [f"nats://127.0.0.1:{port}" for port in ports[:count]]


@contextmanager
def bare_loop() -> Iterator[Server]:
    """Run the loop that writes to every transport, and does nothing else."""
    with _announcing([sys.executable, str(YARDSTICKS / "bare_loop.py")]) as server:
        yield server


@contextmanager
def bare_aiohttp() -> Iterator[Server]:
    """Run aiohttp handlers that answer, and do nothing else."""
    with _announcing([sys.executable, str(YARDSTICKS / "bare_aiohttp.py")]) as server:
        yield server


@contextmanager
def node() -> Iterator[Server]:
    """Run Node's http module with a loop of response.write; there must be a Node."""
    with _announcing(["node", str(YARDSTICKS / "node_http.mjs")]) as server:
        yield server


@contextmanager
def nchan() -> Iterator[Server]:
    """Run nginx with nchan, one worker; they must be installed (libnginx-mod-nchan)."""
    with tempfile.TemporaryDirectory(prefix="nchan-") as directory:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address: Address = taken.getsockname()
        configuration = (YARDSTICKS / "nchan.conf").read_text()
        for name, value in (
            ("@MODULE@", str(NCHAN_MODULE)),
            ("@PORT@", str(address[1])),
            ("@DIRECTORY@", directory),
        ):
            configuration = configuration.replace(name, value)
        file = Path(directory, "nginx.conf")
        file.write_text(configuration)
        command = ["nginx", "-p", directory, "-c", str(file), "-e", f"{directory}/error.log"]
        with _process(command) as process:
            _wait_for(address)
            yield Server(address, process.pid)


def has_nchan() -> bool:
    """Tell whether nchan is installed."""
    return NCHAN_MODULE.exists() and shutil.which("nginx") is not None


def has_node() -> bool:
    """Tell whether Node is installed."""
    return shutil.which("node") is not None


@contextmanager
def _announcing(
    command: list[str],
    env: Mapping[str, str] = MappingProxyType({}),
    directory: Path | None = None,
) -> Iterator[Server]:
    """Run a server that prints where it listens on the first line of its standard output."""
    with _process(command, env, directory) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        said = READY.search(line)
        assert said is not None, f"{command} has said {line!r} instead of where it listens"
        yield Server((said[1].decode(), int(said[2])), process.pid)


@contextmanager
def _process(
    command: list[str],
    env: Mapping[str, str] = MappingProxyType({}),
    directory: Path | None = None,
    *,
    spare: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    # What it logs is made, but not kept. It has a group of its own, so that what it has started
    # ends with it: a `node` may be a wrapper that does not see to that.
    with nullcontext() if spare else machine.core_of_servers():
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            cwd=directory,
            env={**ENVIRONMENT, **env},
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.communicate(timeout=STOPPING_SECONDS)  # to the end of all who could write
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _wait_for(address: Address) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(address):
            return
        time.sleep(0.01)
    raise TimeoutError(f"nobody listens on {address}")
