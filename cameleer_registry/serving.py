"""Serving an application from this process: sockets, signals, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import attrs
from aiohttp import web

from . import listening, systemd
from .database import MEMORY, default_path
from .errors import CannotListen, reason_of
from .instance import instance
from .logs import get_logger
from .node.node import Node
from .settings import Settings
from .system import raise_file_limit
from .tls import Tls, spare_buffers
from .version import __version__
from .web import aiohttp_internals
from .web.app import make_app
from .web.app_keys import NODE
from .web.connections import AcceptFailures
from .web.inline import InlineRunner
from .web.streams import KERNEL_STALLS, LONGEST_USER_TIMEOUT

log = get_logger(__name__)

BACKLOG: Final = 65_535
"""Connections that may wait to be accepted, as far as the kernel's somaxconn allows: so that is
all that has to be raised for a larger fleet that reconnects at once. Linux before 4.1 takes 16 bits
of it. aiohttp's default is 128."""

ACCEPTED_AT_ONCE: Final = 16
"""Connections that asyncio accepts before other work gets its turn. It also uses the backlog for
that number; and if descriptors have run out it fails as many times, again every second.
"""

SHUTDOWN_TIMEOUT: Final = 1.5
"""Seconds that requests which are being answered may take to finish. aiohttp may spend it twice;
with a second for the streams to drain, the process ends within 5 s."""

LINGER: Final = 0.25
"""Seconds for which requests are still accepted when the streams have ended: /readyz says 503."""

IDLE_TIMEOUT: Final = 75.0
"""Seconds after which a connection is closed that has not sent a whole request head: nginx's
keepalive_timeout. It is longer if heartbeats are less frequent, so that they can share a
connection.
"""


COLLECT_AFTER: Final = (10_000, 3, 66)
"""Objects after which the youngest generation is collected, and how often that happens before the
next one is. The memory of a request is freed by reference counting. With Python's 700, all objects
are examined again and again while a fleet registers or acknowledges: 100 ms for 10,000 agents. The
middle generation blocks the loop for 17 ms if it is collected after 10 of the youngest, and for 5
ms after 3.
"""


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises CannotListen.

    Prints one line on standard output as soon as requests are accepted. Listens on the sockets that
    systemd has passed, if there are any, and otherwise as the settings say.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    tls: Tls | None = None
    _heed_signals(loop, stopped, lambda: tls)
    loop.set_exception_handler(AcceptFailures().handle)
    log.debug("limit of open files", now=raise_file_limit())
    sockets = systemd.passed_sockets()
    passed = bool(sockets)
    sockets = sockets or listening.open_sockets(settings.host, settings.port)
    if settings.database is None:
        settings = attrs.evolve(settings, database=str(default_path()))
    tls = Tls.of(settings)
    if tls is not None:
        spare_buffers()
    # One of many nodes may wait long for the others: its probes answer meanwhile.
    app = make_app(settings, alone=True, joins_later=bool(settings.cluster))
    # Before anything is stored: a start that is refused leaves nothing behind.
    app[NODE].life.check_settings()
    if settings.database == MEMORY:
        log.info("nothing is stored: a restart forgets all agents and commands", database=MEMORY)
    app[NODE].on_storage_failure = lambda reason: _end(f"the storage has failed: {reason}")
    app[NODE].life.on_lost = lambda reason: _end(f"this node takes part no more: {reason}")
    runner = _runner_of(loop)(
        app,
        access_log=None,  # a line for each heartbeat would drown the log
        auto_decompress=False,  # a megabyte can unpack to a gigabyte; see web/body.py
        keepalive_timeout=max(IDLE_TIMEOUT, 2.5 * settings.heartbeat_interval),
        shutdown_timeout=SHUTDOWN_TIMEOUT,
    )
    _freeze_imports()
    addresses = [_address(sock, settings, passed=passed) for sock in sockets]
    app[NODE].address = settings.public_url or addresses[0]
    await runner.setup()
    try:
        for sock, address in zip(sockets, addresses, strict=True):
            try:
                context = None if tls is None else tls.context
                site = web.SockSite(runner, sock, ssl_context=context, backlog=ACCEPTED_AT_ONCE)
                await site.start()
                _prepare(sock, give_up_after=KERNEL_STALLS * settings.stream_stall_timeout)
            except OSError as error:
                raise CannotListen(f"cannot listen on {address}: {reason_of(error)}") from None
        if not await _has_begun(app[NODE], stopped):
            return
        _spare_collections()
        _say(f"cameleer-registry listening on {addresses[0]}\n")
        log.info("listening", address=addresses[0], **_about(settings, addresses, passed=passed))
        systemd.notify("READY=1")
        watching = None if tls is None else asyncio.create_task(tls.watch(), name="certificate")
        await stopped.wait()
        if watching is not None:
            watching.cancel()
        systemd.notify("STOPPING=1")
        log.info("shutting down", streams=len(app[NODE].streams))
        # While the streams end, and a moment longer, whoever asks is told that this is the end.
        await app[NODE].shut_down()
        await asyncio.sleep(LINGER)
    finally:
        await runner.cleanup()
        for sock in sockets:
            sock.close()
    log.info("stopped")


async def _has_begun(node: Node, stopped: asyncio.Event) -> bool:
    """Wait until a node has joined the others; tell whether it has, and is not stopped before."""
    if node.life.beginning is None:
        return True
    stopping = asyncio.ensure_future(stopped.wait())
    awaited: list[asyncio.Future[Any]] = [node.life.beginning, stopping]
    try:
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if not node.life.beginning.done():
            return False
        node.life.beginning.result()
        return True
    finally:
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)


def _heed_signals(
    loop: asyncio.AbstractEventLoop, stopped: asyncio.Event, tls: Callable[[], Tls | None]
) -> None:
    """Have SIGTERM and SIGINT stop the server, and SIGHUP not end it with its streams cut off.

    SIGHUP is a terminal that is closed, which ends what was started in it, or the wish of a
    supervisor or of logrotate that something be read again. Under nohup it is ignored, and stays
    so.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return
    if any(os.isatty(number) for number in range(3)):
        loop.add_signal_handler(signal.SIGHUP, stopped.set)
    else:
        loop.add_signal_handler(signal.SIGHUP, _read_again, tls)


def _read_again(tls: Callable[[], Tls | None]) -> None:
    if (found := tls()) is None:
        log.info("SIGHUP: there is nothing to reload")
    else:
        found.reload()


def _runner_of(loop: asyncio.AbstractEventLoop) -> type[web.AppRunner]:
    """Return the runner that answers inline, or aiohttp's if its internals are not as expected."""
    if missing := aiohttp_internals.missing(loop):
        log.warning(
            "the internals of this aiohttp are not as expected: every request takes the slower way",
            aiohttp=aiohttp.__version__,
            missing=missing,
        )
        return web.AppRunner
    return InlineRunner


def _end(reason: str) -> None:
    """End the process at once: whatever it answered could be false."""
    # In one piece, as the log is written at the same time by another thread.
    line = f"cameleer-registry: {reason}\n"
    with contextlib.suppress(OSError):
        os.write(2, line.encode("utf-8", "backslashreplace"))
    os._exit(1)


def _prepare(sock: socket.socket, *, give_up_after: float) -> None:
    """Give a listening socket a longer queue than asyncio would accept at once.

    Its connections inherit the time after which the kernel drops a peer that takes nothing of what
    is written to it. aiohttp would wait for ever until an answer is read.
    """
    sock.listen(BACKLOG)
    if sock.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = int(1000 * min(give_up_after, LONGEST_USER_TIMEOUT))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def _address(sock: socket.socket, settings: Settings, *, passed: bool) -> str:
    """Return the address of a socket, with the name that was given, if one was."""
    if passed or sock.family == socket.AF_UNIX:
        address = listening.named(sock)
    else:
        address = listening.address_of(settings.host, sock.getsockname()[1])
    scheme = "http" if settings.tls_cert is None else "https"
    return address if sock.family == socket.AF_UNIX else f"{scheme}://{address}"


def _say(line: str) -> None:
    """Print a line for whoever started the server, who may not be there to read it any more.

    A server goes on without a reader, and on a disk that is full.
    """
    try:
        # In one piece: without buffers, what the log writes would come between it and its end.
        print(line, end="", flush=True)
    except OSError as error:
        log.warning("standard output cannot be written to", reason=reason_of(error))
        # What is left in its buffer would make a failure of the end of the process.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _about(settings: Settings, addresses: list[str], *, passed: bool) -> dict[str, Any]:
    """Return what the log says of a server that has started, besides its address."""
    others = [address for address in addresses[1:] if address != addresses[0]]
    return {
        "version": __version__,
        "instance": instance(),
        "pid": os.getpid(),
        **({"server": settings.name} if settings.name else {}),
        **({"also": others} if others else {}),
        **({"sockets": "passed with LISTEN_FDS"} if passed else {}),
    }


def _freeze_imports() -> None:
    """Have the garbage collector never look at what was made until now.

    It looks at it once more, while that is little: what is loaded after this may be a lot, and
    none of it is garbage.
    """
    gc.collect()
    gc.freeze()


def _spare_collections() -> None:
    """Have the garbage collector look less often, and never at what was made until now."""
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
