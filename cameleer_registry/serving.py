"""Serving an application from this process: sockets, signals, and the end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from typing import Final

import aiohttp
import attrs
from aiohttp import web

from .database import default_path
from .errors import CannotListen, reason_of
from .logs import get_logger
from .settings import Settings
from .system import raise_file_limit
from .web import aiohttp_internals
from .web.app import make_app
from .web.app_keys import NODE
from .web.connections import AcceptFailures
from .web.inline import InlineRunner
from .web.streams import KERNEL_STALLS, LONGEST_USER_TIMEOUT

log = get_logger(__name__)

BACKLOG: Final = 4096
"""Connections that may wait to be accepted, as far as the kernel's somaxconn allows. aiohttp's
128 is too small for a fleet that reconnects at once."""

ACCEPTED_AT_ONCE: Final = 16
"""Connections that asyncio accepts before others get their turn. It takes the backlog for that
number, too; and where descriptors have run out it fails so many times, again every second."""

SHUTDOWN_TIMEOUT: Final = 1.5
"""Seconds that requests which are being answered may take to finish. aiohttp may spend it twice;
with a second for the streams to drain, the process ends within 5 s."""

LINGER: Final = 0.25
"""Seconds for which requests are still accepted when the streams have ended: /readyz says 503."""

IDLE_TIMEOUT: Final = 75.0
"""Seconds after which a connection is closed that has not sent a whole request head: nginx's
keepalive_timeout. Longer where heartbeats come less often, so that they can share one."""


COLLECT_AFTER: Final = (10_000, 3, 66)
"""Objects after which the youngest generation is collected, and how often so before the next one.
What a request leaves is freed by its reference counts. With Python's 700 a fleet that registers or
acknowledges has everything looked at again and again: 100 ms for 10,000 agents. The middle one
holds the loop for 17 ms where it is collected after 10 of the youngest, and for 5 after 3."""


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises CannotListen.

    Prints one line on standard output as soon as requests are accepted.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.set_exception_handler(AcceptFailures().handle)
    log.debug("limit of open files", now=raise_file_limit())
    if settings.database is None:
        settings = attrs.evolve(settings, database=str(default_path()))
    app = make_app(settings, alone=True)
    app[NODE].on_storage_failure = _end
    runner = _runner_of(loop)(
        app,
        access_log=None,  # a line for each heartbeat would drown the log
        auto_decompress=False,  # a megabyte can unpack to a gigabyte; see web/body.py
        keepalive_timeout=max(IDLE_TIMEOUT, 2.5 * settings.heartbeat_interval),
        shutdown_timeout=SHUTDOWN_TIMEOUT,
    )
    await runner.setup()
    try:
        site = _Site(runner, settings.host, settings.port, backlog=ACCEPTED_AT_ONCE)
        site.give_up_after = KERNEL_STALLS * settings.stream_stall_timeout
        try:
            await site.start()
        except OSError as error:
            where = _netloc(settings.host, settings.port)
            raise CannotListen(f"cannot listen on {where}: {reason_of(error)}") from None
        # A name may stand for several addresses, each of which gets a free port of its own.
        host = settings.host if settings.port else runner.addresses[0][0]
        address = f"http://{_netloc(host, site.port)}"
        _spare_collections()
        print(f"cameleer-registry listening on {address}", flush=True)
        await stopped.wait()
        log.info("shutting down", streams=len(app[NODE].streams))
        # While the streams end, and a moment longer, whoever asks is told that this is the end.
        await app[NODE].shut_down()
        await asyncio.sleep(LINGER)
    finally:
        await runner.cleanup()
    log.info("stopped")


def _runner_of(loop: asyncio.AbstractEventLoop) -> type[web.AppRunner]:
    """Return the runner that answers inline, or aiohttp's where its insides are others."""
    if missing := aiohttp_internals.missing(loop):
        log.warning(
            "this aiohttp is another than expected, so every request takes its slower way",
            aiohttp=aiohttp.__version__,
            missing=missing,
        )
        return web.AppRunner
    return InlineRunner


def _end(reason: str) -> None:
    """End the process at once: whatever it answered could be false."""
    print(f"cameleer-registry: the storage has failed: {reason}", file=sys.stderr, flush=True)
    os._exit(1)


class _Site(web.TCPSite):
    """A listening socket with a longer queue than asyncio would accept at once.

    Its connections inherit that the kernel gives a peer up which takes nothing of what is written
    to it. aiohttp would wait for ever until an answer is read, whether or not anybody is there.
    """

    give_up_after: float
    """Seconds. Set before the site is started."""

    async def start(self) -> None:
        await super().start()
        for sock in aiohttp_internals.listening_sockets(self):
            with socket.socket(fileno=os.dup(sock.fileno())) as same:
                same.listen(BACKLOG)
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    milliseconds = int(1000 * min(self.give_up_after, LONGEST_USER_TIMEOUT))
                    same.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _spare_collections() -> None:
    """Have the garbage collector look less often, and never at what was made until now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
