"""Which NATS server does what at present, and whether all of them are up to date."""

from __future__ import annotations

import asyncio

import nats as nats_py
import nats.errors
from attrs import define
from nats.js.errors import Error as JetStreamError

from ..nats import NatsServer, NatsServers

STREAM = "cameleer-log"


@define
class Roles:
    """Names of servers."""

    leader: str
    """Who leads the log."""
    tails: list[str]
    """Where nodes read it from."""
    behind: list[str]
    """Who is away, or has not caught up."""


async def roles(servers: NatsServers) -> Roles:
    """Ask them; again and again while they elect somebody."""
    async with asyncio.timeout(90):
        while True:
            try:
                return await _roles(servers)
            except (nats.errors.Error, JetStreamError, OSError, LookupError):
                await asyncio.sleep(0.2)


async def _roles(servers: NatsServers) -> Roles:
    async def unheard(_: Exception) -> None: ...

    client = await nats_py.connect(
        servers.urls, connect_timeout=2, max_reconnect_attempts=2, error_cb=unheard
    )
    try:
        stream = client.jetstream()
        about = (await stream.stream_info(STREAM)).cluster
        if about is None or not about.leader:
            raise LookupError("there is no leader")
        consumers = await stream.consumers_info(STREAM)
        return Roles(
            about.leader,
            [each.cluster.leader for each in consumers if each.cluster and each.cluster.leader],
            [str(each.name) for each in about.replicas or () if each.offline or not each.current],
        )
    finally:
        await client.close()


async def caught_up(servers: NatsServers) -> None:
    """Wait until all of them have the whole log."""
    async with asyncio.timeout(90):
        while (await roles(servers)).behind:  # noqa: ASYNC110 - nothing tells when they are
            await asyncio.sleep(0.2)


def called(servers: NatsServers, name: str) -> NatsServer:
    """Return the server of that name."""
    return next(server for server in servers.servers if server.name == name)
